/**
 * Node's servers under the web layer: one a listening address, plain or TLS, all with the same settings; it accepts,
 * counts and turns away connections.
 */
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerOptions, ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { lstatSync, chmodSync, unlinkSync } from "node:fs";
import { Server as TcpServer, connect } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { SecureContextOptions } from "node:tls";
import { systemCode } from "../lib/errors.ts";
import type { HttpLimits } from "./limits.ts";

/** PEM texts. */
export type TlsOptions = Pick<SecureContextOptions, "cert" | "key">;

export type Listen =
  | { readonly host: string; readonly port: number; readonly tls?: TlsOptions }
  /** `mode` is the socket file's, such as 0o660. A file that a dead process left behind is replaced. */
  | { readonly path: string; readonly mode?: number }
  /** A listening descriptor that someone else opened. */
  | { readonly fd: number; readonly tls?: TlsOptions };

export type RequestKind = "plain" | "expects_continue" | "expects_other";

export interface ListenerEvents {
  /**
   * A connection over which HTTP may come. `unixSocket` is the listener's own knowledge: a TCP socket that closed
   * already has no address either.
   */
  connected(socket: Socket, unixSocket: boolean): void;
  /** One connection too many, to be told so. Over TLS, and in a flood, it is closed without a word. */
  turnAway(socket: Socket): void;
  request(req: IncomingMessage, res: ServerResponse, kind: RequestKind): void;
  /** A CONNECT request: HTTP is over on this connection. */
  tunnel(socket: Socket): void;
  broken(error: Error, socket: Socket): void;
}

/** So many at once are told why they are turned away; beyond, they are only closed. */
const MAX_TURNED_AWAY = 256;

export class Listener {
  readonly server: Server;
  readonly #secure: ReturnType<typeof createTlsServer> | null;
  /** Connections that have not become HTTP yet, by their peer: TLS gives the same connection another object. */
  readonly #handshakes = new Map<string, Socket>();
  #connections = 0;
  #unixSocket = false;
  #turnedAway = 0;

  constructor(limits: HttpLimits, tls: TlsOptions | null, events: ListenerEvents) {
    const options: ServerOptions = {
      maxHeaderSize: limits.maxHeaderBytes,
      headersTimeout: limits.headersTimeoutMs,
      // Bodies have their own limits; an upload may take its time.
      requestTimeout: 0,
      keepAliveTimeout: limits.idleTimeoutMs,
      connectionsCheckingInterval: limits.checkIntervalMs,
      // Missing and duplicate Host are answered like any other error.
      requireHostHeader: false,
      insecureHTTPParser: false,
    };
    this.#secure =
      tls === null
        ? null
        : createTlsServer({ ...options, ...tls, minVersion: "TLSv1.2", handshakeTimeout: limits.headersTimeoutMs });
    this.server = this.#secure ?? createServer(options);
    // Node drops fields beyond this in silence; one more than allowed is enough to see that there were too many.
    this.server.maxHeadersCount = limits.maxHeaderFields + 1;
    this.#listenTo(events, limits.maxConnections);
  }

  #listenTo(events: ListenerEvents, maxConnections: number): void {
    const { server } = this;
    const secure = this.#secure !== null;
    // Before Node's own listener, so that a connection is known when its first request comes.
    server.prependListener("connection", (socket: Socket) => {
      socket.on("error", ignore);
      if (this.#connections >= maxConnections) return this.#turnAway(socket, events);
      this.#connections += 1;
      socket.once("close", () => {
        this.#connections -= 1;
        this.#handshakes.delete(peerOf(socket));
      });
      if (secure) this.#handshakes.set(peerOf(socket), socket);
      else events.connected(socket, this.#unixSocket);
    });
    server.prependListener("secureConnection", (socket: Socket) => {
      socket.on("error", ignore);
      this.#handshakes.delete(peerOf(socket));
      events.connected(socket, this.#unixSocket);
    });
    server.on("request", (req, res) => events.request(req, res, "plain"));
    server.on("checkContinue", (req, res) => events.request(req, res, "expects_continue"));
    server.on("checkExpectation", (req, res) => events.request(req, res, "expects_other"));
    server.on("connect", (req: IncomingMessage) => events.tunnel(req.socket));
    server.on("clientError", (error: Error, stream: Duplex) => {
      if (isSocket(stream)) events.broken(error, stream);
      else stream.destroy();
    });
  }

  #turnAway(socket: Socket, events: ListenerEvents): void {
    if (this.#secure !== null || this.#turnedAway >= MAX_TURNED_AWAY) return void socket.destroy();
    this.#turnedAway += 1;
    socket.once("close", () => {
      this.#turnedAway -= 1;
    });
    events.turnAway(socket);
  }

  /** Resolves with the address (a path for a unix socket) once connections come in; rejects with Node's own error. */
  async listen(where: Listen): Promise<AddressInfo | string> {
    if ("path" in where) await removeStale(where.path);
    await new Promise<void>((resolve, reject) => {
      this.server.once("error", reject);
      this.server.once("listening", () => {
        // Only a TCP listener has an address of numbers; a unix socket that was handed over has not even a path.
        this.#unixSocket = typeof (this.server.address() ?? "") === "string";
        this.server.off("error", reject);
        resolve();
      });
      if ("path" in where) this.server.listen({ path: where.path });
      else if ("fd" in where) this.server.listen({ fd: where.fd });
      else this.server.listen({ host: where.host, port: where.port });
    });
    // Until here only this user could connect: that takes the right to write, which no umask of sense gives to others.
    if ("path" in where && where.mode !== undefined) chmodSync(where.path, where.mode);
    return this.server.address() ?? "";
  }

  /** New certificates for connections to come; nothing on a plain listener. Throws on PEM that is none. */
  reload(tls: TlsOptions): void {
    this.#secure?.setSecureContext({ ...tls, minVersion: "TLSv1.2" });
  }

  /**
   * Stops accepting; resolves when no connection is left. Node's own close of an HTTP server also ends, from Node 26
   * on, connections whose first request is still on its way.
   */
  close(): Promise<void> {
    return new Promise((resolve) => TcpServer.prototype.close.call(this.server, () => resolve()));
  }

  endHandshakes(): void {
    for (const socket of this.#handshakes.values()) socket.destroy();
  }
}

function peerOf(socket: Socket): string {
  return `${socket.remoteAddress ?? ""} ${socket.remotePort ?? ""}`;
}

function isSocket(stream: Duplex): stream is Socket {
  return "bytesRead" in stream && "remoteAddress" in stream;
}

function ignore(): void {}

/**
 * A socket file that nobody answers behind is in the way of the next listener. One that answers, or any other file, is
 * left: `listen` fails on it.
 */
async function removeStale(path: string): Promise<void> {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined || !stat.isSocket()) return;
  const dead = await new Promise<boolean>((resolve) => {
    const probe = connect(path);
    probe.once("connect", () => {
      probe.destroy();
      resolve(false);
    });
    probe.once("error", (error) => resolve(systemCode(error) === "ECONNREFUSED"));
  });
  if (dead) unlinkSync(path);
}
