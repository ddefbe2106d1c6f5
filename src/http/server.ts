/**
 * The way in: makes an exchange of every request that a listener hears, refuses what is none, and stops in order; what
 * an answer says is not its business.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Clock } from "../lib/clock.ts";
import { systemCode } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import type { Connection } from "./connections.ts";
import { Connections } from "./connections.ts";
import { Context } from "./context.ts";
import { Exchange } from "./exchange.ts";
import type { Surroundings } from "./exchange.ts";
import type { HttpLimits } from "./limits.ts";
import { DEFAULT_LIMITS } from "./limits.ts";
import { Listener } from "./listeners.ts";
import type { Listen, ListenerEvents, RequestKind, TlsOptions } from "./listeners.ts";
import type { AccessEntry } from "./middleware/logger.ts";
import type { Refusal } from "./refusal.ts";
import { rawAnswer, refusalOf } from "./refusal.ts";
import { createRequestIds } from "./request-ids.ts";
import type { Fault } from "./target.ts";
import { findFault, readTarget } from "./target.ts";
import type { Match, MaybePromise, Reply, RouteShape } from "./types.ts";

export interface HttpServerOptions<R extends RouteShape, C> {
  readonly router: { match(method: string, path: string): Match<R> };
  /** Answers a request: the middleware array around `dispatch`. */
  readonly handle: (context: Context<R, C>) => MaybePromise<Reply>;
  readonly clock: Clock;
  readonly log: Log;
  /** What differs from DEFAULT_LIMITS. */
  readonly limits?: Partial<HttpLimits>;
  /** Told of each answer to what never became a request, and so passed no middleware. */
  readonly onRefused?: (entry: AccessEntry) => void;
}

export interface HttpServer {
  /**
   * Opens one more listener for the same handler; resolves with its address. Rejects with Node's own error (EADDRINUSE,
   * …).
   */
  listen(where: Listen): Promise<AddressInfo | string>;
  /** New certificates on every TLS listener, for connections to come. Throws on PEM that is none. */
  reload(tls: TlsOptions): void;
  /** Open connections of all listeners. */
  readonly connections: number;
  /**
   * Stops accepting, ends idle connections, lets running requests end for at most `graceMs`, then ends them. Resolves
   * when nothing is left.
   */
  close(graceMs: number): Promise<void>;
}

export function createHttpServer<R extends RouteShape, C>(options: HttpServerOptions<R, C>): HttpServer {
  return new Server(options);
}

type Serving<R extends RouteShape, C> = Connection<Exchange<R, C>>;

class Server<R extends RouteShape, C> implements HttpServer, ListenerEvents {
  readonly #options: HttpServerOptions<R, C>;
  readonly #limits: HttpLimits;
  readonly #connections: Connections<Exchange<R, C>>;
  readonly #around: Surroundings<R, C>;
  readonly #nextId = createRequestIds();
  readonly #listeners: Listener[] = [];

  constructor(options: HttpServerOptions<R, C>) {
    const { handle, clock, log } = options;
    this.#options = options;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#connections = new Connections(clock, this.#limits);
    this.#around = {
      handle,
      clock,
      log,
      limits: this.#limits,
      connections: this.#connections,
      idle: (connection) => this.#onIdle(connection),
    };
  }

  get connections(): number {
    return this.#connections.size;
  }

  async listen(where: Listen): Promise<AddressInfo | string> {
    const listener = new Listener(this.#limits, "tls" in where ? (where.tls ?? null) : null, this);
    // Before it listens: one that fails behind that, at its socket's mode, is closed with the others.
    this.#listeners.push(listener);
    const address = await listener.listen(where);
    // An error of accepting (EMFILE) is about one connection; the listener goes on.
    listener.server.on("error", (error) => this.#options.log.error("A listener failed.", { error: error.message }));
    return address;
  }

  reload(tls: TlsOptions): void {
    for (const listener of this.#listeners) listener.reload(tls);
  }

  async close(graceMs: number): Promise<void> {
    const { clock } = this.#options;
    this.#connections.stopping = true;
    const closed = this.#listeners.map((listener) => listener.close());
    this.#connections.endKept();
    // A connection accepted this moment may have sent nothing yet, and one in the middle of its headers is not done:
    // both get this time to become a request. Timers run before what has arrived is read; on a starved machine that is
    // the request itself, so one round of reading comes first.
    const cancelIdle = clock.after(
      Math.min(graceMs, this.#limits.discardMs),
      () => void setImmediate(() => this.#connections.endIdle()),
    );
    const cancelAll = clock.after(graceMs, () => {
      for (const listener of this.#listeners) listener.endHandshakes();
      this.#connections.endAll();
    });
    await Promise.all(closed);
    cancelIdle();
    cancelAll();
  }

  connected(socket: Socket, unixSocket: boolean): void {
    this.#connections.add(socket, unixSocket);
  }

  turnAway(socket: Socket): void {
    this.#refuse(
      socket,
      {
        code: "too_many_connections",
        message: `${this.#limits.maxConnections} connections are open; try again in a moment.`,
      },
      this.#nextId(undefined),
    );
  }

  request(req: IncomingMessage, res: ServerResponse, kind: RequestKind): void {
    const connection = this.#connections.find(req.socket);
    // Turned away, or told that it is over: what still comes is not served.
    if (connection === undefined || connection.endedAt !== null || connection.refusal !== null) return;
    if (connection.running.size > this.#limits.maxUnanswered && connection.unanswered > this.#limits.maxUnanswered)
      return void req.socket.destroy();
    const { path, queryText } = readTarget(req.url ?? "");
    const fault = kind === "expects_other" ? EXPECTATION : findFault(req, path, this.#limits);
    const match: Match<R> =
      fault === null ? this.#options.router.match(req.method ?? "", path) : { kind: "malformed", ...fault };
    const context = new Context<R, C>(
      req,
      res,
      this.#nextId(req.headers["x-request-id"]),
      path,
      queryText,
      match,
      connection.peer,
    );
    context.expectsContinue = kind === "expects_continue";
    const exchange = new Exchange(this.#around, connection, context, this.#options.clock.mono());
    exchange.run(fault !== null);
  }

  tunnel(socket: Socket): void {
    // Node has let go of the connection; what follows is read only to be thrown away.
    socket.resume();
    this.#refuseOn(socket, { code: "malformed_request", message: "This is no proxy: CONNECT is not served." });
  }

  broken(error: Error, socket: Socket): void {
    // Bytes after a request that said it was the last; its answer is on the way, and ends the connection.
    if (systemCode(error) === "HPE_CLOSED_CONNECTION") return;
    const refusal = refusalOf(error);
    // Without a byte it was a connection kept in reserve, as browsers do; nobody waits for an answer.
    if (refusal === null || socket.bytesRead === 0) return void socket.destroy();
    this.#refuseOn(socket, refusal);
  }

  /** Refuses what comes on a connection now, after the answers that are owed on it. */
  #refuseOn(socket: Socket, refusal: Refusal): void {
    const connection = this.#connections.find(socket);
    if (connection === undefined || connection.refusal !== null) return;
    if (connection.endedAt !== null) {
      if (socket.bytesRead - connection.endedAt > this.#limits.discardBytes) socket.destroy();
      return;
    }
    const { latest } = connection;
    if (latest === null) return this.#endWith(connection, refusal, null);
    if (latest.context.req.complete) connection.refusal = refusal;
    else if (connection.running.size === 1 && !latest.context.res.headersSent)
      this.#endWith(connection, refusal, latest);
    else socket.destroy();
  }

  /** `owner` is the request whose own body broke. */
  #endWith(connection: Serving<R, C>, refusal: Refusal, owner: Exchange<R, C> | null): void {
    connection.endedAt = connection.socket.bytesRead;
    const { status, bytes } = this.#refuse(
      connection.socket,
      refusal,
      owner?.context.requestId ?? this.#nextId(undefined),
      owner === null,
    );
    owner?.replaceAnswer(status, bytes);
  }

  #refuse(socket: Socket, refusal: Refusal, requestId: string, report = true): { status: number; bytes: number } {
    const { clock, onRefused } = this.#options;
    const { status, text, bodyBytes } = rawAnswer(refusal, requestId, clock.wall());
    if (socket.writable) socket.end(text);
    // The client has this long to read it and to close.
    const cancel = clock.after(this.#limits.discardMs, () => socket.destroy());
    socket.once("close", cancel);
    if (report)
      onRefused?.({ method: "-", path: "-", status, bytes: bodyBytes, seconds: 0, aborted: false, requestId });
    return { status, bytes: bodyBytes };
  }

  /** Nothing runs on the connection any more: time for what had to wait. */
  #onIdle(connection: Serving<R, C>): void {
    if (connection.endedAt !== null || connection.socket.destroyed) return;
    if (connection.refusal !== null) this.#endWith(connection, connection.refusal, null);
    else if (this.#connections.stopping) connection.socket.destroySoon();
  }
}

const EXPECTATION: Fault = { code: "expectation_failed", reason: "Of Expect only 100-continue is served." };
