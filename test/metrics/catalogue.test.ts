/** Tests of the whole page that /metrics serves: the documented names, and promtool's silence. */
import assert from "node:assert/strict";
import { closeSync, openSync, readFileSync, statSync } from "node:fs";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { CATALOGUE, createMetrics } from "../../src/metrics/catalogue.ts";
import { addProcessMetrics } from "../../src/metrics/process.ts";
import { Registry } from "../../src/metrics/registry.ts";
import { renderMetrics } from "../../src/metrics/text.ts";
import { lintExposition, parseExposition, promtoolCheck } from "./exposition.ts";

const DOCUMENTED = `
  zwrmd_http_requests_total{method,route,status} zwrmd_http_request_duration_seconds{method,route}
  zwrmd_http_requests_in_flight zwrmd_http_response_bytes_total{route}
  zwrmd_hosts{status} zwrmd_host_heartbeats_total zwrmd_host_id_conflicts_total
  zwrmd_quota_refusals_total{quota} zwrmd_machines{state} zwrmd_drains{state} zwrmd_placements_total{result}
  zwrmd_journal_appends_total zwrmd_journal_bytes_total zwrmd_journal_sync_duration_seconds zwrmd_journal_last_seq
  zwrmd_journal_torn_total zwrmd_journal_writable
  zwrmd_images zwrmd_image_bytes zwrmd_image_downloads_total{result}
  zwrmd_auth_failures_total{method} zwrmd_log_dropped_lines_total zwrmd_build_info{version,node}
`.trim();

/** A page as a busy daemon serves it, and the end of what watches this process. */
function busyPage(): string {
  const registry = new Registry();
  const metrics = createMetrics(registry, { version: "1.2.3", node: "v20.19.0" });
  const watch = addProcessMetrics(registry);
  metrics.httpRequests.labels("GET", "/v1/hosts/{host_id}", "200").inc();
  metrics.httpRequestDuration.labels("GET", "/v1/hosts/{host_id}").observe(0.003);
  metrics.httpResponseBytes.labels("/v1/hosts/{host_id}").inc(512);
  metrics.journalSyncDuration.observe(0.00016);
  metrics.placements.labels("placed").inc();
  metrics.imageDownloads.labels("complete").inc();
  metrics.authFailures.labels("api_key").inc();
  const page = renderMetrics(registry);
  watch.stop();
  return page;
}

test("has every documented metric with its labels, and nothing else under zwrmd_", () => {
  const rows = Object.values(CATALOGUE).map((spec) =>
    spec.labels.length === 0 ? spec.name : `${spec.name}{${spec.labels.join(",")}}`,
  );
  assert.deepEqual(rows, DOCUMENTED.split(/\s+/));
});

test("promtool check metrics says nothing about the page", () => {
  const page = busyPage();
  assert.deepEqual(lintExposition(page), []);
  const verdict = promtoolCheck(page);
  if (verdict !== null) assert.deepEqual(verdict, { status: 0, output: "" });
});

test("the checker used where promtool is missing does object to what promtool objects to", () => {
  const page = (name: string, type: string) => `# HELP ${name} X.\n# TYPE ${name} ${type}\n${name} 1\n`;
  for (const bad of [
    page("x", "counter"),
    page("x_total", "gauge"),
    page("x_count", "gauge"),
    page("x_milliseconds", "gauge"),
    page("xGauge", "gauge"),
    page("x_gauge", "gauge"),
  ]) {
    assert.notDeepEqual(lintExposition(bad), [], bad);
    const verdict = promtoolCheck(bad);
    if (verdict !== null) assert.notEqual(verdict.output, "", bad);
  }
});

test("the checker refuses text that is not the format", () => {
  const head = "# HELP x X.\n# TYPE x gauge\n";
  for (const bad of [
    `${head}x 1`,
    `${head}x{a="b} 1\n`,
    `${head}x one\n`,
    `${head}y 1\n`,
    `${head}x 1\nx 2\n`,
    "# TYPE x gauge\nx 1\n",
    `${head}${head}`,
  ])
    assert.throws(() => parseExposition(bad), Error, bad);
});

test("tells what runs in zwrmd_build_info", () => {
  assert.deepEqual(parseExposition(busyPage()).get("zwrmd_build_info")?.samples, [
    { name: "zwrmd_build_info", labels: { version: "1.2.3", node: "v20.19.0" }, value: 1 },
  ]);
});

test("process metrics agree with what the system says of this process", () => {
  const registry = new Registry();
  const watch = addProcessMetrics(registry);
  const read = (name: string): number => parseExposition(renderMetrics(registry)).get(name)?.samples[0]?.value ?? NaN;
  try {
    const usage = process.cpuUsage();
    const cpu = (usage.user + usage.system) / 1e6;
    assert.ok(read("process_cpu_seconds_total") >= cpu && read("process_cpu_seconds_total") < cpu + 5);
    assert.ok(Math.abs(read("process_start_time_seconds") - (Date.now() / 1000 - process.uptime())) < 5);
    assert.ok(Math.abs(read("process_resident_memory_bytes") - process.memoryUsage.rss()) < 64 * 2 ** 20);
    assert.ok(read("nodejs_heap_size_used_bytes") <= read("nodejs_heap_size_total_bytes"));
    if (statSync("/proc/self/fd", { throwIfNoEntry: false }) === undefined) return;
    const before = read("process_open_fds");
    const opened = [1, 2, 3].map(() => openSync("/dev/null", "r"));
    assert.equal(read("process_open_fds"), before + 3);
    for (const fd of opened) closeSync(fd);
    assert.equal(
      read("process_max_fds"),
      Number(/Max open files\s+(\d+)/.exec(readFileSync("/proc/self/limits", "utf8"))?.[1]),
    );
    const pages = Number(readFileSync("/proc/self/statm", "utf8").split(" ")[0]);
    assert.ok(Math.abs(read("process_virtual_memory_bytes") - pages * 4096) < 512 * 2 ** 20);
  } finally {
    watch.stop();
  }
});

test("leaves out the gauges of prom-client that end in _total", () => {
  const names = [...parseExposition(busyPage()).values()].filter(
    ({ name, type }) => type === "gauge" && name.endsWith("_total"),
  );
  assert.deepEqual(names, []);
  assert.match(busyPage(), new RegExp(`^nodejs_version_info\\{version="${process.version}",`, "m"));
});

/** The seconds that the major collections took. */
function majorSeconds(page: string): number {
  return Number(/^nodejs_gc_duration_seconds_sum\{kind="major"\} (\S+)$/m.exec(page)?.[1]);
}

test("sees a blocked event loop and a garbage collection", async () => {
  const registry = new Registry();
  const watch = addProcessMetrics(registry);
  setFlagsFromString("--expose-gc");
  const collectGarbage: unknown = runInNewContext("gc");
  assert.ok(typeof collectGarbage === "function");
  const seen = (name: string): number =>
    Math.max(
      0,
      ...(parseExposition(renderMetrics(registry))
        .get(name)
        ?.samples.map(({ value }) => value) ?? []),
    );
  try {
    // Two ticks of the watcher's timer, one on each side of the block.
    await new Promise((resolve) => setTimeout(resolve, 60));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 150);
    await new Promise((resolve) => setTimeout(resolve, 60));
    const lag = seen("nodejs_eventloop_lag_max_seconds");
    assert.ok(lag > 0.05 && lag < 30, `lag ${lag}`);
    assert.ok(seen("nodejs_eventloop_lag_max_seconds") < lag, "the next scrape starts anew");
    collectGarbage();
    for (let turn = 0; turn < 200 && Number.isNaN(majorSeconds(renderMetrics(registry))); turn += 1)
      await new Promise((resolve) => setTimeout(resolve, 5));
    const major = majorSeconds(renderMetrics(registry));
    assert.ok(major > 0.0001 && major < 1, `${major} s for a small heap`);
  } finally {
    watch.stop();
  }
});
