/**
 * What the journal throws: damage that stops a start, a line that was not written, a stretch that was let go. Each says
 * what a person needs.
 */

/** A line of a file. */
interface AtLine {
  /** Counted from 1. */
  readonly line: number;
  /** Where it begins, in bytes from the start of the file. */
  readonly offset: number;
}

/** A line of a file that was read from the middle on: nobody counted the lines before it. */
interface AtByte {
  readonly line: null;
  readonly offset: number;
}

interface WholeFile {
  readonly line: null;
  readonly offset: null;
}

export type LinePlace = AtLine | AtByte;

/** What is known of where in a file something is wrong. */
export type Place = LinePlace | WholeFile;

/** The file is missing, does not fit to others, or is no file of a journal: no line of it is at fault. */
export const WHOLE_FILE: WholeFile = { line: null, offset: null };

/** For a sentence about a file: `, line 3, byte 812`, and nothing for a whole file. */
export function placeText({ line, offset }: Place): string {
  if (offset === null) return "";
  return line === null ? `, byte ${offset}` : `, line ${line}, byte ${offset}`;
}

/** The journal on disk cannot be trusted from here on. Nothing was changed; a person decides. */
export class JournalDamaged extends Error {
  /** The path of the file at fault, or of the journal's folder where it is none of its files. */
  readonly file: string;
  readonly place: Place;
  readonly reason: string;

  constructor(file: string, place: Place, reason: string) {
    super(`journal: damaged: ${file}${placeText(place)}: ${reason}`);
    this.name = "JournalDamaged";
    this.file = file;
    this.place = place;
    this.reason = reason;
  }

  get line(): number | null {
    return this.place.line;
  }

  get offset(): number | null {
    return this.place.offset;
  }
}

/** Nothing is there that could be looked at, so nothing can be said of it. */
export class JournalAbsent extends Error {
  constructor(folder: string, why: string) {
    super(`there is no journal in ${folder}: ${why}. Is state.data_dir right?`);
    this.name = "JournalAbsent";
  }
}

/** This line was not written, or none can be. `cause` is the disk's own error where there is one. */
export class JournalOff extends Error {
  readonly reason: string;

  constructor(reason: string, cause: unknown = null) {
    super(`journal: not written: ${reason}`, cause === null ? undefined : { cause });
    this.name = "JournalOff";
    this.reason = reason;
  }
}

/** Lines were asked for that an operator has let go. */
export class JournalCompacted extends Error {
  /** The oldest seq that is still in a segment. */
  readonly oldestSeq: number;

  constructor(askedSeq: number, oldestSeq: number) {
    super(`journal: seq ${askedSeq} was compacted away; the oldest line kept is seq ${oldestSeq}`);
    this.name = "JournalCompacted";
    this.oldestSeq = oldestSeq;
  }
}
