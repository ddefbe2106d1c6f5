/**
 * What the loop of registrations and heartbeats works with: its host's workload, its control plane, its clock. Types
 * only.
 */
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { Membership } from "./allegiance.ts";
import type { ControlPlane, DesiredMachine, MachineReport, RegisterRequest, Usage } from "./wire.ts";

/** What runs on this host (machines.ts). */
export interface Workload {
  report(): readonly MachineReport[];
  /** The own cluster's list, which is to be made so. */
  take(machines: readonly DesiredMachine[]): void;
}

export interface LoopParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly control: ControlPlane;
  readonly membership: Membership;
  readonly workload: Workload;
  /** What a registration says; asked anew for each. */
  readonly facts: () => RegisterRequest;
  readonly usage: () => Usage | undefined;
  /** Names this process among all agents that this host ever ran. */
  readonly bootId: string;
  /** A number from [0, 1), for jitter. */
  readonly chance: () => number;
}
