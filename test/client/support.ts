/**
 * What tests of the client and the command line share: a clock that stands still until moved, and a server that answers
 * as told.
 */
import * as http from "node:http";
import type { AddressInfo } from "node:net";
import type { Clock } from "../../src/lib/clock.ts";

/** Time moves only by `advance`, which fires what is due, in order. */
export class ManualClock implements Clock {
  now = 0;
  readonly #timers = new Set<{ readonly at: number; readonly run: () => void }>();
  readonly #epoch: number;

  constructor(epoch = Date.parse("2026-03-01T12:00:00.000Z")) {
    this.#epoch = epoch;
  }

  get pending(): number {
    return this.#timers.size;
  }

  /** Milliseconds until the next timer is due; Infinity where none is set. */
  get nextMs(): number {
    return Math.min(Infinity, ...[...this.#timers].map(({ at }) => at - this.now));
  }

  wall(): number {
    return this.#epoch + this.now;
  }

  mono(): number {
    return this.now;
  }

  after(ms: number, run: () => void): () => void {
    const timer = { at: this.now + ms, run };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  advance(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const [next] = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
      if (next === undefined) break;
      this.#timers.delete(next);
      this.now = next.at;
      next.run();
    }
    this.now = end;
  }
}

export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface FakeServer {
  readonly url: string;
  readonly port: number;
  /** Every request whose body has arrived, in order. */
  readonly seen: Seen[];
  readonly http: http.Server;
  close(): Promise<void>;
}

/**
 * Answers each request, once its body is there, with what `answer` gives: [status, body] or [status, body, headers]. A
 * text goes as it stands.
 */
export type Answering = (
  seen: Seen,
) => readonly [status: number, body: unknown, headers?: Readonly<Record<string, string>>];

export async function serve(answer: Answering, where: { readonly path?: string } = {}): Promise<FakeServer> {
  const seen: Seen[] = [];
  const server = http.createServer((req, res) => {
    const parts: Buffer[] = [];
    req.on("data", (part: Buffer) => parts.push(part));
    req.on("end", () => {
      const one = { method: req.method ?? "", url: req.url ?? "", headers: req.headers, body: Buffer.concat(parts) };
      seen.push(one);
      const [status, body, headers] = answer(one);
      const text = body === null ? "" : typeof body === "string" ? body : JSON.stringify(body);
      res.writeHead(status, {
        "X-Request-Id": `req-${seen.length}`,
        ...(text === "" ? {} : { "Content-Type": "application/json" }),
        ...headers,
      });
      res.end(text);
    });
  });
  await listen(server, where.path);
  const port = portOf(server);
  return {
    url: where.path === undefined ? `http://127.0.0.1:${port}` : `unix:${where.path}`,
    port,
    seen,
    http: server,
    close: () => stop(server),
  };
}

export function listen(server: http.Server | import("node:net").Server, path?: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    if (path === undefined) server.listen(0, "127.0.0.1", resolve);
    else server.listen(path, resolve);
  });
}

export function portOf(server: { address(): AddressInfo | string | null }): number {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

async function stop(server: http.Server): Promise<void> {
  server.closeAllConnections();
  await new Promise<void>((resolve) => server.close(() => resolve()));
}

/** Waits, turn by turn of the event loop and at most 5 s, for something that I/O brings about. */
export async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + 5_000;
  while (!condition()) {
    if (performance.now() > end) throw new Error("it did not happen within 5 s");
    await new Promise((resolve) => setImmediate(resolve));
  }
}
