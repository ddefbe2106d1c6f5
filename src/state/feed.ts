/**
 * The log as a stream of events for readers: what is on disk from a given seq on, and a wake-up when there is more.
 * Readers pull, so a slow one costs no memory.
 */
import { dumpJournal } from "../journal/dump.ts";
import type { JournalRecord } from "../journal/types.ts";
import type { Files } from "../lib/files.ts";
import type { Store } from "./store.ts";

export class EventFeed {
  readonly #files: Files;
  readonly #folder: string;
  readonly #lastSeq: () => number;
  #waiters: (() => void)[] = [];
  #closed = false;

  /** `lastSeq` tells the last durable line. */
  constructor(store: Store, files: Files, folder: string, lastSeq: () => number) {
    this.#files = files;
    this.#folder = folder;
    this.#lastSeq = lastSeq;
    store.onDurable(() => this.#wake());
  }

  get closed(): boolean {
    return this.#closed;
  }

  get lastSeq(): number {
    return this.#lastSeq();
  }

  /** The lines after `after`, up to what is durable now. Throws JournalCompacted where the first of them is gone. */
  async *read(after: number): AsyncGenerator<JournalRecord, void, void> {
    const until = this.#lastSeq();
    if (after < until) yield* dumpJournal(this.#files, this.#folder, { from: after + 1, until });
  }

  /** Resolves when there are lines after `after`, when `cancel` is called, or when the daemon stops. */
  async more(after: number, onCancel: (cancel: () => void) => void): Promise<void> {
    if (this.#closed || this.#lastSeq() > after) return;
    await new Promise<void>((resolve) => {
      this.#waiters.push(resolve);
      onCancel(() => {
        // Taken out, or a quiet log would gather one for every wait that was cut short.
        this.#waiters = this.#waiters.filter((waiter) => waiter !== resolve);
        resolve();
      });
    });
  }

  close(): void {
    this.#closed = true;
    this.#wake();
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }
}
