/**
 * What was opened, and how each is closed: whoever opens notes it here at once, so that a start which fails half way
 * and an orderly stop are the same road back.
 */

interface Step {
  /** What is closed, for a message: `the journal`. */
  readonly what: string;
  readonly close: () => void | Promise<void>;
}

export class Closing {
  readonly #onFailure: (what: string, error: unknown) => void;
  #steps: Step[] = [];
  #running: Promise<void> | null = null;

  /** `onFailure` hears of a step that failed; the steps after it run all the same. */
  constructor(onFailure: (what: string, error: unknown) => void) {
    this.#onFailure = onFailure;
  }

  /** Notes what was opened just now. What is opened later is closed earlier. */
  add(what: string, close: () => void | Promise<void>): void {
    this.#steps.push({ what, close });
  }

  /**
   * Closes everything, the last opened first, each when the one before it is closed. Never rejects; a second call waits
   * for the first.
   */
  close(): Promise<void> {
    this.#running ??= this.#close();
    return this.#running;
  }

  async #close(): Promise<void> {
    const steps = this.#steps.reverse();
    this.#steps = [];
    for (const { what, close } of steps) {
      try {
        await close();
      } catch (error) {
        this.#onFailure(what, error);
      }
    }
  }
}
