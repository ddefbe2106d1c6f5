/**
 * Walks the whole chain on disk and compares every snapshot with it. Reads only; may run beside a daemon that writes.
 */
import type { Files } from "../lib/files.ts";
import type { LinePlace } from "./errors.ts";
import { JournalCompacted, JournalDamaged, WHOLE_FILE } from "./errors.ts";
import type { Named } from "./names.ts";
import { listSnapshots, requireSegments } from "./names.ts";
import { NoteCheck, readNote } from "./note.ts";
import { CHAIN_START, Chain } from "./record.ts";
import { readSnapshot } from "./snapshot.ts";
import type { Head } from "./types.ts";
import type { Bad } from "./walk.ts";
import { damageOf, walkSegments } from "./walk.ts";

/** After each segment. */
export interface Progress {
  readonly file: string;
  /** Lines of this segment. */
  readonly records: number;
  readonly head: Head;
}

export interface Verified {
  readonly segments: number;
  readonly records: number;
  /** The first line that is still in a segment. */
  readonly oldestSeq: number;
  /** Where the chain ends; null for an empty journal. */
  readonly head: Head | null;
  readonly snapshots: number;
  /** What stands behind the last good line: torn, or being written this moment. The next start cuts it off. */
  readonly tail: (LinePlace & { readonly file: string; readonly reason: string }) | null;
}

/** Heads that the chain must pass through. */
interface Expected {
  readonly head: Head;
  /** Where it was noted: a snapshot's path, or null for the operator's word. */
  readonly path: string | null;
}

/**
 * Walks every segment and yields after each; returns the sum of it. Throws JournalAbsent where there is none,
 * JournalDamaged at the first thing wrong, a bad snapshot included.
 * `noted` is a head noted elsewhere: the chain must pass through it. Without one the chain shows that nothing is
 * damaged, not that nobody rewrote all of it.
 */
export async function* verifyJournal(
  files: Files,
  folder: string,
  noted: Head | null = null,
): AsyncGenerator<Progress, Verified, void> {
  const snapshots = await readSnapshots(files, folder);
  // Before the segments: beside a daemon that writes, what is noted later may be of one that is not listed.
  const kept = new NoteCheck(await readNote(files, folder), folder);
  const segments = await requireSegments(files, folder);
  kept.segments(segments);
  const expected = noted === null ? snapshots : [...snapshots, { head: noted, path: null }];
  const bySeq = groupBySeq(expected);
  const oldest = segments[0];
  const chain = new Chain(startOfChain(oldest, expected));
  let head = chain.head;
  let records = 0;
  let bad: Bad | null = null;
  for await (const walk of walkSegments({ files, segments, chain, from: 0, mayEndBadly: true })) {
    await walk.each((record) => {
      kept.passed(record);
      for (const expectation of bySeq.get(record.seq) ?? []) checkPassed(folder, expectation, record.sum);
    });
    // Before this segment is called good.
    walk.refuseBad();
    ({ head, bad } = walk);
    records += walk.count;
    if (bad !== null && (await walk.findProof()) !== null) throw damageOf(bad);
    if (head !== null) yield { file: walk.segment.path, records: walk.count, head: { seq: head.seq, sum: head.sum } };
  }
  kept.ended(segments.at(-1)?.path ?? folder, head, bad);
  checkReached(folder, oldest.seq, head?.seq ?? 0, expected);
  const end = head === null || head.seq === 0 ? null : { seq: head.seq, sum: head.sum };
  const tail = bad === null ? null : { file: bad.file, ...bad.place, reason: bad.reason };
  return { segments: segments.length, records, oldestSeq: oldest.seq, head: end, snapshots: snapshots.length, tail };
}

async function readSnapshots(files: Files, folder: string): Promise<Expected[]> {
  const found: Expected[] = [];
  for (const { path } of await listSnapshots(files, folder))
    found.push({ head: await readSnapshot(files, path, () => undefined), path });
  return found;
}

function groupBySeq(expected: readonly Expected[]): ReadonlyMap<number, readonly Expected[]> {
  const groups = new Map<number, Expected[]>();
  for (const item of expected) groups.set(item.head.seq, [...(groups.get(item.head.seq) ?? []), item]);
  return groups;
}

/**
 * The head that the oldest segment follows: a snapshot's or the operator's where the lines before were compacted away;
 * null where nobody knows it.
 */
function startOfChain(oldest: Named, expected: readonly Expected[]): Head | null {
  if (oldest.seq === 1) return CHAIN_START;
  return expected.find(({ head }) => head.seq === oldest.seq - 1)?.head ?? null;
}

function checkPassed(folder: string, { head, path }: Expected, sum: string): void {
  if (head.sum === sum) return;
  const who = path === null ? "the head noted elsewhere" : "this snapshot";
  const differ = `${who} gives seq ${head.seq} the sum ${head.sum}, the chain gives it ${sum}`;
  throw new JournalDamaged(
    path ?? folder,
    WHOLE_FILE,
    `${differ}: one of them was rewritten, or is of another journal`,
  );
}

/** What lies before the oldest line cannot be compared; what lies behind the last one is missing. */
function checkReached(folder: string, oldestSeq: number, lastSeq: number, expected: readonly Expected[]): void {
  const before = expected.filter(({ head }) => head.seq === oldestSeq - 1);
  for (const item of before) checkPassed(folder, item, before[0]?.head.sum ?? item.head.sum);
  for (const { head, path } of expected) {
    if (path === null && head.seq < oldestSeq - 1) throw new JournalCompacted(head.seq, oldestSeq);
    if (head.seq <= lastSeq || head.seq < oldestSeq) continue;
    const who = path === null ? "the head noted elsewhere" : "this snapshot";
    throw new JournalDamaged(
      path ?? folder,
      WHOLE_FILE,
      `${who} covers seq ${head.seq}, the chain ends with seq ${lastSeq}: lines that were on disk are missing`,
    );
  }
}
