/**
 * What the agent and the control plane say to each other: the requests' types, and readers for the answers, which come
 * from outside like everything else.
 */
import { DIGEST_PATTERN } from "../lib/ids.ts";
import type { TypeOf } from "../lib/schema.ts";
import { integer, list, map, number, object, oneOf, optional, pattern, string } from "../lib/schema.ts";

/** A machine's id becomes the name of a folder here, so it is narrower than any text. */
export const MACHINE_ID_PATTERN = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$/;

/**
 * A check is read on its own (checks.ts): one that this agent does not understand costs its machine the `ready`, not
 * the whole list.
 */
const anything = (value: unknown): unknown => value;

const DESIRED_MACHINE = object({
  id: pattern(MACHINE_ID_PATTERN, "1 to 128 of A-Z a-z 0-9 . _ -, not starting with a dot"),
  app_id: string({ min: 0, max: 256 }),
  image: pattern(DIGEST_PATTERN, "sha256: and 64 lower-case hex characters"),
  cpus: number({ min: 0, max: 65_536 }),
  memory_mb: number({ min: 0, max: 2 ** 40 }),
  // Any name here: one that no environment can hold fails its own machine when it is started.
  env: map(/^[^\0=]+$/, pattern(/^[^\0]*$/, "a text without NUL"), 10_000),
  restart: oneOf("always", "on-failure", "never"),
  check: optional(anything),
  desired_state: oneOf("running", "stopped"),
  /** One that has ended is started again where this is another number than before. */
  starts: optional(integer({ min: 0, max: Number.MAX_SAFE_INTEGER })),
});

/** A machine as the control plane wants it. */
export type DesiredMachine = TypeOf<typeof DESIRED_MACHINE>;
export const DESIRED_MACHINES = list(DESIRED_MACHINE, 10_000);

const ID = string({ min: 1, max: 128 });

export const REGISTER_ANSWER = object({
  host: object({ id: ID }),
  cluster_id: ID,
  heartbeat_interval_seconds: number({ min: 0.001, max: 86_400 }),
  offline_after_seconds: number({ min: 0.001, max: 864_000 }),
});
export type RegisterAnswer = TypeOf<typeof REGISTER_ANSWER>;

export const HEARTBEAT_ANSWER = object({
  host_id: ID,
  cluster_id: ID,
  status: string({ min: 1, max: 64 }),
  revision: string({ min: 0, max: 128 }),
  machines: optional(DESIRED_MACHINES),
});
export type HeartbeatAnswer = TypeOf<typeof HEARTBEAT_ANSWER>;

export interface Capacity {
  readonly cpus: number;
  readonly memory_mb: number;
  readonly disk_mb: number;
}
export type Usage = Capacity;

export interface RegisterRequest {
  readonly host_id: string;
  readonly hostname: string;
  readonly region: string;
  readonly datacenter: string;
  readonly ip_address?: string;
  readonly capacity: Capacity;
  readonly agent_version: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** A machine as the agent reports it. Without `ready` a machine is ready when it runs. */
export interface MachineReport {
  readonly id: string;
  readonly state: "starting" | "running" | "stopping" | "stopped" | "failed";
  readonly started_at?: string;
  readonly reason?: string;
  /** Of one that failed: not it, but its host is to blame, and another host may do better. */
  readonly fault?: "host";
  readonly exit_code?: number;
  readonly ready?: boolean;
}

export interface HeartbeatRequest {
  readonly usage?: Usage;
  readonly machines: readonly MachineReport[];
  /** The revision of the list that the agent acts on; absent until it acts on one. */
  readonly observed_revision?: string;
  readonly boot_id: string;
  readonly beat: number;
  readonly wait_seconds: number;
}

/** The three calls. Each rejects with a ClientError. */
export interface ControlPlane {
  register(request: RegisterRequest, timeoutMs: number): Promise<RegisterAnswer>;
  heartbeat(hostId: string, request: HeartbeatRequest): Promise<HeartbeatAnswer>;
  deregister(hostId: string, reason: string): Promise<void>;
}
