/**
 * One segment, read: the walk along its lines, the search for proof behind a bad one, its last line. Changes nothing.
 */
import type { Files } from "../lib/files.ts";
import { VERSION } from "../lib/version.ts";
import { JournalDamaged } from "./errors.ts";
import { NEWLINE, readAt, readPieces, withReader } from "./lines.ts";
import type { Named } from "./names.ts";
import type { Chain } from "./record.ts";
import { BadLine, LINE_START_BYTES, MAX_LINE_BYTES, SUM_KEY, decodeLine, startOf } from "./record.ts";
import type { Head, JournalEntry, JournalRecord } from "./types.ts";

export const SEGMENT_TYPE = "journal.segment";
/** What `data.format` of a segment's first line says. */
export const FORMAT = 1;

const SCAN_BYTES = 1024 * 1024;

/** What a segment begins with; `at` is RFC 3339. */
export function firstEntry(at: string): JournalEntry {
  const data = { format: FORMAT, program: `zwrmd ${VERSION}` };
  return { at, type: SEGMENT_TYPE, actor: { kind: "system", id: null, ip: null }, data };
}

/** The first line that does not fit, and why. */
export interface Bad {
  readonly line: number;
  readonly offset: number;
  readonly reason: string;
}

/** How far a walk came. */
export interface Walked {
  /** Where the last good line ends. */
  readonly end: number;
  readonly lines: number;
  /** The last good line, or where the chain stood before. */
  readonly head: Head | null;
  /** Where the lines of the last batch begin. */
  readonly lastBatchAt: number;
  readonly bad: Bad | null;
}

/**
 * Walks a segment from its first line, giving every good line to `onRecord`, and stops at the first bad one. Throws
 * what `onRecord` throws.
 */
export async function walkSegment(
  files: Files,
  segment: Named,
  chain: Chain,
  onRecord: (record: JournalRecord) => void,
): Promise<Walked> {
  let end = 0;
  let lines = 0;
  let lastBatchAt = 0;
  let { head } = chain;
  for await (const { bytes, offset } of readPieces(files, segment.path, 0)) {
    for (let at = 0; at < bytes.length;) {
      const newline = bytes.indexOf(NEWLINE, at);
      const batch = chain.batch;
      let record: JournalRecord;
      try {
        if (newline === -1) throw new BadLine(unfinished(bytes, at));
        record = chain.take(bytes, at, newline);
        if (lines === 0) checkFirst(segment, record);
      } catch (error) {
        if (error instanceof BadLine)
          return {
            end,
            lines,
            head,
            lastBatchAt,
            bad: { line: lines + 1, offset: offset + at, reason: `this line ${error.message}` },
          };
        throw error;
      }
      if (record.batch !== batch) lastBatchAt = offset + at;
      onRecord(record);
      head = record;
      lines++;
      at = newline + 1;
      end = offset + at;
    }
  }
  return { end, lines, head, lastBatchAt, bad: null };
}

function unfinished(bytes: Buffer, at: number): string {
  if (bytes.length - at >= MAX_LINE_BYTES) return `is longer than ${MAX_LINE_BYTES} bytes`;
  return bytes.subarray(at).every((byte) => byte === 0) ? "is filled with NUL bytes" : "has no newline at its end";
}

/**
 * A segment says what it is in its first line. Throws BadLine where it does not, JournalDamaged where a newer program
 * wrote it.
 */
export function checkFirst(segment: Named, record: JournalRecord): void {
  if (record.type !== SEGMENT_TYPE) throw new BadLine(`is the first of a segment and should be a ${SEGMENT_TYPE}`);
  if (record.seq !== segment.seq) throw new BadLine(`has seq ${record.seq}, where the file's name says ${segment.seq}`);
  const { data } = record;
  const format: unknown = typeof data === "object" && data !== null && "format" in data ? data.format : null;
  if (format === FORMAT) return;
  throw new JournalDamaged(
    segment.path,
    1,
    0,
    `it has format ${JSON.stringify(format)}; this version reads format ${FORMAT}: run the version that wrote it`,
  );
}

/** A line behind a bad one that was written only after the bad one had been synced. */
export interface Proof {
  readonly seq: number;
  readonly batch: number;
  readonly offset: number;
}

/**
 * Looks behind `from` for a readable line with a batch greater than `badSeq`. It may stand anywhere: the newline before
 * it may be what is damaged. A line that begins after a newline is believed by its first bytes; elsewhere the whole
 * line must read, so that data which looks like one does not count.
 */
export async function findProof(files: Files, path: string, from: number, badSeq: number): Promise<Proof | null> {
  return withReader(files, path, async (fd) => {
    for (let position = from; ; position += SCAN_BYTES) {
      // Every window overlaps the next by the length of a line's start, and begins one byte early to see a newline
      // before it.
      const early = position > 0 ? 1 : 0;
      const window = await readAt(files, fd, position - early, early + SCAN_BYTES + LINE_START_BYTES);
      for (
        let at = window.indexOf(SUM_KEY, early);
        at !== -1 && at < early + SCAN_BYTES;
        at = window.indexOf(SUM_KEY, at + 1)
      ) {
        const start = startOf(window, at);
        if (start === null || start.batch <= badSeq || start.batch > start.seq) continue;
        const offset = position - early + at;
        const beginsLine = offset === 0 || window[at - 1] === NEWLINE;
        if (beginsLine || (await lineReads(files, path, offset))) return { ...start, offset };
      }
      if (window.length < early + SCAN_BYTES + LINE_START_BYTES) return null;
    }
  });
}

/** Whether a whole line with the shape of a record begins at `offset`. */
export async function lineReads(files: Files, path: string, offset: number): Promise<boolean> {
  for await (const { bytes } of readPieces(files, path, offset)) {
    const newline = bytes.indexOf(NEWLINE);
    try {
      if (newline !== -1) decodeLine(bytes, 0, newline);
      return newline !== -1;
    } catch (error) {
      if (error instanceof BadLine) return false;
      throw error;
    }
  }
  return false;
}

/** The last line of a segment, its shape checked and its sum not; null where it cannot be read. */
export async function lastLine(files: Files, path: string): Promise<JournalRecord | null> {
  const size = (await files.stat(path))?.size ?? 0;
  return withReader(files, path, async (fd) => {
    for (let length = 64 * 1024; ; length *= 4) {
      const from = Math.max(0, size - length);
      const bytes = await readAt(files, fd, from, size - from);
      const end = bytes.length - 1;
      if (bytes[end] !== NEWLINE) return null;
      const start = bytes.subarray(0, end).lastIndexOf(NEWLINE) + 1;
      if (start === 0 && from > 0 && length < MAX_LINE_BYTES) continue;
      try {
        return decodeLine(bytes, start, end);
      } catch (error) {
        if (error instanceof BadLine) return null;
        throw error;
      }
    }
  });
}
