/**
 * Asks who is calling, on the headers alone and before any body is read; who may what is decided by the function that
 * it is given.
 */
import type { Context } from "../context.ts";
import type { Middleware } from "../compose.ts";
import type { MaybePromise, RouteShape } from "../types.ts";

/**
 * Gives the caller, null on a public route, or throws the ApiError that refuses. Paths without a route pass by, to
 * their 404 or 405.
 */
export function auth<R extends RouteShape, C>(
  authenticate: (context: Context<R, C>) => MaybePromise<C | null>,
): Middleware<R, C> {
  return (context, next) => {
    if (context.match.kind !== "found") return next();
    const caller = authenticate(context);
    if (caller instanceof Promise) {
      return caller.then((known) => {
        context.caller = known;
        return next();
      });
    }
    context.caller = caller;
    return next();
  };
}
