/** Which failures of a write pass by themselves. Nothing else of the disk's errors is known here. */
import { systemCode } from "../lib/errors.ts";

/** No room, no quota, no descriptor left: nothing is broken, the same write works once there is some. */
export function isShortage(error: unknown): boolean {
  return ["ENOSPC", "EDQUOT", "EMFILE", "ENFILE"].includes(systemCode(error) ?? "");
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
