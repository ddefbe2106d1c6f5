/**
 * Snapshots: a state as lines, with the head of the chain that it covers and its own SHA-256. What the lines mean is
 * for the layer above.
 */
import { createHash } from "node:crypto";
import type { Hash } from "node:crypto";
import { join } from "node:path";
import type { Files } from "../lib/files.ts";
import { writeAll } from "../lib/files.ts";
import type { LinePlace } from "./errors.ts";
import { JournalDamaged } from "./errors.ts";
import type { Piece } from "./lines.ts";
import { Lines, readPieces } from "./lines.ts";
import { snapshotName } from "./names.ts";
import { BadLine } from "./record.ts";
import type { Head } from "./types.ts";

export { listSnapshots } from "./names.ts";

const WRITE_BYTES = 1024 * 1024;
const HEADER = /^\{"snapshot":1,"seq":([1-9]\d{0,15}),"sum":"([0-9a-f]{64})"\}$/;
const TRAILER_KEY = '{"lines":';
const TRAILER = /^\{"lines":(\d{1,16}),"sha256":"([0-9a-f]{64})"\}$/;

/**
 * Writes a snapshot of the state after `head` and gives its file name. `lines` are JSON texts without newlines, none of
 * which begins with `{"lines":`. The file is there whole and synced, or not at all. A snapshot of the same head is
 * replaced.
 */
export async function writeSnapshot(
  files: Files,
  folder: string,
  head: Head,
  lines: Iterable<string>,
): Promise<string> {
  const name = snapshotName(head.seq);
  const beside = join(folder, `.${name}.new`);
  const fd = await files.open(beside, "w", 0o600);
  try {
    await writeLines(files, fd, head, lines);
    await files.datasync(fd);
  } catch (error) {
    await files.close(fd).catch(() => undefined);
    await files.unlink(beside).catch(() => undefined);
    throw error;
  }
  await files.close(fd);
  await files.rename(beside, join(folder, name));
  await files.syncFolder(folder);
  return name;
}

async function writeLines(files: Files, fd: number, head: Head, lines: Iterable<string>): Promise<void> {
  const sha = createHash("sha256");
  let position = 0;
  let count = 0;
  let text = `{"snapshot":1,"seq":${head.seq},"sum":"${head.sum}"}\n`;
  const flush = async (): Promise<void> => {
    const bytes = Buffer.from(text);
    text = "";
    sha.update(bytes);
    await writeAll(files, fd, bytes, position);
    position += bytes.length;
  };
  for (const line of lines) {
    if (line.includes("\n") || line.startsWith(TRAILER_KEY))
      throw new Error(`journal: not a line of a snapshot: ${line.slice(0, 80)}`);
    text += `${line}\n`;
    count++;
    if (text.length >= WRITE_BYTES) await flush();
  }
  await flush();
  await writeAll(files, fd, Buffer.from(`${TRAILER_KEY}${count},"sha256":"${sha.digest("hex")}"}\n`), position);
}

/**
 * Reads a snapshot, giving each line between header and trailer to `onLine` as it comes, and says what head it covers.
 * Throws JournalDamaged on any mismatch, perhaps after lines were given: what they built is to be thrown away then.
 * Passes on what `onLine` throws.
 */
export async function readSnapshot(files: Files, path: string, onLine: (line: unknown) => void): Promise<Head> {
  const reader = new SnapshotReader(path, onLine);
  for await (const piece of readPieces(files, path, 0)) reader.take(piece);
  return reader.finish();
}

/** Takes a snapshot's bytes piece by piece; each piece is whole lines. */
export class SnapshotReader {
  readonly #path: string;
  readonly #onLine: (line: unknown) => void;
  readonly #sha: Hash = createHash("sha256");
  #head: Head | null = null;
  readonly #lines = new Lines();
  /** Lines of the layer above. */
  #count = 0;
  #isDone = false;

  constructor(path: string, onLine: (line: unknown) => void) {
    this.#path = path;
    this.#onLine = onLine;
  }

  take(piece: Piece): void {
    try {
      this.#takeLines(piece);
    } catch (error) {
      throw error instanceof BadLine ? this.#damaged(this.#lines.place, error) : error;
    }
  }

  #takeLines(piece: Piece): void {
    const { bytes } = piece;
    let hashed = 0;
    for (const { start, end } of this.#lines.of(piece)) {
      if (this.#isDone) throw new BadLine("follows the trailer");
      const text = bytes.toString("utf8", start, end);
      if (this.#head === null) this.#readHeader(text);
      else if (text.startsWith(TRAILER_KEY)) {
        this.#sha.update(bytes.subarray(hashed, start));
        hashed = bytes.length;
        this.#readTrailer(text);
      } else {
        this.#count++;
        this.#onLine(parse(text));
      }
    }
    if (hashed < bytes.length) this.#sha.update(bytes.subarray(hashed));
  }

  finish(): Head {
    if (this.#head !== null && this.#isDone) return this.#head;
    throw this.#damaged(this.#lines.nextPlace, new BadLine("is missing: the snapshot is cut short"));
  }

  #readHeader(text: string): void {
    const [, seq, sum] = HEADER.exec(text) ?? [];
    if (seq === undefined || sum === undefined)
      throw new BadLine("is not the header of a snapshot that this version reads");
    if (!this.#path.endsWith(snapshotName(Number(seq))))
      throw new BadLine(`says seq ${seq}, which the file's name does not`);
    this.#head = { seq: Number(seq), sum };
  }

  #readTrailer(text: string): void {
    const [, lines, sha] = TRAILER.exec(text) ?? [];
    if (lines === undefined || Number(lines) !== this.#count)
      throw new BadLine("is not the trailer of the lines before it");
    if (sha !== this.#sha.digest("hex")) throw new BadLine("does not match: a line before it is not as it was written");
    this.#isDone = true;
  }

  #damaged(place: LinePlace, { message }: BadLine): JournalDamaged {
    return new JournalDamaged(this.#path, place, `this line ${message}`);
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new BadLine("is not JSON");
  }
}
