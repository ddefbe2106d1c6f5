/**
 * The first middleware and the line that it writes of each request when its answer is complete: METHOD PATH STATUS
 * DURATION BYTES REQUEST_ID TIME.
 */
import type { Clock } from "../../lib/clock.ts";
import { toRfc3339 } from "../../lib/clock.ts";
import type { LineSink } from "../../lib/log.ts";
import type { Middleware } from "../compose.ts";
import type { Outcome, RouteShape } from "../types.ts";

/** A path in a line is cut here, in characters. */
const MAX_PATH = 1024;
const UNPRINTABLE = /[^\x21-\x7e]/;
const EACH_UNPRINTABLE = /[^\x21-\x7e]/g;

/** What a line tells. `-` stands for what a request that broke before its headers were whole did not say. */
export interface AccessEntry extends Outcome {
  readonly method: string;
  /** Without the query: tokens are sent there by mistake. */
  readonly path: string;
  readonly requestId: string;
}

/** Writes an entry as one line; no entry can look like two. */
export type AccessLog = (entry: AccessEntry) => void;

export function createAccessLog(sink: LineSink, clock: Clock, format: "text" | "json"): AccessLog {
  const now = timestamps(clock);
  if (format === "json") return (entry) => sink.write(jsonLine(entry, now()), "info");
  return ({ method, path, status, seconds, bytes, requestId }) => {
    sink.write(
      `${method} ${printable(path)} ${status} ${milliseconds(seconds)}ms ${bytes} ${requestId} ${now()}`,
      "info",
    );
  };
}

export function logger<R extends RouteShape, C>(log: AccessLog): Middleware<R, C> {
  return (context, next) => {
    context.onFinish(({ status, bytes, seconds, aborted }) => {
      const { method, path, requestId } = context;
      log({ method, path, status, bytes, seconds, aborted, requestId });
    });
    return next();
  };
}

function jsonLine({ method, path, status, seconds, bytes, requestId, aborted }: AccessEntry, at: string): string {
  const what = `"method":${JSON.stringify(method)},"path":${JSON.stringify(printable(path))},"status":${status}`;
  const how = `"duration_ms":${milliseconds(seconds)},"bytes":${bytes},"request_id":${JSON.stringify(requestId)}`;
  return `{${what},${how},"at":"${at}","aborted":${aborted}}`;
}

/** Milliseconds with three digits behind the point. */
function milliseconds(seconds: number): string {
  const micros = Math.max(0, Math.round(seconds * 1_000_000));
  const rest = micros % 1000;
  return `${(micros - rest) / 1000}.${threeDigits(rest)}`;
}

function threeDigits(value: number): string {
  return value < 10 ? `00${value}` : value < 100 ? `0${value}` : `${value}`;
}

/** One word of ASCII: whatever a client puts into a path, it stays in its column. */
function printable(path: string): string {
  const short = path.length > MAX_PATH ? path.slice(0, MAX_PATH) : path;
  if (short === "") return "-";
  return UNPRINTABLE.test(short)
    ? short.replace(EACH_UNPRINTABLE, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`)
    : short;
}

/** Times as RFC 3339; the part up to the second is made once a second. */
function timestamps(clock: Clock): () => string {
  let second = NaN;
  let prefix = "";
  return () => {
    const at = Math.floor(clock.wall());
    const current = Math.floor(at / 1000);
    if (current !== second) {
      second = current;
      prefix = toRfc3339(current * 1000).slice(0, -4);
    }
    return `${prefix}${threeDigits(at - current * 1000)}Z`;
  };
}
