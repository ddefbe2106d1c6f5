/**
 * What the loop of registrations and heartbeats works with: its host's workload, its control plane, its clock. Types
 * only.
 */
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { Membership } from "./allegiance.ts";
import type {
  DesiredMachine,
  Heartbeat,
  HeartbeatAnswer,
  MachineReport,
  RegisterAnswer,
  RegisterRequest,
} from "../wire/agents.ts";
import type { Resources } from "../wire/common.ts";

/** What runs on this host (machines.ts). */
export interface Workload {
  report(): readonly MachineReport[];
  /** The own cluster's list, which is to be made so. */
  take(machines: readonly DesiredMachine[]): void;
}

/** A registration as this agent sends it: it has chosen its id, and knows its disk. */
export interface OwnRegistration extends Omit<RegisterRequest, "host_id"> {
  readonly host_id: string;
  readonly capacity: Resources;
}

/** A heartbeat as this agent sends it: it leaves out only what it does not know. */
export interface HeartbeatRequest extends Omit<Heartbeat, "machines"> {
  readonly machines: readonly MachineReport[];
  readonly boot_id: string;
  readonly beat: number;
  readonly wait_seconds: number;
}

/** The three calls. Each rejects with a ClientError. */
export interface ControlPlane {
  register(request: OwnRegistration, timeoutMs: number): Promise<RegisterAnswer>;
  heartbeat(hostId: string, request: HeartbeatRequest): Promise<HeartbeatAnswer>;
  deregister(hostId: string, reason: string): Promise<void>;
}

export interface LoopParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly control: ControlPlane;
  readonly membership: Membership;
  readonly workload: Workload;
  /** What a registration says; asked anew for each. */
  readonly facts: () => OwnRegistration;
  readonly usage: () => Resources | undefined;
  /** Names this process among all agents that this host ever ran. */
  readonly bootId: string;
  /** A number from [0, 1), for jitter. */
  readonly chance: () => number;
}
