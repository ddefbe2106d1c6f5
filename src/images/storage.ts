/**
 * How the disk's failures and its last free bytes are told to a client; the rule of how much must stay free stands here
 * and nowhere else.
 */
import { ApiError, systemCode } from "../lib/errors.ts";
import type { DiskSpace } from "../lib/files.ts";

const GIB = 1024 ** 3;

/** What uploads leave free for the journal: 5 % of the file system, or 1 GiB where that is less. */
export function spareBytes({ totalBytes }: DiskSpace): number {
  return Math.min(0.05 * totalBytes, GIB);
}

/** What uploads may still write, in bytes; below 0 where others took the spare. */
export function roomBytes(space: DiskSpace): number {
  return space.freeBytes - spareBytes(space);
}

export function storageFull(cause?: unknown): ApiError {
  return new ApiError(
    "storage_full",
    "Too little disk would be left free for this image; nothing was kept.",
    cause === undefined ? {} : { cause },
  );
}

/** The folder of the images is not there, or is another one. */
export function storeGone(root: string, images: string, isThere: boolean): ApiError {
  const missing = `There is no image store in ${root}: the folder ${images} is not there`;
  const what = isThere ? `${images} was replaced while the daemon ran` : missing;
  const advice = "Is build.images_dir right, and its disk mounted?";
  return new ApiError("storage_failed", `${what}. ${advice}`, { headers: { "Retry-After": "10" } });
}

/** A stored file that went into quarantine, or by another hand, while its upload was verified. */
export function fileGone(): ApiError {
  const message = "The stored image went away while this upload was verified: push it again.";
  return new ApiError("storage_failed", message, { headers: { "Retry-After": "1" } });
}

/**
 * Runs one step on the disk. Throws ApiError `storage_full` (no space, no quota) or `storage_failed` (anything else),
 * with the system's error as cause.
 */
export async function onDisk<T>(step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (cause) {
    if (cause instanceof ApiError) throw cause;
    const code = systemCode(cause);
    if (code === "ENOSPC" || code === "EDQUOT") throw storageFull(cause);
    throw new ApiError(
      "storage_failed",
      `The image store's disk failed (${code ?? "unknown error"}); nothing was kept.`,
      { cause, headers: { "Retry-After": "10" } },
    );
  }
}
