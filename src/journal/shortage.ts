/**
 * Which failures of a write pass by themselves, and how to see that one has. Nothing else of the disk's errors is known
 * here.
 */
import { join } from "node:path";
import { systemCode } from "../lib/errors.ts";
import type { Files } from "../lib/files.ts";
import { writeAll } from "../lib/files.ts";
import { PROBE_NAME } from "./names.ts";

/** What must be able to be written before changes are let in again. */
const PROBE_BYTES = 64 * 1024;

/** No room, no quota, no descriptor left: nothing is broken, the same write works once there is some. */
export function isShortage(error: unknown): boolean {
  return ["ENOSPC", "EDQUOT", "EMFILE", "ENFILE"].includes(systemCode(error) ?? "");
}

/** Writes 64 KiB beside the segments, syncs them and takes them away again. Throws what the disk says. */
export async function tryRoom(files: Files, folder: string): Promise<void> {
  const path = join(folder, PROBE_NAME);
  const fd = await files.open(path, "w", 0o600);
  try {
    await writeAll(files, fd, Buffer.alloc(PROBE_BYTES), 0);
    await files.datasync(fd);
  } finally {
    await files.close(fd).catch(() => undefined);
    await files.unlink(path).catch(() => undefined);
  }
}

/**
 * A sync failed. What is on disk is unknown from here on, so it is never tried again (fsync reports a lost page once).
 * It bears no `code`, and so is never a shortage, whatever its cause says.
 */
export class SyncFailed extends Error {
  constructor(what: string, cause: unknown) {
    super(`sync of ${what} failed: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.name = "SyncFailed";
  }
}
