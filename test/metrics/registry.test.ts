/** Tests of src/metrics/registry.ts and text.ts together: what is counted is what a scrape reads. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Registry } from "../../src/metrics/registry.ts";
import { renderMetrics } from "../../src/metrics/text.ts";
import { parseExposition } from "./exposition.ts";

function scrape(registry: Registry, name: string) {
  return parseExposition(renderMetrics(registry)).get(name)?.samples ?? [];
}

test("writes the format of the specification, byte for byte", () => {
  const registry = new Registry();
  const requests = registry.add({
    name: "x_requests_total",
    type: "counter",
    labels: ["method", "code"],
    help: "Requests,\nby \\ method.",
  });
  requests.labels("GET", "200").inc();
  requests.labels("POST", 'a"b\\c\nd').inc(2.5);
  registry.add({ name: "x_open", type: "gauge", labels: [], help: "Open." }).set(-Infinity);
  const seconds = registry.add({
    name: "x_seconds",
    type: "histogram",
    labels: ["route"],
    buckets: [0.5, 1],
    help: "Time.",
  });
  for (const value of [0.25, 0.5, 0.75, 4]) seconds.labels("/").observe(value);
  assert.equal(
    renderMetrics(registry),
    [
      "# HELP x_requests_total Requests,\\nby \\\\ method.",
      "# TYPE x_requests_total counter",
      'x_requests_total{method="GET",code="200"} 1',
      'x_requests_total{method="POST",code="a\\"b\\\\c\\nd"} 2.5',
      "# HELP x_open Open.",
      "# TYPE x_open gauge",
      "x_open -Inf",
      "# HELP x_seconds Time.",
      "# TYPE x_seconds histogram",
      'x_seconds_bucket{route="/",le="0.5"} 2',
      'x_seconds_bucket{route="/",le="1"} 3',
      'x_seconds_bucket{route="/",le="+Inf"} 4',
      'x_seconds_sum{route="/"} 5.5',
      'x_seconds_count{route="/"} 4',
      "",
    ].join("\n"),
  );
});

test("never merges two series, whatever their label values contain", () => {
  const registry = new Registry();
  const family = registry.add({ name: "x_total", type: "counter", labels: ["a", "b"], help: "X." });
  const tricky = ["", ",", ":", "1:", "0:", "1:a", "\u0000", "|", '"', '","', "a", "a,b", "b:1", "aa", "0:0:", "other"];
  let next = 1;
  for (const a of tricky) for (const b of tricky) family.labels(a, b).inc(next++);
  const values = scrape(registry, "x_total").map((sample) => sample.value);
  assert.deepEqual(
    values,
    Array.from({ length: tricky.length ** 2 }, (_, index) => index + 1),
  );
});

test("gives the same child for the same label values, so that a caller may keep it", () => {
  const family = new Registry().add({ name: "x_total", type: "counter", labels: ["a", "b"], help: "X." });
  assert.equal(family.labels("1", "2"), family.labels("1", "2"));
  assert.notEqual(family.labels("1", "2"), family.labels("2", "1"));
});

test("stops at maxSeries and counts all the rest in one series called other, losing nothing", () => {
  const registry = new Registry();
  const family = registry.add({ name: "x_total", type: "counter", labels: ["path", "code"], help: "X.", maxSeries: 3 });
  for (let index = 0; index < 1_000; index += 1) family.labels(`/${index}`, "200").inc();
  family.labels("/1", "200").inc(10);
  const samples = scrape(registry, "x_total");
  assert.deepEqual(
    samples.map(({ labels, value }) => [labels["path"], labels["code"], value]),
    [
      ["/0", "200", 1],
      ["/1", "200", 11],
      ["/2", "200", 1],
      ["other", "other", 997],
    ],
  );
});

test("bounds every metric at 1,000 series unless its row says otherwise", () => {
  const registry = new Registry();
  const family = registry.add({ name: "x", type: "gauge", labels: ["path"], help: "X." });
  for (let index = 0; index < 5_000; index += 1) family.labels(`/${index}`).inc();
  assert.equal(scrape(registry, "x").length, 1_001);
});

test("shows presets as 0 and a labelled metric without series by its HELP and TYPE alone", () => {
  const registry = new Registry();
  registry.add({ name: "x", type: "gauge", labels: ["state"], presets: [["on"], ["off"]], help: "X." });
  registry.add({ name: "y_total", type: "counter", labels: ["state"], help: "Y." });
  assert.deepEqual(
    scrape(registry, "x").map(({ labels, value }) => [labels["state"], value]),
    [
      ["on", 0],
      ["off", 0],
    ],
  );
  assert.deepEqual(parseExposition(renderMetrics(registry)).get("y_total")?.samples, []);
});

test("runs collect hooks at each scrape and before anything is written", () => {
  const registry = new Registry();
  const gauge = registry.add({ name: "x", type: "gauge", labels: [], help: "X." });
  let looked = 0;
  registry.onCollect(() => gauge.set((looked += 1)));
  assert.deepEqual([scrape(registry, "x")[0]?.value, scrape(registry, "x")[0]?.value], [1, 2]);
});

test("refuses to lower a counter, by a negative step or by NaN, and follows an outside total only upwards", () => {
  const counter = new Registry().add({ name: "x_total", type: "counter", labels: [], help: "X." });
  counter.raiseTo(5);
  counter.raiseTo(3);
  assert.throws(() => counter.inc(-1), RangeError);
  assert.throws(() => counter.inc(NaN), RangeError);
  assert.equal(counter.value, 5);
});

test("leaves NaN out of a histogram and puts a value on a bound into that bound's bucket", () => {
  const histogram = new Registry().add({
    name: "x_seconds",
    type: "histogram",
    labels: [],
    buckets: [1, 2],
    help: "X.",
  });
  for (const value of [1, 2, 3, NaN, Infinity]) histogram.observe(value);
  assert.deepEqual(histogram.cumulative, [1, 2, 4]);
});

test("lowers and raises a gauge", () => {
  const gauge = new Registry().add({ name: "x", type: "gauge", labels: [], help: "X." });
  gauge.inc();
  gauge.inc(4);
  gauge.dec(2);
  gauge.dec();
  assert.equal(gauge.value, 2);
});

test("refuses a row that the format could not carry", () => {
  const registry = new Registry();
  registry.add({ name: "x", type: "gauge", labels: [], help: "X." });
  const base = { type: "gauge", labels: [], help: "X." } as const;
  assert.throws(() => registry.add({ ...base, name: "x" }), /twice/);
  assert.throws(() => registry.add({ ...base, name: "1x" }), /not a metric name/);
  assert.throws(() => registry.add({ ...base, name: "y", labels: ["__name__"] }), /cannot have the label/);
  assert.throws(() => registry.add({ ...base, name: "y", labels: ["a", "a"] }), /cannot have the label a/);
  assert.throws(
    () => registry.add({ name: "y", type: "histogram", labels: ["le"], buckets: [1], help: "Y." }),
    /cannot have the label le/,
  );
  for (const buckets of [[], [1, 1], [2, 1], [1, Infinity]]) {
    assert.throws(() => registry.add({ name: "y", type: "histogram", labels: [], buckets, help: "Y." }), /do not rise/);
  }
});

test("refuses a wrong number of label values even where types were circumvented", () => {
  const family = new Registry().add({ name: "x", type: "gauge", labels: ["a", "b"] as readonly string[], help: "X." });
  assert.ok("labels" in family);
  assert.throws(() => family.labels("1"), /1 label values for the labels a, b/);
});
