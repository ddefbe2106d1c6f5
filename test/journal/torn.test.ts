/**
 * The end of the last segment after a crash: whatever cuts, lost pages or NULs made of the last write, a start heals it
 * and loses only the unacknowledged.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  FaultyFiles,
  Memory,
  appendBatch,
  forgetHead,
  makeJournal,
  open,
  placedLines,
  reopen,
  segmentPath,
  tempFolder,
} from "./lab.ts";
import type { PlacedLine } from "./lab.ts";

const PAGE = 4096;

interface Victim {
  readonly folder: string;
  readonly path: string;
  readonly whole: Buffer;
  readonly lines: readonly PlacedLine[];
  /** Where the last batch begins. */
  readonly batchAt: number;
}

async function victim(folder: string, batches: readonly number[], data?: unknown): Promise<Victim> {
  await makeJournal(folder, batches, {}, data);
  const path = segmentPath(folder, 0);
  const whole = readFileSync(path);
  const lines = placedLines(whole);
  const batch = lines.at(-1)?.batch;
  const batchAt = lines.find((line) => line.seq === batch)?.start ?? -1;
  return { folder, path, whole, lines, batchAt };
}

/**
 * Opens the journal with `bytes` as its segment; checks that exactly the lines before `firstBadByte` live, that the
 * rest is kept beside, and leaves no copy.
 */
async function assertHeals(
  { folder, path, lines }: Victim,
  bytes: Buffer,
  firstBadByte: number,
  what: string,
): Promise<void> {
  writeFileSync(path, bytes);
  const good = lines.filter((line) => line.end <= firstBadByte);
  const end = good.at(-1)?.end ?? 0;
  const memory = new Memory();
  const journal = await open(folder, {}, memory);
  assert.deepEqual(
    memory.seqs,
    good.map(({ seq }) => seq),
    what,
  );
  assert.deepEqual(readFileSync(path), bytes.subarray(0, end), what);
  if (end === bytes.length) assert.equal(journal.torn, null, what);
  else {
    const keptAs = `${path}.1.torn`;
    assert.deepEqual(journal.torn, { file: path, offset: end, bytes: bytes.length - end, keptAs }, what);
    assert.deepEqual(readFileSync(keptAs), bytes.subarray(end), what);
    rmSync(keptAs);
  }
  await journal.close();
  forgetHead(folder);
}

test("the last batch cut at every byte: heals, loses only lines of that batch, keeps what it cut", async (t) => {
  const lab = await victim(join(tempFolder(t), "journal"), [2, 1, 3]);
  assert.ok(lab.batchAt > 0);
  for (let cut = lab.batchAt; cut <= lab.whole.length; cut++)
    await assertHeals(lab, lab.whole.subarray(0, cut), cut, `cut at ${cut}`);
});

test("the only batch of a journal cut at every byte: heals, down to an empty segment", async (t) => {
  const lab = await victim(join(tempFolder(t), "journal"), [1]);
  for (let cut = 0; cut <= lab.whole.length; cut++)
    await assertHeals(lab, lab.whole.subarray(0, cut), cut, `cut at ${cut}`);
});

test(
  "the last batch with its 4 KiB pages lost in every combination: heals, loses only " + "lines of that batch",
  async (t) => {
    const lab = await victim(join(tempFolder(t), "journal"), [3, 2, 20], "x".repeat(800));
    const firstPage = Math.floor(lab.batchAt / PAGE);
    const pages = Math.ceil(lab.whole.length / PAGE) - firstPage;
    assert.ok(pages >= 5 && pages <= 7, `${pages} pages`);
    for (let lost = 0; lost < 1 << pages; lost++) {
      const bytes = Buffer.from(lab.whole);
      let firstBad = bytes.length;
      for (let page = 0; page < pages; page++) {
        if ((lost & (1 << page)) === 0) continue;
        const start = Math.max(lab.batchAt, (firstPage + page) * PAGE);
        bytes.fill(0, start, Math.min(bytes.length, (firstPage + page + 1) * PAGE));
        firstBad = Math.min(firstBad, start);
      }
      await assertHeals(lab, bytes, firstBad, `pages lost ${lost.toString(2)}`);
    }
  },
);

test("a NUL run behind the last line is torn, not damage, however long it is", async (t) => {
  const lab = await victim(join(tempFolder(t), "journal"), [2, 3]);
  for (const nuls of [1, 511, 4096, 3 * 1024 * 1024 + 17]) {
    await assertHeals(lab, Buffer.concat([lab.whole, Buffer.alloc(nuls)]), lab.whole.length, `${nuls} NULs`);
    await assertHeals(
      lab,
      Buffer.concat([lab.whole.subarray(0, -10), Buffer.alloc(nuls)]),
      lab.whole.length - 10,
      `cut, then ${nuls} NULs`,
    );
  }
});

test("a segment of nothing but NULs is cut to nothing and begun again", async (t) => {
  const folder = join(tempFolder(t), "journal");
  const lab = await victim(folder, [1]);
  writeFileSync(lab.path, Buffer.alloc(70_000));
  const journal = await open(folder);
  assert.equal(journal.torn?.bytes, 70_000);
  assert.equal(statSync(lab.path).size, 0);
  assert.deepEqual(await appendBatch(journal, 1), [2]);
  await journal.close();
  assert.deepEqual((await reopen(folder)).seqs, [1, 2]);
});

test("what an unlucky write left half there twice is kept twice", async (t) => {
  const lab = await victim(join(tempFolder(t), "journal"), [2, 2]);
  for (const n of [1, 2]) {
    writeFileSync(lab.path, lab.whole.subarray(0, lab.whole.length - n));
    await reopen(lab.folder);
    assert.ok(existsSync(`${lab.path}.${n}.torn`));
  }
});

test("after healing, new lines follow the last good one and a second start finds no fault", async (t) => {
  const lab = await victim(join(tempFolder(t), "journal"), [2, 3]);
  for (const cut of [1, 100, 300, lab.whole.length - lab.batchAt]) {
    writeFileSync(lab.path, lab.whole.subarray(0, lab.whole.length - cut));
    const journal = await open(lab.folder);
    const good = journal.durable.seq;
    assert.deepEqual(await appendBatch(journal, 2), [good + 1, good + 2]);
    await journal.close();
    const found = await reopen(lab.folder);
    assert.deepEqual(
      found.seqs,
      Array.from({ length: good + 2 }, (_, index) => index + 1),
    );
    const batches = found.records.map(({ batch }) => batch);
    assert.deepEqual(batches.slice(-2), [good + 1, good + 1]);
  }
});

test("a torn first write of a new segment heals, and the segment before it stays as it is", async (t) => {
  const folder = join(tempFolder(t), "journal");
  await makeJournal(folder, [3, 2], { segmentBytes: 700 });
  const [before, path] = [segmentPath(folder, 0), segmentPath(folder, 1)];
  const closed = readFileSync(before);
  const first = Number(path.slice(-26, -6));
  for (const size of [0, 1, 100, statSync(path).size - 1]) {
    truncateSync(path, size);
    const journal = await open(folder, { segmentBytes: 700 });
    assert.ok(journal.durable.seq >= first - 1);
    assert.deepEqual(readFileSync(before), closed);
    await appendBatch(journal, 3);
    await journal.close();
    const { seqs, head } = await reopen(folder);
    assert.deepEqual(
      seqs,
      Array.from({ length: head }, (_, index) => index + 1),
    );
    for (const name of readdirSync(folder).filter((other) => Number(other.slice(0, 20)) > first))
      rmSync(join(folder, name));
  }
});

test(
  "writes the last batch over itself and syncs before a start tells of it, so that a failed sync before " +
    "cannot fool it",
  async (t) => {
    const lab = await victim(join(tempFolder(t), "journal"), [2, 3]);
    const files = new FaultyFiles();
    let written = 0;
    let room = 0;
    files.before = ({ name, path }) => {
      if (name === "write" && path === lab.path) written++;
      if (name !== "datasync" || path !== lab.path) return;
      assert.equal(written, 1);
      room = files.room;
    };
    files.room = 1_000_000;
    const journal = await open(lab.folder, { files });
    assert.equal(1_000_000 - room, lab.whole.length - lab.batchAt);
    assert.equal(files.count("datasync", ".jsonl"), 1);
    assert.deepEqual(readFileSync(lab.path), lab.whole);
    files.heal();
    await journal.close();
    for (const name of ["write", "datasync"] as const) {
      files.failWith(name, "EIO");
      await assert.rejects(open(lab.folder, { files }), /EIO/);
    }
    // A full copy-on-write file system cannot write in place, and must not keep the daemon from starting.
    files.failWith("write", "ENOSPC");
    const full = await open(lab.folder, { files });
    await full.close();
  },
);

test("a copy of the torn end that cannot be kept leaves the segment as it was", async (t) => {
  const lab = await victim(join(tempFolder(t), "journal"), [2, 3]);
  const torn = lab.whole.subarray(0, lab.whole.length - 3);
  for (const [name, ending] of [
    ["write", ".torn"],
    ["datasync", ".torn"],
    ["syncFolder", ""],
  ] as const) {
    writeFileSync(lab.path, torn);
    const files = new FaultyFiles();
    let folderSyncs = 0;
    files.before = (call) => {
      // The first two folder syncs are those of the data folder and of the journal's own names.
      if (call.name === "syncFolder" && ++folderSyncs <= 2) return;
      if (call.name === name && call.path.endsWith(ending))
        throw Object.assign(new Error("EIO: by the test"), { code: "EIO" });
    };
    await assert.rejects(open(lab.folder, { files }), /EIO: by the test/);
    assert.deepEqual(readFileSync(lab.path), torn, name);
    assert.equal((await reopen(lab.folder)).head, 5);
  }
});
