/**
 * What the laboratory does with a journal while the disk fails: rounds of concurrent changes over several segments,
 * snapshots, a compaction, a second start.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { compactJournal } from "../../src/journal/compact.ts";
import { foldClosed } from "../../src/journal/fold.ts";
import { Journal, JournalOff } from "../../src/journal/journal.ts";
import { writeSnapshot } from "../../src/journal/snapshot.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { messageOf, systemCode } from "../../src/lib/errors.ts";
import { type Files, readWhole } from "../../src/lib/files.ts";
import type { Log } from "../../src/lib/log.ts";
import { bounded } from "./faulty-files.ts";
import { type Ledger, Memory, type Seen } from "./ledger.ts";

/** What an operator would read. */
function logInto(complaints: string[]): Log {
  const complain = (message: string): void => void complaints.push(message);
  return { debug: () => undefined, info: () => undefined, warn: complain, error: complain };
}

/** About three rounds fill one. */
const SEGMENT_BYTES = 9_000;

export interface Workload {
  readonly files: Files;
  readonly folder: string;
  readonly ledger: Ledger;
  /** What an operator does when the disk is full. */
  readonly makeRoom: () => void;
  /** A start went well. */
  readonly onOpened?: () => void;
}

/** Opens a journal and gives what it replayed; throws what `Journal.open` throws. */
export async function openJournal(
  files: Files,
  folder: string,
  complaints: string[] = [],
  segmentBytes = SEGMENT_BYTES,
): Promise<{ readonly journal: Journal; readonly memory: Memory }> {
  const memory = new Memory();
  const journal = await bounded(
    "Journal.open",
    Journal.open({ folder, files, clock: systemClock, log: logInto(complaints), segmentBytes }, memory),
  );
  return { journal, memory };
}

/**
 * The whole life: two starts, six rounds, three snapshots, a compaction that lets several segments go. Never throws for
 * a disk that fails, and never hangs.
 */
export async function liveTwice(workload: Workload): Promise<void> {
  await live(workload, [
    [700, 700, 700, 700],
    [300, 9_000, 300],
    [2_500, 2_500, 2_500],
    [4_096, 200],
  ]);
  await live(
    workload,
    [
      [500, 500],
      [6_000, 100, 100],
    ],
    true,
  );
}

export async function live(
  { files, folder, ledger, makeRoom, onOpened }: Workload,
  rounds: readonly (readonly number[])[],
  compacts = false,
): Promise<void> {
  const opened = await complaining(ledger, () => openJournal(files, folder, ledger.complaints));
  if (opened !== null) onOpened?.();
  // Somebody makes room and starts the daemon again.
  makeRoom();
  const { journal, memory } =
    opened ?? (await complaining(ledger, () => openJournal(files, folder, ledger.complaints))) ?? {};
  if (journal === undefined || memory === undefined) return;
  ledger.judge(memory.seen);
  for (const [index, round] of rounds.entries()) {
    await changeTogether(journal, ledger, round);
    await recoverRoom(journal, ledger, makeRoom);
    if (index % 2 === 1) await complaining(ledger, () => snapshot(files, folder));
  }
  if (compacts) await complaining(ledger, () => compactJournal(files, folder, { keepSince: Infinity }));
  await complaining(ledger, () => bounded("close", journal.close()));
  assert.throws(() => journal.append(ledger.change(1).entry), JournalOff, "a closed journal takes nothing");
}

/** One change alone, then all of `sizes` at once while that one is being written; waits until each was answered. */
export async function changeTogether(journal: Journal, ledger: Ledger, sizes: readonly number[]): Promise<void> {
  const answers = [change(journal, ledger, 150)];
  await new Promise((resolve) => setImmediate(resolve));
  for (const size of sizes) answers.push(change(journal, ledger, size));
  await bounded("settled", Promise.all(answers));
}

/** Appends one change and puts down what was said of it. */
async function change(journal: Journal, ledger: Ledger, bytes: number): Promise<void> {
  const { mark, entry } = ledger.change(bytes);
  try {
    const told = ledger.submitted(journal.append(entry), mark, entry);
    try {
      await journal.settled(told.seq);
      ledger.acknowledged(told);
    } catch (error) {
      const { writability } = journal;
      ledger.refused(told, writability.writable || !writability.untilRestart);
      throw error;
    }
  } catch (error) {
    assert.ok(
      error instanceof JournalOff && error.reason !== "",
      `a change is refused with a reason, not with ${messageOf(error)}`,
    );
    ledger.complaints.push(error.message);
  }
}

/**
 * After a round: a journal that is off says why, and where that is for want of room only, it works again as soon as
 * there is some.
 */
async function recoverRoom(journal: Journal, ledger: Ledger, makeRoom: () => void): Promise<void> {
  const { writability } = journal;
  assert.equal(journal.lastSeq, journal.durable.seq, "between rounds nothing is in flight");
  if (writability.writable) return makeRoom();
  assert.match(writability.reason, /EIO|ENOSPC/, "the reason names what the disk said");
  ledger.complaints.push(writability.reason);
  if (writability.untilRestart) return assert.throws(() => journal.append(ledger.change(1).entry), JournalOff);
  makeRoom();
  // Two ways back: the next change, or a probe. Both are taken, in turns.
  if (journal.durable.seq % 2 === 0) await bounded("probe", journal.probe());
  else await changeTogether(journal, ledger, [100, 100]);
  const now = journal.writability;
  assert.ok(
    now.writable || now.reason.includes("EIO"),
    "writing works again when there is room, unless the disk failed meanwhile",
  );
}

async function snapshot(files: Files, folder: string): Promise<void> {
  const memory = new Memory();
  const head = await bounded("foldClosed", foldClosed(files, folder, memory));
  if (head !== null) await bounded("writeSnapshot", writeSnapshot(files, folder, head, memory.lines()));
}

async function complaining<T>(ledger: Ledger, step: () => Promise<T>): Promise<T | null> {
  try {
    return await step();
  } catch (error) {
    assert.ok(
      systemCode(error) !== null || /EIO|ENOSPC/.test(messageOf(error)),
      `an error of the disk is told as one: ${String(error)}`,
    );
    ledger.complaints.push(messageOf(error));
    return null;
  }
}

/** A start on a disk that works: everything that was promised is there, the chain holds, and it goes on. */
export async function reopenAndJudge(files: Files, folder: string, ledger: Ledger): Promise<void> {
  const { journal, memory } = await openJournal(files, folder);
  ledger.judge(memory.seen);
  await assertChain(files, folder, memory.seen);
  await changeTogether(journal, ledger, [200]);
  assert.deepEqual(journal.writability, { writable: true });
  await bounded("close", journal.close());
}

/** Walks the segments by the contract's words alone, and finds the last of `seen` in them. */
export async function assertChain(files: Files, folder: string, seen: readonly Seen[]): Promise<void> {
  let previous: { readonly seq: number; readonly sum: string } | null = null;
  for (const name of (await files.list(folder)).filter((file) => file.endsWith(".jsonl"))) {
    const lines = (await readWhole(files, `${folder}/${name}`)).toString("utf8").split("\n");
    assert.equal(lines.pop(), "", `${name} ends with a newline`);
    for (const line of lines) {
      const [, sum = "", rest = ""] = /^\{"sum":"([0-9a-f]{64})",(.*)$/s.exec(line) ?? [];
      const seq = Number(/^"seq":(\d+),"batch":\d+,"at":"/.exec(rest)?.[1]);
      if (previous === null && seq === 1) previous = { seq: 0, sum: "0".repeat(64) };
      if (previous !== null) {
        assert.equal(seq, previous.seq + 1);
        assert.equal(
          sum,
          createHash("sha256").update(previous.sum).update(rest).digest("hex"),
          `the sum of seq ${seq}`,
        );
      }
      previous = { seq, sum };
    }
  }
  assert.equal(previous?.seq ?? 0, seen.at(-1)?.seq ?? 0, "the segments end where the replay ended");
}
