/** How many heartbeats may come before their time: one a second on average, a few at once. It sends none. */
import type { Clock } from "../lib/clock.ts";

const BURST = 5;
const MS_EACH = 1_000;

export class EarlyBudget {
  readonly #clock: Clock;
  #left = BURST;
  #at: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#at = clock.mono();
  }

  /** When the next early beat may be sent, in monotonic milliseconds. */
  readyAt(): number {
    this.#refill();
    return this.#left >= 1 ? this.#at : this.#at + (1 - this.#left) * MS_EACH;
  }

  spend(): void {
    this.#refill();
    this.#left = Math.max(0, this.#left - 1);
  }

  #refill(): void {
    const now = this.#clock.mono();
    this.#left = Math.min(BURST, this.#left + (now - this.#at) / MS_EACH);
    this.#at = now;
  }
}
