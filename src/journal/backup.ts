/**
 * A journal written as one file (FORMAT.md, "A backup"): its newest snapshots, and every line up to one that is
 * durable. Reads the journal only; may run beside a daemon that writes.
 */
import { createHash } from "node:crypto";
import { messageOf } from "../lib/errors.ts";
import type { Files } from "../lib/files.ts";
import { JournalDamaged, WHOLE_FILE } from "./errors.ts";
import { readPieces } from "./lines.ts";
import { listSegments, listSnapshots } from "./names.ts";
import { NoteCheck, readNote } from "./note.ts";
import { CHAIN_START, Chain } from "./record.ts";
import { readSnapshot } from "./snapshot.ts";
import type { Head } from "./types.ts";
import { SegmentWalk, damageOf, walkSegments } from "./walk.ts";

/** Two, as compaction keeps them: the older and the lines behind it stand in where the newer turns out bad. */
const SNAPSHOTS = 2;

export interface BackupOptions {
  /** The last line that goes in; it must be durable. */
  readonly until: number;
  /** RFC 3339, for people. */
  readonly at: string;
  /** `zwrmd 1.2.3`, for people. */
  readonly program: string;
  /** Takes the backup's bytes in order; the next piece comes when it has resolved. */
  readonly write: (bytes: Uint8Array) => Promise<void>;
}

export interface BackedUp {
  readonly oldestSeq: number;
  readonly head: Head;
  readonly bytes: number;
  /** Snapshots that were bad and are not in it, in words. */
  readonly passedOver: readonly string[];
}

/** Where the lines on disk end. */
export interface JournalEnd {
  /** The last good line. */
  readonly last: number;
  /** The last line that the lines themselves prove to be synced: all of the last batch may still be on its way. */
  readonly proven: number;
}

/**
 * Finds the end of a journal; null where there are no segments. Throws JournalDamaged where what follows the last good
 * line is no torn end, unless a daemon may be writing it (`live`).
 */
export async function findEnd(files: Files, folder: string, live: boolean): Promise<JournalEnd | null> {
  const noted = new NoteCheck(await readNote(files, folder), folder);
  const segments = await listSegments(files, folder);
  const segment = segments.at(-1);
  if (segment === undefined) return null;
  noted.segments(segments);
  const chain = new Chain(null);
  const walk = new SegmentWalk(files, segment, chain, 0, true);
  await walk.each(() => undefined);
  const { head, bad, lastSeq: last } = walk;
  if (!live && bad !== null && (await walk.findProof()) !== null) throw damageOf(bad);
  if (!live) noted.ended(segment.path, head, bad);
  return { last, proven: head === null ? last : chain.batch - 1 };
}

/**
 * Writes the backup. Throws JournalDamaged where a line or a snapshot does not fit, or where no start could work with
 * what there is; passes on what `write` throws.
 */
export async function writeBackup(files: Files, folder: string, options: BackupOptions): Promise<BackedUp> {
  const { until, at, program } = options;
  const sha = createHash("sha256");
  let bytes = 0;
  const write = async (part: Uint8Array): Promise<void> => {
    sha.update(part);
    bytes += part.length;
    await options.write(part);
  };
  await write(Buffer.from(`${JSON.stringify({ backup: 1, program, at, seq: until })}\n`));
  const { snapshots, passedOver } = await copySnapshots(files, folder, until, write);
  const { oldestSeq, head } = await copySegments(files, folder, until, snapshots, passedOver, write);
  const end = Buffer.from(`{"head":"${head.seq}:${head.sum}","sha256":"${sha.digest("hex")}"}\n`);
  await options.write(end);
  return { oldestSeq, head, bytes: bytes + end.length, passedOver };
}

type Write = (part: Uint8Array) => Promise<void>;

interface Snapshot {
  readonly path: string;
  readonly head: Head;
}

function fileLine(name: string): Buffer {
  return Buffer.from(`{"file":"${name}"}\n`);
}

async function copySnapshots(
  files: Files,
  folder: string,
  until: number,
  write: Write,
): Promise<{ readonly snapshots: Snapshot[]; readonly passedOver: string[] }> {
  const snapshots: Snapshot[] = [];
  const passedOver: string[] = [];
  for (const { name, path, seq } of await listSnapshots(files, folder)) {
    // One made this moment may cover lines that the backup does not have.
    if (seq > until || snapshots.length === SNAPSHOTS) continue;
    try {
      snapshots.push({ path, head: await readSnapshot(files, path, () => undefined) });
    } catch (error) {
      passedOver.push(`${name}: ${messageOf(error)}`);
      continue;
    }
    await write(fileLine(name));
    for await (const { bytes } of readPieces(files, path, 0)) await write(bytes);
  }
  return { snapshots, passedOver };
}

async function copySegments(
  files: Files,
  folder: string,
  until: number,
  snapshots: readonly Snapshot[],
  passedOver: readonly string[],
  write: Write,
): Promise<{ readonly oldestSeq: number; readonly head: Head }> {
  const segments = (await listSegments(files, folder)).filter((segment) => segment.seq <= until);
  const oldest = segments[0];
  if (oldest === undefined) throw new JournalDamaged(folder, WHOLE_FILE, `no segment holds a line up to seq ${until}`);
  if (oldest.seq > 1 && !snapshots.some(({ head }) => head.seq >= oldest.seq - 1)) {
    const tried = passedOver.length === 0 ? "" : ` (${passedOver.join("; ")})`;
    const reason = `no good snapshot stands for the lines before seq ${oldest.seq}${tried}`;
    throw new JournalDamaged(oldest.path, WHOLE_FILE, reason);
  }
  const start =
    oldest.seq === 1 ? CHAIN_START : (snapshots.find(({ head }) => head.seq === oldest.seq - 1)?.head ?? null);
  const chain = new Chain(start);
  for await (const walk of walkSegments({ files, segments, chain, from: 0, mayEndBadly: false })) {
    await write(fileLine(walk.segment.name));
    await copyLines(walk, until, snapshots, write);
  }
  const { head } = chain;
  if (head === null || head.seq !== until)
    throw new JournalDamaged(
      segments.at(-1)?.path ?? folder,
      WHOLE_FILE,
      `the lines end with seq ${head?.seq ?? 0}, where ${until} was written`,
    );
  return { oldestSeq: oldest.seq, head };
}

/** The lines of one segment, each checked before its piece goes out; what stands behind `until` is not looked at. */
async function copyLines(
  walk: SegmentWalk,
  until: number,
  snapshots: readonly Snapshot[],
  write: Write,
): Promise<void> {
  for await (const { bytes, offset, records } of walk.stretches()) {
    for (const { seq } of records) {
      checkSnapshots(snapshots, walk.head);
      if (seq === until) break;
    }
    walk.refuseBad();
    await write(bytes.subarray(0, walk.end - offset));
    if (walk.lastSeq === until) return;
  }
}

function checkSnapshots(snapshots: readonly Snapshot[], head: Head | null): void {
  for (const { path, head: covered } of snapshots) {
    if (covered.seq !== head?.seq || covered.sum === head.sum) continue;
    const differ = `this snapshot gives seq ${covered.seq} the sum ${covered.sum}, the chain gives it ${head.sum}`;
    throw new JournalDamaged(path, WHOLE_FILE, `${differ}: one of the two is not of this journal`);
  }
}
