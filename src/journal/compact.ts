/**
 * Lets go of what no start needs any more: closed segments that two good snapshots stand for, and the snapshots before
 * those. Never the newest of either.
 */
import { messageOf } from "../lib/errors.ts";
import type { Files } from "../lib/files.ts";
import { JournalDamaged, WHOLE_FILE } from "./errors.ts";
import type { Named } from "./names.ts";
import { listSnapshots, requireSegments } from "./names.ts";
import { lastLine } from "./segment.ts";
import { readSnapshot } from "./snapshot.ts";
import type { Head } from "./types.ts";

/** Two, so that the newer may turn out bad: the older and the segments behind it then give the same state. */
const KEPT_SNAPSHOTS = 2;

export interface CompactOptions {
  /**
   * Wall time in milliseconds since the epoch: a segment whose last line is of then or later stays. -Infinity keeps all
   * of them and only prunes snapshots.
   */
  readonly keepSince: number;
}

export interface Compacted {
  /** File names, in the order of removal. */
  readonly removed: readonly string[];
  /** The oldest seq that is still in a segment. */
  readonly oldestSeq: number;
  /** Why nothing more could be let go, in words. */
  readonly because: string;
}

/**
 * Removes segments, oldest first and each for good before the next, so that what is left has no gap whenever this is
 * interrupted. May run beside a daemon that writes. Throws JournalAbsent, and JournalDamaged, with nothing removed,
 * where a snapshot is not of this chain.
 */
export async function compactJournal(files: Files, folder: string, options: CompactOptions): Promise<Compacted> {
  const segments = await requireSegments(files, folder);
  const { kept, bad } = await newestGood(files, folder);
  const oldestKept = kept.at(-1);
  const oldestSeq = segments[0].seq;
  if (oldestKept === undefined || kept.length < KEPT_SNAPSHOTS) {
    const damaged = bad.length === 0 ? "" : ` (${bad.join("; ")})`;
    return {
      removed: [],
      oldestSeq,
      because: `segments go when ${KEPT_SNAPSHOTS} good snapshots stand for them; there are ${kept.length}${damaged}`,
    };
  }
  const covered = segments
    .slice(0, -1)
    .filter((_, index) => (segments[index + 1]?.seq ?? Infinity) <= oldestKept.seq + 1);
  for (const { snapshot, head } of kept) await checkAgainstChain(files, segments, snapshot, head);
  const going = await olderThan(files, covered, options.keepSince);
  const stale = (await listSnapshots(files, folder)).filter((snapshot) => snapshot.seq < oldestKept.seq);
  const removed: string[] = [];
  for (const { name, path } of [...going, ...stale]) {
    await files.unlink(path);
    await files.syncFolder(folder);
    removed.push(name);
  }
  const next = segments[going.length]?.seq ?? oldestSeq;
  return {
    removed,
    oldestSeq: next,
    because:
      `${oldestKept.name} stands for everything up to seq ${oldestKept.seq}; what is kept is behind ` +
      "that, or too young",
  };
}

/** The segments up to the first that is too young, or cannot tell its age. */
async function olderThan(files: Files, segments: readonly Named[], wallMs: number): Promise<readonly Named[]> {
  for (const [index, segment] of segments.entries()) {
    const line = await lastLine(files, segment.path);
    if (line === null || !(Date.parse(line.at) < wallMs)) return segments.slice(0, index);
  }
  return segments;
}

interface Good {
  readonly name: string;
  readonly seq: number;
  readonly snapshot: Named;
  readonly head: Head;
}

/** The newest good snapshots, newest first, read from end to end. */
async function newestGood(files: Files, folder: string): Promise<{ readonly kept: Good[]; readonly bad: string[] }> {
  const kept: Good[] = [];
  const bad: string[] = [];
  for (const snapshot of await listSnapshots(files, folder)) {
    if (kept.length === KEPT_SNAPSHOTS) break;
    try {
      kept.push({
        name: snapshot.name,
        seq: snapshot.seq,
        snapshot,
        head: await readSnapshot(files, snapshot.path, () => undefined),
      });
    } catch (error) {
      bad.push(messageOf(error));
    }
  }
  return { kept, bad };
}

/** A snapshot of another journal must not be what segments are let go for. */
async function checkAgainstChain(files: Files, segments: readonly Named[], snapshot: Named, head: Head): Promise<void> {
  const index = segments.findIndex((segment) => segment.seq === head.seq + 1);
  const ending = segments[index - 1];
  const line = ending === undefined ? null : await lastLine(files, ending.path);
  // Nothing to compare with where the lines up to the head went in an earlier round.
  if (index === 0) return;
  if (line?.seq === head.seq && line.sum === head.sum) return;
  throw new JournalDamaged(
    snapshot.path,
    WHOLE_FILE,
    `this snapshot covers seq ${head.seq} with the sum ${head.sum}, and no segment ends so; nothing was removed`,
  );
}
