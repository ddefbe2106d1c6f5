/**
 * What a handler is given of a request, by its route's kind: everybody what was read of it; a person's handler who
 * asks, and the one way in which a person changes something; an agent's handler the agent's.
 */
import type { Registration } from "../fleet/registration.ts";
import type { MaybePromise, Reply } from "../http/types.ts";
import type { PersonCaller } from "../identity/access.ts";
import type { ProtectedAccess } from "../identity/standing.ts";
import { callerNow, mayStill } from "../identity/standing.ts";
import type { Clock } from "../lib/clock.ts";
import { ApiError } from "../lib/errors.ts";
import type { DeploymentId, HostId, KeyId, MachineId, ResourceId, UserId } from "../lib/id-types.ts";
import { sha256Hex } from "../lib/ids.ts";
import type { IdempotencyNote } from "../state/events.ts";
import type { State } from "../state/state.ts";
import { idempotencyKey } from "../state/state.ts";
import type { Change, Decision, Store } from "../state/store.ts";
import type { Heartbeat, HeartbeatAnswer } from "../wire/agents.ts";
import { pattern, readField } from "../wire/schema.ts";
import type { AgentDoor, Registered } from "./agent-door.ts";
import type { ApiContext } from "./context.ts";

/** What a name in a path names. An app and an org are named by their ids or their names, so theirs are plain texts. */
interface PathIds {
  readonly host_id: HostId;
  readonly deployment_id: DeploymentId;
  readonly user_id: UserId;
  readonly "machines/{id}": MachineId;
  readonly "users/{id}": UserId;
  readonly "tokens/{id}": KeyId;
}

/** The texts in place of a path's names, each of the type of what it names. */
export type Params<P extends string> = {
  readonly [N in P as N extends `${string}/{${infer Name}}` ? Name : N]: N extends keyof PathIds ? PathIds[N] : string;
};

/** What was read of a request, by the schemas of its row. */
export interface Parts<P extends string, B, Q> {
  readonly params: Params<P>;
  readonly body: B;
  readonly query: Q;
}

/** The connection's side of a request. */
export type Transport = Pick<ApiContext, "method" | "pattern" | "peer" | "header" | "onFinish">;

/** `P`: the names in the path; `B` and `Q`: what the row's schemas made of body and query. */
export class Request<P extends string = never, B = unknown, Q = unknown> {
  readonly params: Params<P>;
  readonly body: B;
  readonly query: Q;
  readonly transport: Transport;

  constructor(transport: Transport, { params, body, query }: Parts<P, B, Q>) {
    this.params = params;
    this.body = body;
    this.query = query;
    this.transport = transport;
  }
}

/** An agent's, let in by the licence: what it changes is changed under a licence that is still good. */
export class AgentRequest<P extends string = never, B = unknown, Q = unknown> extends Request<P, B, Q> {
  readonly #context: ApiContext;
  readonly #door: AgentDoor;

  constructor(context: ApiContext, parts: Parts<P, B, Q>, door: AgentDoor) {
    super(context, parts);
    this.#context = context;
    this.#door = door;
  }

  /** Throws `unauthorized`, and as AgentCalls.register. */
  register(registration: Registration): MaybePromise<Registered> {
    return this.#door.register(this.#context, registration);
  }

  /** Throws `unauthorized`, and as AgentCalls.heartbeat. */
  heartbeat(hostId: HostId, key: string | null, beat: Heartbeat): MaybePromise<HeartbeatAnswer> {
    return this.#door.heartbeat(this.#context, hostId, key, beat);
  }

  /** The answer to a heartbeat, held until there is something new to tell or `ms` are over. */
  answerLater(hostId: HostId, observed: string, ms: number): Promise<HeartbeatAnswer> {
    return this.#door.answerLater(this.#context, hostId, observed, ms);
  }

  /** Throws `unauthorized`, `host_not_registered`, `host_key_mismatch`. */
  deregister(hostId: HostId, key: string | null, reason: string | null): MaybePromise<void> {
    return this.#door.deregister(this.#context, hostId, key, reason);
  }
}

const KEY = pattern(/^[\x21-\x7e]{1,255}$/, "1 to 255 printable ASCII characters without blanks");

/**
 * Decides for the caller as they stand at that moment: whom they may set, and where, is asked of `caller` and not of
 * who came in.
 */
export type PersonDecision<T> = (state: State, caller: PersonCaller) => Decision<T>;

/** A person's, or a program's that acts for one. */
export class PersonRequest<P extends string = never, B = unknown, Q = unknown> extends Request<P, B, Q> {
  /** As they were when Auth let them in; what is changed is judged anew. */
  readonly caller: PersonCaller;
  readonly #context: ApiContext;
  readonly #access: ProtectedAccess;
  readonly #store: Store;
  readonly #clock: Clock;

  constructor(context: ApiContext, parts: Parts<P, B, Q>, access: ProtectedAccess, store: Store, clock: Clock) {
    super(context, parts);
    const { caller } = context;
    if (caller?.kind !== "person") throw new Error(`${context.pattern} was reached by nobody`);
    this.caller = caller;
    this.#context = context;
    this.#access = access;
    this.#store = store;
    this.#clock = clock;
  }

  /**
   * A change by someone who may still make it. The token, its user, the membership, the role, the host-admin mark and
   * the scope are judged in the same decision that makes the event: a body takes its time. Throws what Auth would throw
   * now.
   */
  change<T>(decide: PersonDecision<T>): MaybePromise<T> {
    return this.#store.change(this.caller.actor, (state) => decide(state, this.#now(state)));
  }

  /** The same for what ends in a change elsewhere, as the end of an upload does. */
  get changing(): Change {
    return (decide) => this.change(decide);
  }

  /**
   * The same for a POST that may bear an Idempotency-Key. Where the key was used for the same request before, nothing
   * is decided: `again` shows what it led to. Throws `idempotency_key_reused` where it was used for another.
   */
  once<R extends Reply, I extends ResourceId>(
    decide: (state: State, note: IdempotencyNote | null, caller: PersonCaller) => Decision<R>,
    again: (state: State, resourceId: I) => R,
  ): MaybePromise<R> {
    const given = this.#context.req.headers["idempotency-key"];
    if (given === undefined) return this.change((state, caller) => decide(state, null, caller));
    const key = readField(KEY, "Idempotency-Key", given);
    const { method, path, body } = this.#context;
    const note = { key, body_sum: sha256Hex(`${method} ${path}\n${JSON.stringify(body ?? {})}`) };
    return this.change((state, caller) => {
      const before = state.idempotency.get(idempotencyKey(caller.org.id, key));
      if (before === undefined) return decide(state, note, caller);
      // The sum has the path in it, so the same decision made that event: of the kind of thing that `again` shows.
      if (before.body_sum === note.body_sum)
        return { event: null, answer: (after) => again(after, before.resource_id as I) };
      const message = `The Idempotency-Key ${key} was used for another request at ${before.at}. Use a new one.`;
      throw new ApiError("idempotency_key_reused", message);
    });
  }

  /**
   * What someone may still see after a body, or a wait. A GET without either sees by `store.read`, since Auth has
   * judged it just now.
   */
  look<T>(compute: (state: State, caller: PersonCaller) => T): MaybePromise<T> {
    return this.#store.read((state) => compute(state, this.#now(state)));
  }

  /**
   * A body as long as its sender may send it: an upload of days ends with what let it in, and not when it is whole.
   * Throws what Auth would throw now.
   */
  async *whileStanding(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const piece of pieces) {
      this.#now(this.#store.state);
      yield piece;
    }
  }

  /** Whether the caller may still do this, for what goes on long after it was asked for. */
  stands(): boolean {
    return mayStill(this.#store.state, this.#access, this.caller, this.#clock.wall());
  }

  #now(state: State): PersonCaller {
    return callerNow(state, this.#access, this.caller, this.#clock.wall());
  }
}
