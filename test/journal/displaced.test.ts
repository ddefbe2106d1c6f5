/**
 * What the journal writes to vanishes or is replaced under it: nothing is acknowledged that a start would not find, and
 * nothing is written where another daemon may work.
 */
import assert from "node:assert/strict";
import { cpSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { JournalOff } from "../../src/journal/journal.ts";
import type { Journal, JournalOptions } from "../../src/journal/journal.ts";
import { lockDataDir } from "../../src/journal/lock.ts";
import { FaultyFiles, appendBatch, entry, open, reopen, segmentNames, segmentPath, tempFolder } from "./lab.ts";
import type { TestContext } from "node:test";

async function opened(
  t: TestContext,
  more: Partial<JournalOptions> = {},
): Promise<{ readonly folder: string; readonly journal: Journal }> {
  const folder = join(tempFolder(t), "journal");
  const journal = await open(folder, more);
  t.after(() => journal.close());
  await appendBatch(journal, 2);
  return { folder, journal };
}

/** Off until a restart, for this reason; and what comes later is refused at once. */
function assertOff(journal: Journal, reason: RegExp): void {
  const { writability } = journal;
  assert.ok(!writability.writable && writability.untilRestart, JSON.stringify(writability));
  assert.match(writability.reason, reason);
  assert.throws(
    () => journal.append(entry()),
    (error) => error instanceof JournalOff && reason.test(error.reason),
  );
}

async function refused(journal: Journal, reason: RegExp): Promise<void> {
  const { durable } = journal;
  await assert.rejects(appendBatch(journal, 1), (error) => error instanceof JournalOff && reason.test(error.reason));
  assert.deepEqual(journal.durable, durable);
  assertOff(journal, reason);
}

test("a segment that was removed: the next line is refused, and writing is off until a restart", async (t) => {
  const { folder, journal } = await opened(t);
  rmSync(segmentPath(folder, 0));
  await refused(journal, /0{19}1\.jsonl was removed while the daemon ran/);
});

test(
  "a segment that was replaced by a copy of itself: the next line is refused, and the copy stays as it " + "is",
  async (t) => {
    const { folder, journal } = await opened(t);
    const path = segmentPath(folder, 0);
    const bytes = readFileSync(path);
    rmSync(path);
    writeFileSync(path, bytes);
    await refused(journal, /0{19}1\.jsonl was replaced/);
    assert.deepEqual(readFileSync(path), bytes);
  },
);

test("a line is not acknowledged where its segment went away while it was synced", async (t) => {
  const files = new FaultyFiles();
  const { folder, journal } = await opened(t, { files });
  files.before = ({ name }) => {
    if (name === "datasync") rmSync(segmentPath(folder, 0), { force: true });
  };
  await refused(journal, /was removed/);
});

test(
  "a folder that was moved away with everything in it: a look is enough, and where the data is now " + "nothing is cut",
  async (t) => {
    const { folder, journal } = await opened(t);
    renameSync(folder, `${folder}.away`);
    assert.deepEqual(await journal.look(), journal.writability);
    assertOff(journal, /journal was removed/);
    assert.equal((await reopen(`${folder}.away`)).head, 3);
  },
);

test("a folder that was replaced by a copy: a look finds it without a write", async (t) => {
  const { folder, journal } = await opened(t);
  renameSync(folder, `${folder}.away`);
  cpSync(`${folder}.away`, folder, { recursive: true });
  await Promise.all([journal.look(), journal.look(), journal.probe()]);
  assertOff(journal, /journal was replaced/);
});

test("lines that wait for their write are refused when a look has found the folder gone", async (t) => {
  const files = new FaultyFiles();
  const { folder, journal } = await opened(t, { files });
  let release = (): void => undefined;
  files.before = ({ name }) => (name === "write" ? new Promise((resolve) => (release = resolve)) : undefined);
  const waiting = appendBatch(journal, 1);
  const failed = assert.rejects(waiting, JournalOff);
  while (files.calls.at(-1)?.name !== "write") await new Promise((resolve) => setImmediate(resolve));
  rmSync(folder, { recursive: true });
  await journal.look();
  assertOff(journal, /removed/);
  release();
  await failed;
  assert.equal(journal.durable.seq, 3);
});

test(
  "what others hold for the journal is asked before every write: where it does not hold, no byte is " + "written",
  async (t) => {
    let reason: string | null = null;
    const { folder, journal } = await opened(t, { guard: () => Promise.resolve(reason) });
    await appendBatch(journal, 1);
    const bytes = readFileSync(segmentPath(folder, 0));
    reason = "the lock is another's";
    await refused(journal, /the lock is another's/);
    assert.deepEqual(readFileSync(segmentPath(folder, 0)), bytes);
  },
);

test("segment after segment is begun under looks, and none is taken for a stranger", async (t) => {
  const { folder, journal } = await opened(t, { segmentBytes: 700 });
  for (let round = 0; round < 20; round++)
    await Promise.all([appendBatch(journal, 1), journal.look(), journal.probe()]);
  assert.deepEqual(journal.writability, { writable: true });
  assert.ok(segmentNames(folder).length > 5);
});

test("a lock that was removed, or made anew by another, says so; one in its place does not", async (t) => {
  const folder = tempFolder(t);
  const lock = lockDataDir(folder);
  t.after(() => lock.release());
  assert.equal(await lock.displacement(), null);
  rmSync(lock.path);
  assert.match((await lock.displacement()) ?? "", /lock was removed while the daemon ran/);
  const second = lockDataDir(folder);
  t.after(() => second.release());
  assert.match((await lock.displacement()) ?? "", /lock was replaced while the daemon ran/);
  assert.equal(await second.displacement(), null);
});
