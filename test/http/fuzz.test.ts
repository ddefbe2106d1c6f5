/**
 * Three thousand seeded requests, sound and broken: whatever comes, the layer neither crashes, nor hangs, nor answers
 * 500.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseAnswers } from "../support/http.ts";
import type { Fixture } from "./harness.ts";
import { get, serve, until } from "./harness.ts";

const SEED = 20_260_102;
const CONNECTIONS = 1_000;
/** One to five on a connection, three on average. */
const MOST_REQUESTS = 5;
const AT_ONCE = 100;

/** Mulberry32, by Tommy Ettinger (public domain): small, and good enough to choose with. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const METHODS = [
  "GET",
  "HEAD",
  "POST",
  "PUT",
  "DELETE",
  "OPTIONS",
  "PATCH",
  "TRACE",
  "CONNECT",
  "PROPFIND",
  "get",
  "G\0T",
  "",
  "__proto__",
];
const PATHS = [
  "/",
  "/json",
  "/none",
  "/stream",
  "/refuse-stream",
  "/refuse-at-once",
  "/things/a",
  "/things/%2e%2e",
  "/things/%",
  "/things/%ff",
  "/things/a%2Fb",
  "/download?size=3000",
  "/things/__proto__",
  "//",
  "/../../etc/passwd",
  "*",
  "http://x/json",
  "http://",
  "x:1",
  "/\u00e4",
  "/%00",
  "/a b",
  `/${"x".repeat(9_000)}`,
  "/?a#b",
  "",
];
const VERSIONS = [
  "HTTP/1.1",
  "HTTP/1.1",
  "HTTP/1.1",
  "HTTP/1.1",
  "HTTP/1.0",
  "HTTP/2.0",
  "HTTP/0.9",
  "HTP/1.1",
  "HTTP/1.10",
  "",
];
const HEADERS = [
  "Host: x",
  "Host: x",
  "Host:",
  "host : x",
  "Content-Type: application/json",
  'Content-Type: application/json; charset="',
  "Content-Type: \u00ff",
  "Content-Length: 5",
  "Content-Length: 0",
  "Content-Length: -1",
  "Content-Length: 99999999999",
  "Transfer-Encoding: chunked",
  "Transfer-Encoding: xchunked",
  "Transfer-Encoding: chunked, chunked",
  "Expect: 100-continue",
  "Expect: x",
  "Connection: close",
  "Connection: keep-alive, Upgrade",
  "Upgrade: websocket",
  "Authorization: Bearer wrong",
  "Authorization: Bearer a",
  "X-Request-Id: a b",
  "Origin: https://app.example.com",
  "Origin: null",
  "Access-Control-Request-Method: POST",
  "X: \0",
  " folded",
  "no colon",
  ": empty",
  `X-Long: ${"y".repeat(3_000)}`,
  "Content-Encoding: gzip",
  "Trailer: x",
  "TE: trailers",
  "Range: bytes=0-1",
  "Cookie: a=b",
];
const SOUND_HEADERS = [
  "Content-Type: application/json",
  "Content-Type: application/json",
  "Authorization: Bearer wrong",
  "Origin: https://app.example.com",
  "Expect: 100-continue",
  "Connection: close",
];
const SOUND_BODIES = ["", "{}", '{"a":1}', "[1]", "hello"];
const BODIES = [
  "",
  "",
  "{}",
  '{"a":1}',
  "[]",
  "hello",
  "5\r\nhello\r\n0\r\n\r\n",
  "2\r\n{}\r\n0\r\nX: y\r\n\r\n",
  "zz\r\n",
  "fffffffff\r\nx",
  "\u0000\u0001\u0002",
  '{"__proto__":1}',
  "{".repeat(3_000),
  "0\r\n\r\n",
];

function makeRequest(next: () => number): string {
  const pick = (list: readonly string[]): string => list[Math.floor(next() * list.length)] ?? "";
  /** Mostly something sound, so that the odd part is met by more than the first check. */
  const mostly = (sound: readonly string[], all: readonly string[]): string => pick(next() < 0.8 ? sound : all);
  const fields = ["Host: x", ...Array.from({ length: Math.floor(next() * 4) }, () => mostly(SOUND_HEADERS, HEADERS))];
  if (next() < 0.05) fields.shift();
  if (next() < 0.03) fields.push(...Array.from({ length: 120 }, (_, index) => `X-${index}: v`));
  const newline = next() < 0.03 ? "\n" : "\r\n";
  const body = mostly(SOUND_BODIES, BODIES);
  if (next() < 0.8)
    fields.push(next() < 0.5 ? `Content-Length: ${Buffer.byteLength(body, "latin1")}` : "Transfer-Encoding: chunked");
  const framed =
    fields.at(-1) === "Transfer-Encoding: chunked"
      ? `${body.length.toString(16)}\r\n${body}\r\n${body === "" ? "" : "0\r\n\r\n"}`
      : body;
  const request = [
    `${mostly(METHODS.slice(0, 4), METHODS)} ${mostly(PATHS.slice(0, 7), PATHS)} ${mostly(["HTTP/1.1"], VERSIONS)}`,
    ...fields,
    "",
    framed,
  ].join(newline);
  if (next() < 0.7) return request;
  // A byte changed, cut off, or put in twice.
  const at = Math.floor(next() * request.length);
  const kind = next();
  if (kind < 0.5) return request.slice(0, at) + String.fromCharCode(Math.floor(next() * 256)) + request.slice(at + 1);
  return kind < 0.75 ? request.slice(0, at) : request.slice(0, at) + request.slice(Math.max(0, at - 20));
}

/** Sends a few requests in odd pieces, and gives what came back when the connection ended. */
async function attack({ connect }: Fixture, next: () => number): Promise<string> {
  const wire = await connect();
  const last = next() < 0.6 ? get("/", "Connection: close\r\n") : "";
  const bytes = Buffer.from(
    Array.from({ length: 1 + Math.floor(next() * MOST_REQUESTS) }, () => makeRequest(next)).join("") + last,
    "latin1",
  );
  const cut = Math.floor(next() * bytes.length);
  wire.send(bytes.subarray(0, cut));
  await new Promise(setImmediate);
  wire.send(bytes.subarray(cut));
  if (next() < 0.1) wire.socket.resetAndDestroy();
  await until(() => wire.closed, `the end of ${JSON.stringify(bytes.toString("latin1").slice(0, 500))}`);
  return wire.text;
}

test("some 3,000 requests, sound and broken: no crash, no hang, no 500, every one counted out", async (t) => {
  // What is fine and kept open ends by the idle limit, what is unfinished by the others: every connection must end by
  // itself.
  const short = { headersTimeoutMs: 100, idleTimeoutMs: 250, discardMs: 50, writeTimeoutMs: 400 };
  const fixture = await serve(t, { limits: short, body: { timeoutMs: 80, maxBytes: 2_000 } });
  const statuses = new Map<number, number>();
  let left = CONNECTIONS;
  const worker = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      // A seed for each: which requests go together does not depend on who is ready first.
      const text = await attack(fixture, random(SEED + left));
      for (const { status, headers } of parseAnswers(text)) {
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
        if (status !== 100) assert.match(String(headers["x-request-id"]), /^[A-Za-z0-9._-]{1,128}$/);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  const { server, recorded, errors, finished } = fixture;
  await until(() => server.connections === 0, "no connection");
  assert.equal(statuses.get(500), undefined, JSON.stringify(errors.slice(0, 3)));
  assert.deepEqual(errors, []);
  assert.equal(recorded.started, recorded.rows.length);
  assert.ok(finished.length >= recorded.started);
  // The dice must have met both what is served and what is refused.
  for (const status of [200, 204, 400, 401, 404, 405, 408, 413, 414, 415, 417, 431])
    assert.ok((statuses.get(status) ?? 0) > 0, `no ${status} among ${JSON.stringify([...statuses])}`);
  const wire = (await fixture.connect()).send(get("/"));
  assert.equal((await wire.one()).status, 200);
});
