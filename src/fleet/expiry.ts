/** What was kept long enough: ended machines and idempotency keys after 24 h. Pure. */
import type { EventOf } from "../state/events.ts";
import type { State } from "../state/state.ts";

const KEPT_MS = 24 * 3600 * 1000;
/** So many at once at most, so that one line of the log stays short; the next look takes the rest. */
const AT_ONCE = 500;

/** The event that lets go, or null where nothing is due. `now`: wall time. */
export function decideExpired(state: State, now: number): EventOf<"workload.expired"> | null {
  const isOver = (at: string | null): boolean => at !== null && now - Date.parse(at) >= KEPT_MS;
  const machineIds: string[] = [];
  // A machine that an operator stopped is a replica, not a thing of the past.
  for (const machine of state.machines.values()) if (isOver(machine.ended_at) && (machine.removing || state.apps.get(machine.app_id) === undefined)) machineIds.push(machine.id);
  const keys: string[] = [];
  for (const [key, row] of state.idempotency.entries()) if (isOver(row.at)) keys.push(key);
  if (machineIds.length === 0 && keys.length === 0) return null;
  return { type: "workload.expired", data: { machine_ids: machineIds.slice(0, AT_ONCE), idempotency_keys: keys.slice(0, AT_ONCE) } };
}
