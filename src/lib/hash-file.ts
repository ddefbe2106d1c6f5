/** The SHA-256 of a file's bytes, read piece by piece. */
import { createHash } from "node:crypto";
import type { Files } from "./files.ts";

/** So small that hashing one holds up nobody's heartbeat. */
const PIECE_BYTES = 256 * 1024;

export interface HashedFile {
  /** 64 lower-case hex. */
  readonly sha256: string;
  readonly sizeBytes: number;
}

/**
 * Reads the whole file. `goOn` is called before each piece, and ends the reading by what it throws: without it a stop
 * would wait for the end of an image, or worse, not wait and go on beside the next process. Rejects with the system's
 * error where the file is missing or cannot be read.
 */
export async function hashFile(files: Files, path: string, goOn: () => void): Promise<HashedFile> {
  const fd = await files.open(path, "r");
  try {
    const hash = createHash("sha256");
    // Not from the pool of small buffers, which it would fill.
    const buffer = Buffer.allocUnsafeSlow(PIECE_BYTES);
    let sizeBytes = 0;
    for (;;) {
      goOn();
      const got = await files.read(fd, buffer, 0, buffer.length, sizeBytes);
      if (got === 0) return { sha256: hash.digest("hex"), sizeBytes };
      hash.update(buffer.subarray(0, got));
      sizeBytes += got;
    }
  } finally {
    await files.close(fd);
  }
}
