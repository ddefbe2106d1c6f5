/**
 * The one way in which a person changes something: still allowed when it is decided, and carried out once for each
 * Idempotency-Key. Handlers of people's routes have no other.
 */
import type { PersonCaller } from "../identity/access.ts";
import type { ProtectedAccess } from "../identity/standing.ts";
import { callerNow, mayStill } from "../identity/standing.ts";
import type { Clock } from "../lib/clock.ts";
import { ApiError } from "../lib/errors.ts";
import { sha256Hex } from "../lib/ids.ts";
import { pattern, readField } from "../lib/schema.ts";
import type { IdempotencyNote } from "../state/events.ts";
import type { State } from "../state/state.ts";
import type { Change, Decision, Store } from "../state/store.ts";
import { idempotencyKey } from "../state/workload-reducers.ts";
import type { MaybePromise, Reply } from "../http/types.ts";
import type { ApiContext } from "./context.ts";
import { personOf } from "./context.ts";

const KEY = pattern(/^[\x21-\x7e]{1,255}$/, "1 to 255 printable ASCII characters without blanks");

/**
 * Decides for the caller as they stand at that moment: whom they may set, and where, is asked of `caller` and not of
 * who came in.
 */
export type PersonDecision<T> = (state: State, caller: PersonCaller) => Decision<T>;

export class PersonDoor {
  readonly #store: Store;
  readonly #clock: Clock;

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /**
   * A change by someone who may still make it. The token, its user, the membership, the role, the host-admin mark and
   * the scope are judged in the same decision that makes the event: a body takes its time. Throws what Auth would throw
   * now.
   */
  change<T>(context: ApiContext, decide: PersonDecision<T>): MaybePromise<T> {
    const caller = personOf(context);
    return this.#store.change(caller.actor, (state) => decide(state, this.#now(context, state)));
  }

  /** The same for what ends in a change elsewhere, as the end of an upload does. */
  changeOf(context: ApiContext): Change {
    return (decide) => this.change(context, decide);
  }

  /**
   * The same for a POST that may bear an Idempotency-Key. Where the key was used for the same request before, nothing
   * is decided: `again` shows what it led to. Throws `idempotency_key_reused` where it was used for another.
   */
  once(
    context: ApiContext,
    decide: (state: State, note: IdempotencyNote | null, caller: PersonCaller) => Decision<Reply>,
    again: (state: State, resourceId: string) => Reply,
  ): MaybePromise<Reply> {
    const given = context.header("idempotency-key");
    if (given === null) return this.change(context, (state, caller) => decide(state, null, caller));
    const key = readField(KEY, "Idempotency-Key", given);
    const note = {
      key,
      body_sum: sha256Hex(`${context.method} ${context.path}\n${JSON.stringify(context.body ?? {})}`),
    };
    return this.change(context, (state, caller) => {
      const before = state.idempotency.get(idempotencyKey(caller.org.id, key));
      if (before === undefined) return decide(state, note, caller);
      if (before.body_sum !== note.body_sum) {
        throw new ApiError(
          "idempotency_key_reused",
          `The Idempotency-Key ${key} was used for another request at ${before.at}. Use a new one.`,
        );
      }
      return { event: null, answer: (after) => again(after, before.resource_id) };
    });
  }

  /**
   * What someone may still see after a body, or a wait. A GET without either sees by `store.read`, since Auth has
   * judged it just now.
   */
  look<T>(context: ApiContext, compute: (state: State, caller: PersonCaller) => T): MaybePromise<T> {
    return this.#store.read((state) => compute(state, this.#now(context, state)));
  }

  /**
   * A body as long as its sender may send it: an upload of days ends with what let it in, and not when it is whole.
   * Throws what Auth would throw now.
   */
  async *whileStanding(context: ApiContext, pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const piece of pieces) {
      this.#now(context, this.#store.state);
      yield piece;
    }
  }

  /** Whether the caller may still do this, for what goes on long after it was asked for. */
  stands(context: ApiContext): boolean {
    return mayStill(this.#store.state, accessOf(context), personOf(context), this.#clock.wall());
  }

  #now(context: ApiContext, state: State): PersonCaller {
    return callerNow(state, accessOf(context), personOf(context), this.#clock.wall());
  }
}

function accessOf(context: ApiContext): ProtectedAccess {
  const access = context.match.kind === "found" ? context.match.route.access : null;
  if (access?.kind !== "protected") throw new Error(`${context.pattern} is not a protected route`);
  return access;
}
