/**
 * The standard `process_*` and `nodejs_*` metrics, looked up at scrape time; counts nothing of zwrmd's own.
 *
 * Names follow prom-client, so that common dashboards find them. Its gauges `nodejs_active_handles_total`,
 * `nodejs_active_requests_total` and `nodejs_active_resources_total` are left out: a gauge must not end in `_total`,
 * and `promtool check metrics` says so.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import type { IntervalHistogram } from "node:perf_hooks";
import { constants, monitorEventLoopDelay, PerformanceObserver } from "node:perf_hooks";
import { getHeapSpaceStatistics } from "node:v8";
import type { MetricSpec, Registry } from "./registry.ts";

const LAG_RESOLUTION_MS = 20;
const GC_BUCKETS = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5] as const;

/** Watches the event loop and the garbage collector until stopped. */
export interface ProcessMetrics {
  stop(): void;
}

const gauge = <const N extends string>(name: N, help: string) =>
  ({ name, type: "gauge", labels: [], help }) as const satisfies MetricSpec;
const counter = <const N extends string>(name: N, help: string) =>
  ({ name, type: "counter", labels: [], help }) as const satisfies MetricSpec;

/**
 * Adds the metrics to a registry. What /proc does not tell (there is none outside Linux) is left out rather than shown
 * as 0.
 */
export function addProcessMetrics(registry: Registry): ProcessMetrics {
  addCpuAndStart(registry);
  addMemory(registry);
  addDescriptors(registry);
  addVersion(registry);
  const stopLag = addEventLoopLag(registry);
  const stopGc = addGc(registry);
  return {
    stop() {
      stopLag();
      stopGc();
    },
  };
}

function addCpuAndStart(registry: Registry): void {
  const user = registry.add(counter("process_cpu_user_seconds_total", "CPU time spent in user code."));
  const system = registry.add(counter("process_cpu_system_seconds_total", "CPU time spent in the kernel."));
  const total = registry.add(counter("process_cpu_seconds_total", "CPU time spent, user and kernel."));
  registry.onCollect(() => {
    const usage = process.cpuUsage();
    user.raiseTo(usage.user / 1e6);
    system.raiseTo(usage.system / 1e6);
    total.raiseTo((usage.user + usage.system) / 1e6);
  });
  // Not from /proc: the boot time that /proc/self/stat counts from stands in /proc/stat, which ProcSubset=pid hides.
  registry
    .add(gauge("process_start_time_seconds", "Start of the process, in seconds since the epoch."))
    .set(performance.timeOrigin / 1000);
}

function addMemory(registry: Registry): void {
  const resident = registry.add(gauge("process_resident_memory_bytes", "Memory of the process that is in RAM."));
  const heapTotal = registry.add(gauge("nodejs_heap_size_total_bytes", "Heap that V8 has taken."));
  const heapUsed = registry.add(gauge("nodejs_heap_size_used_bytes", "Heap in use."));
  const external = registry.add(
    gauge("nodejs_external_memory_bytes", "Memory outside the heap that V8 keeps account of, buffers among it."),
  );
  const space = (what: string, help: string) =>
    registry.add({ name: `nodejs_heap_space_size_${what}_bytes`, type: "gauge", labels: ["space"], help });
  const spaceTotal = space("total", "Size of a heap space.");
  const spaceUsed = space("used", "Bytes in use in a heap space.");
  const spaceAvailable = space("available", "Bytes available in a heap space.");
  registry.onCollect(() => {
    const memory = process.memoryUsage();
    resident.set(memory.rss);
    heapTotal.set(memory.heapTotal);
    heapUsed.set(memory.heapUsed);
    external.set(memory.external);
    for (const row of getHeapSpaceStatistics()) {
      const name = row.space_name.replace(/_space$/, "");
      spaceTotal.labels(name).set(row.space_size);
      spaceUsed.labels(name).set(row.space_used_size);
      spaceAvailable.labels(name).set(row.space_available_size);
    }
  });
  if (virtualMemory() === null) return;
  const virtual = registry.add(gauge("process_virtual_memory_bytes", "Address space of the process."));
  registry.onCollect(() => virtual.set(virtualMemory() ?? 0));
}

/** `vsize`, the 23rd field of proc(5)'s stat; the second one, in parentheses, may hold blanks. */
function virtualMemory(): number | null {
  const stat = readProc("/proc/self/stat");
  const field = stat?.slice(stat.lastIndexOf(")") + 2).split(" ")[23 - 3];
  return field === undefined ? null : Number(field);
}

function addDescriptors(registry: Registry): void {
  const limit = readProc("/proc/self/limits")?.match(/^Max open files\s+(\d+|unlimited)/m)?.[1];
  if (limit === undefined || countDescriptors() === null) return;
  registry
    .add(gauge("process_max_fds", "File descriptors that the process may open."))
    .set(limit === "unlimited" ? Infinity : Number(limit));
  const open = registry.add(gauge("process_open_fds", "File descriptors that are open."));
  registry.onCollect(() => open.set(countDescriptors() ?? 0));
}

/**
 * Since Linux 6.2 the folder's size is their number, which costs the same for ten and for 20,000;
 * before that it is 0 and they are listed, one of them the listing's own.
 */
function countDescriptors(): number | null {
  try {
    const size = statSync("/proc/self/fd").size;
    return size > 0 ? size : readdirSync("/proc/self/fd").length - 1;
  } catch {
    return null;
  }
}

function readProc(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

function addVersion(registry: Registry): void {
  const labels = ["version", "major", "minor", "patch"] as const;
  const info = registry.add({
    name: "nodejs_version_info",
    type: "gauge",
    labels,
    help: "Always 1; the labels say which Node runs.",
  });
  const [major = "", minor = "", patch = ""] = process.versions.node.split(".");
  info.labels(process.version, major, minor, patch).set(1);
}

/** How late a timer fires, since the scrape before. */
function addEventLoopLag(registry: Registry): () => void {
  const mean = registry.add(gauge("nodejs_eventloop_lag_seconds", "Mean lag of the event loop since the last scrape."));
  const max = registry.add(
    gauge("nodejs_eventloop_lag_max_seconds", "Greatest lag of the event loop since the last scrape."),
  );
  const p50 = registry.add(
    gauge("nodejs_eventloop_lag_p50_seconds", "Median lag of the event loop since the last scrape."),
  );
  const p90 = registry.add(
    gauge("nodejs_eventloop_lag_p90_seconds", "90th percentile of the lag of the event loop since the last scrape."),
  );
  const p99 = registry.add(
    gauge("nodejs_eventloop_lag_p99_seconds", "99th percentile of the lag of the event loop since the last scrape."),
  );
  const delay = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS });
  delay.enable();
  registry.onCollect(() => {
    mean.set(lagSeconds(delay, delay.mean));
    max.set(lagSeconds(delay, delay.max));
    p50.set(lagSeconds(delay, delay.percentile(50)));
    p90.set(lagSeconds(delay, delay.percentile(90)));
    p99.set(lagSeconds(delay, delay.percentile(99)));
    delay.reset();
  });
  return () => void delay.disable();
}

/** Node measures the time between two ticks of a timer; what is beyond the timer's own period is lag. */
function lagSeconds(delay: IntervalHistogram, betweenTicksNs: number): number {
  return delay.count === 0 ? 0 : Math.max(0, betweenTicksNs / 1e9 - LAG_RESOLUTION_MS / 1000);
}

function addGc(registry: Registry): () => void {
  const kinds = new Map<unknown, string>([
    [constants.NODE_PERFORMANCE_GC_MAJOR, "major"],
    [constants.NODE_PERFORMANCE_GC_MINOR, "minor"],
    [constants.NODE_PERFORMANCE_GC_INCREMENTAL, "incremental"],
    [constants.NODE_PERFORMANCE_GC_WEAKCB, "weakcb"],
  ]);
  const help = "Pauses for garbage collection, by kind.";
  const duration = registry.add({
    name: "nodejs_gc_duration_seconds",
    type: "histogram",
    labels: ["kind"],
    buckets: GC_BUCKETS,
    help,
  });
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries())
      duration.labels(kinds.get(gcKind(entry)) ?? "unknown").observe(entry.duration / 1000);
  });
  observer.observe({ entryTypes: ["gc"] });
  return () => observer.disconnect();
}

function gcKind(entry: object): unknown {
  const detail = "detail" in entry ? entry.detail : null;
  return typeof detail === "object" && detail !== null && "kind" in detail ? detail.kind : null;
}
