/** Reads a file of lines in pieces of bounded size. Knows nothing of what the lines say. */
import { messageOf, systemCode } from "../lib/errors.ts";
import type { Files } from "../lib/files.ts";
import { MAX_LINE_BYTES } from "./record.ts";

/** Large enough that system calls do not count, small enough to come back to the event loop every few milliseconds. */
const PIECE_BYTES = 1024 * 1024;
export const NEWLINE = 0x0a;

/** Whole lines, each with its newline; only the last piece of a file may end without one. */
export interface Piece {
  /** Valid until the next piece is asked for; the reader of the piece may write in it. */
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
