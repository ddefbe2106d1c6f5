/** Hosts as operators see them, and what is done with them: drains, their rows and their plan. */
import type { Calls } from "./call.ts";
import { list, map, named, nullable, object, optional } from "./compound.ts";
import { HOST_ID, page, PAGE_QUERY, RESOURCES, time } from "./common.ts";
import type { Received, TypeOf } from "./schema.ts";
import { anything, about, amount, boolean, count, integer, oneOf, string, text } from "./schema.ts";

export const MODE = oneOf("active", "draining", "maintenance");
export const HEALTH = oneOf("online", "offline");
/** The one word for people: `offline` where offline, else the mode. */
export const HOST_STATUS = oneOf("offline", "active", "draining", "maintenance");

const USAGE = object({ cpus: nullable(amount), memory_mb: nullable(amount), disk_mb: nullable(amount) });

export const HOST = named(
  "Host",
  object({
    id: text,
    hostname: text,
    region: text,
    datacenter: text,
    ip_address: text,
    grpc_port: integer({ min: 1, max: 65_535 }),
    agent_version: nullable(text),
    labels: map(/^/, text, 64),
    status: about(HOST_STATUS, "The one word for people: offline where offline, else the mode."),
    health: HEALTH,
    mode: MODE,
    mode_reason: nullable(text),
    capacity: RESOURCES,
    allocated: RESOURCES,
    available: about(RESOURCES, "Capacity less what is allocated, never below 0."),
    usage: nullable(about(USAGE, "As its agent said last; null where it never said.")),
    trouble: nullable(about(text, "What an operator should look at on this host; null where nothing is known.")),
    machine_count: count,
    registered_at: time,
    last_heartbeat_at: time,
  }),
);
export type HostView = TypeOf<typeof HOST>;
export type ReceivedHost = Received<typeof HOST>;

export const HOSTS = page("hosts", HOST);
export const HOSTS_QUERY = { ...PAGE_QUERY, status: HOST_STATUS, region: text, datacenter: text };

export const DRAIN_BODY = object({
  max_parallel: optional(about(integer({ min: 1, max: 1000 }), { default: 2 })),
  deadline_seconds: optional(integer({ min: 1, max: 30 * 24 * 3600 })),
  reason: optional(string({ min: 0, max: 1000 })),
  force: optional(about(boolean, { description: "At the deadline, stop what is left.", default: false })),
  dry_run: optional(about(boolean, { description: "Only say what would be done.", default: false })),
});
export type DrainRequest = TypeOf<typeof DRAIN_BODY>;

export const DRAIN_ROW = named(
  "DrainRow",
  object({
    id: about(text, "The machine that is to leave the host."),
    app_id: text,
    app_name: nullable(text),
    state: oneOf("pending", "starting", "stopping", "migrated", "blocked", "failed"),
    replacement_id: nullable(text),
    target_host_id: nullable(text),
    reason: nullable(about(text, "Why it is blocked, waits, or has failed: in words and numbers.")),
  }),
);
export type ReceivedDrainRow = Received<typeof DRAIN_ROW>;
export type DrainRow = TypeOf<typeof DRAIN_ROW>;

export const DRAIN_STATE = oneOf("draining", "completed", "cancelled", "failed");
export const DRAIN = named(
  "Drain",
  object({
    host_id: text,
    state: DRAIN_STATE,
    started_at: nullable(time),
    finished_at: nullable(time),
    deadline_at: nullable(time),
    reason: optional(about(text, "As it was given with the drain, where that is told.")),
    total: count,
    migrated: count,
    remaining: count,
    failed: count,
    machines: list(DRAIN_ROW),
    dry_run: optional(about(boolean, "True in the answer of a dry run: nothing has changed.")),
  }),
);
export type DrainView = TypeOf<typeof DRAIN>;
export type ReceivedDrain = Received<typeof DRAIN>;

export const REPLACED = object({ host_ids: list(HOST_ID) });

/** What is called of hosts. */
export const HOST_CALLS = {
  list: { summary: "List all hosts", query: HOSTS_QUERY, answers: { 200: HOSTS } },
  replaceLost: { summary: "Say that the hosts of a storm are really lost", body: anything, answers: { 200: REPLACED } },
  show: { summary: "Show a host, with its capacity", answers: { 200: HOST }, refusals: ["host_not_found"] },
  remove: {
    summary: "Take an offline host off the list",
    answers: { 204: null },
    refusals: ["host_not_found", "host_online"],
  },
  drain: {
    summary: "Start a drain, or change its terms",
    body: DRAIN_BODY,
    answers: { 202: DRAIN, 200: DRAIN },
    refusals: ["host_not_found", "host_in_maintenance"],
  },
  drainStatus: { summary: "How its drain gets on", answers: { 200: DRAIN }, refusals: ["host_not_found", "no_drain"] },
  undrain: {
    summary: "Cancel its drain",
    body: anything,
    answers: { 200: HOST },
    refusals: ["host_not_found", "host_not_draining"],
  },
  activate: {
    summary: "Bring it back from maintenance",
    body: anything,
    answers: { 200: HOST },
    refusals: ["host_not_found", "host_not_in_maintenance"],
  },
  unbindKey: {
    summary: "Let the next key that it sends bind its id",
    answers: { 204: null },
    refusals: ["host_not_found"],
  },
} as const satisfies Calls;
