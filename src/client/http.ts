/**
 * The HTTP client that the command line and the host agent share: JSON calls and streamed uploads to one API address.
 * Follows no redirect, uses no proxy and sends no header that a proxy would: zwrmd trusts localhost only without them.
 */
import * as http from "node:http";
import * as https from "node:https";
import type { Clock } from "../lib/clock.ts";
import { messageOf } from "../lib/errors.ts";
import type { Address } from "./address.ts";
import { parseAddress } from "./address.ts";
import { ClientError } from "./errors.ts";
import type { ServerEvent } from "./event-stream.ts";
import { readEvents } from "./event-stream.ts";
import type { Answer } from "./exchange.ts";
import { Exchange } from "./exchange.ts";

const DEFAULT_TIMEOUT_MS = 30_000;
/** The daemon hashes and syncs what it has received before it answers. */
const UPLOAD_TIMEOUT_MS = 120_000;
/** How long an upload waits for `100 Continue`; curl waits as long. */
const CONTINUE_PATIENCE_MS = 1_000;
/** The daemon sends a comment into a quiet stream every 15 s: three of them are missing then. */
const QUIET_STREAM_MS = 50_000;

export interface ClientOptions {
  /** `http(s)://host:port` or `unix:/path/to.sock`. */
  readonly apiUrl: string;
  readonly clock: Clock;
  /** `zwrm/1.2.3`. */
  readonly userAgent: string;
  /** Sent as `Authorization: Bearer`; null where localhost or the socket is enough. */
  readonly token?: string | null;
  /** Sent with every call: X-Zwrm-Org, X-Zwrm-Host-Key. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Call {
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Undefined values are left out. */
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** The longest time without progress; 30 s where absent, 120 s for uploads. */
  readonly timeoutMs?: number;
}

export interface Upload extends Omit<Call, "body"> {
  readonly sizeBytes: number;
  /** Read only after the daemon has let the upload begin; must give exactly `sizeBytes`. */
  readonly source: AsyncIterable<Uint8Array>;
  /** Told after each piece how many bytes the kernel has taken. */
  readonly onProgress?: (sentBytes: number) => void;
}

export interface Streaming extends Omit<Call, "body" | "timeoutMs"> {
  /** Told the answer's headers once the stream has begun, be there an event or not. */
  readonly onOpen?: (headers: http.IncomingHttpHeaders) => void;
  /** The longest silence, 50 s where absent. */
  readonly quietMs?: number;
}

export class Client {
  readonly address: Address;
  readonly #agent: http.Agent;
  readonly #clock: Clock;
  readonly #headers: Readonly<Record<string, string>>;

  /** Throws ClientError `bad_url` or `bad_header`. Dials at the first call. */
  constructor(options: ClientOptions) {
    this.address = parseAddress(options.apiUrl);
    // An agent of its own: no environment variable makes it use a proxy.
    this.#agent = this.address.secure ? new https.Agent({ keepAlive: true }) : new http.Agent({ keepAlive: true });
    this.#clock = options.clock;
    this.#headers = {
      Accept: "application/json",
      "User-Agent": options.userAgent,
      ...options.headers,
      ...(options.token === undefined || options.token === null ? {} : { Authorization: `Bearer ${options.token}` }),
    };
    for (const [name, value] of Object.entries(this.#headers)) checkHeader(name, value);
  }

  /**
   * One JSON call. `path` is percent-encoded already. Resolves for 2xx only; rejects with a ClientError for everything
   * else.
   */
  async request(method: string, path: string, call: Call = {}): Promise<Answer> {
    const exchange = this.#call(method, path, call);
    try {
      return await exchange.answer;
    } catch (error) {
      // The server may close a kept connection just as it is used again; what only reads is then asked once more.
      const stale = error instanceof ClientError && error.code === "closed" && exchange.request.reusedSocket;
      if (!stale || (method !== "GET" && method !== "HEAD")) throw error;
      return this.#call(method, path, { ...call, headers: { ...call.headers, Connection: "close" } }).answer;
    }
  }

  /**
   * Streams a body. The daemon judges the headers first (Expect: 100-continue), so that a refusal costs no bytes; one
   * that comes later ends the sending.
   */
  async upload(method: string, path: string, upload: Upload): Promise<Answer> {
    const headers = {
      ...upload.headers,
      "Content-Type": "application/octet-stream",
      "Content-Length": String(upload.sizeBytes),
      Expect: "100-continue",
    };
    const exchange = this.#open(method, path, upload.query, headers, upload.timeoutMs ?? UPLOAD_TIMEOUT_MS);
    exchange.request.flushHeaders();
    await exchange.leaveToSend(CONTINUE_PATIENCE_MS);
    try {
      if (!exchange.over) await sendAll(exchange, upload);
    } catch (error) {
      exchange.fail(
        error instanceof ClientError
          ? error
          : new ClientError("bad_source", `What was to be sent could not be read: ${messageOf(error)}.`, {
              cause: error,
            }),
      );
    }
    return exchange.answer;
  }

  /** A GET whose answer is a stream of events; see event-stream.ts. Dials when the first one is asked for. */
  async *stream(path: string, call: Streaming = {}): AsyncGenerator<ServerEvent, void, void> {
    const request = this.#send("GET", path, call.query, {
      ...call.headers,
      Accept: "text/event-stream",
      "Cache-Control": "no-store",
    });
    request.end();
    yield* readEvents(request, {
      address: this.address,
      clock: this.#clock,
      quietMs: call.quietMs ?? QUIET_STREAM_MS,
      onOpen: call.onOpen ?? (() => undefined),
    });
  }

  /** Lets go of kept connections, so that the process can end. */
  close(): void {
    this.#agent.destroy();
  }

  #call(method: string, path: string, call: Call): Exchange {
    const body = call.body === undefined ? null : Buffer.from(JSON.stringify(call.body), "utf8");
    const about = body === null ? {} : { "Content-Type": "application/json", "Content-Length": String(body.length) };
    const exchange = this.#open(
      method,
      path,
      call.query,
      { ...call.headers, ...about },
      call.timeoutMs ?? DEFAULT_TIMEOUT_MS,
    );
    exchange.request.end(body ?? undefined);
    return exchange;
  }

  #open(
    method: string,
    path: string,
    query: Call["query"],
    headers: Readonly<Record<string, string>>,
    timeoutMs: number,
  ): Exchange {
    return new Exchange(this.#send(method, path, query, headers), this.address, this.#clock, timeoutMs);
  }

  #send(
    method: string,
    path: string,
    query: Call["query"],
    headers: Readonly<Record<string, string>>,
  ): http.ClientRequest {
    const { secure, host, port, socketPath, prefix } = this.address;
    const place = socketPath === null ? { host, port } : { socketPath, host };
    const options = {
      ...place,
      agent: this.#agent,
      method,
      path: `${prefix}${path}${queryText(query)}`,
      headers: { ...this.#headers, ...headers },
    };
    return secure ? https.request(options) : http.request(options);
  }
}

async function sendAll(exchange: Exchange, { source, sizeBytes, onProgress }: Upload): Promise<void> {
  let sent = 0;
  for await (const piece of source) {
    if (exchange.over) return;
    if (sent + piece.length > sizeBytes)
      throw new ClientError("bad_source", "What was to be sent grew while it was read: send it again.");
    await exchange.send(piece);
    sent += piece.length;
    onProgress?.(sent);
  }
  if (exchange.over) return;
  if (sent < sizeBytes)
    throw new ClientError(
      "bad_source",
      `What was to be sent ended after ${sent} of ${sizeBytes} bytes: send it again.`,
    );
  exchange.request.end();
}

/** Says which header is wrong without its value, which may be a secret. */
function checkHeader(name: string, value: string): void {
  try {
    http.validateHeaderValue(name, value);
  } catch (cause) {
    throw new ClientError("bad_header", `The value for ${name} holds a character that cannot be sent.`, { cause });
  }
}

function queryText(query: Call["query"] = {}): string {
  const pairs = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) pairs.append(name, String(value));
  return pairs.size === 0 ? "" : `?${pairs.toString()}`;
}
