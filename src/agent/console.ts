/**
 * What machines wrote to their consoles: kept within bounds by copying the tail away and cutting the file, since the machine holds it open.
 * A machine that writes on between the copy and the cut loses what it wrote there, some microseconds' worth.
 */
import { closeSync, fstatSync, ftruncateSync, openSync, readdirSync, readSync, renameSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Cancel, Clock } from "../lib/clock.ts";
import { messageOf, systemCode } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";

export const CONSOLE_NAME = "console.log";
/** The older half. */
const OLD_NAME = "console.log.1";
const LOOK_MS = 1_000;
const FOLLOW_MS = 200;
const PIECE = 1 << 16;

/** Cuts a console that has grown over half of `maxBytes`; its newest bytes go to the older half. True where it did. */
export function rotateConsole(folder: string, maxBytes: number): boolean {
  const path = join(folder, CONSOLE_NAME);
  const half = Math.floor(maxBytes / 2);
  if ((sizeOf(path) ?? 0) <= half) return false;
  const fd = openSync(path, "r+");
  try {
    const old = openSync(`${join(folder, OLD_NAME)}.new`, "w", 0o600);
    try {
      copyTail(fd, old, half);
    } finally {
      closeSync(old);
    }
    ftruncateSync(fd, 0);
  } finally {
    closeSync(fd);
  }
  renameSync(`${join(folder, OLD_NAME)}.new`, join(folder, OLD_NAME));
  return true;
}

function copyTail(from: number, to: number, bytes: number): void {
  const buffer = Buffer.allocUnsafe(PIECE);
  let position = Math.max(0, fstatSync(from).size - bytes);
  for (;;) {
    const got = readSync(from, buffer, 0, buffer.length, position);
    if (got === 0) return;
    for (let done = 0; done < got; ) done += writeSync(to, buffer, done, got - done);
    position += got;
  }
}

/** Looks at every machine's console once a second. While no agent runs, nobody does. */
export function boundConsoles(machinesDir: string, maxBytes: number, clock: Clock, log: Log): Cancel {
  let cancel: Cancel = () => undefined;
  const look = (): void => {
    try {
      for (const id of readdirSync(machinesDir)) rotateConsole(join(machinesDir, id), maxBytes);
    } catch (error) {
      log.warn("a console could not be cut", { reason: messageOf(error) });
    }
    cancel = clock.after(LOOK_MS, look);
  };
  look();
  return () => cancel();
}

/**
 * Writes out what a machine wrote, oldest first, and what it goes on to write, until `isOver`. False where it has no console.
 * Of what is cut while this reads, it gives what the older half still has.
 */
export async function readConsole(folder: string, clock: Clock, write: (bytes: Uint8Array) => Promise<void>, isOver: () => boolean): Promise<boolean> {
  const [path, old] = [join(folder, CONSOLE_NAME), join(folder, OLD_NAME)];
  if (sizeOf(path) === null && sizeOf(old) === null) return false;
  let oldFile = inodeOf(old);
  await copyFrom(old, 0, write);
  for (let position = 0; ; ) {
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
  if ((sizeOf(path) ?? 0) <= start) return start;
  const fd = openSync(path, "r");
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

/** Null where there is none. */
function sizeOf(path: string): number | null {
  return statOf(path)?.size ?? null;
}

function inodeOf(path: string): number {
  return statOf(path)?.ino ?? 0;
}

function statOf(path: string): { readonly size: number; readonly ino: number } | null {
  try {
    return statSync(path);
  } catch (error) {
    if (systemCode(error) === "ENOENT" || systemCode(error) === "ENOTDIR") return null;
    throw error;
  }
}
