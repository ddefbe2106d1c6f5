/**
 * What a snapshot is made of: the snapshot before it and the segments closed since, all checked. Never the live state,
 * never the active segment.
 */
import type { Files } from "../lib/files.ts";
import { listSegments, listSnapshots } from "./names.ts";
import type { ReplayTarget } from "./replay.ts";
import { loadBase, replaySegments } from "./replay.ts";
import type { Head } from "./types.ts";
import { damageOf } from "./walk.ts";

/**
 * Gives the newest good snapshot and every line of the closed segments behind it to `target`, and says what head that
 * comes to. Null, with nothing given, where no segment was closed since the newest snapshot. Throws JournalDamaged at
 * any damage. May run beside a daemon that writes: what is closed does not change.
 */
export async function foldClosed(files: Files, folder: string, target: ReplayTarget): Promise<Head | null> {
  const closed = (await listSegments(files, folder)).slice(0, -1);
  const newest = closed.at(-1);
  const [snapshot] = await listSnapshots(files, folder);
  if (newest === undefined || (snapshot !== undefined && snapshot.seq >= newest.seq)) return null;
  const { head, last } = await replaySegments(files, folder, closed, await loadBase(files, folder, target), target);
  const bad = last?.bad ?? null;
  if (bad !== null) throw damageOf(bad);
  return head;
}
