/** Makes replies: JSON, text, nothing, and the one shape of an error; it writes none. */
import type { ApiError } from "../lib/errors.ts";
import type { Reply } from "./types.ts";

type Headers = Readonly<Record<string, string>>;

/** Answers of the API are never cached: they are about now, and for one caller. */
const JSON_HEADERS: Headers = { "Content-Type": "application/json", "Cache-Control": "no-store" };

declare const VALUE: unique symbol;

/** A reply whose type says what it was made of: status and value. */
export interface JsonReply<S extends number = number, T = unknown> extends Reply {
  readonly status: S;
  /** For the type checker alone. */
  readonly [VALUE]?: T;
}

/** A reply without a body. */
export interface EmptyReply<S extends number = number> extends Reply {
  readonly status: S;
  readonly body: null;
}

/** One type for each status that may come of it. */
type Json<S extends number, T> = S extends number ? JsonReply<S, T> : never;

/** `value` as JSON; `headers` add to or replace Content-Type and Cache-Control. */
export function json<const S extends number, T>(status: S, value: T, headers?: Headers): Json<S, T> {
  return {
    status,
    headers: headers === undefined ? JSON_HEADERS : { ...JSON_HEADERS, ...headers },
    body: JSON.stringify(value),
  } as unknown as Json<S, T>;
}

export function empty<const S extends number>(status: S, headers: Headers = {}): EmptyReply<S> {
  return { status, headers, body: null };
}

export function text(status: number, body: string, contentType = "text/plain; charset=utf-8"): Reply {
  return { status, headers: { "Content-Type": contentType, "Cache-Control": "no-store" }, body };
}

/** `{"error","code","request_id","field"?}` with the headers that its status owes the client. */
export function errorReply(error: ApiError, requestId: string): Reply {
  const field = error.field === null ? {} : { field: error.field };
  return json(
    error.status,
    { error: error.message, code: error.code, request_id: requestId, ...field, ...error.extra },
    { ...owed(error.status), ...error.headers },
  );
}

function owed(status: number): Headers {
  if (status === 401) return { "WWW-Authenticate": "Bearer" };
  return status === 429 || status === 503 ? { "Retry-After": "1" } : {};
}
