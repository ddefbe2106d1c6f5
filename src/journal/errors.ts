/**
 * What the journal throws: damage that stops a start, a line that was not written, a stretch that was let go. Each says
 * what a person needs.
 */

/** The journal on disk cannot be trusted from here on. Nothing was changed; a person decides. */
export class JournalDamaged extends Error {
  /** The path of the file at fault. */
  readonly file: string;
  /** Counted from 1. */
  readonly line: number;
  /** Where that line begins, in bytes from the start of the file. */
  readonly offset: number;
  readonly reason: string;

  constructor(file: string, line: number, offset: number, reason: string) {
    super(`journal: damaged: ${file}, line ${line}, byte ${offset}: ${reason}`);
    this.name = "JournalDamaged";
    this.file = file;
    this.line = line;
    this.offset = offset;
    this.reason = reason;
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
