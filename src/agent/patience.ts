/**
 * How long the agent waits for its control plane and before it calls again. All of it follows from the control plane's
 * own offline_after, so that one that comes back, from whatever outage, hears of every agent before it would call its
 * host offline.
 */

/** What a control plane has that says nothing else; it is known from the first registration on. */
export const DEFAULT_OFFLINE_AFTER_MS = 30_000;

const LONGEST_CALL_MS = 8_000;
/** Below this a busy machine would look like a lost network. */
const SHORTEST_CALL_MS = 500;
const LONGEST_DELAY_MS = 10_000;
/** How far chance stretches a delay; see callDelay. */
const SPREAD = 1.5;

/**
 * How long a beat may go without its answer before another is sent: 8 s of 30 s, 1.3 s of 5 s, 0.5 s of 1 s. The first
 * may still be answered.
 */
export function beatPatience(offlineAfterMs: number): number {
  const share = (offlineAfterMs * LONGEST_CALL_MS) / DEFAULT_OFFLINE_AFTER_MS;
  return Math.min(LONGEST_CALL_MS, Math.max(SHORTEST_CALL_MS, share));
}

/** How long a registration may take, which costs the control plane a write to its disk. */
export function registerPatience(offlineAfterMs: number): number {
  return Math.max(1_000, beatPatience(offlineAfterMs));
}

/**
 * The longest delay before the next call, before chance spreads it: 10 s of 30 s, 1.8 s of 5 s, 0.2 s of 1 s. A beat
 * that nobody answers and the delay after it take at most four fifths of offline_after (0.5 s + 1.5 * 0.2 s of 1 s).
 */
export function longestDelay(offlineAfterMs: number): number {
  return Math.min(LONGEST_DELAY_MS, (offlineAfterMs * 0.8 - beatPatience(offlineAfterMs)) / SPREAD);
}

/**
 * As long as a control plane asks for and up to a quarter more, but not so long that it would call the host offline:
 * half of offline_after for a beat, four fifths for a registration, since a control plane that was started anew gives
 * every host a whole one. `chance` is from [0, 1).
 */
export function askedDelay(retryAfterMs: number, offlineAfterMs: number, chance: number, isBeat: boolean): number {
  return Math.min(retryAfterMs * (1 + chance / 4), offlineAfterMs * (isBeat ? 0.5 : 0.8));
}
