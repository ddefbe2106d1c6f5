/**
 * Who is busy with what: turns that one takes at a time, and holds that keep a digest's file from removal. In memory
 * only, no I/O.
 */
import type { Digest } from "./paths.ts";

/** One at a time for each key, in the order of asking. */
export class Turns<K> {
  readonly #tails = new Map<K, Promise<unknown>>();

  /** Runs `work` when everyone who asked before is done, whether well or not. */
  async take<T>(key: K, work: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key) ?? Promise.resolve();
    const run = before.then(work);
    const tail = run.catch(() => undefined);
    this.#tails.set(key, tail);
    try {
      return await run;
    } finally {
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    }
  }
}

/** Counts who relies on a digest's file; many may at once, for as long as an upload takes. */
export class Holds {
  readonly #counts = new Map<Digest, number>();

  has(digest: Digest): boolean {
    return this.#counts.has(digest);
  }

  /** Holds `digest` while `work` runs. Calls `onFree` when the last one lets go. */
  async during<T>(digest: Digest, work: () => Promise<T>, onFree: () => void): Promise<T> {
    this.#counts.set(digest, (this.#counts.get(digest) ?? 0) + 1);
    try {
      return await work();
    } finally {
      const left = (this.#counts.get(digest) ?? 1) - 1;
      if (left > 0) this.#counts.set(digest, left);
      else {
        this.#counts.delete(digest);
        onFree();
      }
    }
  }
}
