/**
 * A backup read back into a folder (FORMAT.md, "A backup"): every line is checked where it stands, and written as it
 * stands. Says only at the end whether the folder is a journal.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import type { Files } from "../lib/files.ts";
import { writeAll } from "../lib/files.ts";
import type { LinePlace } from "./errors.ts";
import { JournalDamaged } from "./errors.ts";
import type { Piece } from "./lines.ts";
import { CutLine, Lines, piecesOf } from "./lines.ts";
import { BadLine, CHAIN_START, Chain } from "./record.ts";
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
    for await (const piece of piecesOf(source)) await unpacker.take(piece);
    const unpacked = unpacker.finish();
    await files.syncFolder(folder);
    return unpacked;
  } finally {
    await unpacker.abandon();
  }
}

/** The file that lines go to, and what checks them. */
interface Open {
  readonly fd: number;
  readonly path: string;
  readonly seq: number;
  /** Null for a segment, whose lines the chain checks. */
  readonly snapshot: SnapshotReader | null;
  /** No line of it has come yet. */
  isNew: boolean;
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
  readonly #lines = new Lines();

  constructor(files: Files, folder: string, name: string) {
    this.#files = files;
    this.#folder = folder;
    this.#name = name;
  }

  async take(piece: Piece): Promise<void> {
    try {
      await this.#takeLines(piece);
    } catch (error) {
      throw this.#placed(error);
    }
  }

  async #takeLines(piece: Piece): Promise<void> {
    const { bytes } = piece;
    /** From here on the lines belong to the open file and are not written yet. */
    let pending = 0;
    let hashed = 0;
    for (const { start, end } of this.#lines.of(piece)) {
      if (this.#head !== null) throw new BadLine("follows the end of the backup");
      const key = bytes.toString("latin1", start, start + FILE_KEY.length);
      if (this.#header !== null && key !== FILE_KEY && key !== END_KEY) {
        this.#check(bytes, start, end);
        continue;
      }
      await this.#write(bytes.subarray(pending, start));
      pending = end + 1;
      const text = bytes.toString("latin1", start, end);
      if (this.#header === null) {
        this.#readHeader(text);
        continue;
      }
      await this.#closeFile();
      if (key === FILE_KEY) await this.#openFile(text);
      else {
        this.#sha.update(bytes.subarray(hashed, start));
        hashed = end + 1;
        this.#readEnd(text);
      }
    }
    await this.#write(bytes.subarray(pending));
    if (hashed < bytes.length) this.#sha.update(bytes.subarray(hashed));
  }

  /** What a line's own reader finds wrong is told with the place in the backup. */
  #placed(error: unknown): unknown {
    if (error instanceof JournalDamaged) return this.#damaged(this.#lines.place, error.reason);
    if (!(error instanceof BadLine)) return error;
    const more = error instanceof CutLine ? ": the backup is cut short" : "";
    return this.#damaged(this.#lines.place, `this line ${error.message}${more}`);
  }

  finish(): Unpacked {
    if (this.#header !== null && this.#head !== null) return { head: this.#head, at: this.#header.at };
    const why = this.#header === null ? "the file is empty" : "the backup is cut short";
    throw this.#damaged(this.#lines.nextPlace, `this line is missing: ${why}`);
  }

  /** Lets go of what an error left open. */
  async abandon(): Promise<void> {
    const open = this.#open;
    this.#open = null;
    if (open !== null) await this.#files.close(open.fd).catch(() => undefined);
  }

  #readHeader(text: string): void {
    const [, at, seq] = HEADER.exec(text) ?? [];
    if (at === undefined || seq === undefined)
      throw new BadLine("is not the header of a backup that this version reads");
    this.#header = { at, seq: Number(seq) };
  }

  async #openFile(text: string): Promise<void> {
    const [, name, digits, kind] = FILE.exec(text) ?? [];
    const seq = Number(digits ?? NaN);
    if (name === undefined || !Number.isSafeInteger(seq) || seq < 1) throw new BadLine("names no file of a journal");
    const path = join(this.#folder, name);
    const fd = await this.#files.open(path, "wx", 0o600);
    const snapshot = kind === "snapshot" ? new SnapshotReader(path, () => undefined) : null;
    this.#open = { fd, path, seq, snapshot, isNew: true, written: 0 };
  }

  /** Checks the line in `bytes[start, end)` as a line of the open file. */
  #check(bytes: Buffer, start: number, end: number): void {
    const open = this.#open;
    if (open === null) throw new BadLine("belongs to no file");
    const { path, seq, isNew } = open;
    open.isNew = false;
    if (open.snapshot !== null) {
      open.snapshot.take({ bytes: bytes.subarray(start, end + 1), offset: 0 });
      return;
    }
    this.#chain ??= new Chain(seq === 1 ? CHAIN_START : null);
    const record = this.#chain.take(bytes, start, end);
    if (isNew) checkFirst({ name: path, path, seq }, record);
  }

  #readEnd(text: string): void {
    const [, seq, sum, sha256] = END.exec(text) ?? [];
    if (seq === undefined || sum === undefined) throw new BadLine("is not the end of a backup that this version reads");
    if (sha256 !== this.#sha.digest("hex"))
      throw new BadLine("does not match: a line before it is not as it was written");
    const head = this.#chain?.head ?? null;
    const header = this.#header?.seq;
    if (head === null || head.seq !== Number(seq) || head.sum !== sum || header !== head.seq) {
      throw new BadLine(
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
    open.snapshot?.finish();
    await this.#files.datasync(open.fd);
    this.#open = null;
    await this.#files.close(open.fd);
  }

  #damaged(place: LinePlace, reason: string): JournalDamaged {
    return new JournalDamaged(this.#name, place, reason);
  }
}
