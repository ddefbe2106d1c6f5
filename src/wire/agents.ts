/** What host agents say and are told: registration, heartbeat, leave (PROTOCOL.md has them as a sequence). */
import type { Calls } from "./call.ts";
import { isIP } from "node:net";
import type { MachineId } from "../lib/id-types.ts";
import { list, map, named, object, optional } from "./compound.ts";
import { DIGEST_TEXT, HOST_ID, id, RESTART } from "./common.ts";
import { HOST } from "./hosts.ts";
import type { Schema, TypeOf } from "./schema.ts";
import { about, anything, boolean, fail, integer, number, oneOf, pattern, scalar, string, text } from "./schema.ts";
import { timestamp } from "./time.ts";
import { visibleText } from "./visible.ts";

/** A machine's id becomes the name of a folder on its host, so it is narrower than any text. */
export const MACHINE_ID_PATTERN = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$/;

const NAME = visibleText({ min: 1, max: 255 });
const MEBIBYTES = { min: 0, max: 2 ** 40 };
const ID = string({ min: 1, max: 128 });

const IP_TEXT = string({ min: 1, max: 64 });
const IP_ADDRESS: Schema<string> = scalar(
  (value) => {
    const given = IP_TEXT.read(value);
    return isIP(given) === 0 ? fail("must be an IP address") : given;
  },
  { type: "string", description: "An IPv4 or IPv6 address." },
);

export const REGISTER_BODY = named(
  "Registration",
  object({
    host_id: optional(about(HOST_ID, "Absent, the control plane makes a UUID.")),
    hostname: NAME,
    region: optional(about(NAME, { default: "default" })),
    datacenter: optional(about(NAME, { default: "default" })),
    ip_address: optional(about(IP_ADDRESS, "Absent, the address that the registration comes from.")),
    grpc_port: optional(about(integer({ min: 1, max: 65_535 }), { default: 9090 })),
    capacity: object({
      cpus: integer({ min: 1, max: 65_536 }),
      memory_mb: integer({ min: 1, max: 2 ** 40 }),
      disk_mb: optional(integer(MEBIBYTES)),
    }),
    agent_version: optional(string({ min: 0, max: 128 })),
    labels: optional(map(/^[\x21-\x7e]{1,128}$/, visibleText({ min: 0, max: 1024 }), 64)),
  }),
);
export type RegisterRequest = TypeOf<typeof REGISTER_BODY>;

const SECONDS = number({ min: 0.001, max: 864_000 });

/** All of it as the control plane sends it. */
export const REGISTER_ANSWER = named(
  "Registered",
  object({
    host: HOST,
    cluster_id: ID,
    heartbeat_interval_seconds: SECONDS,
    offline_after_seconds: SECONDS,
  }),
);

export type Registered = TypeOf<typeof REGISTER_ANSWER>;

/** What an agent needs of it. */
export const REGISTERED = object({
  host: object({ id: ID }),
  cluster_id: ID,
  heartbeat_interval_seconds: SECONDS,
  offline_after_seconds: SECONDS,
});
export type RegisterAnswer = TypeOf<typeof REGISTERED>;

/** Whose fault a failure is; a newer agent may know others, which say nothing here. */
const FAULT: Schema<"host" | undefined> = scalar(
  (value) => (string({ min: 0, max: 64 }).read(value) === "host" ? "host" : undefined),
  { type: "string", description: "host: not the machine but its host is to blame, and another may do better." },
);

export const MACHINE_REPORT = named(
  "MachineReport",
  object({
    id: id<MachineId>(ID),
    state: oneOf("starting", "running", "stopping", "stopped", "failed"),
    started_at: optional(timestamp),
    reason: optional(string({ min: 0, max: 1000 })),
    exit_code: optional(integer({ min: -(2 ** 31), max: 2 ** 31 })),
    ready: optional(about(boolean, "Absent, a machine is ready when it runs.")),
    fault: optional(FAULT),
  }),
);
/** A machine as its agent reports it. */
export type ReportedMachine = TypeOf<typeof MACHINE_REPORT>;
/** The same as the agent sends it, to whom an id is any text. */
export type MachineReport = Omit<ReportedMachine, "id"> & { readonly id: string };

export const HEARTBEAT_BODY = named(
  "Heartbeat",
  object({
    usage: optional(
      object({
        cpus: optional(number({ min: 0, max: 65_536 })),
        memory_mb: optional(number(MEBIBYTES)),
        disk_mb: optional(number(MEBIBYTES)),
      }),
    ),
    machines: optional(about(list(MACHINE_REPORT, 10_000), "All of them; absent, nothing is said of any.")),
    observed_revision: optional(about(string({ min: 0, max: 128 }), "Of the list that the agent acts on.")),
    boot_id: optional(about(ID, "Names this run of the agent among all.")),
    beat: optional(about(integer({ min: 0, max: Number.MAX_SAFE_INTEGER }), "Rises within a boot_id.")),
    wait_seconds: optional(
      about(number({ min: 0, max: 25 }), "Hold the answer so long, or until the revision is another."),
    ),
  }),
);
export type Heartbeat = TypeOf<typeof HEARTBEAT_BODY>;
export type Usage = NonNullable<Heartbeat["usage"]>;

/**
 * A machine as the control plane wants it. Its check is read on its own (agent/checks.ts): one that an agent does not
 * understand costs its machine the `ready`, not the whole list.
 */
export const DESIRED_MACHINE = named(
  "DesiredMachine",
  object({
    id: pattern(MACHINE_ID_PATTERN, "1 to 128 of A-Z a-z 0-9 . _ -, not starting with a dot"),
    app_id: string({ min: 0, max: 256 }),
    image: DIGEST_TEXT,
    cpus: number({ min: 0, max: 65_536 }),
    memory_mb: number(MEBIBYTES),
    // Any name here: one that no environment can hold fails its own machine when it is started.
    env: map(/^[^\0=]+$/, pattern(/^[^\0]*$/, "a text without NUL"), 10_000),
    restart: RESTART,
    check: optional(about(anything, "A Check.")),
    desired_state: oneOf("running", "stopped"),
    starts: optional(
      about(
        integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
        "One that has ended is started again where this is another number than before.",
      ),
    ),
  }),
);
export type DesiredMachine = TypeOf<typeof DESIRED_MACHINE>;
export const DESIRED_MACHINES = list(DESIRED_MACHINE, 10_000);

export const HEARTBEAT_ANSWER = named(
  "HeartbeatAnswer",
  object({
    host_id: ID,
    cluster_id: ID,
    status: text,
    revision: string({ min: 0, max: 128 }),
    machines: optional(about(DESIRED_MACHINES, "All that shall run; there where observed_revision is not revision.")),
  }),
);
export type HeartbeatAnswer = TypeOf<typeof HEARTBEAT_ANSWER>;

export const DEREGISTER_BODY = object({ reason: optional(string({ min: 0, max: 1000 })) });
export const DEREGISTERED = object({ host_id: text, status: text });

/** What is called of host agents. */
export const AGENT_CALLS = {
  register: {
    summary: "Register a host agent",
    body: REGISTER_BODY,
    answers: { 201: REGISTER_ANSWER, 200: REGISTER_ANSWER },
    refusals: ["host_key_mismatch"],
  },
  heartbeat: {
    summary: "What runs, for what shall run",
    body: HEARTBEAT_BODY,
    answers: { 200: HEARTBEAT_ANSWER },
    refusals: ["host_not_registered", "host_key_mismatch", "host_id_in_use"],
  },
  deregister: {
    summary: "Leave the list of hosts",
    body: DEREGISTER_BODY,
    answers: { 200: DEREGISTERED },
    refusals: ["host_not_registered", "host_key_mismatch"],
  },
} as const satisfies Calls;
