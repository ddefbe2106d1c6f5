/** Which machines need another one in their stead, and how a pair of original and replacement stands: pure facts for replicas.ts and drain.ts. */
import type { State } from "../state/state.ts";
import type { Deployment, Host, Machine } from "../state/types.ts";
import { holdsCapacity } from "../state/workload-reducers.ts";
import { runningDrain } from "./drain-terms.ts";
import type { Excluded } from "./placement.ts";

/** lost: its host is silent or left. failed: its agent gave it up. draining: its host goes out of service. outdated: it is of another deployment. */
export type Cause = "lost" | "failed" | "draining" | "outdated";

/** Why `machine` needs a replacement, or null. `targetId`: the deployment that it shall be of. */
export function causeOf(state: State, targetId: string, machine: Machine): Cause | null {
  if (machine.removing) return null;
  const outdated = machine.deployment_id === targetId ? null : "outdated";
  if (machine.state === "failed") return machine.desired_state === "running" && machine.restart !== "never" ? "failed" : outdated;
  if (machine.state === "stopped" || machine.host_id === null || machine.desired_state === "stopped") return outdated;
  const host = state.hosts.get(machine.host_id);
  if (machine.state === "unknown") return isLost(host, machine) ? "lost" : host?.health === "online" || host?.replacement_held === true ? null : outdated;
  if (host !== undefined && isLeaving(state, host)) return "draining";
  return outdated;
}

function isLost(host: Host | undefined, machine: Machine): boolean {
  if (machine.on_host_loss === "wait" || machine.restart === "never") return false;
  return host === undefined || (host.health === "offline" && !host.replacement_held);
}

/** Whether what runs on the host is to be moved away. After a failed deadline nothing is. */
function isLeaving(state: State, host: Host): boolean {
  return host.mode === "maintenance" || (host.mode === "draining" && runningDrain(state, host.id) !== null);
}

/** It does what it is there for: it runs and is ready, or it has done its work. */
export function isUp(machine: Machine): boolean {
  if (machine.desired_state === "stopped") return false;
  return (machine.state === "running" && machine.ready) || machine.state === "stopped";
}

/** An operator stopped it: a replica that is not to run. */
export function isPaused(machine: Machine): boolean {
  return machine.desired_state === "stopped" && !machine.removing;
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

/** Why a replacement that is not up yet will not be, or null while it may. `now`: wall time. */
export function failureOf(state: State, replacement: Machine, now: number): Failure | null {
  const { host_id: hostId, progress_deadline_seconds: seconds } = replacement;
  const host = hostId === null ? undefined : state.hosts.get(hostId);
  if (replacement.state === "failed") return { failed: true, reason: `${replacement.id} on ${hostId ?? "no host"} failed: ${howItEnded(replacement)}` };
  if (replacement.desired_state === "stopped") return { failed: false, reason: "stopped by an operator" };
  if (host === undefined) return { failed: false, reason: `its host ${hostId ?? ""} left` };
  if (host.health === "offline") return host.replacement_held ? null : { failed: false, reason: `its host ${host.id} is offline` };
  if (host.mode !== "active") return { failed: false, reason: `its host ${host.id} is ${host.mode}` };
  if (now - Date.parse(replacement.placed_at ?? replacement.created_at) < seconds * 1000) return null;
  return { failed: true, reason: `${replacement.id} on ${host.id} was not ready within ${seconds} s${replacement.reason === null ? "" : `: ${replacement.reason}`}` };
}

function howItEnded({ reason, exit_code }: Machine): string {
  return reason ?? (exit_code === null ? "its agent gave it up" : `exit code ${exit_code}`);
}

const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 30_000;
const LONGEST_STREAK_MS = 300_000;
/** A machine that was there this long has not failed at its start. */
const SETTLED_MS = 600_000;

/** Hosts that the next replacement of `machine` leaves out while there are others. */
export function triedHosts(machine: Machine, cause: Cause): Excluded {
  const { retry } = machine;
  const excluded = new Map((retry?.tried ?? []).map((hostId) => [hostId, `tried: ${retry?.reason ?? ""}`]));
  if (cause === "failed" && machine.host_id !== null) excluded.set(machine.host_id, `it failed there: ${howItEnded(machine)}`);
  return excluded;
}

/** Whether the deployment is known to run, so that a replacement's failure is its host's: the machine was ready, and is replaced for a reason outside of it. */
function isProven(machine: Machine, target: Deployment, cause: Cause): boolean {
  return machine.deployment_id === target.id && machine.ready_at !== null && (cause === "draining" || cause === "lost");
}

/** A waiting time that is longer than any of its kind comes from a clock that was put back since, and is over. */
export function isOver(until: number, now: number, longestMs: number = LONGEST_STREAK_MS): boolean {
  return now >= until || until - now > longestMs;
}

/** When (wall time) the next try may be made on a host that was not tried: at once for what is known to run, else 1 s after the last try, doubling to 30 s. */
export function nextTryAt(machine: Machine, target: Deployment, cause: Cause): number {
  if (machine.retry === null || isProven(machine, target, cause)) return 0;
  return Date.parse(machine.retry.at) + retryAfter(machine.retry.count - 1);
}

/** When (wall time) every host may be tried again, after all that fitted were: 1 s, doubling to 30 s. */
export function nextTryOfAllAt(machine: Machine, target: Deployment, cause: Cause): number {
  if (!isProven(machine, target, cause)) return nextTryAt(machine, target, cause);
  const since = machine.retry?.at ?? machine.ended_at ?? machine.created_at;
  return Date.parse(since) + retryAfter(machine.retry?.rounds ?? 0);
}

function retryAfter(failures: number): number {
  return Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** failures);
}

/** When (wall time) a machine that gave up may be replaced: at once the first time, then 1 s doubling to 5 min, so that what cannot run does not spin. */
export function afterStreak(machine: Machine): number {
  if (machine.streak === 0) return 0;
  return Date.parse(machine.ended_at ?? machine.created_at) + Math.min(LONGEST_STREAK_MS, FIRST_RETRY_MS * 2 ** (machine.streak - 1));
}

/** The streak that the replacement of a machine takes over. */
export function nextStreak(machine: Machine, cause: Cause): number {
  if (cause !== "failed") return 0;
  const { ready_at, ended_at } = machine;
  return ready_at !== null && ended_at !== null && Date.parse(ended_at) - Date.parse(ready_at) >= SETTLED_MS ? 0 : machine.streak + 1;
}

/** Machines that a drain of their host is moving at this moment: their replacement starts, or they stop. */
export function movingFrom(state: State, hostId: string): number {
  return state.machines.group(hostId).filter((machine) => holdsCapacity(machine) && (machine.removing || replacementOf(state, machine) !== null)).length;
}
