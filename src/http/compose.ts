/**
 * Makes one call of an array of middlewares. Borrowed from koa-compose, but synchronous stays synchronous, and a second
 * `next()` always throws.
 */
import type { Context } from "./context.ts";
import type { MaybePromise, Reply, RouteShape } from "./types.ts";

export type Handler<R extends RouteShape, C> = (context: Context<R, C>) => MaybePromise<Reply>;
export type Middleware<R extends RouteShape, C> = (
  context: Context<R, C>,
  next: () => MaybePromise<Reply>,
) => MaybePromise<Reply>;

/**
 * The middlewares run in the array's order, each around the next; `terminal` answers where all have called `next()`.
 */
export function compose<R extends RouteShape, C>(
  middlewares: readonly Middleware<R, C>[],
  terminal: Handler<R, C>,
): Handler<R, C> {
  return (context) => {
    const step = (index: number): MaybePromise<Reply> => {
      const middleware = middlewares[index];
      if (middleware === undefined) return terminal(context);
      let called = false;
      return middleware(context, () => {
        if (called) throw new Error(`middleware ${index} called next() twice`);
        called = true;
        return step(index + 1);
      });
    };
    return step(0);
  };
}
