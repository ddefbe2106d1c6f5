/** The journal on a disk that works: what is written, in which batches, and who is told when. */
import assert from "node:assert/strict";
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { JournalOff } from "../../src/journal/journal.ts";
import { NOTE_NAME } from "../../src/journal/names.ts";
import {
  FaultyFiles,
  Memory,
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

test("begins with a journal.segment line of seq 1, then gives back every entry as it was given", async (t) => {
  const folder = join(tempFolder(t), "journal");
  const journal = await open(folder);
  assert.deepEqual(journal.durable, { seq: 0, sum: "0".repeat(64) });
  assert.equal(journal.nextSeq, 2);
  const data = { text: 'NUL \u0000, quote ", newline \n, é, 🦀, lone \ud800', list: [1, null, true] };
  const seq = journal.append(entry(data));
  assert.equal(seq, 2);
  assert.equal(journal.lastSeq, 2);
  assert.equal(journal.durable.seq, 0);
  await journal.settled(seq);
  assert.equal(journal.durable.seq, 2);
  assert.equal(journal.nextSeq, 3);
  await journal.close();
  const found = await reopen(folder);
  assert.deepEqual(found.seqs, [1, 2]);
  assert.equal(found.records[0]?.type, "journal.segment");
  assert.deepEqual(found.records[1]?.data, JSON.parse(JSON.stringify(data)));
  assert.equal(statSync(folder).mode & 0o777, 0o700);
  assert.equal(statSync(segmentPath(folder, 0)).mode & 0o777, 0o600);
});

test(
  "makes concurrent appends durable with one write and one sync, and those that come meanwhile with the " + "next",
  async (t) => {
    const files = new FaultyFiles();
    const journal = await open(join(tempFolder(t), "journal"), { files });
    await appendBatch(journal, 1);
    const before = files.count("datasync");
    let release = (): void => undefined;
    let held = (): void => undefined;
    const holding = new Promise<void>((resolve) => (held = resolve));
    const released = new Promise<void>((resolve) => (release = resolve));
    files.before = async ({ name }) => {
      if (name !== "datasync") return;
      held();
      await released;
    };
    const first = Array.from({ length: 100 }, () => journal.append(entry()));
    await holding;
    const second = Array.from({ length: 50 }, () => journal.append(entry()));
    assert.equal(files.count("datasync"), before + 1);
    release();
    await Promise.all([...first, ...second].map((seq) => journal.settled(seq)));
    assert.equal(files.count("datasync"), before + 2);
    await journal.close();
  },
);

test("gives every line of a write the seq of its first line as batch", async (t) => {
  const folder = join(tempFolder(t), "journal");
  await makeJournal(folder, [1, 3, 1, 2]);
  const lines = placedLines(readFileSync(segmentPath(folder, 0)));
  assert.deepEqual(
    lines.map(({ batch }) => batch),
    [1, 1, 3, 3, 3, 6, 7, 7],
  );
});

test("writes at most about 1 MiB at a time, and a longer line alone", async (t) => {
  const sizes: number[] = [];
  const journal = await open(join(tempFolder(t), "journal"), {
    onSync: ({ bytes, records, seconds }) => void (sizes.push(bytes), assert.ok(records >= 1 && seconds >= 0)),
  });
  await appendBatch(journal, 40, "x".repeat(100_000));
  assert.ok(sizes.length >= 4 && sizes.every((bytes) => bytes <= 1024 * 1024), String(sizes));
  await appendBatch(journal, 1, "x".repeat(3_000_000));
  assert.ok((sizes.at(-1) ?? 0) > 3_000_000);
  await journal.close();
});

test("refuses a line that no start would read, and goes on", async (t) => {
  const journal = await open(join(tempFolder(t), "journal"));
  assert.throws(() => journal.append(entry("x".repeat(64 * 1024 * 1024))), JournalOff);
  const circle: unknown[] = [];
  circle.push(circle);
  assert.throws(() => journal.append(entry(circle)), TypeError);
  assert.equal(journal.lastSeq, 0);
  assert.deepEqual(await appendBatch(journal, 1), [2]);
  await journal.close();
});

test("tells onDurable in order and before settled resolves", async (t) => {
  const journal = await open(join(tempFolder(t), "journal"));
  const told: (number | string)[] = [];
  journal.onDurable((records) => {
    assert.equal(journal.durable.seq, records.at(-1)?.seq);
    told.push(...records.map(({ seq }) => seq));
  });
  const wait = async (): Promise<void> => {
    const seq = journal.append(entry());
    await journal.settled(seq);
    told.push(`settled ${seq}`);
  };
  await Promise.all([wait(), wait()]);
  await wait();
  assert.deepEqual(told, [1, 2, 3, "settled 2", "settled 3", 4, "settled 4"]);
  await journal.close();
});

test("tells onDurable the records that a replay gives", async (t) => {
  const folder = join(tempFolder(t), "journal");
  const journal = await open(folder, { segmentBytes: 700 });
  const told: unknown[] = [];
  journal.onDurable((records) => told.push(...records));
  for (const count of [1, 3, 2]) await appendBatch(journal, count);
  await journal.close();
  assert.deepEqual(told, (await reopen(folder)).records);
});

test("goes on when a listener throws", async (t) => {
  const journal = await open(join(tempFolder(t), "journal"));
  const told: number[] = [];
  journal.onDurable(() => {
    throw new Error("a fault of the program");
  });
  journal.onDurable((records) => told.push(records.length));
  await appendBatch(journal, 1);
  await appendBatch(journal, 1);
  assert.deepEqual(told, [2, 1]);
  await journal.close();
});

test("close writes what is queued, and nothing is accepted after it", async (t) => {
  const folder = join(tempFolder(t), "journal");
  const journal = await open(folder);
  const seq = journal.append(entry());
  const settled = journal.settled(seq);
  const closing = journal.close();
  assert.throws(() => journal.append(entry()), JournalOff);
  await Promise.all([settled, closing, journal.close()]);
  assert.equal((await reopen(folder)).head, seq);
});

test("settled rejects for a line that was never appended", async (t) => {
  const journal = await open(join(tempFolder(t), "journal"));
  await assert.rejects(journal.settled(1), JournalOff);
  await journal.close();
});

test(
  "closes a full segment before the next line, chains the next one to it, and tells " + "who wants to know",
  async (t) => {
    const folder = join(tempFolder(t), "journal");
    const journal = await open(folder, { segmentBytes: 1000 });
    const closed: { file: string; seq: number }[] = [];
    journal.onSegmentClosed(({ file, head }) => closed.push({ file, seq: head.seq }));
    const seqs: number[] = [];
    for (let round = 0; round < 10; round++) {
      const expected = journal.nextSeq;
      const [seq] = await appendBatch(journal, 1);
      assert.equal(seq, expected);
      seqs.push(seq ?? 0);
    }
    const { seq: head } = journal.durable;
    await journal.close();
    const names = segmentNames(folder);
    assert.ok(names.length >= 3, String(names));
    assert.deepEqual(
      closed.map(({ file }) => file),
      names.slice(0, -1).map((name) => join(folder, name)),
    );
    assert.deepEqual(
      closed.map(({ seq }) => seq + 1),
      names.slice(1).map((name) => Number(name.slice(0, 20))),
    );
    for (const name of names)
      assert.match(readFileSync(join(folder, name), "utf8"), /^[^\n]*"type":"journal\.segment"[^\n]*"format":1/);
    const found = await reopen(folder);
    assert.deepEqual(
      found.seqs,
      Array.from({ length: head }, (_, index) => index + 1),
    );
    assert.deepEqual(
      found.records.filter(({ type }) => type === "test.said").map(({ seq }) => seq),
      seqs,
    );
  },
);

test("never writes one batch into two segments, however much is queued at once", async (t) => {
  const folder = join(tempFolder(t), "journal");
  const journal = await open(folder, { segmentBytes: 1000 });
  await appendBatch(journal, 50);
  await journal.close();
  assert.ok(segmentNames(folder).length > 5);
  for (const name of segmentNames(folder)) {
    const [first] = placedLines(readFileSync(join(folder, name)));
    assert.ok(first !== undefined && first.batch === first.seq && first.seq === Number(name.slice(0, 20)));
    assert.ok(statSync(join(folder, name)).size < 1000 + 500);
  }
  assert.equal((await reopen(folder)).seqs.length, journal.durable.seq);
});

test("replays 20,000 lines to their last one, in order, and what half a start left behind is gone", async (t) => {
  const folder = join(tempFolder(t), "journal");
  await makeJournal(folder, [10_000, 10_000], { segmentBytes: 500_000 });
  const memory = new Memory();
  const journal = await open(folder, {}, memory);
  await journal.close();
  assert.deepEqual(
    memory.seqs,
    Array.from({ length: journal.durable.seq }, (_, index) => index + 1),
  );
  assert.ok(memory.records.filter(({ type }) => type === "test.said").length === 20_000);
  assert.deepEqual(
    readdirSync(folder).filter((name) => !name.endsWith(".jsonl")),
    [NOTE_NAME],
  );
});
