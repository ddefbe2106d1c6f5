/** The daemon about itself: what it is, whether it is well, how much there is; events; and every refusal's shape. */
import { QUOTA_KIND } from "./quota.ts";
import type { Calls } from "./call.ts";
import { added, list, map, named, nullable, object, optional } from "./compound.ts";
import { time } from "./common.ts";
import { CALLERS_ORG } from "./people.ts";
import type { Received, TypeOf } from "./schema.ts";
import { about, anything, constant, count, oneOf, pattern, text } from "./schema.ts";

export const SERVICE = object({ service: constant("zwrmd"), version: text });
export const HEALTHY = object({ status: constant("healthy") });
export const READY = object({ status: constant("ready"), durable_seq: about(count, "The last line that is on disk.") });

const COUNTS = map(/^/, count, 100);
export const STATUS = named(
  "Status",
  object({
    version: text,
    cluster_id: text,
    uptime_seconds: count,
    org: CALLERS_ORG,
    hosts: optional(about(COUNTS, "For a host-admin only.")),
    apps: COUNTS,
    machines: COUNTS,
    images: object({ total: count, bytes: count }),
  }),
);

export type StatusView = TypeOf<typeof STATUS>;

export const ERROR = named(
  "Error",
  object({
    error: about(text, "A sentence: what is wrong, and what to do."),
    code: about(text, "One of the table of error codes."),
    request_id: text,
    field: optional(about(text, "What is wrong in the request.")),
    id: optional(about(text, "app_exists: of the app that there is.")),
    quota: optional(about(QUOTA_KIND, "quota_exceeded: of what the org has all that it may have.")),
    limit: optional(about(count, "quota_exceeded: how much it may have.")),
    used: optional(about(count, "quota_exceeded: how much it has.")),
    asked: optional(about(count, "quota_exceeded: how much more was asked for.")),
    oldest_seq: optional(about(count, "compacted: the first event that is left.")),
    last_seq: optional(about(count, "ahead_of_log, other_cluster: where the log ends.")),
    cluster_id: optional(about(text, "ahead_of_log, other_cluster: whose log it is.")),
    durable_seq: optional(about(count, "Of a daemon that is not ready: the last line that is on disk.")),
  }),
);

const ACTOR = object({
  kind: oneOf("system", "localhost", "socket", "host", "user"),
  id: nullable(text),
  ip: nullable(text),
});
export const EVENT = named(
  "Event",
  object({
    sum: added(about(text, "SHA-256 of the line in the log, which contains the one before.")),
    seq: count,
    batch: added(count),
    at: time,
    type: text,
    actor: ACTOR,
    data: about(anything, "By type; what is secret is [redacted]."),
  }),
);
export type ReceivedEvent = Received<typeof EVENT>;
const PAGE_END = { next_after: nullable(count), cluster_id: added(text) };
export const EVENTS = object({ events: list(EVENT), ...PAGE_END });
/** The same page, its events left as they came: whoever prints them prints all that is there. */
export const EVENT_PAGE = object({ events: list(anything), ...PAGE_END });
export const SEQ = pattern(/^\d{1,15}$/, "a sequence number");
export const EVENTS_QUERY = {
  after: SEQ,
  limit: pattern(/^(?:[1-9]\d{0,2}|1000)$/, "a whole number from 1 to 1000"),
  cluster_id: pattern(/^[0-9A-Za-z-]{1,64}$/, "a cluster_id"),
};

/** What is called of the daemon itself. */
export const SERVICE_CALLS = {
  about: { summary: "What this is", answers: { 200: SERVICE } },
  metrics: {
    summary: "Metrics in Prometheus' text format",
    answers: { 200: { media: "text/plain; version=0.0.4; charset=utf-8" } },
  },
  health: {
    summary: "Whether it is well: 503 with the reason where it is not",
    answers: { 200: HEALTHY },
    refusals: ["storage_failed", "shutting_down"],
  },
  ready: {
    summary: "Whether changes are taken, and how far the log is on disk",
    answers: { 200: READY },
    refusals: ["storage_failed", "shutting_down"],
  },
  events: {
    summary: "Who did what, when and from where",
    query: EVENTS_QUERY,
    answers: { 200: { media: "application/json", schema: EVENTS } },
    refusals: ["compacted", "ahead_of_log", "other_cluster"],
  },
  openapi: { summary: "This document", answers: { 200: { media: "application/json" } } },
  status: { summary: "How much there is of everything", answers: { 200: STATUS } },
} as const satisfies Calls;

/** Of paths that are kept for what comes later. */
export const RESERVED = {
  read: { summary: "Reserved: 501 until there is such a thing", answers: {}, refusals: ["not_available_yet"] },
  write: {
    summary: "Reserved: 501 until there is such a thing",
    body: anything,
    answers: {},
    refusals: ["not_available_yet"],
  },
} as const satisfies Calls;
