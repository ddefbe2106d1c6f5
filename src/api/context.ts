/** What every handler is given of a request: the route's row, who asks, and the parameters of the path. */
import type { Context } from "../http/context.ts";
import type { Method, RouteShape } from "../http/types.ts";
import type { Access, Caller, PersonCaller } from "../identity/access.ts";
import { ApiError } from "../lib/errors.ts";

/** What Auth and the router know of a route. */
export interface GuardedRoute extends RouteShape {
  readonly method: Method;
  readonly access: Access;
}

export type ApiContext = Context<GuardedRoute, Caller>;

/** The caller of a protected route as it was when Auth let it in; what is changed asks the door, which judges anew. */
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
