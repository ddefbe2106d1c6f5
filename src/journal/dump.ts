/**
 * Lines of the journal from a given seq on, for events and `zwrmd journal dump`. Reads only; may run beside a daemon
 * that writes.
 */
import type { Files } from "../lib/files.ts";
import { JournalCompacted, JournalDamaged, WHOLE_FILE } from "./errors.ts";
import { NEWLINE, readAt, withReader } from "./lines.ts";
import type { Named } from "./names.ts";
import { listSegments, requireSegments } from "./names.ts";
import { Chain, startOf } from "./record.ts";
import type { JournalRecord } from "./types.ts";
import { walkSegments } from "./walk.ts";

/** A search ends where reading on is cheaper than looking again. */
const NEAR_BYTES = 256 * 1024;
const LOOK_BYTES = 64 * 1024;

export interface DumpRange {
  /** The first seq to give, from 1. */
  readonly from: number;
  /** The last seq to give: a running daemon's `durable.seq`. Null gives what there is, up to a torn end. */
  readonly until: number | null;
}

/** The oldest seq that is in a segment; 1 for an empty journal. */
export async function oldestSeq(files: Files, folder: string): Promise<number> {
  return (await listSegments(files, folder))[0]?.seq ?? 1;
}

/**
 * The lines of a range in order, each checked against the one before. Throws JournalCompacted where the first is gone,
 * JournalAbsent where there is no journal,
 * JournalDamaged for a line that does not fit or a range that ends early, an Error where the range begins behind the
 * end. Leaving the loop early closes the file.
 */
export async function* dumpJournal(
  files: Files,
  folder: string,
  { from, until }: DumpRange,
): AsyncGenerator<JournalRecord, void, void> {
  const all = await requireSegments(files, folder);
  const [oldest] = all;
  if (from < oldest.seq) throw new JournalCompacted(from, oldest.seq);
  const behind = all.slice(all.findLastIndex((segment) => segment.seq <= from));
  const segments = behind.filter((segment) => until === null || segment.seq <= until);
  const [first] = segments;
  if (first === undefined) return;
  let reached = from - 1;
  let last: number | null = null;
  const start = await seek(files, first, from);
  const walked = { files, segments, chain: new Chain(null), from: start, mayEndBadly: until === null };
  for await (const walk of walkSegments(walked)) {
    for await (const { records } of walk.stretches()) {
      for (const record of records) {
        if (until !== null && record.seq > until) return;
        last = record.seq;
        if (record.seq < from) continue;
        reached = record.seq;
        yield record;
        if (record.seq === until) return;
      }
    }
  }
  if (until === null && last !== null && last < from - 1) {
    const what = `the log ends with seq ${last}, so there is nothing after ${from - 1}`;
    throw new Error(`${what}: is it the log that the number is of?`);
  }
  if (until !== null && reached < until)
    throw new JournalDamaged(
      segments.at(-1)?.path ?? folder,
      WHOLE_FILE,
      `the lines end with seq ${reached}, where ${until} was written`,
    );
}

/** Where a line at or shortly before `seq` begins: halves the file, since lines are in order. */
async function seek(files: Files, segment: Named, seq: number): Promise<number> {
  let low = 0;
  let high = (await files.stat(segment.path))?.size ?? 0;
  return withReader(files, segment.path, async (fd) => {
    while (high - low > NEAR_BYTES) {
      const middle = Math.floor((low + high) / 2);
      const bytes = await readAt(files, fd, middle, LOOK_BYTES);
      const at = bytes.indexOf(NEWLINE) + 1;
      const start = at === 0 ? null : startOf(bytes, at);
      if (start === null || start.seq > seq) high = middle;
      else low = middle + at;
    }
    return low;
  });
}
