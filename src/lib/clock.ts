/**
 * Time, injected: wall time for display, monotonic time for every decision about "how long". Nothing else reads a clock
 * or sets a timer.
 */

/** Ends a timer; calling it twice, or after the timer fired, does nothing. */
export type Cancel = () => void;

export interface Clock {
  /** Wall time in milliseconds since the epoch. It may jump; use it for display only. */
  wall(): number;
  /** Monotonic time in milliseconds, with fractions. It counts a SIGSTOP; it does not count a suspended machine. */
  mono(): number;
  /**
   * Calls `run` once, `ms` milliseconds from now (24.8 days at most). A pending timer never keeps the process alive.
   */
  after(ms: number, run: () => void): Cancel;
}

/** The longest time a Node timer can count; a longer one would fire at once. */
const LONGEST_MS = 2 ** 31 - 1;

/** The machine's own clock. */
export const systemClock: Clock = {
  wall: () => Date.now(),
  mono: () => performance.now(),
  after(ms, run) {
    const timer = setTimeout(run, Math.min(ms, LONGEST_MS));
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** RFC 3339 in UTC with milliseconds, as every time on the wire and in the log. */
export function toRfc3339(wallMs: number): string {
  return new Date(wallMs).toISOString();
}
