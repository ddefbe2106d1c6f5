/** Whether a host is being drained, and on what terms: what the rest of the fleet asks of a drain. */
import type { HostId } from "../lib/id-types.ts";
import type { State } from "../state/state.ts";
import type { Drain } from "../state/types.ts";

/** Machines that are moved at once where nobody says otherwise. */
export const DEFAULT_MAX_PARALLEL = 2;

/** The drain that is under way, or null. One whose deadline passed is over, though the mode stays. */
export function runningDrain(state: State, hostId: HostId): Drain | null {
  const drain = state.drains.get(hostId);
  return drain?.state === "draining" ? drain : null;
}
