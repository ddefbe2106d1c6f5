/**
 * What every journal test needs: a folder of its own, a journal in it, a disk that fails when told, and a target that
 * remembers.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { Journal } from "../../src/journal/journal.ts";
import type { JournalOptions, ReplayTarget } from "../../src/journal/journal.ts";
import { NOTE_NAME } from "../../src/journal/names.ts";
import type { JournalEntry, JournalRecord } from "../../src/journal/types.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { diskFiles } from "../../src/lib/files.ts";
import type { Files } from "../../src/lib/files.ts";
import type { Log } from "../../src/lib/log.ts";

const silent = (): void => undefined;
export const quietLog: Log = { debug: silent, info: silent, warn: silent, error: silent };

/** The disk without its syncs: for enumerations of what a start finds, where nothing depends on when it was written. */
export const unsyncedFiles: Files = {
  ...diskFiles,
  datasync: () => Promise.resolve(),
  syncFolder: () => Promise.resolve(),
};

/** An empty folder, gone after the test. */
export function tempFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "zwrmd-journal-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Remembers what a replay gave it. */
export class Memory implements ReplayTarget {
  snapshot: unknown[] = [];
  records: JournalRecord[] = [];
  resets = 0;

  snapshotLine(line: unknown): void {
    this.snapshot.push(line);
  }

  reset(): void {
    this.snapshot = [];
    this.resets++;
  }

  record(record: JournalRecord): void {
    this.records.push(record);
  }

  get seqs(): number[] {
    return this.records.map((record) => record.seq);
  }
}

export function entry(data: unknown = { n: 1 }): JournalEntry {
  return { at: "2026-01-02T03:04:05.678Z", type: "test.said", actor: { kind: "system", id: null, ip: null }, data };
}

export function open(
  folder: string,
  more: Partial<JournalOptions> = {},
  target: ReplayTarget = new Memory(),
): Promise<Journal> {
  return Journal.open(
    { folder, files: unsyncedFiles, clock: systemClock, log: quietLog, segmentBytes: 64 * 1024 * 1024, ...more },
    target,
  );
}

/** Appends entries that share one write, and waits for it. Gives their seqs. */
export async function appendBatch(journal: Journal, count: number, data: unknown = { n: 1 }): Promise<number[]> {
  const seqs = Array.from({ length: count }, () => journal.append(entry(data)));
  await journal.settled(seqs.at(-1) ?? 0);
  return seqs;
}

/** Takes the note of the head away, as it is where a daemon was killed: only a stop in order notes the last line. */
export function forgetHead(folder: string): void {
  rmSync(join(folder, NOTE_NAME), { force: true });
}

/**
 * A journal as a kill leaves it, of batches of so many lines each; the first batch holds the segment's own first line
 * besides.
 */
export async function makeJournal(
  folder: string,
  batches: readonly number[],
  more: Partial<JournalOptions> = {},
  data: unknown = { n: 1 },
): Promise<void> {
  const journal = await open(folder, more);
  for (const count of batches) await appendBatch(journal, count, data);
  await journal.close();
  forgetHead(folder);
}

/** Opens a journal, ends it as a kill does, and gives what the replay found. */
export async function reopen(
  folder: string,
  files: Files = unsyncedFiles,
): Promise<Memory & { readonly head: number }> {
  const memory = new Memory();
  const journal = await open(folder, { files }, memory);
  const head = journal.durable.seq;
  await journal.close();
  forgetHead(folder);
  return Object.assign(memory, { head });
}

export function segmentNames(folder: string): string[] {
  return readdirSync(folder).filter((name) => name.endsWith(".jsonl"));
}

/** The path of the n-th segment, from 0. */
export function segmentPath(folder: string, index: number): string {
  const name = segmentNames(folder)[index];
  assert.ok(name !== undefined, `there is a segment ${index}`);
  return join(folder, name);
}

export interface PlacedLine {
  readonly start: number;
  /** Behind its newline. */
  readonly end: number;
  readonly seq: number;
  readonly batch: number;
}

export function placedLines(bytes: Buffer): PlacedLine[] {
  const lines: PlacedLine[] = [];
  for (let start = 0; start < bytes.length;) {
    const end = bytes.indexOf(10, start) + 1;
    const value: unknown = JSON.parse(bytes.toString("utf8", start, end));
    assert.ok(typeof value === "object" && value !== null && "seq" in value && "batch" in value);
    lines.push({ start, end, seq: Number(value.seq), batch: Number(value.batch) });
    start = end;
  }
  return lines;
}

/** Flips one bit of a file and gives the bytes as they were. */
export function flip(path: string, at: number, bit = at % 8): Buffer {
  const before = readFileSync(path);
  const after = Buffer.from(before);
  after[at] = (before[at] ?? 0) ^ (1 << bit);
  writeFileSync(path, after);
  return before;
}

export type CallName =
  "open" | "close" | "read" | "write" | "truncate" | "datasync" | "rename" | "unlink" | "syncFolder";

export interface Call {
  readonly name: CallName;
  readonly path: string;
}

/** The disk, with a hook before every call and room that can run out. */
export class FaultyFiles implements Files {
  /** May throw, or hold the call back. */
  before: (call: Call) => void | Promise<void> = silent;
  /** Bytes that can still be written; a write takes what there is, and fails where there is nothing. */
  room = Infinity;
  readonly calls: Call[] = [];
  readonly #paths = new Map<number, string>();

  failWith(name: CallName, code: string, where: (path: string) => boolean = () => true): void {
    this.before = (call) => {
      if (call.name === name && where(call.path)) throw systemError(code, name);
    };
  }

  heal(): void {
    this.before = silent;
    this.room = Infinity;
  }

  count(name: CallName, ending = ""): number {
    return this.calls.filter((call) => call.name === name && call.path.endsWith(ending)).length;
  }

  async #enter(name: CallName, place: number | string): Promise<void> {
    const call = { name, path: typeof place === "string" ? place : (this.#paths.get(place) ?? "") };
    this.calls.push(call);
    await this.before(call);
  }

  async open(path: string, flags: "r" | "r+" | "a+" | "w" | "wx" | "wx+", mode?: number): Promise<number> {
    await this.#enter("open", path);
    const fd = await diskFiles.open(path, flags, mode);
    this.#paths.set(fd, path);
    return fd;
  }

  async close(fd: number): Promise<void> {
    await this.#enter("close", fd);
    await diskFiles.close(fd);
  }

  async read(fd: number, buffer: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    await this.#enter("read", fd);
    return diskFiles.read(fd, buffer, offset, length, position);
  }

  async write(fd: number, buffer: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    await this.#enter("write", fd);
    if (this.room <= 0) throw systemError("ENOSPC", "write");
    const written = await diskFiles.write(fd, buffer, offset, Math.min(length, this.room), position);
    this.room -= written;
    return written;
  }

  async truncate(fd: number, length: number): Promise<void> {
    await this.#enter("truncate", fd);
    await diskFiles.truncate(fd, length);
  }

  async datasync(fd: number): Promise<void> {
    await this.#enter("datasync", fd);
    await diskFiles.datasync(fd);
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#enter("rename", from);
    await diskFiles.rename(from, to);
  }

  async unlink(path: string): Promise<void> {
    await this.#enter("unlink", path);
    await diskFiles.unlink(path);
  }

  async syncFolder(path: string): Promise<void> {
    await this.#enter("syncFolder", path);
    await diskFiles.syncFolder(path);
  }

  mkdir(path: string, mode?: number): Promise<void> {
    return diskFiles.mkdir(path, mode);
  }

  list(path: string): Promise<string[]> {
    return diskFiles.list(path);
  }

  stat(path: string): ReturnType<Files["stat"]> {
    return diskFiles.stat(path);
  }

  space(path: string): ReturnType<Files["space"]> {
    return diskFiles.space(path);
  }
}

export function systemError(code: string, syscall: string): Error {
  return Object.assign(new Error(`${code}: made by the test, ${syscall}`), { code, syscall });
}
