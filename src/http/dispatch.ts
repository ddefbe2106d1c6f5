/**
 * The end of the middleware array: turns what the router said into the 404, 405 or 400, or into the body and the call
 * of the route's handler.
 */
import { ApiError } from "../lib/errors.ts";
import type { BodyOptions } from "./body.ts";
import { readJsonBody, streamBody } from "./body.ts";
import type { Context } from "./context.ts";
import type { Handler } from "./compose.ts";
import type { MaybePromise, Reply, RouteShape } from "./types.ts";

/**
 * `call` runs a route's handler; for a JSON route `context.body` is set by then, for a streaming one `context.stream`.
 */
export function dispatch<R extends RouteShape, C>(
  call: (route: R, context: Context<R, C>) => MaybePromise<Reply>,
  options: BodyOptions,
): Handler<R, C> {
  return (context) => {
    const { match } = context;
    if (match.kind === "none") throw new ApiError("route_not_found", "There is no such path.");
    if (match.kind === "malformed") throw new ApiError(match.code, match.reason);
    if (match.kind === "wrong_method")
      throw new ApiError("method_not_allowed", `${match.pattern} takes ${match.allow}.`, {
        headers: { Allow: match.allow },
      });
    const { route } = match;
    if (route.body === "stream") context.stream = streamBody(context, options);
    if (route.body !== "json") return call(route, context);
    const body = readJsonBody(context, options);
    if (!(body instanceof Promise)) {
      context.body = body;
      return call(route, context);
    }
    return body.then((value) => {
      context.body = value;
      return call(route, context);
    });
  };
}
