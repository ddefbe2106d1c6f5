/**
 * A machine's folder: the agent's files (record, environment, exit code, console) and, below `work`, all that is the
 * machine's own. What the agent opens here it opens as its own: never through a link, never what would have to be
 * waited for.
 */
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
} from "node:fs";
import { join } from "node:path";
import { unlessMissingSync } from "../lib/missing.ts";

export const RECORD_NAME = "machine.json";
export const BROKEN_NAME = `${RECORD_NAME}.broken`;
export const ENV_NAME = "env";
export const EXIT_NAME = "exit";
export const CONSOLE_NAME = "console.log";
/** The older half. */
export const OLD_CONSOLE_NAME = "console.log.1";
/** Where it works. */
export const WORK_NAME = "work";
const OWN_NAMES: ReadonlySet<string> = new Set(
  [RECORD_NAME, BROKEN_NAME, ENV_NAME, EXIT_NAME, CONSOLE_NAME, OLD_CONSOLE_NAME].flatMap((name) => [
    name,
    `${name}.new`,
  ]),
);

/** The working folder of a machine. One that an older agent started works in the whole folder until its next start. */
export function workFolder(folder: string): string {
  const path = join(folder, WORK_NAME);
  return isFolder(path) ? path : folder;
}

/**
 * Makes it for a start, with what a machine of an older agent had left beside the agent's files. Throws the disk's
 * own errors.
 */
export function makeWorkFolder(folder: string): string {
  const path = join(folder, WORK_NAME);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (!isFolder(path)) {
    rmSync(path, { force: true });
    mkdirSync(path, { mode: 0o700 });
  }
  for (const name of readdirSync(folder)) {
    if (name !== WORK_NAME && !OWN_NAMES.has(name)) renameSync(join(folder, name), join(path, name));
  }
  return path;
}

/** Opens a plain file; a link, a folder or a fifo under its name is refused, not followed and not waited for. */
export function openOwn(path: string, flags: number): number {
  const { O_NOFOLLOW, O_NONBLOCK } = constants;
  const fd = openSync(path, flags | O_NOFOLLOW | O_NONBLOCK, 0o600);
  if (fstatSync(fd).isFile()) return fd;
  closeSync(fd);
  throw new Error("it is not a file");
}

/** A new file for writing, in place of whatever is there. */
export function createOwn(path: string): number {
  const { O_WRONLY, O_CREAT, O_EXCL } = constants;
  rmSync(path, { recursive: true, force: true });
  return openOwn(path, O_WRONLY | O_CREAT | O_EXCL);
}

/** The console, to be appended to; what is no file is replaced by one. */
export function openConsole(folder: string): number {
  const { O_WRONLY, O_CREAT, O_APPEND } = constants;
  const path = join(folder, CONSOLE_NAME);
  if (lstatSync(path, { throwIfNoEntry: false })?.isFile() === false) rmSync(path, { recursive: true, force: true });
  return openOwn(path, O_WRONLY | O_CREAT | O_APPEND);
}

/** What stands under a name itself; null where nothing does. */
export function statOwn(
  path: string,
): { readonly size: number; readonly ino: number; readonly mtimeMs: number; readonly isFile: boolean } | null {
  const stat = unlessMissingSync(() => lstatSync(path), null, { orNoFolder: true });
  return stat && { size: stat.size, ino: stat.ino, mtimeMs: stat.mtimeMs, isFile: stat.isFile() };
}

function isFolder(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
