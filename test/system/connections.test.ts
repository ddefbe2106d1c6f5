/**
 * Part B, Commands: what `[server]` bears of one connection and of all: read_timeout, idle_timeout, max_connections,
 * max_body_bytes.
 */
import assert from "node:assert/strict";
import * as net from "node:net";
import { test } from "node:test";
import { eventually, startDaemon } from "../support/daemon.ts";
import { beat, register } from "../support/fleet.ts";
import { assertError, rawStatus } from "../support/http.ts";

interface Watched {
  readonly socket: net.Socket;
  /** All that came, once the daemon has closed the connection. */
  readonly closed: Promise<string>;
}

function open(port: number, bytes: string): Watched {
  const socket = net.connect(port, "127.0.0.1");
  let text = "";
  socket.on("error", () => undefined);
  socket.on("data", (part: Buffer) => (text += part.toString("latin1")));
  const closed = new Promise<string>((resolve) => socket.on("close", () => resolve(text)));
  if (bytes !== "") socket.write(bytes);
  return { socket, closed };
}

test("server.idle_timeout: a kept-alive connection without a request is closed", { timeout: 20_000 }, async (t) => {
  const daemon = await startDaemon({ config: `[server]\nidle_timeout = "1s"` }, t);
  const start = performance.now();
  const text = await open(daemon.port, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").closed;
  assert.equal(rawStatus(text), 200);
  const took = performance.now() - start;
  assert.ok(took > 800 && took < 8_000, `closed after ${took} ms`);
});

test("server.read_timeout: a body that does not arrive is given up", { timeout: 20_000 }, async (t) => {
  const daemon = await startDaemon({ config: `[server]\nread_timeout = "1s"` }, t);
  const start = performance.now();
  const body = open(
    daemon.port,
    "POST /v1/hosts/h-1/drain HTTP/1.1\r\nHost: localhost\r\nContent-Type: " +
      "application/json\r\nContent-Length: 10\r\n\r\n{",
  );
  assert.equal(rawStatus(await body.closed), 408);
  const took = performance.now() - start;
  assert.ok(took > 800 && took < 8_000, `given up after ${took} ms`);
  assert.equal((await daemon.request("GET", "/v1/health")).status, 200);
});

test(
  "server.max_connections: one more is told so or let go, and those that are there are served",
  { timeout: 20_000 },
  async (t) => {
    const daemon = await startDaemon({ config: `[server]\nmax_connections = 5` }, t);
    const kept = Array.from({ length: 5 }, () => open(daemon.port, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    t.after(() => kept.forEach(({ socket }) => socket.destroy()));
    await Promise.all(kept.map(({ socket }) => new Promise((resolve) => socket.once("data", resolve))));
    const text = await open(daemon.port, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").closed;
    assert.ok([0, 503].includes(rawStatus(text)), text);
    const answered = new Promise((resolve) => kept[0]?.socket.once("data", resolve));
    kept[0]?.socket.write("GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await answered;
    kept[1]?.socket.destroy();
    await eventually("room for one more", async () =>
      (await daemon.request("GET", "/").catch(() => null))?.status === 200 ? true : undefined,
    );
  },
);

test("server.max_body_bytes: another limit for JSON bodies", async (t) => {
  const daemon = await startDaemon({ config: `[server]\nmax_body_bytes = 2048` }, t);
  assert.equal((await register(daemon, "h-1")).status, 201);
  assert.equal((await beat(daemon, "h-1", { pad: "x".repeat(1_900) })).status, 200);
  assertError(await beat(daemon, "h-1", { pad: "x".repeat(2_048) }), 413, "body_too_large");
});
