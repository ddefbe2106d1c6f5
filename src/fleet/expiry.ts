/**
 * What was kept long enough: ended machines and idempotency keys after 24 h, and of an app's ended machines the newest
 * thousand. Pure.
 */
import type { EventOf } from "../state/events.ts";
import type { State } from "../state/state.ts";
import type { Machine } from "../state/types.ts";

const KEPT_MS = 24 * 3600 * 1000;
/** An app whose machines fail all day leaves no more than so many behind. */
const KEPT_OF_AN_APP = 1_000;
/** So many at once at most, so that one line of the log stays short; the next look takes the rest. */
const AT_ONCE = 5_000;

/** The event that lets go, or null where nothing is due. `now`: wall time. */
export function decideExpired(state: State, now: number): EventOf<"workload.expired"> | null {
  const isOver = (at: string | null): boolean => at !== null && now - Date.parse(at) >= KEPT_MS;
  const ended = new Map<string, Machine[]>();
  for (const machine of state.machines.values()) {
    // A machine that an operator stopped is a replica, not a thing of the past.
    if (machine.ended_at === null || !(machine.removing || state.apps.get(machine.app_id) === undefined)) continue;
    const ofApp = ended.get(machine.app_id);
    if (ofApp === undefined) ended.set(machine.app_id, [machine]);
    else ofApp.push(machine);
  }
  const machineIds: string[] = [];
  for (const machines of ended.values()) {
    const surplus =
      machines.length > KEPT_OF_AN_APP ? machines.sort(byEnd).slice(0, machines.length - KEPT_OF_AN_APP) : [];
    const gone = new Set([...surplus, ...machines.filter((machine) => isOver(machine.ended_at))]);
    for (const { id } of gone) machineIds.push(id);
  }
  const keys: string[] = [];
  for (const [key, row] of state.idempotency.entries()) if (isOver(row.at)) keys.push(key);
  if (machineIds.length === 0 && keys.length === 0) return null;
  return {
    type: "workload.expired",
    data: { machine_ids: machineIds.slice(0, AT_ONCE), idempotency_keys: keys.slice(0, AT_ONCE) },
  };
}

/** Those that ended first come first. */
function byEnd(a: Machine, b: Machine): number {
  return (a.ended_at ?? "") < (b.ended_at ?? "") ? -1 : 1;
}
