/** Files and streams as pieces of bounded size, pieces as lines with their places. Knows nothing of what lines say. */
import { messageOf, systemCode } from "../lib/errors.ts";
import type { Files } from "../lib/files.ts";
import type { LinePlace } from "./errors.ts";
import { BadLine, MAX_LINE_BYTES } from "./record.ts";

/** Large enough that system calls do not count, small enough to come back to the event loop every few milliseconds. */
const PIECE_BYTES = 1024 * 1024;
export const NEWLINE = 0x0a;

/** Whole lines, each with its newline; only the last piece of a file may end without one. */
export interface Piece {
  /**
   * Nobody writes in it before the next piece is asked for. Then `readPieces` takes the same memory again: a read costs
   * 0.1 ms of CPU a MiB so, with new memory for each 0.2 to 0.6; to check the lines of a MiB costs about 15.
   */
  readonly bytes: Buffer;
  /** Where `bytes` begins in the file. */
  readonly offset: number;
}

/**
 * The file from `from` on. A line of more than MAX_LINE_BYTES comes as a last piece without a newline, and nothing
 * after it.
 */
export async function* readPieces(files: Files, path: string, from: number): AsyncGenerator<Piece, void, void> {
  const fd = await files.open(path, "r");
  try {
    let buffer: Buffer = Buffer.allocUnsafe(PIECE_BYTES);
    let offset = from;
    let filled = 0;
    for (;;) {
      if (filled === buffer.length) buffer = grow(buffer);
      const got = await files
        .read(fd, buffer, filled, buffer.length - filled, offset + filled)
        .catch((error: unknown) => {
          throw unreadable(path, offset + filled, error);
        });
      const end = filled + got;
      const cut = buffer.subarray(filled, end).lastIndexOf(NEWLINE) + filled + 1;
      const isWhole = cut > filled;
      filled = end;
      if (isWhole) {
        yield { bytes: buffer.subarray(0, cut), offset };
        buffer.copyWithin(0, cut, filled);
        offset += cut;
        filled -= cut;
      } else if (got === 0 || filled >= MAX_LINE_BYTES) {
        if (filled > 0) yield { bytes: buffer.subarray(0, filled), offset };
        return;
      }
    }
  } finally {
    // A reader's descriptor holds nothing that could be lost, and an error on the way here is the one to tell.
    await files.close(fd).catch(() => undefined);
  }
}

/** The same of bytes that come in whatever pieces. */
export async function* piecesOf(source: AsyncIterable<Uint8Array>): AsyncGenerator<Piece, void, void> {
  let rest: Uint8Array[] = [];
  let restBytes = 0;
  let offset = 0;
  for await (const chunk of source) {
    const cut = chunk.lastIndexOf(NEWLINE) + 1;
    if (cut > 0) {
      const bytes = Buffer.concat([...rest, chunk.subarray(0, cut)]);
      yield { bytes, offset };
      offset += bytes.length;
      rest = [];
      restBytes = 0;
    }
    rest.push(chunk.subarray(cut));
    restBytes += chunk.length - cut;
    if (restBytes > MAX_LINE_BYTES) break;
  }
  if (restBytes > 0) yield { bytes: Buffer.concat(rest), offset };
}

/** A line in a piece: from `start` to its newline, at `end`. */
export interface Line {
  readonly start: number;
  readonly end: number;
}

/** Walks along the lines of one file, and knows where it stands. Nothing else splits or counts lines. */
export class Lines {
  #line: number | null;
  #offset: number;
  #end: number;

  /** `from` is where the first piece begins, in bytes. */
  constructor(from = 0) {
    this.#line = from === 0 ? 0 : null;
    this.#offset = from;
    this.#end = from;
  }

  /** The line that was given last, or could not be. */
  get place(): LinePlace {
    return { line: this.#line, offset: this.#offset };
  }

  /** The line that would follow it. */
  get nextPlace(): LinePlace {
    return { line: this.#line === null ? null : this.#line + 1, offset: this.#end };
  }

  /** The lines of the piece that follows the one before. Throws BadLine where the last has no newline. */
  *of({ bytes, offset }: Piece): Generator<Line, void, void> {
    for (let start = 0; start < bytes.length;) {
      if (this.#line !== null) this.#line++;
      this.#offset = offset + start;
      const end = bytes.indexOf(NEWLINE, start);
      if (end === -1) throw unfinished(bytes.subarray(start));
      this.#end = offset + end + 1;
      yield { start, end };
      start = end + 1;
    }
  }
}

/** A line that ends with its file. */
export class CutLine extends BadLine {}

function unfinished(line: Buffer): BadLine {
  if (line.length >= MAX_LINE_BYTES) return new BadLine(`is longer than ${MAX_LINE_BYTES} bytes`);
  const isZero = line.every((byte) => byte === 0);
  return isZero ? new BadLine("is filled with NUL bytes") : new CutLine("has no newline at its end");
}

/** A system error of a read names no file; a disk that cannot be read is told with its place, and keeps its code. */
function unreadable(path: string, position: number, cause: unknown): Error {
  return Object.assign(new Error(`journal: cannot read ${path} at byte ${position}: ${messageOf(cause)}`, { cause }), {
    code: systemCode(cause) ?? "EIO",
  });
}

function grow(buffer: Buffer): Buffer {
  const larger = Buffer.allocUnsafe(Math.min(buffer.length * 2, MAX_LINE_BYTES));
  buffer.copy(larger);
  return larger;
}

/** Reads up to `length` bytes at `position`, fewer only at the end of the file. */
export async function readAt(files: Files, fd: number, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(length);
  let filled = 0;
  while (filled < length) {
    const got = await files.read(fd, buffer, filled, length - filled, position + filled);
    if (got === 0) break;
    filled += got;
  }
  return buffer.subarray(0, filled);
}

/** Runs with a file open for reading, closed again whatever happens. */
export async function withReader<T>(files: Files, path: string, run: (fd: number) => Promise<T>): Promise<T> {
  const fd = await files.open(path, "r");
  try {
    return await run(fd);
  } finally {
    await files.close(fd).catch(() => undefined);
  }
}
