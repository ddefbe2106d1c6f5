/**
 * Machines whose records cannot be read, and what runs without one. Nobody knows any more what they were to be, but
 * they may run: each is ended, and until then its id is taken, so that no second copy runs beside it. It starts
 * nothing.
 */
import type { Clock } from "../lib/clock.ts";
import { messageOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import type { LostRecord, MachineRecord, RecordWriter } from "./records.ts";
import type { Runtime } from "./runtime.ts";

/** How long until it is looked again, where it cannot be seen what runs. */
const RETRY_MS = 1_000;

export interface LostMachinesOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly runtime: Runtime;
  readonly stopGraceMs: number;
}

/** What runs, as `marked` says, and is neither written down as up nor lost already. Pure. */
export function unrecorded(
  marked: ReadonlySet<string>,
  up: readonly MachineRecord[],
  lost: readonly LostRecord[],
): LostRecord[] {
  const known = new Set([...up.map(({ machine }) => machine.id), ...lost.map(({ id }) => id)]);
  return [...marked].filter((id) => !known.has(id)).map((id) => ({ id, path: null, reason: null }));
}

export class LostMachines {
  readonly #options: LostMachinesOptions;
  readonly #records: RecordWriter;
  readonly #taken = new Set<string>();
  #closed = false;

  constructor(options: LostMachinesOptions, records: RecordWriter) {
    this.#options = options;
    this.#records = records;
  }

  /** Whether something of this machine may still run. */
  has(id: string): boolean {
    return this.#taken.has(id);
  }

  get isEmpty(): boolean {
    return this.#taken.size === 0;
  }

  /** Its id is taken from this call on; resolves when it is free. Never rejects. */
  async end(lost: LostRecord): Promise<void> {
    const { id, path, reason } = lost;
    this.#taken.add(id);
    const ended = await this.#endAll(id);
    // The next agent finds the record as this one did.
    if (this.#closed) return;
    this.#taken.delete(id);
    // What was let go halfway has no record either: nothing of it runs, and there is nothing to say.
    if (reason === null && ended === 0) return;
    const done = ended === 0 ? "nothing of it ran" : "what ran of it was ended";
    const unknown = "a machine ran that is written down nowhere, or as ended";
    const what = path === null ? unknown : "a machine's record cannot be read";
    const fields = { machine: id, path, reason: reason ?? "there is none", ended };
    this.#options.log.warn(`${what}: ${done}, and its id may be used again`, fields);
    if (reason !== null) this.#records.setAside(id);
  }

  /** Signals nobody any more; what is not ended yet is left to the next agent. */
  close(): void {
    this.#closed = true;
  }

  /** Gives how many starts of it ran. */
  async #endAll(id: string): Promise<number> {
    const { clock, runtime, stopGraceMs, log } = this.#options;
    for (let ended = 0, said = false; ;) {
      try {
        const running = this.#closed ? null : await runtime.search(id);
        if (running === null || this.#closed) return ended;
        running.terminate();
        const cancel = clock.after(stopGraceMs, () => !this.#closed && running.kill());
        await running.exited;
        cancel();
        ended += 1;
      } catch (error) {
        if (!said)
          log.warn("it cannot be seen whether a machine without a record runs; its id is not used until it can", {
            machine: id,
            reason: messageOf(error),
          });
        said = true;
        await new Promise<void>((resolve) => void clock.after(RETRY_MS, resolve));
      }
    }
  }
}
