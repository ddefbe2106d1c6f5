/** Machines as people see them, and why one is where it is. */
import type { HostId } from "../lib/id-types.ts";
import type { Calls } from "./call.ts";
import { added, list, named, nullable, object } from "./compound.ts";
import { id, page, PAGE_QUERY, RESTART, time } from "./common.ts";
import type { Received, TypeOf } from "./schema.ts";
import { anything, about, amount, boolean, integer, oneOf, text } from "./schema.ts";

export const MACHINE_STATE = oneOf("pending", "starting", "running", "stopping", "stopped", "failed", "unknown");
export const DESIRED_STATE = oneOf("running", "stopped");

export const MACHINE = named(
  "Machine",
  object({
    id: text,
    app_id: text,
    deployment_id: text,
    host_id: nullable(about(text, "null while it waits for a host.")),
    image: text,
    state: about(MACHINE_STATE, "unknown: its host is offline."),
    ready: about(boolean, "It runs, and its check passes where it has one."),
    desired_state: DESIRED_STATE,
    removing: added(about(boolean, "It is told to stop for good.")),
    cpus: amount,
    memory_mb: amount,
    region: nullable(text),
    restart: RESTART,
    reason: nullable(text),
    exit_code: nullable(integer({ min: -(2 ** 31), max: 2 ** 31 })),
    replaces: nullable(text),
    replaced_by: nullable(text),
    created_at: time,
    started_at: nullable(time),
    ended_at: nullable(time),
  }),
);
export type MachineView = TypeOf<typeof MACHINE>;
export type ReceivedMachine = Received<typeof MACHINE>;

export const MACHINES = page("machines", MACHINE);
export const MACHINES_QUERY = {
  ...PAGE_QUERY,
  app_id: about(text, "An app's id or name."),
  host_id: id<HostId>(text),
  state: MACHINE_STATE,
};

export const PLACEMENT_ROW = object({
  host_id: text,
  fits: boolean,
  chosen: boolean,
  reason: text,
});
export type PlacementRow = TypeOf<typeof PLACEMENT_ROW>;

export const PLACEMENT = named(
  "Placement",
  object({
    machine_id: text,
    host_id: nullable(text),
    strategy: text,
    decision: about(text, "Why it is where it is, or nowhere."),
    as_of: time,
    hosts: about(list(PLACEMENT_ROW), "Every host as it is now, and what speaks for or against it."),
  }),
);
export type ReceivedPlacement = Received<typeof PLACEMENT>;
export type PlacementView = TypeOf<typeof PLACEMENT>;

/** What is called of machines. */
export const MACHINE_CALLS = {
  list: { summary: "List the org's machines", query: MACHINES_QUERY, answers: { 200: MACHINES } },
  show: { summary: "Show a machine", answers: { 200: MACHINE }, refusals: ["machine_not_found"] },
  remove: {
    summary: "Delete a machine; it is replaced unless the replicas shrink",
    answers: { 204: null },
    refusals: ["machine_not_found"],
  },
  placement: {
    summary: "Why it is where it is, or nowhere",
    answers: { 200: PLACEMENT },
    refusals: ["machine_not_found"],
  },
  stop: {
    summary: "Stop a machine; it stays a replica",
    idempotencyKey: true,
    body: anything,
    answers: { 202: MACHINE },
    refusals: ["machine_not_found", "machine_state"],
  },
  start: {
    summary: "Start a stopped machine",
    idempotencyKey: true,
    body: anything,
    answers: { 202: MACHINE },
    refusals: ["machine_not_found", "machine_state"],
  },
} as const satisfies Calls;
