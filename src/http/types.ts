/** The nouns of the web layer, which has never heard of hosts: a route, a context, a reply, a middleware. */
import type { ServerResponse } from "node:http";
import type { ErrorCode } from "../lib/errors.ts";

/** A value now where it is there already; the hot path pays no promise that it does not need. */
export type MaybePromise<T> = T | Promise<T>;

export type Method = "GET" | "POST" | "PUT" | "DELETE" | "PATCH";

/** What the router needs of a route; the api adds access, scope and handler. */
export interface RouteShape {
  readonly method: Method;
  /** `/v1/hosts/{host_id}/drain`: static segments, or one `{param}` for a whole segment. */
  readonly pattern: string;
  /**
   * What happens to a request's body: thrown away, read as JSON before the handler runs, or left for the handler to
   * stream.
   */
  readonly body: "none" | "json" | "stream";
}

/**
 * What the router says of a request target. HEAD finds GET's route; `malformed` is also how the server says that it
 * will not serve a request.
 */
export type Match<R extends RouteShape> =
  | { readonly kind: "found"; readonly route: R; readonly params: Readonly<Record<string, string>> }
  | { readonly kind: "wrong_method"; readonly pattern: string; readonly allow: string }
  | { readonly kind: "malformed"; readonly code: ErrorCode; readonly reason: string }
  | { readonly kind: "none" };

/**
 * Writes a body piece by piece after the headers are out. Resolves when all is handed over; rejects when it cannot go
 * on (the socket is then destroyed), with ClientGone where the client left. Never called for HEAD, nor when the client
 * left before its turn: open nothing early.
 */
export type BodyPump = (res: ServerResponse, sent: (bytes: number) => void) => Promise<void>;

/** An answer, decided but not yet written. */
export interface Reply {
  readonly status: number;
  /** Names as they go on the wire: `Content-Type`. */
  readonly headers: Readonly<Record<string, string>>;
  /** null: no body. A text is sent whole with its Content-Length; a pump's Content-Length stands in `headers`. */
  readonly body: string | null | BodyPump;
}

/**
 * Who is at the other end, as it was when the connection was accepted: a socket that closes meanwhile forgets its
 * addresses.
 */
export interface Peer {
  readonly unixSocket: boolean;
  /** null on a unix socket. */
  readonly remoteAddress: string | null;
  readonly localAddress: string | null;
}

/** How a request ended, told to everyone who asked with `context.onFinish`. */
export interface Outcome {
  /** 499, as nginx has it, where the client left before an answer was decided. */
  readonly status: number;
  /** Body bytes handed to the socket, also when the client hung up before the end. */
  readonly bytes: number;
  readonly seconds: number;
  /** True where the client left before the answer was complete. */
  readonly aborted: boolean;
}
