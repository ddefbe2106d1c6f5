/**
 * Work that can be called off: a wait that ends at once, and work that many wait for and that ends when the last of
 * them has left.
 */
import type { Clock } from "../lib/clock.ts";

/** Resolves `ms` milliseconds from now. Rejects with the signal's reason as soon as it is called off. */
export async function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  let end = (): void => undefined;
  await new Promise<void>((resolve) => {
    const cancel = clock.after(ms, resolve);
    end = () => {
      cancel();
      resolve();
    };
    signal.addEventListener("abort", end);
  });
  signal.removeEventListener("abort", end);
  signal.throwIfAborted();
}

interface Entry<T> {
  readonly work: Promise<T>;
  readonly controller: AbortController;
  /** How many wait for it. */
  waiting: number;
}

/** Work by key, done once however many ask for it at a time. */
export class SharedWork<T> {
  readonly #entries = new Map<string, Entry<T>>();

  /** Whether work for this key is under way; also while it ends because everybody has left. */
  has(key: string): boolean {
    return this.#entries.has(key);
  }

  /**
   * Waits for the work of this key, which is begun where it is not under way. Rejects with the signal's reason at once
   * when it is called off; the work is called off with the last who waits, and is begun anew only when it has ended.
   */
  async join(key: string, signal: AbortSignal, begin: (signal: AbortSignal) => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    const found = this.#entries.get(key);
    const entry = found === undefined || found.controller.signal.aborted ? this.#begin(key, begin, found) : found;
    entry.waiting += 1;
    let leave = (): void => undefined;
    const left = new Promise<never>((_resolve, reject) => {
      leave = () => {
        entry.waiting -= 1;
        if (entry.waiting === 0) entry.controller.abort(signal.reason);
        // The one reason that `throwIfAborted` would throw.
        reject(signal.reason instanceof Error ? signal.reason : new Error("called off"));
      };
      signal.addEventListener("abort", leave);
    });
    try {
      return await Promise.race([entry.work, left]);
    } finally {
      signal.removeEventListener("abort", leave);
    }
  }

  #begin(key: string, begin: (signal: AbortSignal) => Promise<T>, before: Entry<T> | undefined): Entry<T> {
    const controller = new AbortController();
    const run = async (): Promise<T> => {
      await before?.work.catch(() => undefined);
      controller.signal.throwIfAborted();
      return begin(controller.signal);
    };
    const work = run().finally(() => {
      if (this.#entries.get(key) === entry) this.#entries.delete(key);
    });
    // Whoever waited may have left; the outcome is nobody's then.
    work.catch(() => undefined);
    const entry: Entry<T> = { work, controller, waiting: 0 };
    this.#entries.set(key, entry);
    return entry;
  }
}
