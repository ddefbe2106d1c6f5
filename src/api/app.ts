/** What the handlers work with, and the shape of a route: the api's own nouns. */
import type { Context } from "../http/context.ts";
import type { Method, MaybePromise, Reply, RouteShape } from "../http/types.ts";
import type { Access, Caller, PersonCaller } from "../identity/access.ts";
import type { Logins } from "../identity/login.ts";
import type { Fleet } from "../fleet/fleet.ts";
import type { Clock } from "../lib/clock.ts";
import { ApiError } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import type { Writability } from "../journal/types.ts";
import type { Metrics } from "../metrics/catalogue.ts";
import type { Registry } from "../metrics/registry.ts";
import type { Actor } from "../state/events.ts";
import { SYSTEM } from "../state/events.ts";
import type { EventFeed } from "../state/feed.ts";
import type { Store } from "../state/store.ts";
import type { ImageLibrary } from "../images/library.ts";

export interface App {
  readonly store: Store;
  readonly fleet: Fleet;
  readonly library: ImageLibrary;
  readonly logins: Logins;
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

export type ApiHandler = (context: ApiContext, app: App) => MaybePromise<Reply>;

export interface ApiRoute extends RouteShape {
  readonly method: Method;
  readonly access: Access;
  readonly handler: ApiHandler;
}

export type ApiContext = Context<ApiRoute, Caller>;

/** The caller of a protected route, which Auth has set. */
export function personOf(context: ApiContext): PersonCaller {
  const { caller } = context;
  if (caller?.kind !== "person") throw new Error(`${context.pattern} is not a protected route`);
  return caller;
}

/** A path parameter; the route's pattern has it, or the table is wrong. */
export function param(context: ApiContext, name: string): string {
  const value = context.params[name];
  if (value === undefined) throw new ApiError("internal", `The route ${context.pattern} has no parameter ${name}.`);
  return value;
}

/** Who the log says did it. */
export function actorOf(context: ApiContext): Actor {
  const { caller } = context;
  return caller?.kind === "person" ? caller.actor : SYSTEM;
}
