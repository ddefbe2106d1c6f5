/** A backup gives back the journal byte for byte; cut or altered anywhere it is refused, with the place. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { appendFileSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { findEnd, writeBackup } from "../../src/journal/backup.ts";
import type { BackedUp } from "../../src/journal/backup.ts";
import { JournalDamaged } from "../../src/journal/errors.ts";
import { writeSnapshot } from "../../src/journal/snapshot.ts";
import type { Head } from "../../src/journal/types.ts";
import { unpackBackup } from "../../src/journal/unpack.ts";
import type { Unpacked } from "../../src/journal/unpack.ts";
import { verifyJournal } from "../../src/journal/verify.ts";
import type { Files } from "../../src/lib/files.ts";
import {
  appendBatch,
  flip,
  makeJournal,
  open,
  placedLines,
  segmentNames,
  segmentPath,
  tempFolder,
  unsyncedFiles,
} from "./lab.ts";

const AT = "2026-01-02T03:04:05.678Z";
const LINES = ['["hosts","h-1",{}]', '{"n":2}', '"é🦀"'];

/** Every byte, or each so many-th: a quicker look. */
const STEP = Number(process.env["ZWRM_FAULTS_STEP"] ?? "1");

interface Bench {
  readonly root: string;
  readonly folder: string;
  readonly heads: readonly Head[];
  readonly last: number;
}

/** A journal of several segments, with snapshots at the ends of the closed ones. */
async function bench(t: TestContext, rounds = 10): Promise<Bench> {
  const root = tempFolder(t);
  const folder = join(root, "journal");
  const journal = await open(folder, { segmentBytes: 700 });
  const heads: Head[] = [];
  journal.onSegmentClosed(({ head }) => heads.push(head));
  for (let round = 0; round < rounds; round++) await appendBatch(journal, 2, { text: "é🦀" });
  const last = journal.durable.seq;
  await journal.close();
  for (const head of heads) await writeSnapshot(unsyncedFiles, folder, head, LINES);
  return { root, folder, heads, last };
}

async function backUp(folder: string, until: number): Promise<BackedUp & { readonly file: Buffer }> {
  const parts: Buffer[] = [];
  const write = (bytes: Uint8Array): Promise<void> => Promise.resolve(void parts.push(Buffer.from(bytes)));
  const backedUp = await writeBackup(unsyncedFiles, folder, { until, at: AT, program: "zwrmd 0.0.0", write });
  return { ...backedUp, file: Buffer.concat(parts) };
}

/** Comes in pieces of so many bytes. */
async function* inPieces(bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield await Promise.resolve(bytes.subarray(at, at + size));
}

function unpack(folder: string, file: Buffer, pieceBytes = 64 * 1024): Promise<Unpacked> {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  return unpackBackup(unsyncedFiles, folder, "the backup", inPieces(file, pieceBytes));
}

async function verify(folder: string, head: Head): Promise<void> {
  for await (const _segment of verifyJournal(unsyncedFiles, folder, head)) continue;
}

async function damage(work: Promise<unknown>): Promise<JournalDamaged> {
  const error: unknown = await work.then(
    () => "nothing was refused",
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof JournalDamaged, String(error));
  return error;
}

test(
  "a backup gives back every segment and the two newest snapshots, byte for byte, 0600, in whatever " +
    "pieces it comes",
  async (t) => {
    const { root, folder, heads, last } = await bench(t);
    const { file, head, oldestSeq, bytes } = await backUp(folder, last);
    assert.deepEqual([oldestSeq, head.seq, bytes], [1, last, file.length]);
    const wanted = readdirSync(folder).filter(
      (name) =>
        name.endsWith(".jsonl") ||
        (name.endsWith(".snapshot") && heads.slice(-2).some(({ seq }) => Number(name.slice(0, 20)) === seq)),
    );
    assert.ok(heads.length > 2 && wanted.length > 5);
    for (const size of [1, 7, 700, file.length]) {
      const again = join(root, "again");
      assert.deepEqual(await unpack(again, file, size), { head, at: AT });
      assert.deepEqual(readdirSync(again).sort(), wanted.sort());
      for (const name of wanted) {
        assert.deepEqual(readFileSync(join(again, name)), readFileSync(join(folder, name)), name);
        assert.equal(statSync(join(again, name)).mode & 0o777, 0o600);
      }
      await verify(again, head);
    }
  },
);

test(
  "a backup ends with the line it was asked for, at any line, and does not look at " + "what stands behind",
  async (t) => {
    const { root, folder, last } = await bench(t, 4);
    const all = Buffer.concat(segmentNames(folder).map((name) => readFileSync(join(folder, name))));
    appendFileSync(segmentPath(folder, segmentNames(folder).length - 1), "half a li");
    const again = join(root, "again");
    for (const line of placedLines(all)) {
      const { file, head } = await backUp(folder, line.seq);
      assert.equal((await unpack(again, file)).head.seq, line.seq);
      assert.deepEqual(
        Buffer.concat(segmentNames(again).map((name) => readFileSync(join(again, name)))),
        all.subarray(0, line.end),
      );
      await verify(again, head);
    }
    assert.match((await damage(backUp(folder, last + 1))).reason, /has no newline at its end/);
  },
);

test("a backup with any byte altered is refused, with the line and byte", async (t) => {
  const { root, folder, last } = await bench(t, 3);
  const { file } = await backUp(folder, last);
  const again = join(root, "again");
  await unpack(again, file);
  for (let at = 0; at < file.length; at += STEP) {
    const altered = Buffer.from(file);
    altered[at] = (file[at] ?? 0) ^ (1 << (at % 8));
    const { file: name, line, offset } = await damage(unpack(again, altered));
    assert.equal(name, "the backup");
    assert.ok(line !== null && offset !== null);
    const startsNow = [0, ...[...altered].flatMap((byte, index) => (byte === 10 ? [index + 1] : []))];
    assert.equal(startsNow[line - 1], offset, `byte ${at}: line ${line} begins at byte ${offset}`);
    assert.ok(
      offset >= (startsNow.findLast((start) => start <= at) ?? 0),
      `byte ${at} is found in its own line, or behind it: ${offset}`,
    );
  }
});

test("every file of a restore is synced before it is closed, and the folder after all of them", async (t) => {
  const { root, folder, last } = await bench(t, 3);
  const { file } = await backUp(folder, last);
  const again = join(root, "again");
  mkdirSync(again);
  const calls: string[] = [];
  const files: Files = {
    ...unsyncedFiles,
    datasync: (fd) => Promise.resolve(void calls.push(`sync ${fd}`)),
    close: (fd) => unsyncedFiles.close(fd).then(() => void calls.push(`close ${fd}`)),
    syncFolder: (path) => Promise.resolve(void calls.push(`folder ${path}`)),
  };
  await unpackBackup(files, again, "the backup", inPieces(file, 100));
  assert.equal(calls.pop(), `folder ${again}`);
  assert.equal(calls.length, 2 * readdirSync(again).length);
  calls.forEach((call, index) =>
    assert.equal(call, index % 2 === 0 ? calls[index + 1]?.replace("close", "sync") : call),
  );
});

test("a line of the log that was altered is named itself", async (t) => {
  const { root, folder, last } = await bench(t, 3);
  const { file } = await backUp(folder, last);
  const at = file.lastIndexOf("test.said");
  file[at] = "T".charCodeAt(0);
  const { line, offset, reason } = await damage(unpack(join(root, "again"), file));
  assert.equal(offset, file.lastIndexOf("\n", at) + 1);
  assert.equal(line, file.subarray(0, offset).toString().split("\n").length);
  assert.match(reason, /does not match its sum/);
});

test("a backup cut anywhere is refused, and so is one with something behind its end", async (t) => {
  const { root, folder, last } = await bench(t, 2);
  const { file } = await backUp(folder, last);
  for (let length = 0; length < file.length; length++)
    await damage(unpack(join(root, "again"), file.subarray(0, length)));
  assert.match((await damage(unpack(join(root, "again"), Buffer.concat([file, file])))).reason, /follows the end/);
  assert.match(
    (await damage(unpack(join(root, "again"), Buffer.from("something else\n")))).reason,
    /not the header of a backup/,
  );
});

test(
  "a snapshot that turned bad is passed over and named; without a good one for lines that were let go, " +
    "there is no backup",
  async (t) => {
    const { root, folder, heads, last } = await bench(t);
    const newest = join(folder, `${String(heads.at(-1)?.seq).padStart(20, "0")}.snapshot`);
    flip(newest, 100);
    const { file, passedOver, head } = await backUp(folder, last);
    assert.match(passedOver.join(), /\.snapshot: .*line/);
    await verify(join(root, "again"), (await unpack(join(root, "again"), file)).head);
    rmSync(segmentPath(folder, 0));
    assert.equal(
      (await backUp(folder, last)).oldestSeq,
      (heads[0]?.seq ?? 0) + 1,
      "an older snapshot stands for the first segment",
    );
    for (const { seq } of heads.slice(0, -1)) rmSync(join(folder, `${String(seq).padStart(20, "0")}.snapshot`));
    assert.match((await damage(backUp(folder, last))).reason, /no good snapshot stands for the lines before/);
    assert.equal(head.seq, last);
  },
);

test("damage in the journal, a missing segment, a snapshot of another journal: no backup is made of it", async (t) => {
  const { folder, heads, last } = await bench(t);
  const second = segmentPath(folder, 1);
  const before = flip(second, 200);
  assert.equal((await damage(backUp(folder, last))).file, second);
  writeFileSync(second, before);
  await backUp(folder, last);
  rmSync(second);
  assert.match((await damage(backUp(folder, last))).reason, /begins with seq/);
  writeFileSync(second, before);
  await writeSnapshot(unsyncedFiles, folder, { seq: heads.at(-1)?.seq ?? 0, sum: "e".repeat(64) }, LINES);
  assert.match((await damage(backUp(folder, last))).reason, /not of this journal/);
});

test("the end of a journal: its last good line, and the last one that its own lines prove to be synced", async (t) => {
  const folder = join(tempFolder(t), "journal");
  assert.equal(await findEnd(unsyncedFiles, folder, false), null);
  await makeJournal(folder, [2, 3]);
  assert.deepEqual(await findEnd(unsyncedFiles, folder, false), { last: 6, proven: 3 });
  const path = segmentPath(folder, 0);
  appendFileSync(path, '{"sum":"');
  assert.deepEqual(await findEnd(unsyncedFiles, folder, false), { last: 6, proven: 3 }, "a torn end is none of it");
  const [, second] = placedLines(readFileSync(path).subarray(0, -8));
  flip(path, (second?.start ?? 0) + 100);
  assert.equal((await damage(findEnd(unsyncedFiles, folder, false))).line, 2);
  assert.equal(
    (await findEnd(unsyncedFiles, folder, true))?.last,
    1,
    "beside a daemon, what is behind may be on its way",
  );
});

test("the shell lines of FORMAT.md check a backup and take it apart", async (t) => {
  const { root, folder, last } = await bench(t);
  const { file } = await backUp(folder, last);
  const path = join(root, "b");
  writeFileSync(path, file);
  const [, shell = ""] =
    /```\n(sed [^]*?)```/.exec(readFileSync(new URL("../../src/journal/FORMAT.md", import.meta.url), "utf8")) ?? [];
  const again = join(root, "again");
  mkdirSync(again);
  const { status, stdout } = spawnSync("sh", ["-c", shell.replaceAll("FILE", path)], { cwd: again, encoding: "utf8" });
  assert.deepEqual([status, stdout.slice(0, 64)], [0, /"sha256":"([0-9a-f]{64})"\}\n$/.exec(file.toString())?.[1]]);
  for (const name of segmentNames(folder))
    assert.deepEqual(readFileSync(join(again, name)), readFileSync(join(folder, name)), name);
});
