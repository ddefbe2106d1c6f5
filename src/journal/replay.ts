/**
 * From the disk to the layer above: the newest good snapshot, then every line behind it, each checked against the
 * chain. Changes nothing on disk.
 */
import { join } from "node:path";
import { messageOf } from "../lib/errors.ts";
import type { Files } from "../lib/files.ts";
import { JournalDamaged, WHOLE_FILE } from "./errors.ts";
import type { Named } from "./names.ts";
import { listSnapshots, segmentName } from "./names.ts";
import { CHAIN_START, Chain } from "./record.ts";
import { lastLine, lineReads } from "./segment.ts";
import { readSnapshot } from "./snapshot.ts";
import type { Head, JournalRecord } from "./types.ts";
import type { SegmentWalk } from "./walk.ts";
import { walkSegments } from "./walk.ts";

/** Where a replay goes; called in order. */
export interface ReplayTarget {
  /** A line of the snapshot, as it was given to `writeSnapshot`. May throw: the snapshot is then not used. */
  snapshotLine(line: unknown): void;
  /** The snapshot turned out bad: forget all of it. */
  reset(): void;
  /** Every line behind the snapshot, `journal.segment` among them. What it throws ends the replay. */
  record(record: JournalRecord): void;
}

/** Where a replay starts. */
export interface Base {
  readonly head: Head;
  /** The snapshot that gave it; null at the beginning of the journal. */
  readonly snapshot: Named | null;
  /** The newer snapshots that could not be used, in words. */
  readonly unusable: readonly string[];
}

/** Gives the newest good snapshot to `target`. */
export async function loadBase(files: Files, folder: string, target: ReplayTarget): Promise<Base> {
  const unusable: string[] = [];
  for (const snapshot of await listSnapshots(files, folder)) {
    try {
      const head = await readSnapshot(files, snapshot.path, (line) => target.snapshotLine(line));
      return { head, snapshot, unusable };
    } catch (error) {
      unusable.push(`${snapshot.name}: ${messageOf(error)}`);
      target.reset();
    }
  }
  return { head: CHAIN_START, snapshot: null, unusable };
}

/** How a replay ended. */
export interface Replayed {
  readonly head: Head;
  /** Lines given to the target. */
  readonly records: number;
  /** The last segment, and how far it was good; null where there is none. */
  readonly last: SegmentWalk | null;
}

/**
 * Gives every line behind `base` to `target`. Throws JournalDamaged for a bad line in any segment but the last of
 * `segments`; there it stops.
 */
export async function replaySegments(
  files: Files,
  folder: string,
  segments: readonly Named[],
  base: Base,
  target: ReplayTarget,
): Promise<Replayed> {
  const needed = neededSegments(folder, segments, base);
  let head = base.head;
  let records = 0;
  let last: Replayed["last"] = null;
  const first = needed[0];
  // Where the base lies inside the first segment, that segment is checked from its own first line on, and against the
  // base where it meets it.
  const chain = new Chain(
    first === undefined || first.seq === head.seq + 1 ? head : first.seq === 1 ? CHAIN_START : null,
  );
  for await (const walk of walkSegments({ files, segments: needed, chain, from: 0, mayEndBadly: true })) {
    await walk.each((record) => {
      if (record.seq < base.head.seq) return;
      if (record.seq === base.head.seq) return checkMeeting(base, record);
      records++;
      target.record(record);
    });
    if (walk.segment === first && walk.count === 0) await checkBelongs(files, segments, first, base);
    head = walk.head ?? head;
    last = walk;
  }
  const reached = last?.lastSeq ?? head.seq;
  if (base.snapshot !== null && reached < base.head.seq) {
    const found = `the segments end with seq ${reached}: lines that were on disk are missing`;
    throw notOfThisJournal(base.snapshot, base.head, found);
  }
  return { head, records, last };
}

/** The segments from the one that holds the first line behind the base. Throws JournalDamaged where it is missing. */
function neededSegments(folder: string, segments: readonly Named[], base: Base): readonly Named[] {
  const next = base.head.seq + 1;
  const index = segments.findLastIndex((segment) => segment.seq <= next);
  if (index !== -1) return segments.slice(index);
  const oldest = segments[0];
  if (oldest === undefined && base.snapshot === null && base.unusable.length === 0) return [];
  const covered =
    base.snapshot === null ? "no good snapshot stands for it" : `the snapshot ${base.snapshot.name} ends before it`;
  const found = oldest === undefined ? "there is no segment at all" : `the oldest segment is ${oldest.name}`;
  const tried = base.unusable.length === 0 ? "" : ` (${base.unusable.join("; ")})`;
  throw new JournalDamaged(
    join(folder, segmentName(next)),
    WHOLE_FILE,
    `this segment is missing: ${found}, and ${covered}${tried}`,
  );
}

function checkMeeting(base: Base, record: JournalRecord): void {
  if (base.snapshot !== null && record.sum !== base.head.sum)
    throw notOfThisJournal(base.snapshot, base.head, `line ${record.seq} of the segments has the sum ${record.sum}`);
}

/**
 * Nothing could be read behind the snapshot, so nothing shows that it belongs to these segments.
 * Taking its word would call the first segment torn and cut it; the line before, or a first line that reads but does
 * not fit, tells.
 */
async function checkBelongs(files: Files, segments: readonly Named[], first: Named, base: Base): Promise<void> {
  if (base.snapshot === null) return;
  const before = segments[segments.indexOf(first) - 1];
  const line = before === undefined ? null : await lastLine(files, before.path);
  if (line !== null && line.seq === base.head.seq) return checkMeeting(base, line);
  if (await lineReads(files, first.path, 0))
    throw notOfThisJournal(base.snapshot, base.head, `the first line of ${first.name} does not follow it`);
}

function notOfThisJournal(snapshot: Named, { seq, sum }: Head, found: string): JournalDamaged {
  const covers = `this snapshot covers seq ${seq} with the sum ${sum}`;
  const reason = `${covers}, but ${found}. It is whole, so one of the two is not of this journal`;
  return new JournalDamaged(snapshot.path, WHOLE_FILE, reason);
}
