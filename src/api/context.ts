/** A request of the API as the middleware array carries it: what Auth and the router know of its route. */
import type { Context } from "../http/context.ts";
import type { Method, RouteShape } from "../http/types.ts";
import type { Access, Caller } from "../identity/access.ts";

/** What Auth and the router know of a route. */
export interface GuardedRoute extends RouteShape {
  readonly method: Method;
  readonly access: Access;
}

export type ApiContext = Context<GuardedRoute, Caller>;
