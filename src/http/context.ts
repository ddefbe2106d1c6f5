/** One request on its way through the middleware array: what came in, who asks, and who wants to know how it ended. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Match, Outcome, Peer, RouteShape } from "./types.ts";

const NO_PARAMS: Readonly<Record<string, string>> = Object.freeze({});

export class Context<R extends RouteShape, C> {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly requestId: string;
  /** The target's path, not decoded, without the query. */
  readonly path: string;
  readonly match: Match<R>;
  readonly peer: Peer;
  readonly params: Readonly<Record<string, string>>;
  /** Set by the Auth middleware; null on public routes. */
  caller: C | null = null;
  /** Set before the handler runs, where the route takes JSON. */
  body: unknown = undefined;
  /**
   * Set before the handler runs, where the route streams its body; nothing is read, nor a 100 sent, before the first
   * piece is asked for.
   */
  stream: AsyncIterable<Uint8Array> | null = null;
  /** True while the client waits for a 100 before it sends its body. */
  expectsContinue = false;
  /** True once a reader has seen the body's last byte; what is left unread at the answer is thrown away. */
  bodyRead = false;
  readonly #queryText: string;
  #query: URLSearchParams | null = null;
  #listeners: ((outcome: Outcome) => void)[] = [];
  #outcome: Outcome | null = null;

  constructor(
    req: IncomingMessage,
    res: ServerResponse,
    requestId: string,
    path: string,
    queryText: string,
    match: Match<R>,
    peer: Peer,
  ) {
    this.req = req;
    this.res = res;
    this.requestId = requestId;
    this.path = path;
    this.#queryText = queryText;
    this.match = match;
    this.peer = peer;
    this.params = match.kind === "found" ? match.params : NO_PARAMS;
  }

  get method(): string {
    return this.req.method ?? "";
  }

  /** The route's pattern for metrics and logs; never the path that a client chose. */
  get pattern(): string {
    if (this.match.kind === "found") return this.match.route.pattern;
    return this.match.kind === "wrong_method" ? this.match.pattern : "none";
  }

  get query(): URLSearchParams {
    return (this.#query ??= new URLSearchParams(this.#queryText));
  }

  /** A single header's value; null where it is absent. */
  header(name: string): string | null {
    const value = this.req.headers[name];
    return typeof value === "string" ? value : null;
  }

  /** Calls back once, when the answer is complete or the client is gone; at once where it has left already. */
  onFinish(listener: (outcome: Outcome) => void): void {
    if (this.#outcome !== null) return listener(this.#outcome);
    this.#listeners.push(listener);
  }

  /** The server's to call, once. */
  finish(outcome: Outcome): void {
    this.#outcome = outcome;
    const listeners = this.#listeners;
    this.#listeners = [];
    for (const listener of listeners) listener(outcome);
  }
}
