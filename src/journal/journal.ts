/**
 * The append-only log: gives every entry its seq, writes batches with one sync each, says what is durable, stops before
 * it lies. Has never heard of hosts.
 */
import { dirname } from "node:path";
import { setImmediate } from "node:timers/promises";
import { toRfc3339 } from "../lib/clock.ts";
import { messageOf } from "../lib/errors.ts";
import { JournalOff } from "./errors.ts";
import { Listeners } from "./listeners.ts";
import { firstSeqOf } from "./names.ts";
import { tryNote } from "./note.ts";
import type { JournalOptions } from "./options.ts";
import { Displaced, PlaceWatch } from "./place.ts";
import type { Batch } from "./queue.ts";
import { Queue, Waiters } from "./queue.ts";
import type { Opened } from "./recovery.ts";
import { recover } from "./recovery.ts";
import type { ReplayTarget } from "./replay.ts";
import { cutTorn } from "./repair.ts";
import { firstEntry } from "./segment.ts";
import { isShortage, tryRoom } from "./shortage.ts";
import type { ClosedSegment, Head, JournalEntry, JournalRecord, Torn, Writability } from "./types.ts";
import { SegmentWriter } from "./writer.ts";

export type { JournalOptions } from "./options.ts";
export type { ReplayTarget } from "./replay.ts";
export { JournalCompacted, JournalDamaged, JournalOff } from "./errors.ts";

const WRITABLE: Writability = { writable: true };

export class Journal {
  readonly #options: JournalOptions;
  readonly #writer: SegmentWriter;
  readonly #queue: Queue;
  readonly #waiters = new Waiters();
  readonly #durableListeners: Listeners<readonly JournalRecord[]>;
  readonly #failureListeners: Listeners<string>;
  readonly #closedListeners: Listeners<ClosedSegment>;
  readonly #watch: PlaceWatch;
  #probes: (() => void)[] = [];
  #durable: Head;
  #writability: Writability;
  #torn: Torn | null;
  /** A torn end that could not be kept beside for lack of room; it is kept and cut before the first write. */
  #uncut: Opened["uncut"];
  #running: Promise<void> | null = null;
  #closing: Promise<void> | null = null;

  /**
   * Replays what is on disk into `target`, puts a torn end aside, and is ready to append.
   * Throws JournalDamaged where the disk cannot be trusted, the disk's own errors, and what `target.record` throws. One
   * process at a time: see lock.ts.
   */
  static async open(options: JournalOptions, target: ReplayTarget): Promise<Journal> {
    const { files, folder } = options;
    await files.mkdir(folder, 0o700);
    await files.syncFolder(dirname(folder));
    const folderId = (await files.stat(folder))?.id ?? null;
    const journal = new Journal(options, folderId, await recover(files, folder, options.log, target));
    await journal.#note();
    return journal;
  }

  private constructor(options: JournalOptions, folderId: string | null, opened: Opened) {
    this.#options = options;
    this.#durable = opened.head;
    this.#torn = opened.torn;
    this.#uncut = opened.uncut;
    this.#writability =
      opened.uncut === null ? WRITABLE : { writable: false, reason: opened.uncut.reason, untilRestart: false };
    const { files, folder, guard, log } = options;
    this.#durableListeners = new Listeners(log);
    this.#failureListeners = new Listeners(log);
    this.#closedListeners = new Listeners(log);
    this.#writer = new SegmentWriter(files, folder, opened.active);
    this.#watch = new PlaceWatch(files, { path: folder, id: folderId }, () => this.#writer.displacement(), guard);
    this.#queue = new Queue(opened.head.seq, this.#writer.end, options.segmentBytes, () =>
      firstEntry(toRfc3339(options.clock.wall())),
    );
  }

  /** What the start found torn and cut off; null where nothing was. */
  get torn(): Torn | null {
    return this.#torn;
  }

  /** The last line that is on disk and acknowledged. */
  get durable(): Head {
    return this.#durable;
  }

  /** The last line appended, durable or not. */
  get lastSeq(): number {
    return this.#queue.lastSeq;
  }

  /** The seq that the next `append` gives: `lastSeq` + 1, or + 2 where the first line of a segment goes before it. */
  get nextSeq(): number {
    return this.#queue.nextSeq;
  }

  get writability(): Writability {
    const { displaced } = this.#watch;
    return displaced === null ? this.#writability : { writable: false, reason: displaced, untilRestart: true };
  }

  /**
   * Gives the entry its seq and queues it; `entry` must not change after this. While there is no room it is accepted
   * all the same: it is the retry. Throws JournalOff when nothing can be written until a restart, after `close`, and
   * for a line that is too long; what JSON.stringify throws otherwise.
   */
  append(entry: JournalEntry): number {
    if (this.#closing !== null) throw new JournalOff("the journal is closed");
    const { writability } = this;
    if (!writability.writable && writability.untilRestart) throw new JournalOff(writability.reason);
    const seq = this.#queue.push(entry);
    this.#wake();
    return seq;
  }

  /**
   * Resolves when line `seq` is durable; rejects with JournalOff when it was not written.
   * To be called before anything else is awaited: a seq that was given up is given again.
   */
  settled(seq: number): Promise<void> {
    if (seq <= this.#durable.seq) return Promise.resolve();
    if (seq <= this.#queue.lastSeq) return this.#waiters.wait(seq);
    const { writability } = this;
    return Promise.reject(new JournalOff(writability.writable ? `there is no line ${seq}` : writability.reason));
  }

  /** After each sync, in order, before `settled` resolves. */
  onDurable(listener: (records: readonly JournalRecord[]) => void): void {
    this.#durableListeners.add(listener);
  }

  /** When everything behind `durable` was given up; `lastSeq` is `durable.seq` again. Before any `settled` rejects. */
  onFailure(listener: (reason: string) => void): void {
    this.#failureListeners.add(listener);
  }

  /** When a segment takes no further line: the next one is there, and durable. */
  onSegmentClosed(listener: (closed: ClosedSegment) => void): void {
    this.#closedListeners.add(listener);
  }

  /** Turns writing off, until a restart, where folder, segment or guard is not in its place. Waits for no write. */
  async look(): Promise<Writability> {
    if (this.#closing === null && (await this.#watch.look()) !== null) this.#wake();
    return this.writability;
  }

  /** A look; and while there is no room: tries to write 64 KiB beside, and lets changes in again when that works. */
  async probe(): Promise<Writability> {
    const found = await this.look();
    if (this.#closing === null && !found.writable && !found.untilRestart) {
      await new Promise<void>((resolve) => {
        this.#probes.push(resolve);
        this.#wake();
      });
    }
    return this.writability;
  }

  /** Writes and syncs what is queued, and closes. Later appends throw. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#running;
    if (this.writability.writable) await this.#note();
    await this.#writer.close();
  }

  #wake(): void {
    this.#running ??= this.#run();
  }

  /**
   * One write at a time. Each begins a turn of the event loop later, so that all who came in the same turn share it.
   */
  async #run(): Promise<void> {
    do {
      await setImmediate();
      this.#heedWatch();
      const batch = this.#queue.take(this.#durable);
      if (batch !== null) await this.#commit(batch);
      else await this.#tryProbes();
    } while (!this.#queue.isEmpty || this.#probes.length > 0);
    this.#running = null;
  }

  async #commit(batch: Batch): Promise<void> {
    const { clock } = this.#options;
    const started = clock.mono();
    try {
      await this.#watch.beforeWrite(batch.beginsSegment);
      await this.#cutTorn();
      if (batch.beginsSegment) {
        this.#announceClosed(await this.#writer.begin(batch.firstSeq));
        await this.#note();
      }
      await this.#writer.write(batch.bytes);
      await this.#watch.during(this.#writer.sync());
    } catch (error) {
      await this.#fail(error);
      return;
    }
    if (!this.#writability.writable) this.#options.log.info("journal: writing works again");
    this.#writability = WRITABLE;
    this.#durable = batch.head;
    this.#options.onSync?.({
      records: batch.records.length,
      bytes: batch.bytes.length,
      seconds: (clock.mono() - started) / 1000,
    });
    this.#durableListeners.tell(batch.records);
    this.#waiters.settle(batch.head.seq);
  }

  /** What a look has found while no write was there to fail of it. */
  #heedWatch(): void {
    const { displaced } = this.#watch;
    if (displaced === null || (!this.#writability.writable && this.#writability.untilRestart)) return;
    this.#giveUp(new Displaced(displaced), true)();
  }

  /** Notes how far the journal has come (note.ts); without it the next start only misses less of what was removed. */
  async #note(): Promise<void> {
    if (this.#writer.path === null) return;
    const { files, folder, log } = this.#options;
    await tryNote(files, folder, { segment: firstSeqOf(this.#writer.path), head: this.#durable }, log);
  }

  async #cutTorn(): Promise<void> {
    if (this.#uncut === null) return;
    this.#torn = await cutTorn(this.#options.files, this.#options.folder, this.#uncut.fd, this.#uncut.last);
    this.#uncut = null;
  }

  /**
   * A write that failed for want of room is cut back and may be tried again; after anything else only a replay can tell
   * what is on disk.
   */
  async #fail(error: unknown): Promise<void> {
    const passes = isShortage(error);
    const refuse = this.#giveUp(error, !passes);
    try {
      // A torn end that is not kept yet must not be cut, nor a file that may be another daemon's by now.
      const mayCut = this.#uncut === null && !(error instanceof Displaced);
      if (mayCut) await (passes ? this.#writer.cut() : this.#writer.truncate());
    } catch (cutError) {
      if (passes) this.#giveUp(cutError, true)();
      else this.#options.log.warn("journal: the unsure end could not be cut off", { error: messageOf(cutError) });
    }
    // Not before: a line that was refused must not come back after a power cut in between.
    refuse();
  }

  /**
   * Back to the last durable line, at once: nobody may read what will not be. Gives what tells those who wait; later
   * lines are not theirs.
   */
  #giveUp(error: unknown, untilRestart: boolean): () => void {
    const reason = messageOf(error);
    const fields = { reason, file: this.#writer.path, durable_seq: this.#durable.seq };
    this.#options.log.error(untilRestart ? "journal: off until a restart" : "journal: off until there is room", fields);
    this.#writability = { writable: false, reason, untilRestart };
    this.#queue.reset(this.#durable.seq, this.#writer.end);
    const waiting = this.#waiters.takeAll();
    this.#failureListeners.tell(reason);
    return () => waiting.forEach(({ reject }) => reject(new JournalOff(reason, error)));
  }

  async #tryProbes(): Promise<void> {
    const probes = this.#probes;
    this.#probes = [];
    if (probes.length > 0 && !this.#writability.writable && !this.#writability.untilRestart) await this.#tryRoom();
    for (const resolve of probes) resolve();
  }

  async #tryRoom(): Promise<void> {
    const { files, folder, log } = this.#options;
    try {
      await this.#cutTorn();
      await tryRoom(files, folder);
      this.#writability = WRITABLE;
      log.info("journal: there is room again");
    } catch (error) {
      this.#writability = { writable: false, reason: messageOf(error), untilRestart: false };
    }
  }

  #announceClosed(file: string | null): void {
    if (file !== null) this.#closedListeners.tell({ file, head: this.#durable });
  }
}
