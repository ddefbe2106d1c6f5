/** What looks at a journal from outside: verify, dump, compact. */
import assert from "node:assert/strict";
import { appendFileSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { compactJournal } from "../../src/journal/compact.ts";
import { dumpJournal, oldestSeq } from "../../src/journal/dump.ts";
import { JournalCompacted, JournalDamaged } from "../../src/journal/journal.ts";
import { snapshotName } from "../../src/journal/names.ts";
import { writeSnapshot } from "../../src/journal/snapshot.ts";
import type { Head } from "../../src/journal/types.ts";
import type { Verified } from "../../src/journal/verify.ts";
import { verifyJournal } from "../../src/journal/verify.ts";
import { diskFiles } from "../../src/lib/files.ts";
import {
  FaultyFiles,
  appendBatch,
  flip,
  makeJournal,
  open,
  placedLines,
  reopen,
  segmentNames,
  segmentPath,
  tempFolder,
} from "./lab.ts";

interface Bench {
  readonly folder: string;
  readonly heads: readonly Head[];
  readonly end: Head;
}

async function bench(t: TestContext, snapshots = 0): Promise<Bench> {
  const folder = join(tempFolder(t), "journal");
  const journal = await open(folder, { segmentBytes: 700 });
  const heads: Head[] = [];
  journal.onSegmentClosed(({ head }) => heads.push(head));
  for (let round = 0; round < 10; round++) await appendBatch(journal, 1);
  const end = journal.durable;
  await journal.close();
  assert.ok(heads.length >= 3);
  for (const head of heads.slice(heads.length - snapshots)) await writeSnapshot(diskFiles, folder, head, ["{}"]);
  return { folder, heads, end };
}

async function verify(folder: string, noted: Head | null = null): Promise<Verified & { readonly steps: number }> {
  const walk = verifyJournal(diskFiles, folder, noted);
  for (let steps = 0; ; steps++) {
    const step = await walk.next();
    if (step.done === true) return { ...step.value, steps };
  }
}

async function dump(folder: string, from: number, until: number | null = null): Promise<number[]> {
  const seqs: number[] = [];
  for await (const record of dumpJournal(diskFiles, folder, { from, until })) seqs.push(record.seq);
  return seqs;
}

const upTo = (first: number, last: number): number[] =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index);

test("verify walks every segment, counts, and gives the head", async (t) => {
  const { folder, heads, end } = await bench(t, 2);
  const found = await verify(folder);
  assert.deepEqual(found, {
    segments: heads.length + 1,
    records: end.seq,
    oldestSeq: 1,
    head: end,
    snapshots: 2,
    tail: null,
    steps: heads.length + 1,
  });
});

for (const [what, lay, why] of [
  [
    "a folder that is not there",
    (): void => undefined,
    /there is no journal in .*: there is no such folder\. Is state\.data_dir right\?/,
  ],
  [
    "a folder without a segment",
    (folder: string): void => void mkdirSync(folder),
    /there is no journal in .*: it holds no segment/,
  ],
] as const) {
  test(`verify, dump and compact of ${what} are errors: nothing to look at is not nothing wrong`, async (t) => {
    const folder = join(tempFolder(t), "journal");
    lay(folder);
    await assert.rejects(verify(folder), why);
    await assert.rejects(dump(folder, 1), why);
    await assert.rejects(compactJournal(diskFiles, folder, { keepSince: Infinity }), why);
  });
}

test("a dump from behind the end is an error, and one from the end itself gives nothing", async (t) => {
  const { folder, end } = await bench(t);
  assert.deepEqual(await dump(folder, end.seq + 1), []);
  await assert.rejects(
    dump(folder, end.seq + 2),
    new RegExp(`the log ends with seq ${end.seq}, so there is nothing after ${end.seq + 1}`),
  );
});

test("verify finds one bit flipped in any segment, and in a snapshot", async (t) => {
  const { folder, heads } = await bench(t, 2);
  for (let index = 0; index < heads.length; index++) {
    const path = segmentPath(folder, index);
    const before = flip(path, 77);
    await assert.rejects(
      verify(folder),
      (error) => error instanceof JournalDamaged && error.file === path && error.line === 1,
    );
    writeFileSync(path, before);
  }
  flip(join(folder, snapshotName(heads.at(-1)?.seq ?? 0)), 130);
  await assert.rejects(verify(folder), (error) => error instanceof JournalDamaged && error.file.endsWith(".snapshot"));
});

test("verify tells damage in the last segment from a torn end", async (t) => {
  const folder = join(tempFolder(t), "journal");
  await makeJournal(folder, [1, 1, 1]);
  const path = segmentPath(folder, 0);
  const lines = placedLines(readFileSync(path));
  const before = flip(path, (lines[1]?.start ?? 0) + 90);
  await assert.rejects(verify(folder), (error) => error instanceof JournalDamaged && error.line === 2);
  writeFileSync(path, before);
  flip(path, (lines[3]?.start ?? 0) + 90);
  assert.equal((await verify(folder)).tail?.line, 4);
});

test("verify refuses a snapshot that the chain contradicts or does not reach", async (t) => {
  const { folder, heads, end } = await bench(t);
  for (const seq of [heads[0]?.seq ?? 0, 2, end.seq + 5]) {
    await writeSnapshot(diskFiles, folder, { seq, sum: "ab".repeat(32) }, []);
    await assert.rejects(
      verify(folder),
      (error) => error instanceof JournalDamaged && error.file.endsWith(snapshotName(seq)),
    );
    rmSync(join(folder, snapshotName(seq)));
  }
});

test("verify refuses a segment under another's name, also where nothing before it is left to tell", async (t) => {
  const { folder } = await bench(t);
  const [first = "", second = ""] = segmentNames(folder);
  rmSync(join(folder, first));
  await verify(folder);
  renameSync(join(folder, second), join(folder, "00000000000000000003.jsonl"));
  await assert.rejects(
    verify(folder),
    (error) => error instanceof JournalDamaged && error.file.endsWith("003.jsonl") && error.line === 1,
  );
});

test("verify reports a torn end and does not touch it", async (t) => {
  const { folder, end } = await bench(t);
  const path = segmentPath(folder, segmentNames(folder).length - 1);
  appendFileSync(path, '{"sum":"half a li');
  const bytes = readFileSync(path);
  const found = await verify(folder);
  assert.equal(found.head?.seq, end.seq);
  assert.deepEqual([found.tail?.file, found.tail?.offset], [path, bytes.length - 17]);
  assert.deepEqual(readFileSync(path), bytes);
});

test("verify holds the chain to a head noted elsewhere", async (t) => {
  const { folder, heads, end } = await bench(t);
  for (const head of [...heads, end]) await verify(folder, head);
  await assert.rejects(verify(folder, { seq: end.seq, sum: heads[0]?.sum ?? "" }), /head noted elsewhere/);
  await assert.rejects(verify(folder, { seq: end.seq + 1, sum: end.sum }), /missing/);
  // A past that was rewritten from end to end is whole in itself; only the noted head tells.
  const forged = join(tempFolder(t), "journal");
  await makeJournal(forged, Array<number>(10).fill(1), { segmentBytes: 700 }, { n: 99 });
  await verify(forged);
  await assert.rejects(verify(forged, heads[1] ?? end), JournalDamaged);
});

test("verify after compaction starts from the snapshot, and says what it cannot compare any more", async (t) => {
  const { folder, heads, end } = await bench(t, 2);
  await compactJournal(diskFiles, folder, { keepSince: Infinity });
  const base = heads.at(-2);
  assert.ok(base !== undefined);
  const found = await verify(folder, base);
  assert.deepEqual([found.oldestSeq, found.head], [base.seq + 1, end]);
  await assert.rejects(verify(folder, { seq: base.seq, sum: end.sum }), JournalDamaged);
  await assert.rejects(verify(folder, { seq: 1, sum: end.sum }), JournalCompacted);
});

test("dump gives the lines from any seq on, over segment borders, and up to any", async (t) => {
  const { folder, end } = await bench(t);
  for (let from = 1; from <= end.seq + 1; from++) {
    assert.deepEqual(await dump(folder, from), upTo(from, end.seq));
    assert.deepEqual(
      await dump(folder, from, Math.max(from, end.seq - 3)).catch(() => "short"),
      from > end.seq ? "short" : upTo(from, Math.max(from, end.seq - 3)),
    );
  }
  assert.equal(await oldestSeq(diskFiles, folder), 1);
});

test("dump finds its place in a large segment without reading all of it", async (t) => {
  const folder = join(tempFolder(t), "journal");
  await makeJournal(folder, [8_000, 8_000], {}, "x".repeat(1_200));
  const files = new FaultyFiles();
  for (const from of [1, 2, 7_999, 12_345, 16_001]) {
    files.calls.length = 0;
    for await (const record of dumpJournal(files, folder, { from, until: 16_001 })) {
      assert.equal(record.seq, from);
      break;
    }
    assert.ok(files.count("read") <= 12, `${files.count("read")} reads`);
    assert.equal(files.count("open"), files.count("close"));
  }
});

test("dump stops at a torn end when asked for all, and refuses damage", async (t) => {
  const { folder, end } = await bench(t);
  const last = segmentPath(folder, segmentNames(folder).length - 1);
  appendFileSync(last, '{"sum":"half a li');
  assert.deepEqual(await dump(folder, 3), upTo(3, end.seq));
  await assert.rejects(dump(folder, 3, end.seq + 1), JournalDamaged);
  const first = segmentPath(folder, 0);
  const [, second] = placedLines(readFileSync(first));
  flip(first, (second?.start ?? 0) + 100);
  await assert.rejects(
    dump(folder, 1),
    (error) => error instanceof JournalDamaged && error.file === first && error.offset === second?.start,
  );
});

test(
  "compact lets go of what two good snapshots stand for, and a start finds all it needs, also when the " +
    "newer one turns bad",
  async (t) => {
    const { folder, heads, end } = await bench(t, 3);
    const [, base, newest] = heads.slice(-3);
    assert.ok(base !== undefined && newest !== undefined);
    const before = await reopen(folder);
    const done = await compactJournal(diskFiles, folder, { keepSince: Infinity });
    assert.equal(done.oldestSeq, base.seq + 1);
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.endsWith(".snapshot")),
      [snapshotName(base.seq), snapshotName(newest.seq)],
    );
    assert.equal(await oldestSeq(diskFiles, folder), base.seq + 1);
    assert.deepEqual((await reopen(folder)).seqs, before.seqs);
    await assert.rejects(
      dump(folder, base.seq),
      (error) => error instanceof JournalCompacted && error.oldestSeq === base.seq + 1,
    );
    assert.deepEqual((await compactJournal(diskFiles, folder, { keepSince: Infinity })).removed, []);
    flip(join(folder, snapshotName(newest.seq)), 120);
    assert.deepEqual((await reopen(folder)).seqs, upTo(base.seq + 1, end.seq));
  },
);

test("compact removes nothing while fewer than two good snapshots stand, or the segments are too young", async (t) => {
  const { folder, heads } = await bench(t, 2);
  const names = readdirSync(folder);
  const young = await compactJournal(diskFiles, folder, { keepSince: Date.parse("2026-01-02T03:04:05.678Z") });
  assert.deepEqual([young.removed, readdirSync(folder)], [[], names]);
  flip(join(folder, snapshotName(heads.at(-1)?.seq ?? 0)), 120);
  const one = await compactJournal(diskFiles, folder, { keepSince: Infinity });
  assert.deepEqual([one.removed, readdirSync(folder)], [[], names]);
  assert.match(one.because, /2 good snapshots.*there are 1/);
});

test("compact removes nothing for a snapshot of another journal", async (t) => {
  const { folder, heads } = await bench(t);
  for (const { seq } of heads.slice(-2)) await writeSnapshot(diskFiles, folder, { seq, sum: "ab".repeat(32) }, ["{}"]);
  const names = readdirSync(folder);
  await assert.rejects(compactJournal(diskFiles, folder, { keepSince: Infinity }), JournalDamaged);
  assert.deepEqual(readdirSync(folder), names);
});

test("compact that fails half way leaves a journal without a gap", async (t) => {
  const { folder, heads, end } = await bench(t, 2);
  const files = new FaultyFiles();
  let unlinks = 0;
  files.before = ({ name }) => {
    if (name === "unlink" && ++unlinks === 2) throw Object.assign(new Error("EIO: by the test"), { code: "EIO" });
  };
  assert.ok(heads.length >= 3);
  await assert.rejects(compactJournal(files, folder, { keepSince: Infinity }), /EIO/);
  assert.equal((await reopen(folder)).head, end.seq);
  assert.equal((await verify(folder)).head?.seq, end.seq);
});
