/** A journal without a disk: the store's `Log`, whose test says when a line is durable and when writing fails. */
import type { JournalEntry, JournalRecord, Writability } from "../../src/journal/types.ts";
import type { Log } from "../../src/state/store.ts";

interface Waiter {
  readonly seq: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class MemoryLog implements Log {
  /** Every durable line, as a replay would read it: through JSON and back. */
  readonly records: JournalRecord[] = [];
  writability: Writability = { writable: true };
  /** Makes every line durable a microtask after it was appended. */
  automatic = false;
  #queued: JournalRecord[] = [];
  #waiters: Waiter[] = [];
  readonly #durableListeners: ((records: readonly JournalRecord[]) => void)[] = [];
  readonly #failureListeners: ((reason: string) => void)[] = [];

  get durable(): { readonly seq: number } {
    return { seq: this.records.length };
  }

  get lastSeq(): number {
    return this.records.length + this.#queued.length;
  }

  get nextSeq(): number {
    return this.lastSeq + 1;
  }

  append(entry: JournalEntry): number {
    if (!this.writability.writable && this.writability.untilRestart) throw new Error(`off: ${this.writability.reason}`);
    const seq = this.nextSeq;
    const read = JSON.parse(JSON.stringify(entry)) as JournalEntry;
    this.#queued.push({ sum: "", seq, batch: this.records.length + 1, ...read });
    if (this.automatic) queueMicrotask(() => this.sync());
    return seq;
  }

  settled(seq: number): Promise<void> {
    if (seq <= this.durable.seq) return Promise.resolve();
    return new Promise((resolve, reject) => this.#waiters.push({ seq, resolve, reject }));
  }

  onDurable(listener: (records: readonly JournalRecord[]) => void): void {
    this.#durableListeners.push(listener);
  }

  onFailure(listener: (reason: string) => void): void {
    this.#failureListeners.push(listener);
  }

  /** The first `count` queued lines reach the disk, which also shows that writing works. */
  sync(count: number = this.#queued.length): void {
    const batch = this.#queued.splice(0, count);
    if (batch.length === 0) return;
    this.records.push(...batch);
    this.writability = { writable: true };
    for (const listener of this.#durableListeners) listener(batch);
    const done = this.#waiters.filter((waiter) => waiter.seq <= this.durable.seq);
    this.#waiters = this.#waiters.filter((waiter) => waiter.seq > this.durable.seq);
    for (const waiter of done) waiter.resolve();
  }

  /** A write fails: everything that is not durable is given up. */
  fail(reason: string, untilRestart = false): void {
    this.#queued = [];
    this.writability = { writable: false, reason, untilRestart };
    for (const listener of this.#failureListeners) listener(reason);
    const lost = this.#waiters;
    this.#waiters = [];
    for (const waiter of lost) waiter.reject(new Error(reason));
  }
}
