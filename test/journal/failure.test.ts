/** The journal on a disk that fails: what is given up, what is cut, what works again and what never is tried again. */
import assert from "node:assert/strict";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { Journal } from "../../src/journal/journal.ts";
import { JournalOff } from "../../src/journal/journal.ts";
import { NOTE_NAME } from "../../src/journal/names.ts";
import {
  FaultyFiles,
  appendBatch,
  entry,
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
  readonly files: FaultyFiles;
  readonly journal: Journal;
  /** What onFailure and the waiters saw, in order. */
  readonly told: string[];
}

/** A journal with three durable lines on a disk that fails when told. */
async function bench(t: TestContext, segmentBytes = 1 << 20): Promise<Bench> {
  const folder = join(tempFolder(t), "journal");
  const files = new FaultyFiles();
  const journal = await open(folder, { files, segmentBytes });
  t.after(() => journal.close());
  await appendBatch(journal, 2);
  const told: string[] = [];
  journal.onFailure(() => told.push(`failure, last ${journal.lastSeq}, writable ${journal.writability.writable}`));
  return { folder, files, journal, told };
}

async function failingBatch({ journal, told }: Bench, count: number, data: unknown = { n: 2 }): Promise<void> {
  const seqs = Array.from({ length: count }, () => journal.append(entry(data)));
  const results = await Promise.allSettled(
    seqs.map((seq) =>
      journal.settled(seq).catch((error: unknown) => {
        told.push("rejected");
        throw error;
      }),
    ),
  );
  for (const result of results)
    assert.ok(result.status === "rejected" && result.reason instanceof JournalOff, JSON.stringify(result));
}

for (const room of [0, 1, 100, 700]) {
  test(
    `a disk that is full after ${room} bytes is cut back to the last good line and ` + "works again with room",
    async (t) => {
      const lab = await bench(t);
      const before = readFileSync(segmentPath(lab.folder, 0));
      lab.files.room = room;
      await failingBatch(lab, 5);
      assert.deepEqual(lab.told, ["failure, last 3, writable false", ...Array<string>(5).fill("rejected")]);
      assert.ok(!lab.journal.writability.writable && !lab.journal.writability.untilRestart);
      assert.match(lab.journal.writability.reason, /ENOSPC/);
      // An append is the retry; it fails while there is no room.
      await failingBatch(lab, 1);
      assert.deepEqual(readFileSync(segmentPath(lab.folder, 0)), before);
      lab.files.heal();
      assert.deepEqual(await appendBatch(lab.journal, 2), [4, 5]);
      assert.ok(lab.journal.writability.writable);
      await lab.journal.close();
      const found = await reopen(lab.folder);
      assert.deepEqual(found.seqs, [1, 2, 3, 4, 5]);
      assert.deepEqual(
        found.records.map(({ data }) => JSON.stringify(data)).slice(1),
        Array<string>(4).fill('{"n":1}'),
      );
    },
  );
}

test("appends made while the cut is under way wait behind it, on top of the last good line", async (t) => {
  const { files, journal, folder } = await bench(t);
  const later: Promise<number>[] = [];
  files.room = 10;
  files.before = async ({ name }) => {
    if (name !== "truncate" || later.length > 0) return;
    const seq = journal.append(entry("during the cut"));
    later.push(journal.settled(seq).then(() => seq));
    files.room = Infinity;
    await new Promise((resolve) => setImmediate(resolve));
  };
  await assert.rejects(journal.settled(journal.append(entry("lost"))), JournalOff);
  while (later.length === 0) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(await Promise.all(later), [4]);
  await journal.close();
  assert.equal((await reopen(folder)).records.at(-1)?.data, "during the cut");
});

test(
  "puts the state back before the cut begins, and refuses a line only when the cut is done, so that it " +
    "cannot come back",
  async (t) => {
    const lab = await bench(t);
    const atCut: string[][] = [];
    lab.files.room = 10;
    lab.files.before = async ({ name }) => {
      if (name !== "truncate" && name !== "datasync") return;
      atCut.push([...lab.told]);
      await new Promise((resolve) => setImmediate(resolve));
      atCut.push([...lab.told]);
    };
    await failingBatch(lab, 1);
    const putBack = ["failure, last 3, writable false"];
    assert.deepEqual(atCut, [putBack, putBack, putBack, putBack]);
    assert.deepEqual(lab.told, [...putBack, "rejected"]);
  },
);

test("lines queued behind a write that fails are given up with it", async (t) => {
  const lab = await bench(t);
  lab.files.room = 500;
  await failingBatch(lab, 30, "x".repeat(100_000));
  assert.equal(lab.told.length, 31);
  assert.equal(lab.journal.lastSeq, 3);
});

test("a failed sync ends writing until a restart, and is never tried again", async (t) => {
  const lab = await bench(t);
  lab.files.failWith("datasync", "EIO");
  const syncs = lab.files.count("datasync");
  await failingBatch(lab, 3);
  assert.deepEqual(lab.told.slice(0, 1), ["failure, last 3, writable false"]);
  assert.ok(!lab.journal.writability.writable && lab.journal.writability.untilRestart);
  lab.files.heal();
  assert.throws(() => lab.journal.append(entry()), JournalOff);
  assert.deepEqual(await lab.journal.probe(), lab.journal.writability);
  await lab.journal.close();
  assert.equal(lab.files.count("datasync"), syncs + 1);
  // What the failed sync left unsure was cut, so no replay takes it for good.
  assert.deepEqual((await reopen(lab.folder)).seqs, [1, 2, 3]);
});

test("a failed sync is for want of room no less final", async (t) => {
  const lab = await bench(t);
  lab.files.failWith("datasync", "ENOSPC");
  await failingBatch(lab, 1);
  assert.ok(!lab.journal.writability.writable && lab.journal.writability.untilRestart);
});

test("a write error other than want of room ends writing until a restart", async (t) => {
  const lab = await bench(t);
  lab.files.failWith("write", "EIO");
  await failingBatch(lab, 1);
  lab.files.heal();
  assert.ok(!lab.journal.writability.writable && lab.journal.writability.untilRestart);
  assert.throws(() => lab.journal.append(entry()), JournalOff);
});

for (const failing of ["truncate", "datasync"] as const) {
  test(`a cut whose ${failing} fails ends writing until a restart, and the restart finds the good lines`, async (t) => {
    const lab = await bench(t);
    lab.files.room = 50;
    lab.files.failWith(failing, "EIO");
    await failingBatch(lab, 1);
    while (lab.told.filter((line) => line.startsWith("failure")).length < 2)
      await new Promise((resolve) => setImmediate(resolve));
    assert.ok(!lab.journal.writability.writable && lab.journal.writability.untilRestart);
    lab.files.heal();
    await lab.journal.close();
    const journal = await open(lab.folder);
    assert.equal(journal.durable.seq, 3);
    assert.equal(journal.torn === null, failing === "datasync");
    await journal.close();
  });
}

test("probe lets changes in again when 64 KiB fit, and not before", async (t) => {
  const { files, journal, folder } = await bench(t);
  assert.ok((await journal.probe()).writable);
  files.room = 0;
  await assert.rejects(journal.settled(journal.append(entry())), JournalOff);
  assert.ok(!(await journal.probe()).writable);
  files.room = 64 * 1024 - 1;
  assert.ok(!(await journal.probe()).writable);
  files.heal();
  assert.ok((await journal.probe()).writable);
  assert.ok(journal.writability.writable);
  assert.deepEqual(readdirSync(folder), ["00000000000000000001.jsonl", NOTE_NAME]);
  assert.deepEqual(await appendBatch(journal, 1), [4]);
});

for (const code of ["ENOSPC", "EMFILE"]) {
  test(`a new segment that cannot be made for ${code} is made by a later append`, async (t) => {
    const lab = await bench(t, 600);
    lab.files.failWith("open", code, (path) => path.endsWith(".jsonl"));
    await failingBatch(lab, 1);
    assert.ok(!lab.journal.writability.writable && !lab.journal.writability.untilRestart);
    assert.equal(lab.journal.nextSeq, 5);
    lab.files.heal();
    assert.deepEqual(await appendBatch(lab.journal, 1), [5]);
    await lab.journal.close();
    assert.deepEqual((await reopen(lab.folder)).seqs, [1, 2, 3, 4, 5]);
    assert.deepEqual(
      segmentNames(lab.folder).map((name) => Number(name.slice(0, 20))),
      [1, 4],
    );
  });
}

test("a new segment whose first write fails stays empty and takes the next one", async (t) => {
  const lab = await bench(t, 600);
  const closed: number[] = [];
  lab.journal.onSegmentClosed(({ head }) => closed.push(head.seq));
  lab.files.room = 33;
  await failingBatch(lab, 1);
  assert.equal(readFileSync(segmentPath(lab.folder, 1)).length, 0);
  lab.files.heal();
  assert.deepEqual(await appendBatch(lab.journal, 1), [5]);
  assert.deepEqual(closed, [3]);
  await lab.journal.close();
  assert.deepEqual((await reopen(lab.folder)).seqs, [1, 2, 3, 4, 5]);
});

test("a new segment whose name cannot be made durable ends writing until a restart", async (t) => {
  const lab = await bench(t, 600);
  lab.files.failWith("syncFolder", "EIO");
  await failingBatch(lab, 1);
  assert.ok(!lab.journal.writability.writable && lab.journal.writability.untilRestart);
  await lab.journal.close();
  lab.files.heal();
  const journal = await open(lab.folder);
  assert.deepEqual(await appendBatch(journal, 1), [5]);
  await journal.close();
});

test(
  "a disk that is too full to keep a torn end beside starts all the same, and cuts " + "when there is room",
  async (t) => {
    const folder = join(tempFolder(t), "journal");
    await makeJournal(folder, [2, 3]);
    const path = segmentPath(folder, 0);
    const whole = readFileSync(path);
    writeFileSync(path, whole.subarray(0, whole.length - 5));
    const files = new FaultyFiles();
    files.room = 0;
    const journal = await open(folder, { files });
    assert.equal(journal.durable.seq, 5);
    assert.ok(!journal.writability.writable && !journal.writability.untilRestart);
    assert.ok(journal.torn === null);
    await assert.rejects(journal.settled(journal.append(entry())), JournalOff);
    assert.deepEqual(readFileSync(path), whole.subarray(0, whole.length - 5));
    files.heal();
    assert.deepEqual(await appendBatch(journal, 1), [6]);
    const start = placedLines(whole).at(-1)?.start;
    assert.deepEqual(readFileSync(`${path}.1.torn`), whole.subarray(start, whole.length - 5));
    await journal.close();
    assert.deepEqual((await reopen(folder)).seqs, [1, 2, 3, 4, 5, 6]);
  },
);

test("a disk that cannot be read is told with file and byte", async (t) => {
  const folder = join(tempFolder(t), "journal");
  await makeJournal(folder, [2]);
  const files = new FaultyFiles();
  files.failWith("read", "EIO");
  await assert.rejects(open(folder, { files }), (error) => {
    assert.ok(error instanceof Error && "code" in error && error.code === "EIO");
    assert.ok(error.message.includes(`${segmentPath(folder, 0)} at byte 0`), error.message);
    return true;
  });
});

test("a torn end that a full disk left in place is cut by a probe once there is room", async (t) => {
  const folder = join(tempFolder(t), "journal");
  await makeJournal(folder, [2, 3]);
  const path = segmentPath(folder, 0);
  writeFileSync(path, readFileSync(path).subarray(0, -5));
  const files = new FaultyFiles();
  files.room = 0;
  const journal = await open(folder, { files });
  assert.ok(!(await journal.probe()).writable);
  assert.deepEqual([journal.torn], [null]);
  files.heal();
  assert.ok((await journal.probe()).writable);
  assert.equal(journal.torn?.keptAs, `${path}.1.torn`);
  await journal.close();
  assert.equal((await reopen(folder)).head, 5);
});

test("an error of the disk while opening is the one that is told, and leaves no descriptor open", async (t) => {
  const folder = join(tempFolder(t), "journal");
  await makeJournal(folder, [2, 3]);
  for (const name of ["read", "datasync", "syncFolder"] as const) {
    const files = new FaultyFiles();
    files.before = (call) => {
      if (call.name === name || call.name === "close")
        throw Object.assign(new Error(`${call.name} failed`), { code: "EIO" });
    };
    await assert.rejects(open(folder, { files }), new RegExp(`${name} failed`));
    assert.equal(files.count("open"), files.count("close"));
  }
});
