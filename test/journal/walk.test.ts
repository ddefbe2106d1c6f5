/** One walk for every reader of the log: the same damage is told in the same place, what is read stays as it was. */
import assert from "node:assert/strict";
import { appendFileSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import type { TestContext } from "node:test";
import { writeBackup } from "../../src/journal/backup.ts";
import { dumpJournal } from "../../src/journal/dump.ts";
import { JournalDamaged, WHOLE_FILE } from "../../src/journal/errors.ts";
import { foldClosed } from "../../src/journal/fold.ts";
import { CHAIN_START, Chain, decodeLine, encodeLine, encodeTail } from "../../src/journal/record.ts";
import { unpackBackup } from "../../src/journal/unpack.ts";
import { readSnapshot, writeSnapshot } from "../../src/journal/snapshot.ts";
import { verifyJournal } from "../../src/journal/verify.ts";
import {
  Memory,
  entry,
  flip,
  makeJournal,
  placedLines,
  reopen,
  segmentNames,
  segmentPath,
  tempFolder,
  unsyncedFiles,
} from "./lab.ts";

const LAST = 40;
const write = (): Promise<void> => Promise.resolve();

/** Whoever reads a journal, from its first line to its last. */
const READERS: Readonly<Record<string, (folder: string) => Promise<unknown>>> = {
  start: (folder) => reopen(folder),
  verify: (folder) => drain(verifyJournal(unsyncedFiles, folder)),
  dump: (folder) => drain(dumpJournal(unsyncedFiles, folder, { from: 1, until: null })),
  events: (folder) => drain(dumpJournal(unsyncedFiles, folder, { from: 1, until: LAST })),
  backup: (folder) => writeBackup(unsyncedFiles, folder, { until: LAST, at: "then", program: "zwrmd", write }),
  fold: (folder) => foldClosed(unsyncedFiles, folder, new Memory()),
};

async function drain(items: AsyncIterable<unknown>): Promise<void> {
  for await (const _item of items) continue;
}

/** Lines 1 to at least LAST, in segments of three lines of their own. */
async function bench(t: TestContext): Promise<string> {
  const folder = join(tempFolder(t), "journal");
  await makeJournal(folder, Array<number>(36).fill(1), { segmentBytes: 700 });
  assert.ok(segmentNames(folder).length > 6);
  return folder;
}

async function damage(work: Promise<unknown>): Promise<JournalDamaged> {
  const error: unknown = await work.then(
    () => "nothing was refused",
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof JournalDamaged, String(error));
  return error;
}

async function assertAllTell(folder: string, file: string, place: object, reason: RegExp): Promise<void> {
  for (const [name, read] of Object.entries(READERS)) {
    const error = await damage(read(folder));
    assert.deepEqual([error.file, error.place], [file, place], `${name}: ${error.message}`);
    assert.match(error.reason, reason, name);
  }
}

test("every reader tells a damaged line of a closed segment with the same file, line, byte and reason", async (t) => {
  const folder = await bench(t);
  const path = segmentPath(folder, 3);
  const lines = placedLines(readFileSync(path));
  for (const [index, { start, end }] of lines.entries()) {
    const place = { line: index + 1, offset: start };
    const before = flip(path, start + 90);
    await assertAllTell(folder, path, place, /^this line does not match its sum: /);
    // The newline of the last line only: without another's the next line would be part of this one.
    if (index === lines.length - 1) {
      truncateSync(path, end - 1);
      await assertAllTell(folder, path, place, /^this line has no newline at its end$/);
    }
    writeFileSync(path, before);
  }
});

test("every reader names the segment that does not follow, no line of it, and says what is missing", async (t) => {
  const folder = await bench(t);
  rmSync(segmentPath(folder, 3));
  const found = /^it begins with seq \d+, but the lines before it end with seq \d+: 0\d+\.jsonl is missing, or the/;
  await assertAllTell(folder, segmentPath(folder, 3), WHOLE_FILE, found);
});

test("a closed segment that was emptied is missed, also where nothing before it is left to tell", async (t) => {
  const folder = await bench(t);
  rmSync(segmentPath(folder, 0));
  truncateSync(segmentPath(folder, 0), 0);
  const error = await damage(drain(verifyJournal(unsyncedFiles, folder)));
  assert.deepEqual([error.file, error.place], [segmentPath(folder, 1), WHOLE_FILE]);
});

test("damage is told by its byte alone where reading began in the middle of a segment", async (t) => {
  const folder = join(tempFolder(t), "journal");
  await makeJournal(folder, [600], {}, "x".repeat(1_200));
  const path = segmentPath(folder, 0);
  const { start = 0 } = placedLines(readFileSync(path))[590] ?? {};
  flip(path, start + 100);
  const { message, place } = await damage(drain(dumpJournal(unsyncedFiles, folder, { from: 580, until: 600 })));
  assert.deepEqual(place, { line: null, offset: start });
  assert.ok(message.startsWith(`journal: damaged: ${path}, byte ${start}: this line does not match`), message);
});

test("a snapshot that is cut short is told with the missing line, and the byte where it would begin", async (t) => {
  const folder = tempFolder(t);
  const name = await writeSnapshot(unsyncedFiles, folder, { seq: 7, sum: "a".repeat(64) }, ["1", "2"]);
  const path = join(folder, name);
  const bytes = readFileSync(path);
  const trailer = bytes.indexOf('{"lines"');
  truncateSync(path, trailer);
  const { place, reason } = await damage(readSnapshot(unsyncedFiles, path, () => undefined));
  assert.deepEqual([place, reason], [{ line: 4, offset: trailer }, "this line is missing: the snapshot is cut short"]);
});

test("damage of a whole file names neither line nor byte", () => {
  const { message, line, offset } = new JournalDamaged("/j/1.jsonl", WHOLE_FILE, "this segment is missing");
  assert.deepEqual([message, line, offset], ["journal: damaged: /j/1.jsonl: this segment is missing", null, null]);
});

test("a line that is read and checked stays as it was given", () => {
  const { line } = encodeLine(CHAIN_START.sum, 1, 1, encodeTail(entry({ text: "ü".repeat(20_000) })));
  const bytes = Buffer.from(`before${line}behind`);
  const [start, end] = [6, bytes.length - 7];
  for (const head of [CHAIN_START, null]) assert.equal(new Chain(head).take(bytes, start, end).seq, 1);
  assert.equal(decodeLine(bytes, start, end).seq, 1);
  assert.equal(bytes.toString(), `before${line}behind`);
});

test("a backup that is unpacked stays as it was given, and a line longer than any before is read", async (t) => {
  const root = tempFolder(t);
  const folder = join(root, "journal");
  await makeJournal(folder, [2, 1, 1], {}, "x".repeat(40_000));
  const parts: Uint8Array[] = [];
  await writeBackup(unsyncedFiles, folder, {
    until: 5,
    at: "then",
    program: "zwrmd",
    write: (part) => Promise.resolve(void parts.push(Buffer.from(part))),
  });
  const file = Buffer.concat(parts);
  const before = Buffer.from(file);
  const again = join(root, "again");
  mkdirSync(again);
  async function* whole(): AsyncGenerator<Uint8Array> {
    yield await Promise.resolve(file);
  }
  assert.equal((await unpackBackup(unsyncedFiles, again, "the backup", whole())).head.seq, 5);
  assert.ok(file.equals(before));
  assert.ok(readFileSync(segmentPath(again, 0)).equals(readFileSync(segmentPath(folder, 0))));
});

test("a segment of several pieces is copied byte for byte, and a torn end of it is cut where it begins", async (t) => {
  const root = tempFolder(t);
  const folder = join(root, "journal");
  await makeJournal(folder, [900, 900], {}, "x".repeat(2_000));
  const path = segmentPath(folder, 0);
  const whole = readFileSync(path);
  assert.ok(whole.length > 3 * 1024 * 1024);
  const parts: Uint8Array[] = [];
  await writeBackup(unsyncedFiles, folder, {
    until: 1_801,
    at: "then",
    program: "zwrmd",
    write: (part) => Promise.resolve(void parts.push(Buffer.from(part))),
  });
  assert.ok(Buffer.concat(parts).includes(whole));
  appendFileSync(path, '{"sum":"half a li');
  assert.equal((await reopen(folder)).head, 1_801);
  assert.ok(readFileSync(path).equals(whole));
});
