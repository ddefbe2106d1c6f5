/** Lines that have their place and wait for their write, and those who wait for them. Opens no file. */
import { JournalOff } from "./errors.ts";
import { MAX_LINE_BYTES, encodeLine, encodeTail, lineBytes } from "./record.ts";
import type { Head, JournalEntry, JournalRecord } from "./types.ts";

/**
 * Lines of one write, about: one fdatasync is worth as much, and memory and the time to cut a torn batch stay small.
 */
const BATCH_BYTES = 1024 * 1024;

interface Pending {
  readonly seq: number;
  readonly entry: JournalEntry;
  readonly tail: string;
  /** The line's length (record.ts, lineBytes). */
  readonly bytes: number;
  readonly beginsSegment: boolean;
}

/** One write. */
export interface Batch {
  readonly firstSeq: number;
  readonly beginsSegment: boolean;
  readonly records: readonly JournalRecord[];
  readonly bytes: Buffer;
  readonly head: Head;
}

export class Queue {
  #pending: Pending[] = [];
  #lastSeq: number;
  /** Bytes of the segment that the next line goes to, queued lines included; 0 where that line begins one. */
  #segmentBytes: number;
  readonly #limit: number;
  readonly #firstLine: () => JournalEntry;

  /** `limit`: a segment of so many bytes takes no further line. `firstLine` makes the first one of a segment. */
  constructor(durableSeq: number, segmentEnd: number, limit: number, firstLine: () => JournalEntry) {
    this.#lastSeq = durableSeq;
    this.#segmentBytes = segmentEnd;
    this.#limit = limit;
    this.#firstLine = firstLine;
  }

  get lastSeq(): number {
    return this.#lastSeq;
  }

  get isEmpty(): boolean {
    return this.#pending.length === 0;
  }

  /** The seq that the next `push` gives. */
  get nextSeq(): number {
    return this.#lastSeq + (this.#beginsSegment ? 2 : 1);
  }

  get #beginsSegment(): boolean {
    return this.#segmentBytes === 0 || this.#segmentBytes >= this.#limit;
  }

  /**
   * Gives the entry its place, behind the first line of a new segment where the old one is full. Throws, with nothing
   * queued, where it is too long or no JSON.
   */
  push(entry: JournalEntry): number {
    const line = measure(entry);
    if (this.#beginsSegment) {
      const first = measure(this.#firstLine());
      this.#segmentBytes = 0;
      this.#add(first, true);
    }
    this.#add(line, false);
    return this.#lastSeq;
  }

  #add({ entry, tail, tailBytes }: Measured, beginsSegment: boolean): void {
    this.#lastSeq++;
    const seq = this.#lastSeq;
    const bytes = lineBytes(seq, tailBytes);
    this.#segmentBytes += bytes;
    this.#pending.push({ seq, entry, tail, bytes, beginsSegment });
  }

  /**
   * Takes the lines of the next write, chained to `previous`: at least one, about BATCH_BYTES at most, and never of two
   * segments.
   */
  take(previous: Head): Batch | null {
    const first = this.#pending[0];
    if (first === undefined) return null;
    let bytes = first.bytes;
    const end = this.#pending.findIndex(
      (line, index) => index > 0 && (line.beginsSegment || (bytes += line.bytes) > BATCH_BYTES),
    );
    const taken = this.#pending.splice(0, end === -1 ? this.#pending.length : end);
    let { sum } = previous;
    let text = "";
    const records = taken.map(({ seq, entry, tail }) => {
      const encoded = encodeLine(sum, seq, first.seq, tail);
      sum = encoded.sum;
      text += encoded.line;
      return { sum, seq, batch: first.seq, at: entry.at, type: entry.type, actor: entry.actor, data: entry.data };
    });
    return {
      firstSeq: first.seq,
      beginsSegment: first.beginsSegment,
      records,
      bytes: Buffer.from(text),
      head: { seq: previous.seq + taken.length, sum },
    };
  }

  /** Gives up all that is not durable: the next line follows `durableSeq` in a segment of `segmentEnd` bytes. */
  reset(durableSeq: number, segmentEnd: number): void {
    this.#pending = [];
    this.#lastSeq = durableSeq;
    this.#segmentBytes = segmentEnd;
  }
}

interface Measured {
  readonly entry: JournalEntry;
  readonly tail: string;
  readonly tailBytes: number;
}

function measure(entry: JournalEntry): Measured {
  const tail = encodeTail(entry);
  const tailBytes = Buffer.byteLength(tail);
  const bytes = lineBytes(Number.MAX_SAFE_INTEGER, tailBytes);
  if (bytes > MAX_LINE_BYTES) throw new JournalOff(`a line of ${bytes} bytes; the longest is ${MAX_LINE_BYTES}`);
  return { entry, tail, tailBytes };
}

export interface Waiter {
  readonly seq: number;
  readonly resolve: () => void;
  readonly reject: (error: JournalOff) => void;
}

/** Those who wait for a line to be durable. */
export class Waiters {
  #waiting: Waiter[] = [];

  wait(seq: number): Promise<void> {
    return new Promise((resolve, reject) => this.#waiting.push({ seq, resolve, reject }));
  }

  /** Everything up to `seq` is durable. */
  settle(seq: number): void {
    const ready = this.#waiting.filter((waiter) => waiter.seq <= seq);
    this.#waiting = ready.length === this.#waiting.length ? [] : this.#waiting.filter((waiter) => waiter.seq > seq);
    for (const { resolve } of ready) resolve();
  }

  /** All of them; from here on they are the caller's to tell. */
  takeAll(): readonly Waiter[] {
    const waiting = this.#waiting;
    this.#waiting = [];
    return waiting;
  }
}
