/**
 * Snapshots: a state as lines, with the head of the chain that it covers and its own SHA-256. What the lines mean is
 * for the layer above.
 */
import { createHash } from "node:crypto";
import type { Hash } from "node:crypto";
import { join } from "node:path";
import type { Files } from "../lib/files.ts";
import { writeAll } from "../lib/files.ts";
import { JournalDamaged } from "./errors.ts";
import { NEWLINE, readPieces } from "./lines.ts";
import { snapshotName } from "./names.ts";
import { MAX_LINE_BYTES } from "./record.ts";
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
  for await (const { bytes, offset } of readPieces(files, path, 0)) reader.take(bytes, offset);
  return reader.finish();
}

/** Takes a snapshot's bytes piece by piece; each piece is whole lines. */
export class SnapshotReader {
  readonly #path: string;
  readonly #onLine: (line: unknown) => void;
  readonly #sha: Hash = createHash("sha256");
  #head: Head | null = null;
  #line = 0;
  #offset = 0;
  #isDone = false;

  constructor(path: string, onLine: (line: unknown) => void) {
    this.#path = path;
    this.#onLine = onLine;
  }

  take(bytes: Buffer, offset: number): void {
    let hashed = 0;
    for (let at = 0; at < bytes.length;) {
      this.#line++;
      this.#offset = offset + at;
      const end = bytes.indexOf(NEWLINE, at);
      if (this.#isDone) throw this.#bad("follows the trailer");
      if (end === -1)
        throw this.#bad(
          bytes.length - at >= MAX_LINE_BYTES ? `is longer than ${MAX_LINE_BYTES} bytes` : "has no newline at its end",
        );
      const text = bytes.toString("utf8", at, end);
      if (this.#head === null) this.#readHeader(text);
      else if (text.startsWith(TRAILER_KEY)) {
        this.#sha.update(bytes.subarray(hashed, at));
        hashed = bytes.length;
        this.#readTrailer(text);
      } else this.#onLine(this.#parse(text));
      at = end + 1;
    }
    if (hashed < bytes.length) this.#sha.update(bytes.subarray(hashed));
  }

  finish(): Head {
    this.#line++;
    if (this.#head === null || !this.#isDone) throw this.#bad("is missing: the snapshot is cut short");
    return this.#head;
  }

  #readHeader(text: string): void {
    const [, seq, sum] = HEADER.exec(text) ?? [];
    if (seq === undefined || sum === undefined)
      throw this.#bad("is not the header of a snapshot that this version reads");
    if (!this.#path.endsWith(snapshotName(Number(seq))))
      throw this.#bad(`says seq ${seq}, which the file's name does not`);
    this.#head = { seq: Number(seq), sum };
  }

  #readTrailer(text: string): void {
    const [, lines, sha] = TRAILER.exec(text) ?? [];
    if (lines === undefined || Number(lines) !== this.#line - 2)
      throw this.#bad("is not the trailer of the lines before it");
    if (sha !== this.#sha.digest("hex")) throw this.#bad("does not match: a line before it is not as it was written");
    this.#isDone = true;
  }

  #parse(text: string): unknown {
    try {
      return JSON.parse(text);
    } catch {
      throw this.#bad("is not JSON");
    }
  }

  #bad(reason: string): JournalDamaged {
    return new JournalDamaged(this.#path, this.#line, this.#offset, `this line ${reason}`);
  }
}
