/**
 * What the rest of the daemon knows of the journal: records in, a sequence number out, and when it is durable. No
 * files, no hosts.
 */

/** One line of the log as it was written. `type`, `actor` and `data` belong to the layer above. */
export interface JournalRecord {
  readonly sum: string;
  readonly seq: number;
  /**
   * The seq of the first line of the write this line belongs to: every line with a smaller seq was synced before it.
   */
  readonly batch: number;
  /** RFC 3339, wall time of the decision; for display, not ordered. */
  readonly at: string;
  readonly type: string;
  readonly actor: unknown;
  readonly data: unknown;
}

/** What a caller gives; the journal adds seq, batch and sum. */
export interface JournalEntry {
  readonly at: string;
  readonly type: string;
  readonly actor: unknown;
  readonly data: unknown;
}

/** A place in the chain: everything up to and including `seq`, ending in `sum`. */
export interface Head {
  readonly seq: number;
  readonly sum: string;
}

/**
 * Whether changes can be written, and why not. `untilRestart`: a sync failed, so only a replay can tell what is on
 * disk.
 */
export type Writability =
  { readonly writable: true } | { readonly writable: false; readonly reason: string; readonly untilRestart: boolean };

/** What a start found torn at the end of the last segment and cut off. */
export interface Torn {
  readonly file: string;
  readonly offset: number;
  readonly bytes: number;
  /** The copy that was kept beside. */
  readonly keptAs: string;
}

/** A segment that takes no further line, and the chain's head at its end. */
export interface ClosedSegment {
  readonly file: string;
  readonly head: Head;
}
