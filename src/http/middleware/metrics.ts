/** Counts each request when it starts and when it has ended; what the counts are called is the recorder's business. */
import type { Middleware } from "../compose.ts";
import type { RouteShape } from "../types.ts";

export interface RequestRecorder {
  requestStarted(): void;
  /** `pattern` is a route's, or `none`: clients cannot make new ones. `bytes` are the body's. */
  requestFinished(method: string, pattern: string, status: number, seconds: number, bytes: number): void;
}

const KNOWN_METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]);

export function metrics<R extends RouteShape, C>(recorder: RequestRecorder): Middleware<R, C> {
  return (context, next) => {
    recorder.requestStarted();
    context.onFinish(({ status, seconds, bytes }) => {
      const method = KNOWN_METHODS.has(context.method) ? context.method : "OTHER";
      recorder.requestFinished(method, context.pattern, status, seconds, bytes);
    });
    return next();
  };
}
