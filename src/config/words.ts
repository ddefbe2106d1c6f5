/**
 * What the two services say of a configuration that is not right: place, fault and remedy in one line each. The user's
 * own file has other words, which are the command line's.
 */
import { messageOf } from "../lib/errors.ts";
import type { ConfigFile } from "./file.ts";
import { permissionsOf } from "./file.ts";
import type { Unknown, Words } from "./loader.ts";

export const SERVICE_WORDS = {
  unreadable(path, code, error) {
    switch (code) {
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
  },
  notToml: (path, { line, column, reason }) => `${path}:${line}: column ${column}: ${reason}`,
  noSection: (path, line, name) =>
    `${path}:${line}: ${name}: must be a section: write [${name}] on a line of its own, once`,
  place: (path, line, section, key) => `${path}:${line}: ${section === "" ? "" : `[${section}] `}${printKey(key)}`,
} satisfies Partial<Words>;

/** Sentences for the operator about a file that works but should not stay as it is. */
export function warnOfMode(path: string, { mode }: ConfigFile): string[] {
  // Only a regular file keeps secrets: /dev/null is everybody's, and right so.
  const isRegular = (mode & 0o170000) === 0o100000;
  if (!isRegular || (mode & 0o007) === 0) return [];
  return [
    `${path}: every user of this machine can open it (mode ${permissionsOf(mode)}), and it may hold secrets: chmod ` +
      `0640 ${path}`,
  ];
}

/** The end of a sentence about an unknown name: the nearest known one, or all of them where none is near. */
export function suggest({ nearest, known }: Unknown, print = (name: string): string => name): string {
  return nearest === null ? `; known are ${known.map(print).join(", ")}` : `; did you mean "${print(nearest)}"?`;
}

/** A key as it would be written, short and on one line whatever it holds. */
export function printKey(key: string): string {
  return /^[A-Za-z0-9_-]{1,64}$/.test(key) ? key : JSON.stringify(key.slice(0, 64));
}
