/**
 * Turns whatever is thrown below it into an answer: an ApiError into its own, anything else into a 500 that tells the
 * client nothing and the log everything.
 */
import { ApiError, messageOf } from "../../lib/errors.ts";
import type { Log } from "../../lib/log.ts";
import type { Context } from "../context.ts";
import { empty, errorReply } from "../respond.ts";
import { ClientGone } from "../send-file.ts";
import type { Middleware } from "../compose.ts";
import type { Reply, RouteShape } from "../types.ts";

export function recovery<R extends RouteShape, C>(log: Log): Middleware<R, C> {
  return (context, next) => {
    try {
      const reply = next();
      return reply instanceof Promise ? reply.catch((error: unknown) => answer(context, error, log)) : reply;
    } catch (error) {
      return answer(context, error, log);
    }
  };
}

function answer<R extends RouteShape, C>(
  { requestId, method, pattern }: Context<R, C>,
  error: unknown,
  log: Log,
): Reply {
  // Nobody is there to read this one.
  if (error instanceof ClientGone) return empty(499);
  if (error instanceof ApiError && error.code !== "internal") return errorReply(error, requestId);
  log.error("A request failed.", {
    request_id: requestId,
    method,
    route: pattern,
    error: messageOf(error),
    stack: stackOf(error),
  });
  return errorReply(
    new ApiError("internal", "Something failed here; the log has the details under this request id."),
    requestId,
  );
}

/** The stack with what caused it, and what caused that. */
function stackOf(error: unknown): string | null {
  if (!(error instanceof Error)) return null;
  const cause = stackOf(error.cause);
  return cause === null ? (error.stack ?? null) : `${error.stack ?? ""}\ncaused by ${cause}`;
}
