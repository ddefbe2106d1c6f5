/** Reads the bytes of a configuration file. It knows no TOML, and what it says of a file is its caller's words. */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { systemCode } from "../lib/errors.ts";
import { ConfigError } from "./error.ts";

/** A configuration of 100 keys has some 10 KiB; more than this is another file. */
const MAX_FILE_BYTES = 1 << 20;

export interface ConfigFile {
  readonly bytes: Uint8Array;
  readonly mode: number;
}

/** What is said of a file that cannot be read; `code` is the system's. */
export type Unreadable = (path: string, code: string | null, error: unknown) => string;

/** The file, or null where there is none and none is required. Throws ConfigError. */
export function readConfigFile(path: string, required: boolean, unreadable: Unreadable): ConfigFile | null {
  try {
    return readOpen(path, openSync(path, "r"));
  } catch (error) {
    const code = systemCode(error);
    if (!required && (code === "ENOENT" || code === "ENOTDIR")) return null;
    throw error instanceof ConfigError ? error : new ConfigError([unreadable(path, code, error)]);
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
    return { bytes: bytes.subarray(0, length), mode };
  } finally {
    closeSync(fd);
  }
}

/** A mode as chmod takes it. */
export function permissionsOf(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, "0");
}
