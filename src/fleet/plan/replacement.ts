/**
 * Which machines need another one in their stead, and how a pair of original and replacement stands: pure facts for the
 * plans beside this file, and for what is shown of a drain.
 */
import type { Since } from "../../lib/elapsed.ts";
import type { DeploymentId, HostId } from "../../lib/id-types.ts";
import type { State } from "../../state/state.ts";
import type { Host, Machine } from "../../state/types.ts";
import { holdsCapacity } from "../../state/workload-reducers.ts";
import { runningDrain } from "../drain-terms.ts";
import { isHealthy } from "./health.ts";
import type { Excluded } from "../placement.ts";

/**
 * lost: its host is silent or left. failed: its agent gave it up. draining: its host goes out of service. outdated: it
 * is of another deployment.
 */
export type Cause = "lost" | "failed" | "draining" | "outdated";

/** Why `machine` needs a replacement, or null. `targetId`: the deployment that it shall be of. */
export function causeOf(state: State, targetId: DeploymentId, machine: Machine): Cause | null {
  if (machine.removing) return null;
  const outdated = machine.deployment_id === targetId ? null : "outdated";
  if (machine.state === "failed")
    return machine.desired_state === "running" && mayRunAgain(machine) ? "failed" : outdated;
  if (machine.state === "stopped" || machine.host_id === null || machine.desired_state === "stopped") return outdated;
  const host = state.hosts.get(machine.host_id);
  if (machine.state === "unknown")
    return isLost(host, machine)
      ? "lost"
      : host?.health === "online" || host?.replacement_held === true
        ? null
        : outdated;
  // A job that runs once is waited for: moved, it would run twice.
  if (host !== undefined && isLeaving(state, host) && machine.restart !== "never") return "draining";
  return outdated;
}

/**
 * Whether a machine that failed is run elsewhere: one that runs once only where it has never run, for what is its
 * host's fault.
 */
function mayRunAgain(machine: Machine): boolean {
  return machine.restart !== "never" || (machine.fault === "host" && machine.started_at === null);
}

function isLost(host: Host | undefined, machine: Machine): boolean {
  if (machine.on_host_loss === "wait" || machine.restart === "never") return false;
  return host === undefined || (host.health === "offline" && !host.replacement_held);
}

/** Whether what runs on the host is to be moved away. After a failed deadline nothing is. */
function isLeaving(state: State, host: Host): boolean {
  return host.mode === "maintenance" || (host.mode === "draining" && runningDrain(state, host.id) !== null);
}

/** The replacement that is under way for `original`, or null. */
export function replacementOf(state: State, original: Machine): Machine | null {
  const replacement = original.replaced_by === null ? undefined : state.machines.get(original.replaced_by);
  return replacement === undefined || replacement.removing ? null : replacement;
}

/** The machine that `replacement` is to replace and that is still there, or null. */
export function originalOf(state: State, replacement: Machine): Machine | null {
  const original = replacement.replaces === null ? undefined : state.machines.get(replacement.replaces);
  return original === undefined || original.removing || original.replaced_by !== replacement.id ? null : original;
}

export interface Failure {
  /** By its own or its host's fault, so that other hosts are tried. */
  readonly failed: boolean;
  readonly reason: string;
}

/** Why a replacement that is not healthy yet will not be, or null while it may. */
export function failureOf(state: State, replacement: Machine, since: Since): Failure | null {
  const { host_id: hostId, progress_deadline_seconds: seconds } = replacement;
  const host = hostId === null ? undefined : state.hosts.get(hostId);
  if (replacement.state === "failed")
    return { failed: true, reason: `${replacement.id} on ${hostId ?? "no host"} failed: ${howItEnded(replacement)}` };
  if (replacement.desired_state === "stopped") return { failed: false, reason: "stopped by an operator" };
  if (host === undefined) return { failed: false, reason: `its host ${hostId ?? ""} left` };
  if (host.health === "offline")
    return host.replacement_held ? null : { failed: false, reason: `its host ${host.id} is offline` };
  if (host.mode !== "active") return { failed: false, reason: `its host ${host.id} is ${host.mode}` };
  if (isHealthy(replacement) || since(replacement.placed_at ?? replacement.created_at) < seconds * 1000) return null;
  return {
    failed: true,
    reason:
      `${replacement.id} on ${host.id} was not ${whatItLacks(replacement)} within ${seconds} ` +
      `s${because(state, replacement)}`,
  };
}

/** One that was ready once has not stayed so. */
function whatItLacks({ ready_at: readyAt, min_healthy_seconds: seconds }: Machine): string {
  return readyAt === null ? "ready" : `ready for ${seconds} s on end`;
}

/** What it says of itself, or what was last in its way. */
function because(state: State, { id, deployment_id: deploymentId, reason }: Machine): string {
  if (reason !== null) return `: ${reason}`;
  const last = state.deployments.get(deploymentId)?.last_failure ?? null;
  return last?.machine_id === id ? `; ${last.reason}` : "";
}

function howItEnded({ reason, exit_code }: Machine): string {
  return reason ?? (exit_code === null ? "its agent gave it up" : `exit code ${exit_code}`);
}

/** Hosts that the next replacement of `machine` leaves out while there are others. */
export function triedHosts(machine: Machine, cause: Cause): Excluded {
  const { retry } = machine;
  const excluded = new Map((retry?.tried ?? []).map((hostId) => [hostId, `tried: ${retry?.reason ?? ""}`]));
  if (cause === "failed" && machine.host_id !== null)
    excluded.set(machine.host_id, `it failed there: ${howItEnded(machine)}`);
  return excluded;
}

/**
 * Machines that a drain of their host is moving at this moment: their replacement starts, or they stop. One that only
 * waits until others of its app are well holds up nobody else's.
 */
export function movingFrom(state: State, hostId: HostId): number {
  return state.machines.group(hostId).filter((machine) => {
    if (!holdsCapacity(machine)) return false;
    const replacement = replacementOf(state, machine);
    return machine.removing || (replacement !== null && !isHealthy(replacement));
  }).length;
}
