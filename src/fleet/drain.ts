/**
 * Taking a host out of service: pure decisions on drain, undrain and activate, and the plan of what to do next. Carries
 * nothing out.
 */
import type { HostId } from "../lib/id-types.ts";
import type { DrainRequest } from "../wire/hosts.ts";
import { ApiError } from "../lib/errors.ts";
import { toRfc3339 } from "../lib/clock.ts";
import type { Since } from "../lib/elapsed.ts";
import type { Event, EventOf } from "../state/events.ts";
import { holdsCapacity } from "../state/workload-reducers.ts";
import type { State } from "../state/state.ts";
import type { Drain, Host, Machine } from "../state/types.ts";
import { DEFAULT_MAX_PARALLEL, runningDrain } from "./drain-terms.ts";
import { nextMode } from "./modes.ts";
import { getHost } from "./registration.ts";

/** Starts a drain, or gives a running one new terms. Throws where the host is unknown or in maintenance. */
export function decideDrain(
  state: State,
  hostId: HostId,
  request: DrainRequest,
  nowWall: number,
): EventOf<"host.drain_started"> | EventOf<"host.drain_updated"> {
  const host = getHost(state, hostId);
  nextMode(host, "drain");
  const running = runningDrain(state, hostId);
  const terms = {
    host_id: hostId,
    max_parallel: request.max_parallel ?? running?.max_parallel ?? DEFAULT_MAX_PARALLEL,
    deadline_at:
      request.deadline_seconds === undefined
        ? (running?.deadline_at ?? null)
        : toRfc3339(nowWall + request.deadline_seconds * 1000),
    force: request.force ?? running?.force ?? false,
    reason: request.reason ?? running?.reason ?? null,
  };
  if (running !== null) return { type: "host.drain_updated", data: terms };
  return {
    type: "host.drain_started",
    data: { ...terms, machine_ids: heldMachines(state, hostId).map((machine) => machine.id) },
  };
}

/** Whether new terms are the old ones: such a call is answered and not written. */
export function changesTerms(state: State, { type, data }: ReturnType<typeof decideDrain>): boolean {
  const running = runningDrain(state, data.host_id);
  if (type === "host.drain_started" || running === null) return true;
  return (["max_parallel", "deadline_at", "force", "reason"] as const).some((term) => data[term] !== running[term]);
}

export function decideUndrain(state: State, hostId: HostId): EventOf<"host.drain_finished"> {
  const mode = nextMode(getHost(state, hostId), "undrain");
  return { type: "host.drain_finished", data: { host_id: hostId, state: "cancelled", mode } };
}

export function decideActivate(state: State, hostId: HostId): EventOf<"host.activated"> {
  nextMode(getHost(state, hostId), "activate");
  return { type: "host.activated", data: { host_id: hostId } };
}

/** Machines that a drain has to take off the host, sorted by id. */
export function heldMachines(state: State, hostId: HostId): Machine[] {
  return state.machines
    .group(hostId)
    .filter(holdsCapacity)
    .sort((a, b) => (a.id < b.id ? -1 : 1));
}

/**
 * The next step of a running drain, or null where there is nothing to do yet.
 * `reported` is the number of machines in the agent's newest list, null while it sent none since the daemon started:
 * completed is said only on the agent's word, or where no machine was ever assigned.
 */
export function planDrain(state: State, host: Host, drain: Drain, reported: number | null, since: Since): Event | null {
  const left = heldMachines(state, host.id);
  const empty = left.length === 0 && (!host.ever_assigned || reported === 0) && (reported ?? 0) === 0;
  if (empty)
    return {
      type: "host.drain_finished",
      data: { host_id: host.id, state: "completed", mode: nextMode(host, "complete") },
    };
  if (!isDeadlineOver(drain, since)) return null;
  if (!drain.force)
    return { type: "host.drain_finished", data: { host_id: host.id, state: "failed", mode: "draining" } };
  const toStop = left.filter((machine) => machine.desired_state === "running");
  if (drain.forced && toStop.length === 0) return null;
  return { type: "host.drain_forced", data: { host_id: host.id, machine_ids: toStop.map((machine) => machine.id) } };
}

/** By the time that it was given, not by the wall clock's hands: those may be put forward. */
function isDeadlineOver({ deadline_at: at, deadline_from: from }: Drain, since: Since): boolean {
  return at !== null && from !== null && since(from) >= Date.parse(at) - Date.parse(from);
}

/** The drain that `drain-status` tells of. Throws `no_drain` where there never was one. */
export function getDrain(state: State, hostId: HostId): Drain {
  getHost(state, hostId);
  const drain = state.drains.get(hostId);
  if (drain === undefined) throw new ApiError("no_drain", `Host ${hostId} has never been drained.`);
  return drain;
}
