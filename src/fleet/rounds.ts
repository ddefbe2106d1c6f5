/**
 * Work that comes again: rounds that are armed anew when they have ended, and what is said where one fails. Knows no
 * hosts.
 */
import type { Cancel, Clock } from "../lib/clock.ts";
import { messageOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";

export class Rounds {
  readonly #clock: Clock;
  readonly #log: Log;
  #timers: Cancel[] = [];

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
  }

  /** True from the first `repeat` until `stop`. */
  get running(): boolean {
    return this.#timers.length > 0;
  }

  /** Runs it `ms` from now, and again `ms` after each end. */
  repeat(ms: number, run: () => void | Promise<void>): void {
    const index = this.#timers.length;
    const again = (): void => {
      if (this.running) arm();
    };
    const arm = (): void => {
      this.#timers[index] = this.#clock.after(ms, () => void this.attempt("sweep", async () => run()).then(again));
    };
    arm();
  }

  stop(): void {
    for (const cancel of this.#timers) cancel();
    this.#timers = [];
  }

  /** Background work has nobody to answer to but the log; the next round tries again. Never rejects. */
  async attempt(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.sayLater(what, error);
    }
  }

  sayLater(what: string, error: unknown): void {
    this.#log.warn(`${what} failed, will be tried again`, { reason: messageOf(error) });
  }
}
