/**
 * Puts the last segment right after a crash: what is torn is kept beside and cut off, what is good is made durable. The
 * only code that shortens a journal.
 */
import { basename, join } from "node:path";
import type { Files } from "../lib/files.ts";
import { writeAll } from "../lib/files.ts";
import { unlessMissing } from "../lib/missing.ts";
import { readAt } from "./lines.ts";
import { PROBE_NAME } from "./names.ts";
import { isShortage } from "./shortage.ts";
import type { Torn } from "./types.ts";

const COPY_BYTES = 1024 * 1024;

/** A last segment as a replay found it. */
export interface LastSegment {
  readonly path: string;
  /** Where its last good line ends, and the file should. */
  readonly end: number;
  readonly size: number;
  /** Where the lines of its last batch begin. */
  readonly lastBatchAt: number;
}

/**
 * Copies what is behind the last good line to `<segment>.<n>.torn`, syncs the copy, then cuts and syncs. Null where
 * nothing is torn. Safe to call again after it failed. Throws the disk's error; the segment is whole then, or already
 * cut.
 */
export async function cutTorn(files: Files, folder: string, fd: number, last: LastSegment): Promise<Torn | null> {
  if (last.size <= last.end) return null;
  const keptAs = await freeName(files, last.path);
  const copy = await files.open(keptAs, "wx", 0o600);
  try {
    await copyRange(files, fd, copy, { from: last.end, to: last.size, at: 0 });
    await files.datasync(copy);
  } catch (error) {
    await files.close(copy).catch(() => undefined);
    await files.unlink(keptAs).catch(() => undefined);
    throw error;
  }
  await files.close(copy);
  await files.syncFolder(folder);
  await files.truncate(fd, last.end);
  await files.datasync(fd);
  return { file: join(folder, basename(last.path)), offset: last.end, bytes: last.size - last.end, keptAs };
}

async function freeName(files: Files, path: string): Promise<string> {
  for (let n = 1; ; n++) {
    const name = `${path}.${n}.torn`;
    if ((await files.stat(name)) === null) return name;
  }
}

async function copyRange(
  files: Files,
  from: number,
  to: number,
  range: { readonly from: number; readonly to: number; readonly at: number },
): Promise<void> {
  let at = range.at;
  for (let position = range.from; position < range.to;) {
    const bytes = await readAt(files, from, position, Math.min(COPY_BYTES, range.to - position));
    if (bytes.length === 0) throw new Error(`journal: the file ended at byte ${position} while it was copied`);
    await writeAll(files, to, bytes, at);
    position += bytes.length;
    at += bytes.length;
  }
}

/**
 * Makes the last batch durable before anyone is told of it. A killed daemon may have left it in memory only, and after
 * a failed sync the kernel may hold its pages as clean although they never reached the disk: a sync alone would say yes
 * to that. So the same bytes are written over themselves first.
 */
export async function makeDurable(files: Files, fd: number, last: LastSegment): Promise<void> {
  try {
    await copyRange(files, fd, fd, { from: last.lastBatchAt, to: last.end, at: last.lastBatchAt });
  } catch (error) {
    // A copy-on-write file system that is full cannot write in place; the daemon must start there all the same.
    if (!isShortage(error)) throw error;
  }
  await files.datasync(fd);
}

/** Removes what a crash left half made: it has no reader. */
export async function removeLeftovers(files: Files, folder: string): Promise<void> {
  for (const name of await files.list(folder)) {
    if (name.startsWith(".") && (name.endsWith(".new") || name === PROBE_NAME))
      await unlessMissing(files.unlink(join(folder, name)), undefined);
  }
}
