/**
 * The one way through which state changes: decide on a state that includes writes in flight, append, apply, answer when
 * durable. Knows no files.
 */
import type { Clock } from "../lib/clock.ts";
import { toRfc3339 } from "../lib/clock.ts";
import { ApiError } from "../lib/errors.ts";
import type { JournalEntry, JournalRecord, Writability } from "../journal/types.ts";
import type { Actor, Event, Recorded } from "./events.ts";
import { toRecorded } from "./events.ts";
import { reduce } from "./reducers.ts";
import { State } from "./state.ts";

/** What the store needs of a journal (journal/journal.ts has it). */
export interface Log {
  readonly durable: { readonly seq: number };
  readonly lastSeq: number;
  /** What the next `append` gives; a segment's first line may come before it. */
  readonly nextSeq: number;
  readonly writability: Writability;
  append(entry: JournalEntry): number;
  settled(seq: number): Promise<void>;
  onDurable(listener: (records: readonly JournalRecord[]) => void): void;
  onFailure(listener: (reason: string) => void): void;
}

/** What a command comes to: at most one event, and the answer, computed from the state after it. */
export interface Decision<T> {
  readonly event: Event | null;
  readonly answer: (state: State) => T;
}

/**
 * One change by one caller, whose standing the giver of this judges in the same decision. What changes state for
 * somebody takes this, and never a Store.
 */
export type Change = <T>(decide: (state: State) => Decision<T>) => T | Promise<T>;

/** Judges an event before it happens; throws an ApiError where it may not. */
export type Admission = (state: State, event: Event) => void;

/** What may be seen of a store: all of it, and no way to change it. */
export type Reads = Pick<Store, "state" | "writability" | "read">;

/** An answer or a refusal: either was computed from the state, and leaves when that is on disk. */
type Outcome<T> = { readonly answer: T } | { readonly refusal: unknown };

function attempt<T>(compute: () => T): Outcome<T> {
  try {
    return { answer: compute() };
  } catch (refusal) {
    return { refusal };
  }
}

function open<T>(outcome: Outcome<T>): T {
  if ("refusal" in outcome) throw outcome.refusal;
  return outcome.answer;
}

/** Takes what a start finds on disk. Used by the daemon and by the snapshot worker, so both fold alike. */
export class Replay {
  readonly state: State;

  constructor(state: State) {
    this.state = state;
  }

  reset(): void {
    this.state.clear();
  }

  snapshotLine(line: unknown): void {
    this.state.load(line);
  }

  record(record: JournalRecord): void {
    reduce(this.state, toRecorded(record));
  }
}

export class Store {
  readonly state: State;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #admit: Admission;
  readonly #durableListeners: ((events: readonly Recorded[]) => void)[] = [];

  /** `state` is what the replay of `log` gave; `admit` is asked of every change but the daemon's own. */
  constructor(state: State, log: Log, clock: Clock, admit: Admission = () => undefined) {
    this.state = state;
    this.#log = log;
    this.#clock = clock;
    this.#admit = admit;
    log.onFailure(() => state.undo.rollBack(log.durable.seq));
    log.onDurable((records) => {
      for (const { seq } of records.slice(-1)) state.undo.forget(seq);
      const events = records.map(toRecorded);
      for (const listener of this.#durableListeners) listener(events);
    });
  }

  get writability(): Writability {
    return this.#log.writability;
  }

  /** Called with every event once it is on disk, in order. */
  onDurable(listener: (events: readonly Recorded[]) => void): void {
    this.#durableListeners.push(listener);
  }

  /**
   * Runs one command. The answer leaves when everything it was computed from is on disk.
   * `decide` may throw an ApiError; nothing has changed then, and the refusal leaves like an answer. Where nothing was
   * to be written and a failed write
   * took back what it saw, `decide` runs again, so it must do nothing but decide. Rejects with `storage_failed` when
   * the journal could not be written.
   */
  change<T>(actor: Actor, decide: (state: State, at: string) => Decision<T>): T | Promise<T> {
    const at = toRfc3339(this.#clock.wall());
    const decided = attempt(() => {
      const decision = decide(this.state, at);
      if (decision.event !== null && actor.kind !== "system") this.#admit(this.state, decision.event);
      return decision;
    });
    const anew = (): T | Promise<T> => this.change(actor, decide);
    if ("refusal" in decided) return this.#whenDurable(() => open(decided), anew);
    const { event, answer } = decided.answer;
    if (event === null) return this.#whenDurable(() => answer(this.state), anew);
    this.#apply(event, actor, at);
    return this.#whenDurable(
      () => answer(this.state),
      (error) => {
        throw storageFailed(this.writability, error);
      },
    );
  }

  /**
   * Computes from the state; gives the result when all of that is on disk, and computes anew where a failed write took
   * part of it back.
   */
  read<T>(compute: (state: State) => T): T | Promise<T> {
    return this.#whenDurable(
      () => compute(this.state),
      () => this.read(compute),
    );
  }

  /**
   * Computes now, and lets the outcome go when the newest line is on disk, at once where it is; `instead` where that
   * line was given up.
   */
  #whenDurable<T>(compute: () => T, instead: (error: unknown) => T | Promise<T>): T | Promise<T> {
    const seq = this.#log.lastSeq;
    if (this.#log.durable.seq >= seq) return compute();
    const settled = this.#log.settled(seq);
    const outcome = attempt(compute);
    return settled.then(() => open(outcome), instead);
  }

  /** Applied before it is appended, so that an event which a reducer cannot take never reaches the log. */
  #apply(event: Event, actor: Actor, at: string): void {
    const { undo } = this.state;
    undo.begin();
    try {
      reduce(this.state, { ...event, seq: this.#log.nextSeq, at, actor } as Recorded);
      undo.keep(this.#log.append({ at, type: event.type, actor, data: event.data }));
    } catch (error) {
      undo.abort();
      throw this.writability.writable ? error : storageFailed(this.writability, error);
    }
  }
}

function storageFailed(writability: Writability, cause: unknown): ApiError {
  if (writability.writable)
    return new ApiError(
      "storage_failed",
      "The change was not acknowledged: the journal could not be written. Try again.",
      { cause },
    );
  const { reason, untilRestart } = writability;
  // After a failed sync nobody knows what is on disk, so "nothing was changed" would be a guess.
  const outcome = untilRestart
    ? "The change was not acknowledged; whether it is on disk, the replay at the next start decides"
    : "Nothing was changed";
  const remedy = untilRestart
    ? "Changes are off until the daemon is restarted."
    : "Make room on its disk; changes then work again.";
  return new ApiError("storage_failed", `${outcome}: ${reason}. ${remedy}`, { cause });
}
