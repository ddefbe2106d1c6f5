/**
 * How much room images may take on a host: what has to stay free, what goes for the next one, and how that is said.
 * Pure.
 */
import { systemCode } from "../lib/errors.ts";
import type { DiskSpace } from "../lib/files.ts";

/** A file in the cache's folders. */
export interface CachedFile {
  readonly path: string;
  readonly digest: string;
  readonly size: number;
  /** Wall time in milliseconds. */
  readonly usedAt: number;
  /** The beginning of an image, from a download that broke off. */
  readonly isPart: boolean;
}

const MIB = 1024 * 1024;

/**
 * Unfinished downloads first, then what was used longest ago, until neither limit nor disk asks for more. What is left
 * over 0 could not be had. Pure.
 */
export function planEviction(
  idle: readonly CachedFile[],
  over: number,
  short: number,
): { readonly evict: readonly CachedFile[]; readonly over: number; readonly short: number } {
  const evict: CachedFile[] = [];
  for (const entry of idle.toSorted((a, b) => Number(b.isPart) - Number(a.isPart) || a.usedAt - b.usedAt)) {
    if (over <= 0 && short <= 0) break;
    evict.push(entry);
    over -= entry.size;
    short -= entry.size;
  }
  return { evict, over, short };
}

/**
 * What images leave free for the agent's records and the machines' consoles, which by default lie on the same disk: 64
 * MiB are the consoles of eight machines (2 * 4 MiB each); of a disk below 1.25 GiB it is 5 %, so that small ones can
 * be used.
 */
export function spareBytes({ totalBytes }: DiskSpace): number {
  return Math.min(0.05 * totalBytes, 64 * MIB);
}

/** Some file systems of user space say 0 of 0. */
export function isTold({ totalBytes }: DiskSpace): boolean {
  return totalBytes > 0;
}

/** In words; what is asked for is rounded up and what there is down, so that they do not look as if they fitted. */
export function numbersOf(wanted: number, space: DiskSpace, evictable: number): string {
  const up = (bytes: number): string => `${(Math.ceil((bytes / MIB) * 10) / 10).toFixed(1)} MiB`;
  const down = (bytes: number): string => `${(Math.floor((bytes / MIB) * 10) / 10).toFixed(1)} MiB`;
  return (
    `${up(wanted)} are still to come and ${up(spareBytes(space))} must stay free, but ` +
    `${down(space.freeBytes)} are free and ${down(evictable)} can be evicted`
  );
}

export function isDiskFull(error: unknown): boolean {
  const code = systemCode(error);
  return code === "ENOSPC" || code === "EDQUOT";
}
