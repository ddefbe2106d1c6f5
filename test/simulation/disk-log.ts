/** The daemon's journal without a file: lines become durable after a seeded time, one write in flight at once, and a SIGKILL takes what was not. */
import type { JournalEntry, JournalRecord, Writability } from "../../src/journal/types.ts";
import type { Log } from "../../src/state/store.ts";
import type { Chance } from "./chance.ts";
import type { ProcessClock } from "./clock.ts";

interface Waiter {
  readonly seq: number;
  readonly resolve: () => void;
}

/** A usual fdatasync, and one that the disk takes its time for. */
const SYNC_MS = 1.5;
const SLOW_SYNC_MS = 120;
const SLOW_SYNCS = 0.01;

export class DiskLog implements Log {
  readonly writability: Writability = { writable: true };
  /** What is on disk; outlives the process. */
  readonly disk: JournalRecord[];
  readonly #clock: ProcessClock;
  readonly #chance: Chance;
  #queued: JournalRecord[] = [];
  #writing: JournalRecord[] = [];
  #waiters: Waiter[] = [];
  readonly #durableListeners: ((records: readonly JournalRecord[]) => void)[] = [];

  constructor(disk: JournalRecord[], clock: ProcessClock, chance: Chance) {
    this.disk = disk;
    this.#clock = clock;
    this.#chance = chance;
  }

  get durable(): { readonly seq: number } {
    return { seq: this.disk.length };
  }

  get lastSeq(): number {
    return this.disk.length + this.#writing.length + this.#queued.length;
  }

  get nextSeq(): number {
    return this.lastSeq + 1;
  }

  append(entry: JournalEntry): number {
    const seq = this.nextSeq;
    // As a replay would read it: through JSON and back.
    const read = JSON.parse(JSON.stringify(entry)) as JournalEntry;
    this.#queued.push({ sum: "", seq, batch: this.disk.length + this.#writing.length + 1, ...read });
    if (this.#writing.length === 0) this.#write();
    return seq;
  }

  settled(seq: number): Promise<void> {
    if (seq <= this.durable.seq) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push({ seq, resolve }));
  }

  onDurable(listener: (records: readonly JournalRecord[]) => void): void {
    this.#durableListeners.push(listener);
  }

  /** This disk never fails: test/faults has those that do. */
  onFailure(): void {}

  /** The power of SIGKILL: nobody hears of the write in flight, whose first lines may be on disk all the same. Gives how many lines are lost. */
  cut(): number {
    const survivors = this.#writing.slice(0, this.#chance.below(this.#writing.length + 1));
    const lost = this.#writing.length + this.#queued.length - survivors.length;
    this.disk.push(...survivors);
    return lost;
  }

  #write(): void {
    this.#writing = this.#queued;
    this.#queued = [];
    const ms = 0.05 + this.#chance.delay(this.#chance.is(SLOW_SYNCS) ? SLOW_SYNC_MS : SYNC_MS);
    this.#clock.after(ms, () => this.#written());
  }

  #written(): void {
    const records = this.#writing;
    this.#writing = [];
    this.disk.push(...records);
    if (this.#queued.length > 0) this.#write();
    for (const listener of this.#durableListeners) listener(records);
    const done = this.#waiters.filter((waiter) => waiter.seq <= this.durable.seq);
    this.#waiters = this.#waiters.filter((waiter) => waiter.seq > this.durable.seq);
    for (const waiter of done) waiter.resolve();
  }
}
