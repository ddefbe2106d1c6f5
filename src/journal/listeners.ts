/** Whoever wants to hear of one thing that the journal does, told in the order of their coming. */
import { messageOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";

export class Listeners<T> {
  readonly #log: Log;
  readonly #listeners: ((value: T) => void)[] = [];

  constructor(log: Log) {
    this.#log = log;
  }

  add(listener: (value: T) => void): void {
    this.#listeners.push(listener);
  }

  /** A listener that throws is a fault of the program; it must not stop the journal, nor be lost. */
  tell(value: T): void {
    for (const listener of this.#listeners) {
      try {
        listener(value);
      } catch (error) {
        this.#log.error("journal: a listener failed", { error: messageOf(error) });
      }
    }
  }
}
