/** Part B, Wire: methods, bodies and their limits, unknown and wrong fields, lists in pages. */
import assert from "node:assert/strict";
import * as net from "node:net";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { LICENSE_HASH, startDaemon } from "../support/daemon.ts";
import { CAPACITY, beat, register } from "../support/fleet.ts";
import { assertError, parseAnswers, rawStatus } from "../support/http.ts";
import { listAt, pick, textAt } from "../support/json.ts";

const daemon = await startDaemon();
for (const id of ["h-3", "h-1", "h-2"]) assert.equal((await register(daemon, id)).status, 201);

test("Wire: JSON in UTF-8, snake_case", async () => {
  assert.equal((await register(daemon, "h-utf8", { labels: { town: "Zürich 東京" } })).status, 201);
  const answer = await daemon.request("GET", "/v1/hosts/h-utf8");
  assert.match(String(answer.headers["content-type"]), /^application\/json(; charset=utf-8)?$/);
  assert.equal(answer.headers["content-length"], String(answer.body.length));
  assert.equal(pick(answer.json, "labels.town"), "Zürich 東京");
  for (const [key] of answer.text.matchAll(/"([a-zA-Z_]+)":/g)) assert.match(key, /^"[a-z_]+":$/);
  assert.equal((await daemon.asAgent("POST", "/v1/internal/hosts/h-utf8/deregister")).status, 200);
});

test("Wire: GET answers HEAD", async () => {
  for (const path of ["/", "/v1/hosts", "/v1/hosts/h-1", "/v1/auth/whoami"]) {
    const get = await daemon.request("GET", path);
    const head = await daemon.request("HEAD", path);
    assert.equal(head.status, get.status, path);
    assert.equal(head.body.length, 0);
    assert.equal(head.headers["content-length"], get.headers["content-length"], path);
    assert.equal(head.headers["content-type"], get.headers["content-type"], path);
  }
  for (const path of ["/metrics", "/v1/status", "/v1/health"])
    assert.equal((await daemon.request("HEAD", path)).status, 200, path);
  const missing = await daemon.request("HEAD", "/v1/hosts/nobody");
  assert.equal(missing.status, 404);
  assert.equal(missing.body.length, 0);
});

test("Wire: Unknown request fields are ignored, so that newer agents work with older daemons", async () => {
  const answer = await register(daemon, "h-1", { capacity: { ...CAPACITY, gpus: 4 }, of_tomorrow: { a: [1] } });
  assert.equal(answer.status, 200);
  assert.deepEqual(pick(answer.json, "host.capacity"), CAPACITY);
  assert.equal(
    (await beat(daemon, "h-1", { colour: "blue", machines: [{ id: "m", state: "running", mood: "good" }] })).status,
    200,
  );
  assert.equal((await beat(daemon, "h-1", { machines: [] })).status, 200);
});

test("Wire: a known field of the wrong type or range is a 400 naming it", async () => {
  const wrong: [string, Record<string, never> | object][] = [
    ["hostname", { hostname: "" }],
    ["hostname", { hostname: null }],
    ["grpc_port", { grpc_port: 65_536 }],
    ["grpc_port", { grpc_port: "9090" }],
    ["region", { region: 5 }],
    ["capacity", { capacity: [] }],
    ["capacity.cpus", { capacity: { ...CAPACITY, cpus: -1 } }],
    ["capacity.memory_mb", { capacity: { ...CAPACITY, memory_mb: 1.5 } }],
    ["capacity.disk_mb", { capacity: { ...CAPACITY, disk_mb: "x" } }],
    ["labels", { labels: "a=b" }],
    ["labels.zone", { labels: { zone: 3 } }],
    ["host_id", { host_id: "../../etc" }],
    ["host_id", { host_id: ".hidden" }],
    ["host_id", { host_id: "x".repeat(65) }],
    ["ip_address", { ip_address: 7 }],
  ];
  for (const [field, change] of wrong)
    assertError(await register(daemon, "h-wrong", change as Record<string, never>), 400, "invalid_field", field);
  const beats: [string, object][] = [
    ["usage.cpus", { usage: { cpus: "1", memory_mb: 1, disk_mb: 1 } }],
    ["machines.0.state", { machines: [{ id: "m", state: "flying" }] }],
    ["wait_seconds", { wait_seconds: 26 }],
    ["wait_seconds", { wait_seconds: -1 }],
    ["observed_revision", { observed_revision: 5 }],
    ["beat", { beat: "1" }],
    ["boot_id", { boot_id: 1 }],
  ];
  for (const [field, body] of beats)
    assertError(await beat(daemon, "h-1", body as Record<string, never>), 400, "invalid_field", field);
  assertError(await daemon.request("GET", "/v1/hosts/nobody"), 404, "host_not_found");
});

test("Wire: An absent body is {} where every field is optional, with or without a Content-Type", async () => {
  const path = "/v1/internal/hosts/h-1/heartbeat";
  assert.equal((await daemon.asAgent("POST", path)).status, 200);
  assert.equal((await daemon.asAgent("POST", path, { headers: { "content-type": "application/json" } })).status, 200);
  assert.equal(
    (await daemon.asAgent("POST", path, { headers: { "content-type": "text/plain", "content-length": 0 } })).status,
    200,
  );
  assertError(await daemon.asAgent("POST", "/v1/internal/hosts/register"), 400, "invalid_field", "hostname");
});

test("Wire: A JSON body is at most 1 MiB (server.max_body_bytes)", async () => {
  const padding = (size: number): string =>
    JSON.stringify({ pad: "" }).replace(`""`, `"${"x".repeat(size - JSON.stringify({ pad: "" }).length)}"`);
  const path = "/v1/internal/hosts/h-1/heartbeat";
  const headers = { "content-type": "application/json" };
  assert.equal((await daemon.asAgent("POST", path, { body: padding(1 << 20), headers })).status, 200);
  assertError(await daemon.asAgent("POST", path, { body: padding((1 << 20) + 1), headers }), 413, "body_too_large");
  assertError(
    await daemon.asAgent("POST", path, {
      body: padding(2 << 20),
      headers: { ...headers, "transfer-encoding": "chunked" },
    }),
    413,
    "body_too_large",
  );
});

test(
  "Wire: A refused body is read and thrown away up to 4 MiB or 1 s, so that the client sees the answer; " +
    "then the connection closes",
  async () => {
    const body = Buffer.alloc(3 << 20, "x");
    const head =
      "POST /v1/internal/hosts/h-1/heartbeat HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " +
      `wrong\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
    const whole = await daemon.raw(Buffer.concat([Buffer.from(head), body]));
    assert.equal(rawStatus(whole.text), 401);
    assert.equal(whole.closed, true);
    const started = performance.now();
    const stalled = await daemon.raw(head + "x".repeat(1_000), 8_000);
    assert.equal(rawStatus(stalled.text), 401, "a client that never sends the rest gets its answer");
    assert.equal(stalled.closed, true);
    assert.ok(performance.now() - started < 5_000, "and is let go after a second");
  },
);

test("Wire: a body without end is cut off after 4 MiB", async () => {
  const sent = await new Promise<number>((resolve) => {
    const socket = net.connect(daemon.port, "127.0.0.1");
    const piece = Buffer.alloc(65_536, "x");
    const chunk = Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from("\r\n")]);
    socket.on("error", () => undefined);
    socket.on("close", () => resolve(socket.bytesWritten - socket.writableLength));
    socket.setTimeout(8_000, () => socket.destroy());
    socket.resume();
    socket.write(
      `PUT /v1/images/sha256:${"a".repeat(64)} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ` +
        "wrong\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    const pump = (): void => {
      while (!socket.destroyed && socket.write(chunk));
      if (!socket.destroyed) socket.once("drain", pump);
    };
    pump();
  });
  assert.ok(sent < 24 << 20, `${sent} bytes went through; 4 MiB and what the kernel holds in between is the limit`);
});

test(
  "Wire: Lists without limit are whole, sorted by id; with ?limit= and ?after=<id> they bear next_after " +
    "(null at the end)",
  async () => {
    const ids = async (query: string): Promise<[string[], unknown]> => {
      const { json } = await daemon.request("GET", `/v1/hosts${query}`);
      return [listAt(json, "hosts").map((host) => textAt(host, "id")), pick(json, "next_after")];
    };
    assert.deepEqual(await ids(""), [["h-1", "h-2", "h-3"], undefined]);
    assert.deepEqual(await ids("?limit=2"), [["h-1", "h-2"], "h-2"]);
    assert.deepEqual(await ids("?limit=2&after=h-2"), [["h-3"], null]);
    assert.deepEqual(await ids("?limit=3"), [["h-1", "h-2", "h-3"], null]);
    assert.deepEqual(await ids("?limit=1&after=h-1x"), [["h-2"], "h-2"], "after an id that is gone the list goes on");
    for (const bad of ["0", "-1", "x", "1.5", ""])
      assertError(await daemon.request("GET", `/v1/hosts?limit=${bad}`), 400, "invalid_field", "limit");
  },
);

test("Wire: requests in one connection are answered in order, also when one in between is refused", async () => {
  const requests = ["/v1/health", "/nowhere", "/v1/hosts/h-1", "/"].map(
    (path, index, all) =>
      `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${index === all.length - 1 ? "Connection: close\r\n" : ""}\r\n`,
  );
  const result = await daemon.raw(requests.join(""));
  assert.deepEqual(
    parseAnswers(result.text).map((answer) => answer.status),
    [200, 404, 200, 200],
  );
  assert.equal(result.closed, true);
});

test("Wire: an upload or body is judged before it is sent, where the client expects 100-continue", async () => {
  const ask = (auth: string): string =>
    "POST /v1/internal/hosts/h-1/heartbeat HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " +
    `${auth}\r\nExpect: 100-continue\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: ` +
    "close\r\n\r\n";
  const refused = await daemon.raw(ask("wrong"));
  assert.equal(rawStatus(refused.text), 401);
  const statuses = await new Promise<number[]>((resolve) => {
    const socket = net.connect(daemon.port, "127.0.0.1", () => socket.write(ask(LICENSE_HASH)));
    let text = "";
    socket.on("data", (part: Buffer) => {
      text += part.toString("latin1");
      if (text === "HTTP/1.1 100 Continue\r\n\r\n") socket.write("{}");
    });
    socket.on("close", () => resolve(parseAnswers(text).map((answer) => answer.status)));
    void sleep(5_000, null, { ref: false }).then(() => socket.destroy());
  });
  assert.deepEqual(statuses, [100, 200]);
});
