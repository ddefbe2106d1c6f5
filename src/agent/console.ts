/**
 * What machines wrote to their consoles: kept within bounds by copying the tail away and cutting the file, since the
 * machine holds it open. A machine that writes on during the copy loses what it wrote meanwhile, some microseconds'
 * worth, and in a flood no more than it floods.
 */
import { closeSync, constants, fstatSync, ftruncateSync, readdirSync, readSync, renameSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Cancel, Clock } from "../lib/clock.ts";
import { messageOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { CONSOLE_NAME, createOwn, OLD_CONSOLE_NAME, openOwn, statOwn } from "./machine-folder.ts";

export { CONSOLE_NAME };

const LOOK_MS = 1_000;
const FOLLOW_MS = 200;
const PIECE = 1 << 16;

/** Cuts a console that has grown over half of `maxBytes`; its newest bytes go to the older half. True where it did. */
export function rotateConsole(folder: string, maxBytes: number): boolean {
  const path = join(folder, CONSOLE_NAME);
  const half = Math.floor(maxBytes / 2);
  if ((statOwn(path)?.size ?? 0) <= half) return false;
  // Before anything is cut: its newest bytes could not be put there.
  if (statOwn(join(folder, OLD_CONSOLE_NAME))?.isFile === false) throw new Error(`${OLD_CONSOLE_NAME} is not a file`);
  const fd = openOwn(path, constants.O_RDWR);
  try {
    const old = createOwn(`${join(folder, OLD_CONSOLE_NAME)}.new`);
    try {
      copyTail(fd, old, half);
    } finally {
      closeSync(old);
    }
    ftruncateSync(fd, 0);
  } finally {
    closeSync(fd);
  }
  renameSync(`${join(folder, OLD_CONSOLE_NAME)}.new`, join(folder, OLD_CONSOLE_NAME));
  return true;
}

/** Copies up to the end as it is now: behind one that moves faster than this reads, it would copy for ever. */
function copyTail(from: number, to: number, bytes: number): void {
  const buffer = Buffer.allocUnsafe(PIECE);
  const { size } = fstatSync(from);
  for (let position = Math.max(0, size - bytes); position < size;) {
    const got = readSync(from, buffer, 0, Math.min(buffer.length, size - position), position);
    if (got === 0) return;
    for (let done = 0; done < got;) done += writeSync(to, buffer, done, got - done);
    position += got;
  }
}

/**
 * Looks at every machine's console once a second. While no agent runs, nobody does. One that cannot be cut is said
 * once, and keeps no other waiting.
 */
export function boundConsoles(machinesDir: string, maxBytes: number, clock: Clock, log: Log): Cancel {
  let cancel: Cancel = () => undefined;
  let failed: ReadonlySet<string> = new Set();
  const look = (): void => {
    const failing = new Set<string>();
    for (const id of foldersIn(machinesDir, log)) {
      try {
        rotateConsole(join(machinesDir, id), maxBytes);
      } catch (error) {
        failing.add(id);
        if (!failed.has(id)) log.warn("a console could not be cut", { machine: id, reason: messageOf(error) });
      }
    }
    failed = failing;
    cancel = clock.after(LOOK_MS, look);
  };
  look();
  return () => cancel();
}

function foldersIn(machinesDir: string, log: Log): string[] {
  try {
    return readdirSync(machinesDir);
  } catch (error) {
    log.warn("no console could be looked at", { reason: messageOf(error) });
    return [];
  }
}

/**
 * Writes out what a machine wrote, oldest first, and what it goes on to write, until `isOver`. False where it has no
 * console. Of what is cut while this reads, it gives what the older half still has.
 */
export async function readConsole(
  folder: string,
  clock: Clock,
  write: (bytes: Uint8Array) => Promise<void>,
  isOver: () => boolean,
): Promise<boolean> {
  const [path, old] = [join(folder, CONSOLE_NAME), join(folder, OLD_CONSOLE_NAME)];
  if (statOwn(path) === null && statOwn(old) === null) return false;
  let oldFile = inodeOf(old);
  await copyFrom(old, 0, write);
  for (let position = 0; ;) {
    if (inodeOf(old) !== oldFile) {
      oldFile = inodeOf(old);
      await copyFrom(old, position, write);
      position = 0;
    }
    position = await copyFrom(path, position, write);
    if (isOver()) return true;
    await new Promise<void>((resolve) => void clock.after(FOLLOW_MS, resolve));
  }
}

/** Gives the position behind what was read. */
async function copyFrom(path: string, start: number, write: (bytes: Uint8Array) => Promise<void>): Promise<number> {
  const stat = statOwn(path);
  if (stat === null || !stat.isFile || stat.size <= start) return start;
  const fd = openOwn(path, constants.O_RDONLY);
  let position = start;
  try {
    for (;;) {
      const buffer = Buffer.allocUnsafe(PIECE);
      const got = readSync(fd, buffer, 0, buffer.length, position);
      if (got === 0) return position;
      await write(buffer.subarray(0, got));
      position += got;
    }
  } finally {
    closeSync(fd);
  }
}

function inodeOf(path: string): number {
  return statOwn(path)?.ino ?? 0;
}
