/** Requests to a daemon under test: whole answers over node:http, and exact bytes over a bare socket. */
import assert from "node:assert/strict";
import * as http from "node:http";
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http";
import * as net from "node:net";
import { errorBody } from "./shapes.ts";
import type { Json } from "./json.ts";

/** Where a request goes. */
export type Target = { readonly port: number; readonly host?: string } | { readonly socketPath: string };

export interface RequestOptions {
  readonly headers?: OutgoingHttpHeaders;
  /** A Buffer or a text goes as it stands; anything else as JSON with its Content-Type. */
  readonly body?: Json | Buffer;
  /** Longest wait for the whole answer. */
  readonly timeoutMs?: number;
  /** Connections to use again; without one each request has its own. */
  readonly agent?: http.Agent;
}

export class Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;

  constructor(status: number, headers: IncomingHttpHeaders, body: Buffer) {
    this.status = status;
    this.headers = headers;
    this.body = body;
  }

  get text(): string {
    return this.body.toString("utf8");
  }

  get json(): Json {
    return JSON.parse(this.text) as Json;
  }
}

/** One request, its whole answer. Rejects when the connection breaks before the end or after `timeoutMs` (30 s). */
export function request(target: Target, method: string, path: string, options: RequestOptions = {}): Promise<Answer> {
  const { body } = options;
  const asIs = typeof body === "string" || Buffer.isBuffer(body);
  const bytes = body === undefined ? null : asIs ? Buffer.from(body) : Buffer.from(JSON.stringify(body));
  const headers: OutgoingHttpHeaders = { ...options.headers };
  if (bytes !== null && !asIs) headers["content-type"] ??= "application/json";
  if (bytes !== null && headers["transfer-encoding"] === undefined) headers["content-length"] ??= bytes.length;
  const where =
    "socketPath" in target
      ? { socketPath: target.socketPath }
      : { host: target.host ?? "127.0.0.1", port: target.port };
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(options.timeoutMs ?? 30_000);
    const req = http.request({ ...where, method, path, headers, signal, agent: options.agent ?? false });
    let answered = false;
    req.on("response", (res) => {
      answered = true;
      const parts: Buffer[] = [];
      res.on("data", (part: Buffer) => parts.push(part));
      res.on("error", reject);
      res.on("end", () => resolve(new Answer(res.statusCode ?? 0, res.headers, Buffer.concat(parts))));
    });
    // The daemon may answer and close while a refused body is still being written.
    req.on("error", (error) => {
      if (!answered || signal.aborted) reject(error);
    });
    req.end(bytes ?? undefined);
  });
}

export interface RawResult {
  readonly text: string;
  /** True where the daemon closed the connection before the time was over. */
  readonly closed: boolean;
}

/**
 * Sends exact bytes and gathers what comes until the other side closes or `timeoutMs` (3 s) is over. Never rejects on a
 * broken connection.
 */
export function sendRaw(target: Target, bytes: string | Buffer, timeoutMs = 3_000): Promise<RawResult> {
  return new Promise((resolve) => {
    const socket =
      "socketPath" in target ? net.connect(target.socketPath) : net.connect(target.port, target.host ?? "127.0.0.1");
    const parts: Buffer[] = [];
    const finish = (closed: boolean): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ text: Buffer.concat(parts).toString("latin1"), closed });
    };
    const timer = setTimeout(() => finish(false), timeoutMs);
    socket.on("data", (part: Buffer) => parts.push(part));
    socket.on("error", () => finish(true));
    socket.on("close", () => finish(true));
    socket.write(bytes);
  });
}

/** The answers of a raw exchange, split at their Content-Length. */
export function parseAnswers(raw: string): Answer[] {
  const answers: Answer[] = [];
  let rest = raw;
  while (rest.startsWith("HTTP/1.1 ")) {
    const end = rest.indexOf("\r\n\r\n");
    if (end === -1) break;
    const [first = "", ...lines] = rest.slice(0, end).split("\r\n");
    const headers: IncomingHttpHeaders = {};
    for (const line of lines)
      headers[line.slice(0, line.indexOf(":")).toLowerCase()] = line.slice(line.indexOf(":") + 1).trim();
    const status = Number(first.split(" ")[1]);
    const length = status === 204 || status === 304 ? 0 : Number(headers["content-length"] ?? 0);
    answers.push(new Answer(status, headers, Buffer.from(rest.slice(end + 4, end + 4 + length), "latin1")));
    rest = status === 100 ? rest.slice(end + 4) : rest.slice(end + 4 + length);
  }
  return answers;
}

/** The status of the first answer in raw text; 0 where there is none. */
export function rawStatus(raw: string): number {
  return Number(/^HTTP\/1\.1 (\d{3}) /.exec(raw)?.[1] ?? 0);
}

/** An error answer of the contract: status, code, the request id in header and body, and no other keys. */
export function assertError(answer: Answer, status: number, code: string, field: string | null = null): void {
  assert.equal(answer.status, status, answer.text);
  assert.match(String(answer.headers["content-type"]), /^application\/json/);
  const body = answer.json;
  errorBody(code, field)(body, "error body");
  assert.ok(typeof body === "object" && body !== null && !Array.isArray(body));
  assert.equal(body["request_id"], answer.headers["x-request-id"]);
}
