/**
 * How long ago the moments are that the log names by wall time, told by the monotonic clock: a wall clock that jumps
 * makes no deadline come earlier and no wait longer. It keeps nothing on disk.
 */
import type { Clock } from "./clock.ts";

/** How long ago a moment of the log was, in milliseconds. */
export type Since = (at: string) => number;

/** Moments that nobody asked about for one to two of these are forgotten. */
const KEEP_MS = 600_000;

export class Elapsed {
  readonly #clock: Clock;
  /**
   * By the moment's text: where it stands on the monotonic clock. Two generations, so that what is not asked for goes.
   */
  #young = new Map<string, number>();
  #old = new Map<string, number>();
  #turnedAt: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#turnedAt = clock.mono();
  }

  /**
   * Milliseconds since `at` (RFC 3339), never below 0. The first question places the moment by wall time, which is
   * right for what has just happened and, after a restart, as far as the log tells; from then on only the monotonic
   * clock counts.
   */
  readonly since: Since = (at) => {
    const now = this.#clock.mono();
    if (now - this.#turnedAt >= KEEP_MS) [this.#young, this.#old, this.#turnedAt] = [new Map(), this.#young, now];
    let moment = this.#young.get(at);
    if (moment === undefined) {
      moment = this.#old.get(at) ?? now - Math.max(0, this.#clock.wall() - Date.parse(at));
      this.#young.set(at, moment);
    }
    return Math.max(0, now - moment);
  };
}
