/** Notices that nothing has come for too long. It reads nothing: who awaits something says that it has come. */
import type { Cancel, Clock } from "./clock.ts";

export class Watchdog {
  readonly #clock: Clock;
  readonly #quietMs: number;
  readonly #bark: () => void;
  #cancel: Cancel;
  #last: number;

  /** Calls `bark` once, when for `quietMs` milliseconds there was no progress. One timer, however often there is. */
  constructor(clock: Clock, quietMs: number, bark: () => void) {
    this.#clock = clock;
    this.#quietMs = quietMs;
    this.#bark = bark;
    this.#last = clock.mono();
    this.#cancel = clock.after(quietMs, () => this.#look());
  }

  /** There was progress. */
  pet(): void {
    this.#last = this.#clock.mono();
  }

  /** Nothing is awaited any more. */
  end(): void {
    this.#cancel();
  }

  #look(): void {
    const quiet = this.#clock.mono() - this.#last;
    if (quiet >= this.#quietMs) this.#bark();
    else this.#cancel = this.#clock.after(this.#quietMs - quiet, () => this.#look());
  }
}
