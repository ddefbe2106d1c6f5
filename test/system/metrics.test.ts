/** Part B, Metrics: every name, its labels, and that nothing a client sends makes them grow. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { spawn } from "node:child_process";
import * as net from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { eventually, run, startDaemon } from "../support/daemon.ts";
import { beat, register, registerBusy } from "../support/fleet.ts";
import { request } from "../support/http.ts";
import { imageOf } from "../support/images.ts";
import { pick } from "../support/json.ts";

const daemon = await startDaemon();

/** Name to label names, as the contract lists them. */
const CATALOGUE: Readonly<Record<string, readonly [type: string, ...labels: string[]]>> = {
  zwrmd_http_requests_total: ["counter", "method", "route", "status"],
  zwrmd_http_request_duration_seconds: ["histogram", "method", "route"],
  zwrmd_http_requests_in_flight: ["gauge"],
  zwrmd_http_response_bytes_total: ["counter", "route"],
  zwrmd_hosts: ["gauge", "status"],
  zwrmd_host_heartbeats_total: ["counter"],
  zwrmd_host_id_conflicts_total: ["counter"],
  zwrmd_machines: ["gauge", "state"],
  zwrmd_drains: ["gauge", "state"],
  zwrmd_placements_total: ["counter", "result"],
  zwrmd_quota_refusals_total: ["counter", "quota"],
  zwrmd_journal_appends_total: ["counter"],
  zwrmd_journal_bytes_total: ["counter"],
  zwrmd_journal_sync_duration_seconds: ["histogram"],
  zwrmd_journal_last_seq: ["gauge"],
  zwrmd_journal_torn_total: ["counter"],
  zwrmd_journal_writable: ["gauge"],
  zwrmd_images: ["gauge"],
  zwrmd_image_bytes: ["gauge"],
  zwrmd_image_downloads_total: ["counter", "result"],
  zwrmd_auth_failures_total: ["counter", "method"],
  zwrmd_log_dropped_lines_total: ["counter"],
  zwrmd_build_info: ["gauge", "version", "node"],
};

async function scrape(): Promise<string> {
  const answer = await daemon.request("GET", "/metrics");
  assert.equal(answer.status, 200);
  return answer.text;
}

/** The value of one series, written as in the text; 0 where it is not there. */
function value(text: string, series: string): number {
  const line = text.split("\n").find((each) => each.startsWith(`${series} `));
  return line === undefined ? 0 : Number(line.slice(series.length + 1));
}

test("every kind of thing happens once", async () => {
  await register(daemon, "h-1");
  await registerBusy(daemon, "h-2");
  await beat(daemon, "h-1");
  await daemon.request("POST", "/v1/hosts/h-2/drain");
  const image = imageOf("counted");
  await daemon.request("PUT", `/v1/images/${image.digest}`, { body: image.bytes });
  await daemon.asAgent("GET", `/v1/internal/images/${image.digest}`);
  await daemon.request("GET", "/v1/hosts", { headers: { authorization: "Bearer wrong" } });
  await daemon.request("GET", "/nowhere");
});

for (const [name, [type, ...labels]] of Object.entries(CATALOGUE)) {
  test(`Metrics: ${name}{${labels.join(",")}}`, async () => {
    const text = await scrape();
    assert.match(text, new RegExp(`^# HELP ${name} \\S`, "m"));
    assert.match(text, new RegExp(`^# TYPE ${name} ${type}$`, "m"));
    const suffix = type === "histogram" ? "_count" : "";
    const series = [...text.matchAll(new RegExp(`^${name}${suffix}(?:\\{([^}]*)\\})? \\S+$`, "gm"))];
    if (name !== "zwrmd_placements_total") assert.ok(series.length > 0, `${name} has a series`);
    for (const [, found = ""] of series)
      assert.deepEqual([...found.matchAll(/([a-z_]+)="/g)].map((match) => match[1]).sort(), [...labels].sort(), name);
  });
}

test("Metrics: the standard process_* and nodejs_*", async () => {
  const text = await scrape();
  for (const name of [
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_open_fds",
    "nodejs_eventloop_lag_seconds",
    "nodejs_version_info",
  ]) {
    assert.match(text, new RegExp(`^${name}(\\{.*\\})? \\S+$`, "m"), name);
  }
});

test("Metrics: they count what happens", async () => {
  const before = await scrape();
  await beat(daemon, "h-1");
  await beat(daemon, "h-1");
  await register(daemon, "h-1", { labels: { changed: "yes" } });
  const after = await scrape();
  const grew = (series: string): number => value(after, series) - value(before, series);
  assert.equal(grew("zwrmd_host_heartbeats_total"), 2);
  assert.equal(grew("zwrmd_journal_appends_total"), 1);
  assert.equal(grew("zwrmd_journal_last_seq"), 1);
  assert.equal(grew("zwrmd_journal_sync_duration_seconds_count"), 1);
  assert.ok(grew("zwrmd_journal_bytes_total") > 100);
  assert.equal(
    grew(`zwrmd_http_requests_total{method="POST",route="/v1/internal/hosts/{host_id}/heartbeat",status="200"}`),
    2,
  );
  assert.deepEqual(
    ["active", "draining", "maintenance", "offline"].map((status) => value(after, `zwrmd_hosts{status="${status}"}`)),
    [1, 1, 0, 0],
  );
  assert.equal(value(after, `zwrmd_drains{state="draining"}`), 1);
  assert.equal(value(after, "zwrmd_images"), 1);
  assert.equal(value(after, "zwrmd_image_bytes"), 7);
  assert.equal(value(after, "zwrmd_journal_writable"), 1);
});

test("Metrics: zwrmd_build_info{version,node} says what runs", async () => {
  const version = String(pick((await daemon.request("GET", "/")).json, "version"));
  const quoted = (text: string): string => `"v?${text.replaceAll(".", "\\.")}"`;
  const shape = `^zwrmd_build_info\\{version=${quoted(version)},node=${quoted(process.versions.node)}\\} 1$`;
  assert.match(await scrape(), new RegExp(shape, "m"));
});

test("Metrics: route is the pattern, never the path. Cardinality is bounded whatever clients send", async () => {
  await daemon.request("GET", "/v1/hosts/warm-up");
  await daemon.request("GET", `/v1/images/sha256:${"0".repeat(64)}`);
  await daemon.request("PURGE", "/v1/hosts");
  await daemon.request("GET", "/v1/hosts/%");
  const http = "http_requests_total|http_request_duration_seconds_count|http_response_bytes_total";
  const counted = new RegExp(`^zwrmd_(${http}|auth_failures_total|image_downloads_total)`);
  const seriesOf = (text: string): string[] => {
    const lines = text.split("\n").filter((line) => counted.test(line));
    return lines.map((line) => line.slice(0, line.lastIndexOf(" ")));
  };
  const before = seriesOf(await scrape());
  for (let number = 0; number < 100; number++) {
    await daemon.request("GET", `/v1/hosts/stranger-${number}`);
    await daemon.request("GET", `/stranger-${number}/"quoted"\\back`);
    await daemon.request("GET", `/v1/images/sha256:${String(number).padStart(64, "0")}`);
    await daemon.request("GET", `/v1/hosts/%${number % 10}`);
    await daemon.request("GET", `/v1/hosts?status=active&n=${number}`, {
      headers: { "user-agent": `agent-${number}`, host: "localhost" },
    });
    await daemon.request(["PROPFIND", "MKCOL", "LOCK", "PURGE", "M-SEARCH"][number % 5] ?? "LOCK", "/v1/hosts");
  }
  const after = seriesOf(await scrape());
  assert.ok(
    after.length - before.length <= 6,
    `new series: ${after.filter((each) => !before.includes(each)).join("\n")}`,
  );
  assert.ok(!after.some((series) => series.includes("stranger")), "no path in a label");
});

test("GET /metrics is text/plain; version=0.0.4; charset=utf-8 and ends with a newline", async () => {
  const answer = await daemon.request("GET", "/metrics", {
    headers: { accept: "application/openmetrics-text;version=1.0.0" },
  });
  assert.equal(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
  assert.ok(answer.text.endsWith("\n"));
  const lines = answer.text.trimEnd().split("\n");
  for (const line of lines)
    assert.match(
      line,
      /^(# (HELP|TYPE) [a-z0-9_]+ .+|[a-z0-9_]+(\{([a-z_]+="([^"\\\n]|\\.)*",?)+\})? (-?[0-9.e+-]+|[+-]Inf|NaN))$/,
    );
  const series = lines.filter((line) => !line.startsWith("#")).map((line) => line.slice(0, line.lastIndexOf(" ")));
  assert.equal(new Set(series).size, series.length, "no series twice");
});

test("promtool check metrics says nothing", async () => {
  const text = await scrape();
  const found = await run("promtool", ["check", "metrics"], {}, text).catch(() => null);
  if (found !== null) return assert.deepEqual([found.code, found.stdout, found.stderr], [0, "", ""]);
  // Without promtool: its rules that matter, on our own.
  for (const [, name = "", type = ""] of text.matchAll(/^# TYPE (\S+) (\S+)$/gm)) {
    assert.equal(name.endsWith("_total"), type === "counter", `${name} is a ${type}`);
    assert.match(text, new RegExp(`^# HELP ${name} \\S`, "m"));
  }
});

test("a real Prometheus scrapes it", async (t) => {
  if ((await run("prometheus", ["--version"]).catch(() => null)) === null) return;
  const listener = net.createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => listener.once("listening", resolve));
  const address = listener.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  await new Promise((resolve) => listener.close(resolve));
  const folder = join(daemon.folder, "prometheus");
  mkdirSync(folder);
  writeFileSync(
    join(folder, "prometheus.yml"),
    "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n- job_name: zwrmd\n  " +
      `static_configs: [{targets: ["127.0.0.1:${daemon.port}"]}]\n`,
  );
  const server = spawn(
    "prometheus",
    [
      `--config.file=${folder}/prometheus.yml`,
      `--storage.tsdb.path=${folder}/data`,
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    { stdio: "ignore" },
  );
  const gone = new Promise((resolve) => server.once("close", resolve));
  t.after(async () => {
    server.kill("SIGKILL");
    await gone;
  });
  const ask = async (query: string): Promise<string | undefined> => {
    const answer = await request({ port }, "GET", `/api/v1/query?query=${encodeURIComponent(query)}`).catch(() => null);
    const found = answer === null || answer.status !== 200 ? undefined : pick(answer.json, "data.result.0.value.1");
    return typeof found === "string" ? found : undefined;
  };
  assert.equal(await eventually("the target to be up", () => ask(`up{job="zwrmd"} == 1`), 20_000), "1");
  assert.equal(await eventually("our series", () => ask(`zwrmd_hosts{status="draining"}`)), "1");
  assert.ok(Number(await ask("scrape_samples_scraped")) > 50);
});
