/**
 * The daemon's journal without a file: lines become durable after a seeded time, one write in flight at once, and a
 * SIGKILL takes what was not. The disk may be full for a while, or fail a sync; the journal then does as
 * journal/journal.ts does.
 */
import type { JournalEntry, JournalRecord, Writability } from "../../src/journal/types.ts";
import type { Log } from "../../src/state/store.ts";
import type { Chance } from "./chance.ts";
import type { ProcessClock } from "./clock.ts";

/** What outlives every process of the daemon. */
export interface Disk {
  readonly lines: JournalRecord[];
  isFull: boolean;
}

interface Waiter {
  readonly seq: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** A usual fdatasync, and one that the disk takes its time for. */
const SYNC_MS = 1.5;
const SLOW_SYNC_MS = 120;
const SLOW_SYNCS = 0.01;
/** So often the daemon looks whether there is room again. */
const PROBE_MS = 5_000;
const WRITABLE: Writability = { writable: true };

export class DiskLog implements Log {
  writability: Writability = WRITABLE;
  /** How often everything behind `durable` was given up; a seq names one line only between two of those. */
  failures = 0;
  readonly #disk: Disk;
  readonly #clock: ProcessClock;
  readonly #chance: Chance;
  #queued: JournalRecord[] = [];
  #writing: JournalRecord[] = [];
  /** Lines whose sync failed: a start may find the first of them. */
  #unsure: JournalRecord[] = [];
  #isBusy = false;
  #shallBreak = false;
  #waiters: Waiter[] = [];
  readonly #durableListeners: ((records: readonly JournalRecord[]) => void)[] = [];
  readonly #failureListeners: ((reason: string) => void)[] = [];

  constructor(disk: Disk, clock: ProcessClock, chance: Chance) {
    this.#disk = disk;
    this.#clock = clock;
    this.#chance = chance;
  }

  get durable(): { readonly seq: number } {
    return { seq: this.#disk.lines.length };
  }

  get lastSeq(): number {
    return this.durable.seq + this.#writing.length + this.#queued.length;
  }

  get nextSeq(): number {
    return this.lastSeq + 1;
  }

  append(entry: JournalEntry): number {
    if (!this.writability.writable && this.writability.untilRestart) throw new Error(this.writability.reason);
    const seq = this.nextSeq;
    // As a replay would read it: through JSON and back.
    const read = JSON.parse(JSON.stringify(entry)) as JournalEntry;
    this.#queued.push({ sum: "", seq, batch: this.durable.seq + this.#writing.length + 1, ...read });
    if (!this.#isBusy) this.#write();
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

  /** The next sync fails, and the journal is off until a restart. */
  break(): void {
    this.#shallBreak = true;
  }

  /**
   * The power of SIGKILL: nobody hears of the write in flight, whose first lines may be on disk all the same. Gives how
   * many lines are lost.
   */
  cut(): number {
    const inFlight = [...this.#unsure, ...this.#writing];
    const survivors = this.#disk.isFull ? [] : inFlight.slice(0, this.#chance.below(inFlight.length + 1));
    this.#disk.lines.push(...survivors);
    return inFlight.length + this.#queued.length - survivors.length;
  }

  #write(): void {
    this.#isBusy = true;
    this.#writing = this.#queued;
    this.#queued = [];
    const ms = 0.05 + this.#chance.delay(this.#chance.is(SLOW_SYNCS) ? SLOW_SYNC_MS : SYNC_MS);
    this.#clock.after(ms, () => this.#written());
  }

  #written(): void {
    if (this.#shallBreak) return this.#fail("EIO: i/o error, fdatasync", true);
    if (this.#disk.isFull) return this.#fail("ENOSPC: no space left on device, write", false);
    const records = this.#writing;
    this.#writing = [];
    this.writability = WRITABLE;
    this.#disk.lines.push(...records);
    for (const listener of this.#durableListeners) listener(records);
    const done = this.#waiters.filter((waiter) => waiter.seq <= this.durable.seq);
    this.#waiters = this.#waiters.filter((waiter) => waiter.seq > this.durable.seq);
    for (const waiter of done) waiter.resolve();
    this.#next();
  }

  #next(): void {
    this.#isBusy = false;
    if (this.#queued.length > 0) this.#write();
  }

  /** Everything behind `durable` is given up at once; who waited is told when the end of the file is cut off. */
  #fail(reason: string, untilRestart: boolean): void {
    this.failures += 1;
    if (untilRestart) this.#unsure = this.#writing;
    this.#writing = [];
    this.#queued = [];
    this.writability = { writable: false, reason, untilRestart };
    const waiting = this.#waiters;
    this.#waiters = [];
    for (const listener of this.#failureListeners) listener(reason);
    this.#clock.after(this.#chance.delay(SYNC_MS), () => {
      for (const { reject } of waiting) reject(new Error(reason));
      this.#next();
      if (!untilRestart) this.#probe();
    });
  }

  #probe(): void {
    this.#clock.after(this.#chance.between(1, PROBE_MS), () => {
      if (this.writability.writable || this.writability.untilRestart) return;
      if (this.#disk.isFull) this.#probe();
      else this.writability = WRITABLE;
    });
  }
}
