/**
 * A backup read back into a folder (FORMAT.md, "A backup"): every line is checked where it stands, and written as it
 * stands. Says only at the end whether the folder is a journal.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import type { Files } from "../lib/files.ts";
import { writeAll } from "../lib/files.ts";
import { JournalDamaged } from "./errors.ts";
import type { Piece } from "./lines.ts";
import { NEWLINE } from "./lines.ts";
import { BadLine, CHAIN_START, Chain, MAX_LINE_BYTES } from "./record.ts";
import { checkFirst } from "./segment.ts";
import { SnapshotReader } from "./snapshot.ts";
import type { Head } from "./types.ts";

const HEADER = /^\{"backup":1,"program":"[^"\\]*","at":"([^"\\]*)","seq":([1-9]\d{0,15})\}$/;
const FILE_KEY = '{"file":"';
const FILE = /^\{"file":"((\d{20})\.(jsonl|snapshot))"\}$/;
const END_KEY = '{"head":"';
const END = /^\{"head":"([1-9]\d{0,15}):([0-9a-f]{64})","sha256":"([0-9a-f]{64})"\}$/;

export interface Unpacked {
  /** The last line that the backup holds. */
  readonly head: Head;
  /** When it was made, as it says. */
  readonly at: string;
}

/**
 * Reads a whole backup and makes its files, synced, in `folder`, which must be empty. `name` is what errors call it.
 * Throws JournalDamaged with line and byte of the backup; what is in the folder then is worth nothing.
 */
export async function unpackBackup(
  files: Files,
  folder: string,
  name: string,
  source: AsyncIterable<Uint8Array>,
): Promise<Unpacked> {
  const unpacker = new Unpacker(files, folder, name);
  try {
    for await (const piece of wholeLines(source)) await unpacker.take(piece);
    const unpacked = unpacker.finish();
    await files.syncFolder(folder);
    return unpacked;
  } finally {
    await unpacker.abandon();
  }
}

/** Whole lines, as many as there are; only the last piece may end without a newline, or is a line that is too long. */
async function* wholeLines(source: AsyncIterable<Uint8Array>): AsyncGenerator<Piece, void, void> {
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

/** The file that lines go to, and what checks them. */
interface Open {
  readonly fd: number;
  readonly path: string;
  readonly seq: number;
  /** Null for a segment, whose lines the chain checks. */
  readonly snapshot: SnapshotReader | null;
  /** The line of the backup that names it. */
  readonly line: number;
  written: number;
}

class Unpacker {
  readonly #files: Files;
  readonly #folder: string;
  readonly #name: string;
  readonly #sha = createHash("sha256");
  #chain: Chain | null = null;
  #open: Open | null = null;
  #header: { readonly at: string; readonly seq: number } | null = null;
  #head: Head | null = null;
  /** Where reading stands, for errors. */
  #line = 0;
  #offset = 0;

  constructor(files: Files, folder: string, name: string) {
    this.#files = files;
    this.#folder = folder;
    this.#name = name;
  }

  async take({ bytes, offset }: Piece): Promise<void> {
    // The chain writes in the piece that it checks.
    const pristine = Buffer.from(bytes);
    /** From here on the lines belong to the open file and are not written yet. */
    let pending = 0;
    let hashed = 0;
    for (let at = 0; at < bytes.length;) {
      this.#line++;
      this.#offset = offset + at;
      const newline = bytes.indexOf(NEWLINE, at);
      if (newline === -1)
        throw this.#bad(
          bytes.length - at >= MAX_LINE_BYTES
            ? `is longer than ${MAX_LINE_BYTES} bytes`
            : "has no newline at its end: the backup is cut short",
        );
      if (this.#head !== null) throw this.#bad("follows the end of the backup");
      const next = newline + 1;
      const start = pristine.toString("latin1", at, at + FILE_KEY.length);
      if (this.#header === null || start === FILE_KEY || start === END_KEY) {
        await this.#write(pristine.subarray(pending, at));
        pending = next;
        const text = pristine.toString("latin1", at, newline);
        if (this.#header === null) this.#readHeader(text);
        else {
          await this.#closeFile();
          if (start === FILE_KEY) await this.#openFile(text);
          else {
            this.#sha.update(pristine.subarray(hashed, at));
            hashed = next;
            this.#readEnd(text);
          }
        }
      } else this.#check(bytes, pristine, at, newline);
      at = next;
    }
    await this.#write(pristine.subarray(pending));
    if (hashed < bytes.length) this.#sha.update(pristine.subarray(hashed));
    this.#offset = offset + bytes.length;
  }

  finish(): Unpacked {
    if (this.#header !== null && this.#head !== null) return { head: this.#head, at: this.#header.at };
    this.#line++;
    throw this.#bad(this.#header === null ? "is missing: the file is empty" : "is missing: the backup is cut short");
  }

  /** Lets go of what an error left open. */
  async abandon(): Promise<void> {
    const open = this.#open;
    this.#open = null;
    if (open !== null) await this.#files.close(open.fd).catch(() => undefined);
  }

  #readHeader(text: string): void {
    const [, at, seq] = HEADER.exec(text) ?? [];
    if (at === undefined || seq === undefined) throw this.#bad("is not the header of a backup that this version reads");
    this.#header = { at, seq: Number(seq) };
  }

  async #openFile(text: string): Promise<void> {
    const [, name, digits, kind] = FILE.exec(text) ?? [];
    const seq = Number(digits ?? NaN);
    if (name === undefined || !Number.isSafeInteger(seq) || seq < 1) throw this.#bad("names no file of a journal");
    const path = join(this.#folder, name);
    const fd = await this.#files.open(path, "wx", 0o600);
    const snapshot = kind === "snapshot" ? new SnapshotReader(path, () => undefined) : null;
    this.#open = { fd, path, seq, snapshot, line: this.#line, written: 0 };
  }

  /** Checks the line in `[at, newline)` as a line of the open file. */
  #check(bytes: Buffer, pristine: Buffer, at: number, newline: number): void {
    const open = this.#open;
    if (open === null) throw this.#bad("belongs to no file");
    this.#here(() => {
      if (open.snapshot !== null) return open.snapshot.take(pristine.subarray(at, newline + 1), 0);
      this.#chain ??= new Chain(open.seq === 1 ? CHAIN_START : null);
      const record = this.#chain.take(bytes, at, newline);
      if (this.#line === open.line + 1) checkFirst({ name: open.path, path: open.path, seq: open.seq }, record);
    });
  }

  /** What a line's own reader finds wrong is told with the place in the backup. */
  #here(run: () => void): void {
    try {
      run();
    } catch (error) {
      if (error instanceof BadLine) throw this.#bad(error.message);
      throw error instanceof JournalDamaged
        ? new JournalDamaged(this.#name, this.#line, this.#offset, error.reason)
        : error;
    }
  }

  #readEnd(text: string): void {
    const [, seq, sum, sha256] = END.exec(text) ?? [];
    if (seq === undefined || sum === undefined) throw this.#bad("is not the end of a backup that this version reads");
    if (sha256 !== this.#sha.digest("hex"))
      throw this.#bad("does not match: a line before it is not as it was written");
    const head = this.#chain?.head ?? null;
    const header = this.#header?.seq;
    if (head === null || head.seq !== Number(seq) || head.sum !== sum || header !== head.seq) {
      throw this.#bad(
        `ends the backup at ${seq}:${sum}, but its lines end with ` +
          `${head === null ? "nothing" : `${head.seq}:${head.sum}`}`,
      );
    }
    this.#head = head;
  }

  async #write(bytes: Uint8Array): Promise<void> {
    const open = this.#open;
    if (open === null || bytes.length === 0) return;
    await writeAll(this.#files, open.fd, bytes, open.written);
    open.written += bytes.length;
  }

  async #closeFile(): Promise<void> {
    const open = this.#open;
    if (open === null) return;
    this.#here(() => void open.snapshot?.finish());
    await this.#files.datasync(open.fd);
    this.#open = null;
    await this.#files.close(open.fd);
  }

  #bad(reason: string): JournalDamaged {
    return new JournalDamaged(this.#name, this.#line, this.#offset, `this line ${reason}`);
  }
}
