/**
 * The note of how far a journal has come, beside its segments: what must be there at the next start, since a segment
 * that is gone cannot tell that it was there.
 */
import { join } from "node:path";
import { messageOf } from "../lib/errors.ts";
import type { Files } from "../lib/files.ts";
import { readWhole, writeDurably } from "../lib/files.ts";
import { sha256Hex } from "../lib/ids.ts";
import type { Log } from "../lib/log.ts";
import { JournalDamaged, WHOLE_FILE } from "./errors.ts";
import type { Named } from "./names.ts";
import { NOTE_NAME, segmentName } from "./names.ts";
import type { Head } from "./types.ts";
import type { Bad } from "./walk.ts";

const NUMBER = String.raw`[1-9]\d{0,15}`;
const SUM = "[0-9a-f]{64}";
const SAID = String.raw`\{"noted":1,"segment":(${NUMBER}),"seq":(0|${NUMBER}),"sum":"(${SUM})"`;
const SHAPE = new RegExp(String.raw`^(${SAID}),"check":"(${SUM})"\}\n$`);

export interface Note {
  /** The first seq of a segment that was there, its name durable, before any of its lines was acknowledged. */
  readonly segment: number;
  /** A line that was durable. */
  readonly head: Head;
}

/** Makes the note, durable when this resolves; the one before it stays until then. Throws the disk's error. */
export async function writeNote(files: Files, folder: string, { segment, head }: Note): Promise<void> {
  const said = `{"noted":1,"segment":${segment},"seq":${head.seq},"sum":"${head.sum}"`;
  // A bit that flips in the note must not look like lines that are gone.
  await writeDurably(files, folder, NOTE_NAME, Buffer.from(`${said},"check":"${sha256Hex(said)}"}\n`));
}

/** As `writeNote`; a note that cannot be made is a warning: the next start only misses less of what was removed. */
export async function tryNote(files: Files, folder: string, note: Note, log: Log): Promise<void> {
  try {
    await writeNote(files, folder, note);
  } catch (error) {
    log.warn("journal: its head was not noted", { reason: messageOf(error) });
  }
}

/**
 * Null where there is none, as before the first start of this version. Throws JournalDamaged for one that does not
 * read.
 */
export async function readNote(files: Files, folder: string): Promise<Note | null> {
  const path = join(folder, NOTE_NAME);
  if ((await files.stat(path)) === null) return null;
  const [, said = "", segment, seq, sum, check] = SHAPE.exec((await readWhole(files, path)).toString("latin1")) ?? [];
  if (segment === undefined || seq === undefined || sum === undefined || check !== sha256Hex(said)) {
    const what = "this note of the head is not one that this version reads";
    throw new JournalDamaged(path, WHOLE_FILE, `${what}; without it a segment that was removed is not missed`);
  }
  return { segment: Number(segment), head: { seq: Number(seq), sum } };
}

/** Holds what is on disk against a note that was read before it. Throws JournalDamaged. */
export class NoteCheck {
  readonly #note: Note | null;
  readonly #folder: string;

  constructor(note: Note | null, folder: string) {
    this.#note = note;
    this.#folder = folder;
  }

  /** The segments that there are, in order. The noted one may only have been let go with those before it. */
  segments(segments: readonly Named[]): void {
    if (this.#note === null) return;
    const { segment } = this.#note;
    const oldest = segments[0]?.seq ?? 0;
    if (oldest > segment || segments.some(({ seq }) => seq === segment)) return;
    throw this.#missing(segmentName(segment), "this segment is missing");
  }

  /** A line on the way. */
  passed({ seq, sum }: Head): void {
    const noted = this.#note?.head;
    if (noted === undefined || noted.seq !== seq || noted.sum === sum) return;
    throw this.#missing(NOTE_NAME, `line ${seq} has the sum ${sum}, and ${noted.sum} was noted`);
  }

  /** Where the good lines end: behind the last of them, and with what stands there instead of the next. */
  ended(path: string, head: Head | null, bad: Bad | null): void {
    const noted = this.#note?.head.seq ?? 0;
    const last = head?.seq ?? 0;
    if (last >= noted) return;
    const what = bad === null ? "" : `${bad.reason}; `;
    const reason = `${what}the good lines end with seq ${last}, and seq ${noted} was on disk, ${this.#remedy()}`;
    throw new JournalDamaged(path, bad?.place ?? WHOLE_FILE, reason);
  }

  #missing(name: string, what: string): JournalDamaged {
    const reason = `${what}: lines that were acknowledged are not there, ${this.#remedy()}`;
    return new JournalDamaged(join(this.#folder, name), WHOLE_FILE, reason);
  }

  #remedy(): string {
    const remedy = "Put back what was removed, or restore a backup; to go on without those lines, remove that note";
    return `as ${join(this.#folder, NOTE_NAME)} notes. ${remedy}`;
  }
}
