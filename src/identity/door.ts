/**
 * The door of the API: asks who is calling, by what came with a request's headers, and slides a session in use on. It
 * reads no body, and answers nothing itself.
 */
import type { Context } from "../http/context.ts";
import type { RouteShape } from "../http/types.ts";
import type { Clock } from "../lib/clock.ts";
import { messageOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import type { Actor } from "../state/events.ts";
import type { Store } from "../state/store.ts";
import type { Access, Caller } from "./access.ts";
import type { AuthSettings, CountFailure } from "./authenticate.ts";
import { authenticate } from "./authenticate.ts";
import { decideRenewal } from "./tokens.ts";

/** What the door needs to know of a route. */
export interface Guarded extends RouteShape {
  readonly access: Access;
}

export interface DoorOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  readonly sessionTtlMs: number;
  readonly settings: AuthSettings;
  readonly onFailure: CountFailure;
}

export class Door {
  readonly #options: DoorOptions;
  #settings: AuthSettings;

  constructor(options: DoorOptions) {
    this.#options = options;
    this.#settings = options.settings;
  }

  /** From the next request on. */
  replace(settings: AuthSettings): void {
    this.#settings = settings;
  }

  /** Gives who is calling; null on a public route, or where there is no route. Throws as `authenticate`. */
  readonly letIn = <R extends Guarded>({ match, req, peer }: Context<R, Caller>): Caller | null => {
    if (match.kind !== "found") return null;
    const { store, clock, onFailure } = this.#options;
    const org = req.headers["x-zwrm-org"];
    const credentials = {
      peer: { ...peer, httpVersion: req.httpVersion, target: req.url ?? "", rawHeaders: req.rawHeaders },
      authorization: req.headers["authorization"] ?? null,
      org: typeof org === "string" ? org : null,
      nowWall: clock.wall(),
    };
    const caller = authenticate(match.route.access, credentials, store.state, this.#settings, onFailure);
    if (caller?.kind === "person" && caller.authMethod === "session" && caller.tokenHash !== null)
      this.#renewSession(caller.tokenHash, caller.actor);
    return caller;
  };

  /** A session in use slides on, beside the request; where that fails the next request tries again. */
  #renewSession(tokenHash: string, actor: Actor): void {
    const { store, clock, log, sessionTtlMs } = this.#options;
    const session = store.state.sessions.get(tokenHash);
    const event = session === undefined ? null : decideRenewal(session, sessionTtlMs, clock.wall());
    if (event === null || !store.writability.writable) return;
    const renewal = Promise.resolve(store.change(actor, () => ({ event, answer: () => undefined })));
    renewal.catch((error: unknown) => log.warn("a session was not renewed", { reason: messageOf(error) }));
  }
}
