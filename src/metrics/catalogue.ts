/** Every metric of zwrmd itself, in one table; what a row counts is decided where it is counted. */
import type { MetricOf, MetricSpec, Registry } from "./registry.ts";

/** From half a millisecond to 30 s; a heartbeat that waits holds its answer for up to 25 s. */
const HTTP_BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] as const;
/** From 50 µs (a good NVMe disk) to 5 s (a disk that is about to fail). */
const SYNC_BUCKETS = [
  0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
] as const;

export const CATALOGUE = {
  httpRequests: {
    name: "zwrmd_http_requests_total",
    type: "counter",
    labels: ["method", "route", "status"],
    help: "Requests answered, by method, route pattern and status.",
  },
  httpRequestDuration: {
    name: "zwrmd_http_request_duration_seconds",
    type: "histogram",
    labels: ["method", "route"],
    buckets: HTTP_BUCKETS,
    help: "Time from the request's headers to the end of the answer.",
  },
  httpRequestsInFlight: {
    name: "zwrmd_http_requests_in_flight",
    type: "gauge",
    labels: [],
    help: "Requests being worked on.",
  },
  httpResponseBytes: {
    name: "zwrmd_http_response_bytes_total",
    type: "counter",
    labels: ["route"],
    help: "Body bytes handed to clients, by route pattern.",
  },
  hosts: {
    name: "zwrmd_hosts",
    type: "gauge",
    labels: ["status"],
    presets: [["active"], ["draining"], ["maintenance"], ["offline"]],
    help: "Registered hosts by status.",
  },
  hostHeartbeats: {
    name: "zwrmd_host_heartbeats_total",
    type: "counter",
    labels: [],
    help: "Heartbeats heard from registered hosts.",
  },
  hostIdConflicts: {
    name: "zwrmd_host_id_conflicts_total",
    type: "counter",
    labels: [],
    help: "Heartbeats refused because two agents beat under one host id.",
  },
  quotaRefusals: {
    name: "zwrmd_quota_refusals_total",
    type: "counter",
    labels: ["quota"],
    presets: [["apps"], ["replicas"], ["cpus"], ["memory_mb"], ["env_bytes"], ["images"], ["image_bytes"], ["labels"]],
    help: "Changes refused because the org has as much as it may have, by what of.",
  },
  machines: {
    name: "zwrmd_machines",
    type: "gauge",
    labels: ["state"],
    presets: [["pending"], ["starting"], ["running"], ["stopping"], ["stopped"], ["failed"], ["unknown"]],
    help: "Machines by state.",
  },
  drains: {
    name: "zwrmd_drains",
    type: "gauge",
    labels: ["state"],
    presets: [["draining"], ["completed"], ["cancelled"], ["failed"]],
    help: "The last drain of every host that has one, by state.",
  },
  placements: {
    name: "zwrmd_placements_total",
    type: "counter",
    labels: ["result"],
    help: "Placement decisions by result.",
  },
  journalAppends: {
    name: "zwrmd_journal_appends_total",
    type: "counter",
    labels: [],
    help: "Lines made durable in the journal.",
  },
  journalBytes: {
    name: "zwrmd_journal_bytes_total",
    type: "counter",
    labels: [],
    help: "Bytes made durable in the journal.",
  },
  journalSyncDuration: {
    name: "zwrmd_journal_sync_duration_seconds",
    type: "histogram",
    labels: [],
    buckets: SYNC_BUCKETS,
    help: "Time of one journal write with its fdatasync.",
  },
  journalLastSeq: {
    name: "zwrmd_journal_last_seq",
    type: "gauge",
    labels: [],
    help: "Sequence number of the last durable journal line.",
  },
  journalTorn: {
    name: "zwrmd_journal_torn_total",
    type: "counter",
    labels: [],
    help: "Torn tails set aside at the start.",
  },
  journalWritable: {
    name: "zwrmd_journal_writable",
    type: "gauge",
    labels: [],
    help: "1 while changes can be written, else 0.",
  },
  images: { name: "zwrmd_images", type: "gauge", labels: [], help: "Images in the store." },
  imageBytes: { name: "zwrmd_image_bytes", type: "gauge", labels: [], help: "Bytes of the images in the store." },
  imageDownloads: {
    name: "zwrmd_image_downloads_total",
    type: "counter",
    labels: ["result"],
    help: "Image downloads by result.",
  },
  authFailures: {
    name: "zwrmd_auth_failures_total",
    type: "counter",
    labels: ["method"],
    help: "Requests refused for their credentials, by method.",
  },
  logDroppedLines: {
    name: "zwrmd_log_dropped_lines_total",
    type: "counter",
    labels: [],
    help: "Log lines dropped because their reader stalled.",
  },
  buildInfo: {
    name: "zwrmd_build_info",
    type: "gauge",
    labels: ["version", "node"],
    help: "Always 1; the labels say what runs.",
  },
} as const satisfies Readonly<Record<string, MetricSpec>>;

type Catalogue = typeof CATALOGUE;
export type Metrics = { readonly [K in keyof Catalogue]: MetricOf<Catalogue[K]> };

export interface Build {
  /** The version of zwrmd. */
  readonly version: string;
  /** The version of Node, as `process.version` has it. */
  readonly node: string;
}

/** Adds the whole catalogue to a registry. */
export function createMetrics(registry: Registry, build: Build): Metrics {
  const made: Record<string, unknown> = {};
  for (const [field, spec] of Object.entries(CATALOGUE)) made[field] = registry.add(spec);
  // The loop has put exactly the table's fields there, each made from its own row.
  const metrics = made as Metrics;
  metrics.buildInfo.labels(build.version, build.node).set(1);
  return metrics;
}
