/**
 * What handlers are given: everybody what can be seen, and each kind of route its own door, the only way from there to
 * a change of the state.
 */
import type { Fleet } from "../fleet/fleet.ts";
import type { MaybePromise, Reply } from "../http/types.ts";
import type { Access } from "../identity/access.ts";
import type { Logins } from "../identity/login.ts";
import type { ImageLibrary } from "../images/library.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { Writability } from "../journal/types.ts";
import type { Metrics } from "../metrics/catalogue.ts";
import type { Registry } from "../metrics/registry.ts";
import type { EventFeed } from "../state/feed.ts";
import type { Reads, Store } from "../state/store.ts";
import { AgentDoor } from "./agent-door.ts";
import type { ApiContext, GuardedRoute } from "./context.ts";
import { PersonDoor } from "./door.ts";

export type { ApiContext } from "./context.ts";
export { param, personOf } from "./context.ts";

/** What every handler may see. Nothing here changes the state: `library` takes a change from a door. */
export interface Services {
  readonly store: Reads;
  readonly fleet: Pick<Fleet, "view"> & { readonly reconciler: Pick<Fleet["reconciler"], "scene"> };
  readonly library: ImageLibrary;
  readonly feed: EventFeed;
  readonly metrics: Metrics;
  readonly registry: Registry;
  readonly clock: Clock;
  readonly log: Log;
  readonly version: string;
  readonly offlineAfterMs: number;
  readonly maxImageBytes: number;
  /**
   * Looks whether what is written still lands where a start would find it, and gives whether changes can be written;
   * see Journal.look.
   */
  readonly lookAtStorage: () => Promise<Writability>;
  /** Monotonic time of the start. */
  readonly startedAt: number;
  /** The end of the verification of images that was asked for last; `signal` ends them at the stop. */
  readonly verification: { last: Promise<void>; readonly signal: AbortSignal };
  /** True from SIGTERM on. */
  stopping(): boolean;
}

/** What a protected route's handler is given. */
export interface App extends Services {
  readonly door: PersonDoor;
  readonly logins: Pick<Logins, "hash" | "prove">;
}

/** What an internal route's handler is given. */
export interface AgentApp extends Services {
  readonly agents: AgentDoor;
}

/** What a public route's handler is given: a password proves who it is. */
export interface PublicApp extends Services {
  readonly logins: Pick<Logins, "login">;
}

/** What there is to hand out, to each kind of route its own. */
export interface Hands {
  readonly anyone: PublicApp;
  readonly agents: AgentApp;
  readonly people: App;
}

/** What the daemon is made of, as far as the API needs it. */
export interface Parts extends Omit<Services, "store" | "fleet"> {
  readonly store: Store;
  readonly fleet: Fleet;
  readonly logins: Logins;
  /** The licence hashes that are good now. */
  licences(): readonly string[];
}

export function handOut(parts: Parts): Hands {
  const { store, fleet, clock } = parts;
  return {
    anyone: parts,
    agents: { ...parts, agents: new AgentDoor(store, fleet, () => parts.licences()) },
    people: { ...parts, door: new PersonDoor(store, clock) },
  };
}

export type Handler<A extends Services> = (context: ApiContext, app: A) => MaybePromise<Reply>;

export interface ApiRoute extends GuardedRoute {
  readonly handler: (context: ApiContext, hands: Hands) => MaybePromise<Reply>;
}

/** A kind of route: whom it lets in, and what its handlers are given for it. */
export interface Guard<A extends Services> {
  readonly access: Access;
  readonly pick: (hands: Hands) => A;
}
