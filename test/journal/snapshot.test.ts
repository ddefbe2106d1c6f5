/**
 * Snapshots at a start: the newest good one counts, a bad one is passed over, and one that cannot be of this journal
 * stops the start.
 */
import assert from "node:assert/strict";
import { readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { foldClosed } from "../../src/journal/fold.ts";
import { JournalDamaged } from "../../src/journal/journal.ts";
import { snapshotName } from "../../src/journal/names.ts";
import { listSnapshots, readSnapshot, writeSnapshot } from "../../src/journal/snapshot.ts";
import type { Head } from "../../src/journal/types.ts";
import { diskFiles } from "../../src/lib/files.ts";
import {
  FaultyFiles,
  Memory,
  appendBatch,
  flip,
  forgetHead,
  makeJournal,
  open,
  reopen,
  segmentNames,
  segmentPath,
  tempFolder,
} from "./lab.ts";

const LINES = ['["hosts","h-1",{}]', '{"n":2}', '"é🦀"'];

interface Bench {
  readonly folder: string;
  readonly heads: readonly Head[];
  readonly last: number;
}

function lastSegment(folder: string): string {
  return segmentPath(folder, segmentNames(folder).length - 1);
}

/** A journal of several segments with a snapshot at the end of each closed one. */
async function bench(t: TestContext, snapshots: boolean): Promise<Bench> {
  const folder = join(tempFolder(t), "journal");
  const journal = await open(folder, { segmentBytes: 700 });
  const heads: Head[] = [];
  journal.onSegmentClosed(({ head }) => heads.push(head));
  for (let round = 0; round < 10; round++) await appendBatch(journal, 1);
  const last = journal.durable.seq;
  await journal.close();
  assert.ok(heads.length >= 3);
  if (snapshots) for (const head of heads) await writeSnapshot(diskFiles, folder, head, LINES);
  return { folder, heads, last };
}

const upTo = (first: number, last: number): number[] =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index);

function at<T>(list: readonly T[], index: number): T {
  const item = list.at(index);
  assert.ok(item !== undefined);
  return item;
}

test("a snapshot gives back its lines and its head, and is there whole or not at all", async (t) => {
  const folder = tempFolder(t);
  const head = { seq: 7, sum: "ab".repeat(32) };
  for (const lines of [
    LINES,
    [],
    Array.from({ length: 50_000 }, (_, n) => JSON.stringify({ n, text: "x".repeat(40) })),
  ]) {
    assert.equal(await writeSnapshot(diskFiles, folder, head, lines), snapshotName(7));
    const read: string[] = [];
    assert.deepEqual(
      await readSnapshot(diskFiles, join(folder, snapshotName(7)), (line) => read.push(JSON.stringify(line))),
      head,
    );
    assert.deepEqual(read, lines);
  }
  const files = new FaultyFiles();
  files.room = 100_000;
  await assert.rejects(writeSnapshot(files, folder, { ...head, seq: 8 }, ["x".repeat(200_000)]), /ENOSPC/);
  await assert.rejects(writeSnapshot(files, folder, { ...head, seq: 8 }, ["a\nb"]), /not a line/);
  await assert.rejects(writeSnapshot(files, folder, { ...head, seq: 8 }, ['{"lines":1}']), /not a line/);
  assert.deepEqual(readdirSync(folder), [snapshotName(7)]);
  assert.deepEqual(
    (await listSnapshots(diskFiles, folder)).map(({ seq }) => seq),
    [7],
  );
});

test("one bit flipped or one byte cut anywhere in a snapshot is found", async (t) => {
  const folder = tempFolder(t);
  const path = join(folder, await writeSnapshot(diskFiles, folder, { seq: 7, sum: "ab".repeat(32) }, LINES));
  const whole = readFileSync(path);
  for (let byte = 0; byte < whole.length; byte++) {
    flip(path, byte);
    await assert.rejects(
      readSnapshot(diskFiles, path, () => undefined),
      JournalDamaged,
      `byte ${byte} flipped`,
    );
    writeFileSync(path, whole.subarray(0, byte));
    await assert.rejects(
      readSnapshot(diskFiles, path, () => undefined),
      JournalDamaged,
      `cut at ${byte}`,
    );
    writeFileSync(path, whole);
  }
  writeFileSync(path, whole.toString("utf8").replace('{"lines":3,', '{"lines":2,'));
  await assert.rejects(
    readSnapshot(diskFiles, path, () => undefined),
    JournalDamaged,
  );
  writeFileSync(path, Buffer.concat([whole, Buffer.from("1\n")]));
  await assert.rejects(
    readSnapshot(diskFiles, path, () => undefined),
    JournalDamaged,
  );
});

test("starts from the newest good snapshot and reads only the lines behind it", async (t) => {
  const { folder, heads, last } = await bench(t, true);
  const found = await reopen(folder);
  assert.deepEqual(
    found.snapshot,
    LINES.map((line) => JSON.parse(line) as unknown),
  );
  assert.deepEqual(found.seqs, upTo(at(heads, -1).seq + 1, last));
  // Damage before the snapshot is for verify to find; this start does not depend on it.
  flip(segmentPath(folder, 0), 100);
  assert.deepEqual((await reopen(folder)).seqs, found.seqs);
});

test("passes over a bad snapshot for the one before it, and over all of them for the whole log", async (t) => {
  const { folder, heads, last } = await bench(t, true);
  flip(join(folder, snapshotName(at(heads, -1).seq)), 200);
  const second = await reopen(folder);
  assert.equal(second.resets, 1);
  assert.equal(second.snapshot.length, LINES.length);
  assert.deepEqual(second.seqs, upTo(at(heads, -2).seq + 1, last));
  for (const head of heads.slice(0, -1)) flip(join(folder, snapshotName(head.seq)), 200);
  const third = await reopen(folder);
  assert.deepEqual([third.resets, third.snapshot, third.seqs], [heads.length, [], upTo(1, last)]);
});

test("passes over a snapshot whose lines the layer above cannot read", async (t) => {
  const { folder, heads, last } = await bench(t, true);
  let refusals = 1;
  const target = new Memory();
  const journal = await open(
    folder,
    {},
    {
      snapshotLine: (line) => {
        if (refusals-- > 0) throw new Error("of another version");
        target.snapshotLine(line);
      },
      reset: () => target.reset(),
      record: (record) => target.record(record),
    },
  );
  await journal.close();
  assert.deepEqual([target.resets, target.seqs], [1, upTo(at(heads, -2).seq + 1, last)]);
});

test("refuses to start where no good snapshot stands for the segments that are gone", async (t) => {
  const { folder, heads } = await bench(t, true);
  rmSync(segmentPath(folder, 0));
  for (const head of heads) flip(join(folder, snapshotName(head.seq)), 200);
  await assert.rejects(reopen(folder), (error) => {
    assert.ok(error instanceof JournalDamaged);
    for (const word of ["00000000000000000001.jsonl", snapshotName(at(heads, 0).seq)])
      assert.ok(error.message.includes(word), error.message);
    return true;
  });
  for (const name of segmentNames(folder)) rmSync(join(folder, name));
  await assert.rejects(reopen(folder), JournalDamaged);
});

test("refuses a snapshot that is ahead of the segments: lines that were on disk are missing", async (t) => {
  const { folder, heads } = await bench(t, true);
  const names = segmentNames(folder);
  for (const name of names.slice(-2)) rmSync(join(folder, name));
  forgetHead(folder);
  await assert.rejects(
    reopen(folder),
    (error) => error instanceof JournalDamaged && error.file.endsWith(snapshotName(at(heads, -1).seq)),
  );
  for (const name of names.slice(0, -2)) rmSync(join(folder, name));
  await assert.rejects(reopen(folder), (error) => error instanceof JournalDamaged && error.reason.includes("missing"));
});

test("refuses a last segment that was emptied, where a snapshot covers lines that were in it", async (t) => {
  const { folder, heads } = await bench(t, true);
  rmSync(lastSegment(folder));
  truncateSync(lastSegment(folder), 0);
  forgetHead(folder);
  await assert.rejects(
    reopen(folder),
    (error) => error instanceof JournalDamaged && error.file.endsWith(snapshotName(at(heads, -1).seq)),
  );
});

for (const [gone, torn] of [
  [false, false],
  [false, true],
  [true, false],
] as const) {
  test(
    `refuses a whole snapshot of another journal, the segments before it ${gone ? "gone" : "there"}, the ` +
      `next one ${torn ? "torn to nothing" : "whole"}`,
    async (t) => {
      const { folder, heads } = await bench(t, false);
      const head = at(heads, -1);
      await writeSnapshot(diskFiles, folder, { seq: head.seq, sum: "ab".repeat(32) }, LINES);
      const names = segmentNames(folder);
      if (gone) for (const name of names.slice(0, -1)) rmSync(join(folder, name));
      const active = join(folder, at(names, -1));
      if (torn) writeFileSync(active, "");
      const bytes = readFileSync(active);
      await assert.rejects(
        reopen(folder),
        (error) => error instanceof JournalDamaged && error.file.endsWith(".snapshot"),
      );
      assert.deepEqual(readFileSync(active), bytes);
    },
  );
}

test("starts from a snapshot alone where the segments before it are gone and the next one is empty", async (t) => {
  const { folder, heads } = await bench(t, true);
  const names = segmentNames(folder);
  for (const name of names.slice(0, -1)) rmSync(join(folder, name));
  writeFileSync(join(folder, at(names, -1)), "");
  forgetHead(folder);
  const journal = await open(folder);
  assert.deepEqual(journal.durable, at(heads, -1));
  assert.deepEqual(await appendBatch(journal, 1), [at(heads, -1).seq + 2]);
  await journal.close();
  assert.deepEqual((await reopen(folder)).seqs, upTo(at(heads, -1).seq + 1, at(heads, -1).seq + 2));
});

test("refuses a snapshot within a segment whose sum the segment contradicts, and takes one it confirms", async (t) => {
  const { folder, heads, last } = await bench(t, false);
  const memory = await reopen(folder);
  for (const seq of [2, at(heads, 0).seq + 2]) {
    const sum = memory.records.find((record) => record.seq === seq)?.sum ?? "";
    await writeSnapshot(diskFiles, folder, { seq, sum }, LINES);
    assert.deepEqual((await reopen(folder)).seqs, upTo(seq + 1, last));
    await writeSnapshot(diskFiles, folder, { seq, sum: "ab".repeat(32) }, LINES);
    await assert.rejects(
      reopen(folder),
      (error) => error instanceof JournalDamaged && error.file.endsWith(snapshotName(seq)),
    );
    rmSync(join(folder, snapshotName(seq)));
  }
});

test("half a snapshot that a crash left is removed at the next start", async (t) => {
  const { folder } = await bench(t, false);
  writeFileSync(join(folder, `.${snapshotName(4)}.new`), "half");
  await reopen(folder);
  assert.deepEqual(readdirSync(folder), segmentNames(folder));
});

test(
  "foldClosed gives the snapshot before and the closed segments, never the active " + "one, and nothing twice",
  async (t) => {
    const { folder, heads, last } = await bench(t, false);
    const all = new Memory();
    const head = await foldClosed(diskFiles, folder, all);
    assert.deepEqual({ seq: head?.seq, sum: head?.sum }, at(heads, -1));
    assert.deepEqual(all.seqs, upTo(1, at(heads, -1).seq));
    assert.ok(last > at(heads, -1).seq);
    await writeSnapshot(diskFiles, folder, at(heads, -2), LINES);
    const rest = new Memory();
    assert.equal((await foldClosed(diskFiles, folder, rest))?.seq, at(heads, -1).seq);
    assert.deepEqual([rest.snapshot.length, rest.seqs], [LINES.length, upTo(at(heads, -2).seq + 1, at(heads, -1).seq)]);
    await writeSnapshot(diskFiles, folder, at(heads, -1), LINES);
    const none = new Memory();
    assert.equal(await foldClosed(diskFiles, folder, none), null);
    assert.deepEqual([none.snapshot, none.seqs], [[], []]);
  },
);

test("foldClosed refuses damage, in the newest closed segment too", async (t) => {
  const { folder } = await bench(t, false);
  for (const index of [0, segmentNames(folder).length - 2]) {
    const before = flip(segmentPath(folder, index), 150);
    await assert.rejects(
      foldClosed(diskFiles, folder, new Memory()),
      (error) => error instanceof JournalDamaged && error.file === segmentPath(folder, index),
    );
    writeFileSync(segmentPath(folder, index), before);
  }
});

test("foldClosed has nothing to fold in an empty folder or while the first segment is active", async (t) => {
  const folder = join(tempFolder(t), "journal");
  assert.equal(await foldClosed(diskFiles, folder, new Memory()), null);
  await makeJournal(folder, [2]);
  assert.equal(await foldClosed(diskFiles, folder, new Memory()), null);
});
