/**
 * Keeps one login in the user's file: written whole and for its owner alone, all else that stands there left as it is.
 * Never shows a token.
 */
import { randomBytes } from "node:crypto";
import type { Stats } from "node:fs";
import {
  chmodSync,
  closeSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  renameSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { parseToml, TomlError } from "../config/toml.ts";
import { messageOf } from "../lib/errors.ts";
import { unlessMissingSync } from "../lib/missing.ts";
import { CliError } from "./io.ts";
import type { Key } from "./settings-shape.ts";
import { KEYS } from "./settings-shape.ts";

/** The folder that is this program's own. */
const OWN_FOLDER = ".zwrm";
const MAX_LINKS = 40;

export interface Login {
  readonly apiUrl: string;
  /** Null leaves none in the file. */
  readonly org: string | null;
  readonly token: string;
}

/** What a key shall be: a text, or null for not there. Keys that are not named stay as they are. */
type Changes = Readonly<Partial<Record<Key, string | null>>>;

/** Throws CliError where the file cannot be written, or is not the user's own. */
export function keepLogin(path: string, { apiUrl, org, token }: Login): void {
  change(path, { api_url: apiUrl, org, token });
}

/**
 * Finds out whether a login could be kept, before there is one that nobody could end. Throws CliError as keepLogin
 * does; changes nothing in the file.
 */
export function checkKeeping(path: string): void {
  attempt(path, () => {
    makeFolder(dirname(path));
    const file = followOwnLinks(path);
    withKeys(path, readText(file), { api_url: "http://z", org: null, token: "t" });
    const trial = newFileBeside(file);
    closeSync(openSync(trial, "wx", 0o600));
    unlinkSync(trial);
  });
}

/** Takes the token and its org out; the address stays for the next login. Throws CliError. */
export function forgetLogin(path: string): void {
  change(path, { org: null, token: null });
}

function change(path: string, changes: Changes): void {
  attempt(path, () => {
    makeFolder(dirname(path));
    const file = followOwnLinks(path);
    writeWhole(file, withKeys(path, readText(file), changes));
  });
}

/** Says of what fails that it was this file. */
function attempt(path: string, work: () => void): void {
  try {
    work();
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError(`${path} cannot be written: ${messageOf(error)}.`, { cause: error });
  }
}

function makeFolder(folder: string): void {
  const real = followOwnLinks(folder);
  mkdirSync(real, { recursive: true, mode: 0o700 });
  // Made by hand, or by an earlier umask; a folder of another name is the user's own affair.
  if (basename(folder) === OWN_FOLDER) chmodSync(real, 0o700);
}

/**
 * Where a path leads over symbolic links of one's own. Another user's link would choose which file of ours is replaced,
 * or who reads the token.
 */
function followOwnLinks(path: string): string {
  let at = path;
  for (let links = 0; links < MAX_LINKS; links += 1) {
    const found = lookAt(at);
    if (found === null || !found.isSymbolicLink()) return at;
    if (found.uid !== process.getuid?.())
      throw new CliError(`${at} is a symbolic link of another user; it is not followed, and nothing was written.`);
    at = resolve(dirname(at), readlinkSync(at));
  }
  throw new CliError(`${path} is a circle of symbolic links.`);
}

function lookAt(path: string): Stats | null {
  return lstatSync(path, { throwIfNoEntry: false }) ?? null;
}

function readText(path: string): string {
  return unlessMissingSync(() => readFileSync(path, "utf8"), "");
}

/** The text with these keys set or taken out, and every other line as it was. */
export function withKeys(path: string, text: string, changes: Changes): string {
  const eol = text.includes("\r\n") ? "\r\n" : "\n";
  const before = parseToml(text);
  const lines = text.split(/\r?\n/).map((line, index) => ({ line, number: index + 1 }));
  const touched = new Map(
    KEYS.filter((key) => changes[key] !== undefined && before.has(key)).map((key) => [before.lineOf(key), key]),
  );
  const kept = lines.flatMap(({ line, number }) => {
    const key = touched.get(number);
    const value = key === undefined ? line : assign(key, changes[key]);
    return value === null ? [] : [value];
  });
  const added = KEYS.flatMap((key) => (before.has(key) ? [] : (assign(key, changes[key]) ?? [])));
  // Keys after a table's header would be that table's.
  const header = kept.findIndex((line) => /^\s*\[/.test(line));
  const end = header === -1 ? kept.length - (kept.at(-1) === "" ? 1 : 0) : header;
  const after = [...kept.slice(0, end), ...added, ...kept.slice(end)].join(eol);
  const whole = after === "" || after.endsWith("\n") ? after : after + eol;
  if (!says(whole, before, changes))
    throw new CliError(
      `${path} is written in a way that cannot be changed safely: put api_url, org and token each on a line ` +
        "of its own.",
    );
  return whole;
}

function assign(key: Key, value: string | null | undefined): string | null {
  // What JSON escapes, TOML reads the same.
  return value === null || value === undefined ? null : `${key} = ${JSON.stringify(value)}`;
}

/** Whether the text is TOML that says what it said before, but for the changes. */
function says(text: string, before: ReadonlyMap<string, unknown>, changes: Changes): boolean {
  const wanted = new Map<string, unknown>(before);
  for (const key of KEYS) {
    const value = changes[key];
    if (value === null) wanted.delete(key);
    else if (value !== undefined) wanted.set(key, value);
  }
  try {
    const now = parseToml(text);
    return now.size === wanted.size && [...wanted].every(([key, value]) => isDeepStrictEqual(now.get(key), value));
  } catch (error) {
    if (error instanceof TomlError) return false;
    throw error;
  }
}

/**
 * After any crash the file is the old one or the new one. The one beside is always a new file, so nobody can have put
 * it there to read along.
 */
function writeWhole(path: string, text: string): void {
  const folder = dirname(path);
  const beside = newFileBeside(path);
  const fd = openSync(beside, "wx", 0o600);
  try {
    writeFileSync(fd, text);
    fsyncSync(fd);
    renameSync(beside, path);
  } catch (error) {
    unlinkSync(beside);
    throw error;
  } finally {
    closeSync(fd);
  }
  const folderFd = openSync(folder, "r");
  try {
    fsyncSync(folderFd);
  } finally {
    closeSync(folderFd);
  }
}

function newFileBeside(path: string): string {
  return `${dirname(path)}/.${basename(path)}.${randomBytes(6).toString("hex")}.new`;
}
