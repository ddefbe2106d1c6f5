/**
 * The one reader of the log, which every tool uses: along the segments and along the lines of each, checked against
 * the chain. Tells once which line does not fit, where and why; whether it is torn is for the caller. Changes nothing.
 */
import type { Files } from "../lib/files.ts";
import type { LinePlace } from "./errors.ts";
import { JournalDamaged, WHOLE_FILE } from "./errors.ts";
import type { Piece } from "./lines.ts";
import { Lines, readPieces } from "./lines.ts";
import type { Named } from "./names.ts";
import { segmentName } from "./names.ts";
import type { Chain } from "./record.ts";
import { BadLine } from "./record.ts";
import type { Proof } from "./segment.ts";
import { checkFirst, findProof } from "./segment.ts";
import type { Head, JournalRecord } from "./types.ts";

/** The first line that does not fit, and why. */
export interface Bad {
  /** The segment's path. */
  readonly file: string;
  readonly place: LinePlace;
  readonly reason: string;
}

/** Lines as they stand on disk (a Piece), and what they say. */
export interface Stretch extends Piece {
  /** Each line is read and checked when it is asked for; the first that does not fit ends them. */
  readonly records: Iterable<JournalRecord>;
}

interface Walked {
  readonly files: Files;
  readonly segments: readonly Named[];
  /** Where the first line to read is tied to. */
  readonly chain: Chain;
  /** Where reading begins in the first segment: a line begins at that byte. */
  readonly from: number;
  /** Whether the last segment may end with a line that does not fit: torn, or being written this moment. */
  readonly mayEndBadly: boolean;
}

/**
 * The segments in order, each to be walked before the next is asked for. Throws JournalDamaged where the next does not
 * follow, or the one before ended with a line that does not fit and may not.
 */
export async function* walkSegments(walked: Walked): AsyncGenerator<SegmentWalk, void, void> {
  const { files, segments, chain, from, mayEndBadly } = walked;
  let before: SegmentWalk | null = null;
  for (const segment of segments) {
    if (before !== null) checkFollows(segment, before);
    const mayThisEndBadly = mayEndBadly && segment === segments.at(-1);
    const walk = new SegmentWalk(files, segment, chain, before === null ? from : 0, mayThisEndBadly);
    yield walk;
    walk.refuseBad();
    before = walk;
  }
}

function checkFollows(segment: Named, before: SegmentWalk): void {
  const last = before.lastSeq;
  if (segment.seq === last + 1) return;
  const why =
    segment.seq > last + 1
      ? `${segmentName(last + 1)} is missing, or the segment before was cut`
      : "two segments hold the same lines";
  const found = `it begins with seq ${segment.seq}, but the lines before it end with seq ${last}`;
  throw new JournalDamaged(segment.path, WHOLE_FILE, `${found}: ${why}`);
}

/** One segment, walked from a line on, once. Its properties say how far the walk has come. */
export class SegmentWalk {
  readonly segment: Named;
  readonly #files: Files;
  readonly #chain: Chain;
  readonly #from: number;
  readonly #mayEndBadly: boolean;
  readonly #lines: Lines;
  #count = 0;
  #end: number;
  #head: Head | null;
  #lastBatchAt = 0;
  #bad: Bad | null = null;

  constructor(files: Files, segment: Named, chain: Chain, from: number, mayEndBadly: boolean) {
    this.segment = segment;
    this.#files = files;
    this.#chain = chain;
    this.#from = from;
    this.#mayEndBadly = mayEndBadly;
    this.#lines = new Lines(from);
    this.#end = from;
    this.#head = chain.head;
  }

  /** Good lines. */
  get count(): number {
    return this.#count;
  }

  /** The byte at which the last good line ends. */
  get end(): number {
    return this.#end;
  }

  /** The last good line, or where the chain stood before; null where nobody knows. */
  get head(): Head | null {
    return this.#head;
  }

  /** The seq of the last good line, or of the one that should stand before this segment. */
  get lastSeq(): number {
    return this.#head?.seq ?? this.segment.seq - 1;
  }

  /** The byte at which the lines of the last batch begin. */
  get lastBatchAt(): number {
    return this.#lastBatchAt;
  }

  /** The line that ended the walk; null where it came to the end of the file. */
  get bad(): Bad | null {
    return this.#bad;
  }

  /** Gives every good line to `take`, in order. Throws what `take` throws. */
  async each(take: (record: JournalRecord) => void): Promise<void> {
    for await (const { records } of this.stretches()) for (const record of records) take(record);
  }

  /** The segment piece by piece, for who must wait in between or wants the bytes; take all records of each. */
  async *stretches(): AsyncGenerator<Stretch, void, void> {
    for await (const piece of readPieces(this.#files, this.segment.path, this.#from)) {
      yield { bytes: piece.bytes, offset: piece.offset, records: this.#recordsOf(piece) };
      if (this.#bad !== null) return;
    }
  }

  *#recordsOf(piece: Piece): Generator<JournalRecord, void, void> {
    try {
      for (const { start, end } of this.#lines.of(piece)) {
        const { batch } = this.#chain;
        const record = this.#chain.take(piece.bytes, start, end);
        if (this.#end === 0) checkFirst(this.segment, record);
        if (record.batch !== batch) this.#lastBatchAt = piece.offset + start;
        this.#head = record;
        this.#count++;
        this.#end = piece.offset + end + 1;
        yield record;
      }
    } catch (error) {
      if (!(error instanceof BadLine)) throw error;
      this.#bad = { file: this.segment.path, place: this.#lines.place, reason: `this line ${error.message}` };
    }
  }

  /** Throws JournalDamaged where the bad line is one that no crash leaves: more was written behind this segment. */
  refuseBad(): void {
    if (this.#bad !== null && !this.#mayEndBadly) throw damageOf(this.#bad);
  }

  /** A line that shows that the bad one had been synced, so that it is not torn (FORMAT.md); null where none does. */
  async findProof(): Promise<Proof | null> {
    if (this.#bad === null) return null;
    return findProof(this.#files, this.segment.path, this.#bad.place.offset, this.lastSeq + 1);
  }
}

/** A bad line as an error; `why` goes on after its reason. */
export function damageOf({ file, place, reason }: Bad, why = ""): JournalDamaged {
  return new JournalDamaged(file, place, `${reason}${why}`);
}
