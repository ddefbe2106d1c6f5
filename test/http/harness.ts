/**
 * A small server on port 0 with one route of each kind, and a client that sends exact bytes and waits for what it is
 * told to wait for.
 */
import assert from "node:assert/strict";
import * as net from "node:net";
import type { TestContext } from "node:test";
import type { BodyOptions } from "../../src/http/body.ts";
import { compose } from "../../src/http/compose.ts";
import type { Context } from "../../src/http/context.ts";
import { dispatch } from "../../src/http/dispatch.ts";
import type { HttpLimits } from "../../src/http/limits.ts";
import { auth } from "../../src/http/middleware/auth.ts";
import type { Cors } from "../../src/http/middleware/cors.ts";
import { createCors } from "../../src/http/middleware/cors.ts";
import type { AccessEntry } from "../../src/http/middleware/logger.ts";
import { logger } from "../../src/http/middleware/logger.ts";
import { metrics } from "../../src/http/middleware/metrics.ts";
import { recovery } from "../../src/http/middleware/recovery.ts";
import { empty, json } from "../../src/http/respond.ts";
import { Router } from "../../src/http/router.ts";
import type { HttpServer } from "../../src/http/server.ts";
import { createHttpServer } from "../../src/http/server.ts";
import type { MaybePromise, Method, Reply, RouteShape } from "../../src/http/types.ts";
import type { Clock } from "../../src/lib/clock.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { ApiError } from "../../src/lib/errors.ts";
import type { LogFields } from "../../src/lib/log.ts";
import { parseAnswers } from "../support/http.ts";
import type { Answer } from "../support/http.ts";

export type TestContextOf = Context<TestRoute, string>;
export interface TestRoute extends RouteShape {
  readonly handler: (context: TestContextOf) => MaybePromise<Reply>;
}

export function route(
  method: Method,
  pattern: string,
  body: RouteShape["body"],
  handler: TestRoute["handler"],
): TestRoute {
  return { method, pattern, body, handler };
}

/** Sends `size` bytes in pieces that wait for each other, as a download does. */
export function pumpOf(size: number, piece = 64 * 1024): Reply {
  return {
    status: 200,
    headers: { "Content-Type": "application/octet-stream", "Content-Length": String(size) },
    body: async (res, sent) => {
      for (let left = size; left > 0; left -= piece) {
        const bytes = Buffer.alloc(Math.min(left, piece), "x");
        await new Promise<void>((resolve, reject) => {
          res.once("close", () => reject(new Error("closed")));
          res.write(bytes, (error) => (error ? reject(error) : resolve()));
        });
        sent(bytes.length);
      }
    },
  };
}

export interface Fixture {
  readonly server: HttpServer;
  readonly port: number;
  /** Finished requests, from the logger and from refusals. */
  readonly finished: AccessEntry[];
  readonly recorded: { started: number; rows: string[] };
  readonly errors: { message: string; fields: LogFields }[];
  readonly cors: Cors<TestRoute, string>;
  /** Held requests of /hold, by the order of their arrival; call one to answer it. */
  readonly held: (() => void)[];
  connect(): Promise<Wire>;
  /** Resolves when so many requests have finished. */
  finishedCount(count: number): Promise<void>;
}

export interface FixtureOptions {
  readonly limits?: Partial<HttpLimits>;
  readonly body?: Partial<BodyOptions>;
  readonly clock?: Clock;
  readonly routes?: readonly TestRoute[];
}

export async function serve(
  t: Pick<TestContext, "after">,
  { limits, body, clock = systemClock, routes = [] }: FixtureOptions = {},
): Promise<Fixture> {
  const finished: AccessEntry[] = [];
  const recorded: Fixture["recorded"] = { started: 0, rows: [] };
  const errors: Fixture["errors"] = [];
  const held: (() => void)[] = [];
  const cors = createCors<TestRoute, string>(["https://app.example.com", "https://*.wild.example"]);
  const note = (entry: AccessEntry): void => void finished.push(entry);
  const log = {
    debug() {},
    info() {},
    warn() {},
    error: (message: string, fields: LogFields = {}) => void errors.push({ message, fields }),
  };
  const recorder = {
    requestStarted: () => void (recorded.started += 1),
    requestFinished: (method: string, pattern: string, status: number) =>
      void recorded.rows.push(`${method} ${pattern} ${status}`),
  };
  const authenticate = (context: TestContextOf): string | null => {
    if (context.header("authorization") === "Bearer wrong")
      throw new ApiError("unauthorized", "The token is not known.");
    return "someone";
  };
  const chain = [logger(note), recovery(log), cors.middleware, metrics(recorder), auth(authenticate)];
  const terminal = dispatch<TestRoute, string>((found, context) => found.handler(context), {
    maxBytes: 1024 * 1024,
    timeoutMs: 5_000,
    clock,
    ...body,
  });
  const server = createHttpServer<TestRoute, string>({
    router: new Router([...standardRoutes(held), ...routes]),
    handle: compose<TestRoute, string>(chain, terminal),
    clock,
    log,
    limits: { checkIntervalMs: 50, ...limits },
    onRefused: note,
  });
  const address = await server.listen({ host: "127.0.0.1", port: 0 });
  assert.ok(typeof address === "object");
  t.after(() => server.close(0));
  const { port } = address;
  return {
    server,
    port,
    finished,
    recorded,
    errors,
    cors,
    held,
    connect: () => Wire.connect(port),
    finishedCount: (count) => until(() => finished.length >= count, `${count} finished requests`),
  };
}

function standardRoutes(held: (() => void)[]): TestRoute[] {
  return [
    route("GET", "/", "none", () => json(200, { ok: true })),
    route("POST", "/none", "none", () => empty(204)),
    route("POST", "/json", "json", ({ body }) => json(200, body)),
    route("GET", "/things/{id}", "none", ({ params }) => json(200, params)),
    route("PUT", "/stream", "stream", async ({ stream }) => {
      let size = 0;
      for await (const piece of stream ?? []) size += piece.length;
      return json(200, { size });
    }),
    route("PUT", "/refuse-stream", "stream", async ({ stream }) => {
      for await (const piece of stream ?? []) if (piece.length > 0) throw new ApiError("image_too_large", "Too large.");
      return empty(204);
    }),
    route("PUT", "/refuse-at-once", "stream", () => {
      throw new ApiError("image_too_large", "Too large.");
    }),
    route("GET", "/download", "none", ({ query }) => pumpOf(Number(query.get("size") ?? "1000000"))),
    route(
      "GET",
      "/hold",
      "none",
      () => new Promise<Reply>((resolve) => held.push(() => resolve(json(200, { held: true })))),
    ),
    route("GET", "/throw", "none", () => {
      throw new Error("secret detail");
    }),
    route("GET", "/reject", "none", async () => Promise.reject(new Error("secret detail"))),
    route("GET", "/bad-header", "none", () => json(200, {}, { "X-Bad": "a\r\nb" })),
  ];
}

const PATIENCE_MS = 20_000;

/** Waits for a fact that nothing announces; the bound is for failures only. */
export async function until(holds: () => boolean, what: string): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** One connection, byte by byte. */
export class Wire {
  readonly socket: net.Socket;
  #parts: Buffer[] = [];
  closed = false;

  private constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on("data", (part: Buffer) => this.#parts.push(part));
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.closed = true;
    });
  }

  static connect(port: number): Promise<Wire> {
    return new Promise((resolve, reject) => {
      const socket = net.connect({ port, host: "127.0.0.1", allowHalfOpen: false });
      socket.once("error", reject);
      socket.once("connect", () => resolve(new Wire(socket)));
    });
  }

  get text(): string {
    return Buffer.concat(this.#parts).toString("latin1");
  }

  get answers(): Answer[] {
    return parseAnswers(this.text);
  }

  send(bytes: string | Buffer): this {
    this.socket.write(bytes);
    return this;
  }

  /** Waits for so many whole answers (a 100 counts). */
  async count(wanted: number): Promise<Answer[]> {
    await until(
      () => wholeAnswers(this.text) >= wanted,
      `${wanted} answers; there came ${JSON.stringify(this.text.slice(0, 300))}`,
    );
    return this.answers;
  }

  async one(): Promise<Answer> {
    const [first] = await this.count(1);
    assert.ok(first !== undefined);
    return first;
  }

  async end(): Promise<Answer[]> {
    await until(() => this.closed, `the end of the connection; there came ${JSON.stringify(this.text.slice(0, 300))}`);
    return this.answers;
  }
}

/** Answers of which header and body have come; one to HEAD must not stand before others. */
function wholeAnswers(raw: string): number {
  return parseAnswers(raw).filter(
    ({ status, headers, body }) =>
      status === 100 || status === 204 || body.length === Number(headers["content-length"] ?? 0),
  ).length;
}

export const HOST = "Host: localhost\r\n";

export function get(path: string, headers = ""): string {
  return `GET ${path} HTTP/1.1\r\n${HOST}${headers}\r\n`;
}

export function post(path: string, body: string | Buffer, headers = "Content-Type: application/json\r\n"): Buffer {
  const bytes = Buffer.from(body);
  return Buffer.concat([
    Buffer.from(`POST ${path} HTTP/1.1\r\n${HOST}${headers}Content-Length: ${bytes.length}\r\n\r\n`),
    bytes,
  ]);
}
