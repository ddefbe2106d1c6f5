/**
 * One process a data folder: a lock that the kernel holds for the open file, across namespaces, and lets go at SIGKILL.
 */
import { closeSync, fchownSync, fstatSync, ftruncateSync, mkdirSync, openSync } from "node:fs";
import { readFileSync, statSync, writeSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import type { Clock } from "../lib/clock.ts";
import { systemClock, toRfc3339 } from "../lib/clock.ts";
import { systemCode } from "../lib/errors.ts";
import { diskFiles } from "../lib/files.ts";
import { flock } from "../lib/flock.ts";
import { unlessMissingSync } from "../lib/missing.ts";
import { displacementOf } from "./place.ts";

export const LOCK_NAME = "lock";

export interface Lock {
  readonly path: string;
  /** Why the lock keeps nobody out any more; null while it does. Never throws. */
  readonly displacement: () => Promise<string | null>;
  /** Lets the lock go; the end of the process does, too. */
  release(): void;
}

/** Another process works on this folder. */
export class DataDirLocked extends Error {
  readonly path: string;

  constructor(dataDir: string, path: string, holder: string) {
    super(
      `${dataDir} is in use by ${holder} (lock file ${path}). Two daemons on one data_dir would destroy it; ` +
        "stop that one first.",
    );
    this.name = "DataDirLocked";
    this.path = path;
  }
}

/**
 * Takes the lock of a data folder, which is made when missing (0700). Throws DataDirLocked while another process has
 * it, an Error where it cannot be told.
 */
export function lockDataDir(dataDir: string, clock: Clock = systemClock): Lock {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const path = join(dataDir, LOCK_NAME);
  const fd = openSync(path, "a+", 0o600);
  try {
    takeLock(dataDir, path, fd);
    giveToOwner(dataDir, fd);
    sayWho(fd, clock);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  const { dev, ino } = fstatSync(fd);
  let isHeld = true;
  return {
    path,
    displacement: () => displacementOf(diskFiles, path, `${dev}:${ino}`),
    release() {
      if (isHeld) closeSync(fd);
      isHeld = false;
    },
  };
}

/** Lets a look at the folder go. */
export type Release = () => void;

/**
 * For tools that only look: keeps a daemon from starting meanwhile, and lets other tools look too. Makes and writes
 * nothing, so it works on what is read-only;
 * where no daemon has ever made a lock there is none to hold. Throws as `lockDataDir`.
 */
export function holdForLook(dataDir: string): Release {
  const path = join(dataDir, LOCK_NAME);
  const fd = unlessMissingSync(() => openSync(path, "r"), null);
  if (fd === null) return () => undefined;
  try {
    takeLock(dataDir, path, fd, true);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  return () => closeSync(fd);
}

function takeLock(dataDir: string, path: string, fd: number, shared = false): void {
  if (!flock(fd, path, { shared })) throw new DataDirLocked(dataDir, path, holderOf(path));
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return systemCode(error) !== "ESRCH";
  }
}

/** What root makes in another user's folder is that user's: their daemon must be able to take the lock. */
function giveToOwner(dataDir: string, fd: number): void {
  const { uid, gid } = statSync(dataDir);
  if (process.getuid?.() === 0 && uid !== 0) fchownSync(fd, uid, gid);
}

/** For people only: the lock itself is the kernel's. */
function sayWho(fd: number, clock: Clock): void {
  ftruncateSync(fd, 0);
  writeSync(fd, `${JSON.stringify({ pid: process.pid, host: hostname(), since: toRfc3339(clock.wall()) })}\n`);
}

function holderOf(path: string): string {
  try {
    const who: unknown = JSON.parse(readFileSync(path, "utf8"));
    if (typeof who === "object" && who !== null && "pid" in who && "host" in who && "since" in who) {
      // A tool that looks holds the lock and leaves no name: what stands there then is that of a daemon which has
      // ended.
      const hasEnded = who.host === hostname() && typeof who.pid === "number" && !isAlive(who.pid);
      if (hasEnded) return "another process, such as zwrmd images verify";
      return `process ${String(who.pid)} on ${String(who.host)}, since ${String(who.since)}`;
    }
  } catch {
    // The holder has taken the lock and not yet said who it is, or a full disk kept it from saying.
  }
  return "another process";
}
