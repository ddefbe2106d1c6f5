/**
 * The start: replay, the judgement whether a bad end is torn or damage (FORMAT.md), and the repair. What it gives is
 * ready to append to.
 */
import { messageOf } from "../lib/errors.ts";
import type { Files } from "../lib/files.ts";
import type { Log } from "../lib/log.ts";
import { JournalDamaged } from "./errors.ts";
import { listSegments } from "./names.ts";
import type { Note } from "./note.ts";
import { NoteCheck, readNote } from "./note.ts";
import type { LastSegment } from "./repair.ts";
import { cutTorn, makeDurable, removeLeftovers } from "./repair.ts";
import type { ReplayTarget } from "./replay.ts";
import { loadBase, replaySegments } from "./replay.ts";
import { isShortage } from "./shortage.ts";
import type { Head, Torn } from "./types.ts";
import type { SegmentWalk } from "./walk.ts";
import { damageOf } from "./walk.ts";
import type { ActiveFile } from "./writer.ts";

export { JournalDamaged } from "./errors.ts";

/** A journal that was found good, or was put right. */
export interface Opened {
  readonly head: Head;
  /** The last segment, open for writing; null where there is none yet. */
  readonly active: ActiveFile | null;
  readonly torn: Torn | null;
  /** A torn end that could not be kept for lack of room, and is still there. */
  readonly uncut: { readonly fd: number; readonly last: LastSegment; readonly reason: string } | null;
}

/**
 * Replays into `target` and repairs the end. Throws JournalDamaged, the disk's errors, and what the target throws;
 * nothing is open then.
 */
export async function recover(files: Files, folder: string, log: Log, target: ReplayTarget): Promise<Opened> {
  await removeLeftovers(files, folder);
  const noted = new NoteCheck(await findNote(files, folder, log), folder);
  const segments = await listSegments(files, folder);
  noted.segments(segments);
  const base = await loadBase(files, folder, target);
  for (const reason of base.unusable) log.warn("journal: a snapshot was passed over", { reason });
  noted.passed(base.head);
  const replayed = await replaySegments(files, folder, segments, base, watched(target, noted));
  noted.ended(replayed.last?.segment.path ?? folder, replayed.head, replayed.last?.bad ?? null);
  log.info("journal: replayed", {
    snapshot: base.snapshot?.name ?? null,
    records: replayed.records,
    head: `${replayed.head.seq}:${replayed.head.sum}`,
  });
  if (replayed.last === null) return { head: replayed.head, active: null, torn: null, uncut: null };
  const last = await judge(files, replayed.last, log);
  const fd = await files.open(last.path, "r+");
  try {
    return await repair(files, folder, log, { head: replayed.head, last, fd });
  } catch (error) {
    await files.close(fd).catch(() => undefined);
    throw error;
  }
}

/** A note that does not read keeps nobody from starting: it only says less. `journal verify` names it. */
async function findNote(files: Files, folder: string, log: Log): Promise<Note | null> {
  try {
    return await readNote(files, folder);
  } catch (error) {
    if (!(error instanceof JournalDamaged)) throw error;
    log.warn("journal: the note of its head was passed over", { reason: error.message });
    return null;
  }
}

/** The target, and each line held against the note first. */
function watched(target: ReplayTarget, noted: NoteCheck): ReplayTarget {
  return {
    snapshotLine: (line) => target.snapshotLine(line),
    reset: () => target.reset(),
    record(record) {
      noted.passed(record);
      target.record(record);
    },
  };
}

/** Throws JournalDamaged where a line behind the bad one proves that the bad one had been synced. */
async function judge(files: Files, last: SegmentWalk, log: Log): Promise<LastSegment> {
  const { path } = last.segment;
  const { bad, end, lastBatchAt } = last;
  const size = (await files.stat(path))?.size ?? 0;
  if (bad !== null) {
    const proof = await last.findProof();
    if (proof !== null) {
      const why =
        `this is no torn end: the line with seq ${proof.seq} at byte ${proof.offset} was written ` +
        `after seq ${proof.batch - 1} had been synced`;
      throw damageOf(bad, `; ${why}`);
    }
    const fields = { file: path, line: bad.place.line, offset: bad.place.offset, reason: bad.reason };
    log.warn("journal: the last write did not reach the disk whole; what is missing was never acknowledged", fields);
  }
  return { path, end, size, lastBatchAt };
}

async function repair(
  files: Files,
  folder: string,
  log: Log,
  found: { readonly head: Head; readonly last: LastSegment; readonly fd: number },
): Promise<Opened> {
  const { head, last, fd } = found;
  const active = { fd, path: last.path, end: last.end, id: (await files.stat(last.path))?.id ?? null };
  await makeDurable(files, fd, last);
  await files.syncFolder(folder);
  try {
    const torn = await cutTorn(files, folder, fd, last);
    if (torn !== null)
      log.warn("journal: cut off a torn end and kept a copy", {
        file: torn.file,
        offset: torn.offset,
        bytes: torn.bytes,
        kept_as: torn.keptAs,
      });
    return { head, active, torn, uncut: null };
  } catch (error) {
    if (!isShortage(error)) throw error;
    const reason = `no room to keep a copy of a torn end of ${last.size - last.end} bytes: ${messageOf(error)}`;
    log.error("journal: off until there is room", { reason });
    return { head, active, torn: null, uncut: { fd, last, reason } };
  }
}
