/**
 * The record of a machine that outlives the agent, and where records are kept. It holds the machine's environment, so
 * it is as secret as that.
 */
import { messageOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import type { TypeOf } from "../wire/schema.ts";
import { object, optional } from "../wire/compound.ts";
import { anything, boolean, integer, number, oneOf, string } from "../wire/schema.ts";
import { hostFault } from "./runtime.ts";
import { DESIRED_MACHINE } from "../wire/agents.ts";

/**
 * The last moment that RFC 3339 can write: 9999-12-31T23:59:59.999Z. A later start would cost the heartbeat that tells
 * of it.
 */
const LAST_WALL_MS = 253_402_300_799_999;
const COUNT = { min: 0, max: Number.MAX_SAFE_INTEGER };

export const MACHINE_RECORD = object({
  machine: DESIRED_MACHINE,
  phase: oneOf("waiting", "starting", "running", "stopping", "stopped", "failed"),
  asked: boolean,
  /** Restarts in a row. */
  failures: integer(COUNT),
  /** Starts in a row that came to nothing; absent in records of older agents, and for none. */
  vain: optional(integer(COUNT)),
  /** Whose fault its end is, where it is not its own. */
  fault: optional(oneOf("host")),
  reason: optional(string({ min: 0, max: 10_000 })),
  /** What its check said last; absent where it has none. */
  ready: optional(boolean),
  exit_code: optional(integer({ min: -(2 ** 31), max: 2 ** 31 })),
  /** The newest start; absent where there was none. */
  launch: optional(
    object({
      id: string({ min: 1, max: 128 }),
      handle: optional(anything),
      started_at: number({ min: 0, max: LAST_WALL_MS }),
    }),
  ),
});
export type MachineRecord = TypeOf<typeof MACHINE_RECORD>;

/** What there is of a machine whose record says nothing: it may run all the same. */
export interface LostRecord {
  readonly id: string;
  /** Where the record is, or should be; null where there is no folder either, and only its processes name it. */
  readonly path: string | null;
  /** Why it cannot be read; null where there is none. */
  readonly reason: string | null;
}

export interface LoadedRecords {
  readonly records: readonly MachineRecord[];
  readonly lost: readonly LostRecord[];
}

export interface MachineStore {
  load(): Promise<LoadedRecords>;
  save(record: MachineRecord): Promise<void>;
  /** Lets a machine go; what it wrote to its console stays for a while. */
  remove(id: string): Promise<void>;
  /**
   * Puts a record that cannot be read where it stands in nobody's way. The rest of the machine stays, for its next
   * start.
   */
  setAside(id: string): Promise<void>;
}

/** Writes records one after another, so that the newest is the last. */
export class RecordWriter {
  readonly #store: MachineStore;
  readonly #log: Log;
  #writing: Promise<void> = Promise.resolve();

  constructor(store: MachineStore, log: Log) {
    this.#store = store;
    this.#log = log;
  }

  /** Rejects with a LaunchError; the log has said so then. */
  save(record: MachineRecord): Promise<void> {
    return this.#after(record.machine.id, () => this.#store.save(record));
  }

  remove(id: string): void {
    void this.#after(id, () => this.#store.remove(id)).catch(() => undefined);
  }

  setAside(id: string): void {
    void this.#after(id, () => this.#store.setAside(id)).catch(() => undefined);
  }

  settled(): Promise<void> {
    return this.#writing;
  }

  #after(id: string, write: () => Promise<void>): Promise<void> {
    const done = this.#writing.then(write).catch((error: unknown) => {
      this.#log.warn("a machine's record could not be written", { machine: id, reason: messageOf(error) });
      throw hostFault("its record cannot be written on this host", error);
    });
    this.#writing = done.catch(() => undefined);
    return done;
  }
}
