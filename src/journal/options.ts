/** What a journal is opened with. */
import type { Clock } from "../lib/clock.ts";
import type { Files } from "../lib/files.ts";
import type { Log } from "../lib/log.ts";

export interface JournalOptions {
  /** Made when missing (0700); files in it are 0600. */
  readonly folder: string;
  readonly files: Files;
  readonly clock: Clock;
  readonly log: Log;
  /** A segment of so many bytes is closed before the next line. */
  readonly segmentBytes: number;
  /**
   * What else must hold for a write to count, such as the lock: why it does not, null where it does. Asked before every
   * write; never throws.
   */
  readonly guard?: () => Promise<string | null>;
  /** After each sync: the lines and bytes it made durable, and the seconds that write and sync took. */
  readonly onSync?: (sync: { readonly records: number; readonly bytes: number; readonly seconds: number }) => void;
}
