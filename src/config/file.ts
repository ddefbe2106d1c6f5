/** Reads the bytes of a configuration file, and says what to do where it cannot or should not. It knows no TOML. */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { messageOf, systemCode } from "../lib/errors.ts";
import { ConfigError } from "./error.ts";

/** A configuration of 100 keys has some 10 KiB; more than this is another file. */
const MAX_FILE_BYTES = 1 << 20;

export interface ConfigFile {
  readonly bytes: Uint8Array;
  readonly warnings: readonly string[];
}

/** The file, or null where there is none and none is required. Throws ConfigError. */
export function readConfigFile(path: string, required: boolean): ConfigFile | null {
  try {
    return readOpen(path, openSync(path, "r"));
  } catch (error) {
    const code = systemCode(error);
    if (!required && (code === "ENOENT" || code === "ENOTDIR")) return null;
    throw error instanceof ConfigError ? error : new ConfigError([explain(path, code, error)]);
  }
}

function readOpen(path: string, fd: number): ConfigFile {
  try {
    const { mode } = fstatSync(fd);
    const bytes = Buffer.alloc(MAX_FILE_BYTES + 1);
    let length = 0;
    for (let got = -1; got !== 0 && length < bytes.length; length += got)
      got = readSync(fd, bytes, length, bytes.length - length, null);
    if (length > MAX_FILE_BYTES)
      throw new ConfigError([`${path}: the file is larger than ${MAX_FILE_BYTES} bytes: it is no configuration`]);
    return { bytes: bytes.subarray(0, length), warnings: warnOfMode(path, mode) };
  } finally {
    closeSync(fd);
  }
}

function warnOfMode(path: string, mode: number): string[] {
  // Only a regular file keeps secrets: /dev/null is everybody's, and right so.
  const isRegular = (mode & 0o170000) === 0o100000;
  const permissions = (mode & 0o7777).toString(8).padStart(4, "0");
  if (!isRegular || (mode & 0o007) === 0) return [];
  return [
    `${path}: every user of this machine can open it (mode ${permissions}), and it may hold secrets: chmod ` +
      `0640 ${path}`,
  ];
}

function explain(path: string, code: string | null, error: unknown): string {
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
      return (
        `${path}: there is no such file: make one with "zwrmd --generate-config > ${path}", or start ` +
        "without --config"
      );
    case "EACCES":
    case "EPERM":
      return (
        `${path}: the daemon may not read it: give it to the daemon's group, with "chgrp <group> ` +
        `${path}" and "chmod 0640 ${path}"`
      );
    case "EISDIR":
      return `${path}: this is a folder: name the file in it`;
    default:
      return `${path}: ${messageOf(error)}`;
  }
}
