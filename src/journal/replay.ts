/**
 * From the disk to the layer above: the newest good snapshot, then every line behind it, each checked against the
 * chain. Changes nothing on disk.
 */
import { join } from "node:path";
import { messageOf } from "../lib/errors.ts";
import type { Files } from "../lib/files.ts";
import { JournalDamaged } from "./errors.ts";
import type { Named } from "./names.ts";
import { listSnapshots, segmentName } from "./names.ts";
import { CHAIN_START, Chain } from "./record.ts";
import type { Walked } from "./segment.ts";
import { lastLine, lineReads, walkSegment } from "./segment.ts";
import { readSnapshot } from "./snapshot.ts";
import type { Head, JournalRecord } from "./types.ts";

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
  readonly last: { readonly segment: Named; readonly walked: Walked } | null;
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
  for (const segment of needed) {
    if (segment !== first && segment.seq !== head.seq + 1) throw notNext(segment, head);
    const walked = await walkSegment(files, segment, chain, (record) => {
      if (record.seq < base.head.seq) return;
      if (record.seq === base.head.seq) return checkMeeting(base, record);
      records++;
      target.record(record);
    });
    if (segment === first && walked.lines === 0) await checkBelongs(files, segments, segment, base);
    if (walked.bad !== null && segment !== needed.at(-1))
      throw new JournalDamaged(segment.path, walked.bad.line, walked.bad.offset, walked.bad.reason);
    head = walked.head ?? head;
    last = { segment, walked };
  }
  if (head.seq < base.head.seq)
    throw notOfThisJournal(base, `the segments end with seq ${head.seq}: lines that were on disk are missing`);
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
    1,
    0,
    `this segment is missing: ${found}, and ${covered}${tried}`,
  );
}

function notNext(segment: Named, head: Head): JournalDamaged {
  const missing = segment.seq > head.seq + 1;
  const why = missing
    ? `${segmentName(head.seq + 1)} is missing, or the segment before was cut`
    : "two segments hold the same lines";
  return new JournalDamaged(
    segment.path,
    1,
    0,
    `it begins with seq ${segment.seq}, but the lines before it end with seq ${head.seq}: ${why}`,
  );
}

function checkMeeting(base: Base, record: JournalRecord): void {
  if (record.sum !== base.head.sum)
    throw notOfThisJournal(base, `line ${record.seq} of the segments has the sum ${record.sum}`);
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
    throw notOfThisJournal(base, `the first line of ${first.name} does not follow it`);
}

function notOfThisJournal(base: Base, found: string): JournalDamaged {
  const path = base.snapshot?.path ?? "";
  const covers = `this snapshot covers seq ${base.head.seq} with the sum ${base.head.sum}`;
  return new JournalDamaged(
    path,
    1,
    0,
    `${covers}, but ${found}. It is whole, so one of the two is not of this journal`,
  );
}
