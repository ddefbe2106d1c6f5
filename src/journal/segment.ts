/**
 * What a segment begins with, and looks into one that walk no line after the other: for its last line, for proof behind
 * a bad one. Changes nothing.
 */
import type { Files } from "../lib/files.ts";
import { VERSION } from "../lib/version.ts";
import { JournalDamaged } from "./errors.ts";
import type { Piece } from "./lines.ts";
import { Lines, NEWLINE, readAt, readPieces, withReader } from "./lines.ts";
import type { Named } from "./names.ts";
import { BadLine, LINE_START_BYTES, MAX_LINE_BYTES, SUM_KEY, decodeLine, startOf } from "./record.ts";
import type { JournalEntry, JournalRecord } from "./types.ts";

export const SEGMENT_TYPE = "journal.segment";
/** What `data.format` of a segment's first line says. */
export const FORMAT = 1;

const SCAN_BYTES = 1024 * 1024;

/** What a segment begins with; `at` is RFC 3339. */
export function firstEntry(at: string): JournalEntry {
  const data = { format: FORMAT, program: `zwrmd ${VERSION}` };
  return { at, type: SEGMENT_TYPE, actor: { kind: "system", id: null, ip: null }, data };
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
    { line: 1, offset: 0 },
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
  for await (const piece of readPieces(files, path, offset)) return firstReads(piece);
  return false;
}

function firstReads(piece: Piece): boolean {
  try {
    for (const { start, end } of new Lines(piece.offset).of(piece)) {
      decodeLine(piece.bytes, start, end);
      return true;
    }
  } catch (error) {
    if (!(error instanceof BadLine)) throw error;
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
