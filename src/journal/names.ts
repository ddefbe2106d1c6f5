/** The names in the journal's folder, and what they say. Reads no file. */
import { basename, join } from "node:path";
import type { Files } from "../lib/files.ts";
import { JournalAbsent, JournalDamaged, WHOLE_FILE } from "./errors.ts";

const SEGMENT = /^(\d{20})\.jsonl$/;
const SNAPSHOT = /^(\d{20})\.snapshot$/;

/** The file that `Journal.probe` writes and removes. */
export const PROBE_NAME = ".probe";

/** How far the journal has come (note.ts). It ends in no `.snapshot`: it is none of the state. */
export const NOTE_NAME = "head-snapshot";

/** One file of the chain: a segment, or a snapshot. */
export interface Named {
  readonly name: string;
  readonly path: string;
  /** A segment's first seq; a snapshot's head. */
  readonly seq: number;
}

export function segmentName(firstSeq: number): string {
  return `${String(firstSeq).padStart(20, "0")}.jsonl`;
}

export function snapshotName(headSeq: number): string {
  return `${String(headSeq).padStart(20, "0")}.snapshot`;
}

/** The first seq of the segment at a path that `segmentName` made. */
export function firstSeqOf(path: string): number {
  return Number(SEGMENT.exec(basename(path))?.[1] ?? NaN);
}

/**
 * The segments in order. Throws JournalDamaged for a `.jsonl` file that cannot be one: it may be a segment under a
 * wrong name.
 */
export async function listSegments(files: Files, folder: string): Promise<Named[]> {
  const names = (await files.list(folder)).filter((name) => name.endsWith(".jsonl") && !name.startsWith("."));
  return names.map((name) => {
    const named = read(folder, name, SEGMENT);
    if (named !== null && named.seq >= 1) return named;
    throw new JournalDamaged(
      join(folder, name),
      WHOLE_FILE,
      "its name is not that of a segment (20 digits and .jsonl); if it is none, move it out of this folder",
    );
  });
}

/**
 * The segments of a journal that must be there, for all who look at one: no lines are not good lines. Throws
 * JournalAbsent, and as `listSegments`.
 */
export async function requireSegments(files: Files, folder: string): Promise<[Named, ...Named[]]> {
  const [oldest, ...others] = await listSegments(files, folder);
  if (oldest !== undefined) return [oldest, ...others];
  const isThere = (await files.stat(folder)) !== null;
  throw new JournalAbsent(folder, isThere ? "it holds no segment" : "there is no such folder");
}

/** The snapshots, newest first; whether they are good is for `readSnapshot` to say. */
export async function listSnapshots(files: Files, folder: string): Promise<Named[]> {
  const named = (await files.list(folder)).map((name) => read(folder, name, SNAPSHOT));
  return named.filter((item) => item !== null).reverse();
}

function read(folder: string, name: string, shape: RegExp): Named | null {
  const seq = Number(shape.exec(name)?.[1] ?? NaN);
  return Number.isSafeInteger(seq) ? { name, path: join(folder, name), seq } : null;
}
