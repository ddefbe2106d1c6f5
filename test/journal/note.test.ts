/** The note of the head: a start, verify and backup miss what was removed while nothing ran. */
import assert from "node:assert/strict";
import { cpSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { findEnd } from "../../src/journal/backup.ts";
import { compactJournal } from "../../src/journal/compact.ts";
import { JournalDamaged } from "../../src/journal/journal.ts";
import { NOTE_NAME } from "../../src/journal/names.ts";
import { writeSnapshot } from "../../src/journal/snapshot.ts";
import type { Head } from "../../src/journal/types.ts";
import { verifyJournal } from "../../src/journal/verify.ts";
import { diskFiles } from "../../src/lib/files.ts";
import type { Log } from "../../src/lib/log.ts";
import {
  FaultyFiles,
  appendBatch,
  forgetHead,
  open,
  placedLines,
  quietLog,
  reopen,
  segmentNames,
  segmentPath,
  tempFolder,
} from "./lab.ts";

interface Bench {
  readonly folder: string;
  readonly heads: readonly Head[];
}

/** Several segments, with a snapshot of all the closed ones; stopped in order, or killed. */
/** The whole sentence: what is missing, who says so, and what to do. */
const MISSING_SEGMENT = new RegExp(
  [
    "this segment is missing: lines that were acknowledged are not there, as .*\\/head-snapshot notes\\. ",
    "Put back what was removed, or restore a backup; to go on without those lines, remove that note$",
  ].join(""),
);

async function bench(t: TestContext, end: "stopped" | "killed", segmentBytes = 700): Promise<Bench> {
  const folder = join(tempFolder(t), "journal");
  const journal = await open(folder, { segmentBytes });
  const heads: Head[] = [];
  journal.onSegmentClosed(({ head }) => heads.push(head));
  for (let round = 0; round < 10; round++) await appendBatch(journal, 1);
  const note = readFileSync(join(folder, NOTE_NAME));
  await journal.close();
  if (end === "killed") writeFileSync(join(folder, NOTE_NAME), note);
  const last = heads.at(-1);
  if (last !== undefined) await writeSnapshot(diskFiles, folder, last, ["{}"]);
  return { folder, heads };
}

function damaged(file: string, reason: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof JournalDamaged, String(error));
    assert.ok(error.file.endsWith(file), error.message);
    assert.match(error.reason, reason);
    return true;
  };
}

async function verify(folder: string): Promise<void> {
  for await (const _segment of verifyJournal(diskFiles, folder)) continue;
}

/** Start, verify and backup all refuse, and the start has changed nothing. */
async function assertMissed(folder: string, file: string, reason: RegExp): Promise<void> {
  const before = readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), "latin1")]);
  await assert.rejects(open(folder), damaged(file, reason));
  assert.deepEqual(
    readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), "latin1")]),
    before,
  );
  await assert.rejects(verify(folder), damaged(file, reason));
  await assert.rejects(findEnd(diskFiles, folder, false), damaged(file, reason));
}

for (const end of ["stopped", "killed"] as const) {
  test(
    `the newest segment of a journal that was ${end}, removed while a snapshot ends right before it: ` +
      "refused, with its name and the way out",
    async (t) => {
      const { folder, heads } = await bench(t, end);
      const newest = segmentNames(folder).at(-1) ?? "";
      assert.equal(Number(newest.slice(0, 20)), (heads.at(-1)?.seq ?? 0) + 1, "the snapshot ends right before it");
      rmSync(join(folder, newest));
      await assertMissed(folder, newest, MISSING_SEGMENT);
      forgetHead(folder);
      assert.equal((await reopen(folder)).head, heads.at(-1)?.seq);
    },
  );
}

test(
  "lines cut off cleanly behind a stop in order: refused, where after a kill it would be a torn end at " + "most",
  async (t) => {
    const { folder } = await bench(t, "stopped", 1e6);
    const path = segmentPath(folder, 0);
    const lines = placedLines(readFileSync(path));
    truncateSync(path, lines.at(-2)?.end);
    await assertMissed(folder, "001.jsonl", /the good lines end with seq 10, and seq 11 was on disk, as/);
  },
);

test(
  "a last line that was damaged after a stop in order is damage, named with line and byte, and is not " + "cut off",
  async (t) => {
    const { folder } = await bench(t, "stopped", 1e6);
    const path = segmentPath(folder, 0);
    const last = placedLines(readFileSync(path)).at(-1);
    truncateSync(path, (last?.end ?? 0) - 3);
    await assert.rejects(
      open(folder),
      (error) => error instanceof JournalDamaged && error.line === 11 && error.offset === last?.start,
    );
    await assertMissed(folder, "001.jsonl", /has no newline at its end; the good lines end with seq 10/);
  },
);

test("another journal's segment under the right name is refused, though it is whole in itself", async (t) => {
  const { folder } = await bench(t, "stopped", 1e6);
  const other = join(tempFolder(t), "journal");
  const journal = await open(other);
  for (let round = 0; round < 12; round++) await appendBatch(journal, 1, { other: true });
  await journal.close();
  cpSync(segmentPath(other, 0), segmentPath(folder, 0));
  await assert.rejects(
    open(folder),
    damaged(NOTE_NAME, /line 11 has the sum [0-9a-f]{64}, and [0-9a-f]{64} was noted/),
  );
});

test("what was noted stays true through kills, stops, new segments and compaction", async (t) => {
  const { folder, heads } = await bench(t, "killed");
  for (const head of heads.slice(-2)) await writeSnapshot(diskFiles, folder, head, ["{}"]);
  const stale = readFileSync(join(folder, NOTE_NAME));
  for (let round = 0; round < 3; round++) {
    const journal = await open(folder, { segmentBytes: 700 });
    await appendBatch(journal, 3);
    await verify(folder);
    await journal.close();
    await verify(folder);
  }
  const { removed } = await compactJournal(diskFiles, folder, { keepSince: Infinity });
  assert.ok(removed.some((name) => name.endsWith(".jsonl")));
  await verify(folder);
  writeFileSync(join(folder, NOTE_NAME), stale);
  await verify(folder);
  await (await open(folder)).close();
});

test(
  "a journal of an older version, without a note, starts and gets one; one that does not read is passed " +
    "over with a warning, and verify names it",
  async (t) => {
    const { folder } = await bench(t, "stopped");
    forgetHead(folder);
    await verify(folder);
    await (await open(folder)).close();
    assert.match(
      readFileSync(join(folder, NOTE_NAME), "utf8"),
      /^\{"noted":1,"segment":\d+,"seq":\d+,"sum":"[0-9a-f]{64}","check":"[0-9a-f]{64}"\}\n$/,
    );
    writeFileSync(join(folder, NOTE_NAME), "{}");
    await assert.rejects(verify(folder), damaged(NOTE_NAME, /not one that this version reads/));
    const warnings: string[] = [];
    const log: Log = { ...quietLog, warn: (message) => void warnings.push(message) };
    await (await open(folder, { log })).close();
    assert.deepEqual(warnings, ["journal: the note of its head was passed over"]);
    await verify(folder);
  },
);

test("a copy of the folder as it was earlier, note and all, starts", async (t) => {
  const { folder } = await bench(t, "stopped");
  cpSync(folder, `${folder}.copy`, { recursive: true });
  const journal = await open(folder, { segmentBytes: 700 });
  await appendBatch(journal, 5);
  await journal.close();
  assert.equal((await reopen(`${folder}.copy`)).head > 0, true);
});

test("the note costs no sync of a write: one at the start, one a segment, one at the stop", async (t) => {
  const files = new FaultyFiles();
  const folder = join(tempFolder(t), "journal");
  const journal = await open(folder, { files });
  for (let round = 0; round < 20; round++) await appendBatch(journal, 1);
  assert.deepEqual([files.count("datasync", ".jsonl"), files.count("datasync", `${NOTE_NAME}.new`)], [20, 1]);
  await journal.close();
  assert.equal(files.count("datasync", `${NOTE_NAME}.new`), 2);
});

test("a note that cannot be made costs a warning and no write", async (t) => {
  const files = new FaultyFiles();
  files.failWith("open", "EIO", (path) => path.endsWith(`/.${NOTE_NAME}.new`));
  const warnings: string[] = [];
  const log: Log = { ...quietLog, warn: (message) => void warnings.push(message) };
  const folder = join(tempFolder(t), "journal");
  const journal = await open(folder, { files, log, segmentBytes: 700 });
  for (let round = 0; round < 5; round++) await appendBatch(journal, 1);
  await journal.close();
  assert.ok(
    warnings.length >= 2 && warnings.every((message) => message === "journal: its head was not noted"),
    warnings.join(),
  );
  assert.equal((await reopen(folder)).records.length, journal.durable.seq);
});

test(
  "a note with any bit flipped keeps nobody from starting, and is never taken for " + "lines that are gone",
  async (t) => {
    const { folder } = await bench(t, "stopped");
    const path = join(folder, NOTE_NAME);
    const note = readFileSync(path);
    for (let at = 0; at < note.length; at += 7) {
      const bent = Buffer.from(note);
      bent.writeUInt8(bent.readUInt8(at) ^ (1 << (at % 8)), at);
      writeFileSync(path, bent);
      const warnings: string[] = [];
      const log = { ...quietLog, warn: (message: string) => void warnings.push(message) };
      await (await open(folder, { log })).close();
      assert.ok(
        warnings.some((message) => message.includes("note of its head was passed over")),
        `${at}: ${warnings.join()}`,
      );
    }
  },
);
