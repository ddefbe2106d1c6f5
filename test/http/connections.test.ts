import assert from "node:assert/strict";
import { test } from "node:test";
import { assertError } from "../support/http.ts";
import { get, HOST, serve, until } from "./harness.ts";

test("one connection too many gets a 503 and is closed; when one leaves there is room again", async (t) => {
  const { connect, finished, server } = await serve(t, { limits: { maxConnections: 2, discardMs: 50 } });
  const first = (await connect()).send(get("/"));
  await first.one();
  const second = (await connect()).send(get("/"));
  await second.one();
  const third = (await connect()).send(get("/"));
  const answers = await third.end();
  assert.equal(answers.length, 1);
  assertError(answers[0] ?? assert.fail(), 503, "too_many_connections");
  assert.equal(answers[0]?.headers["retry-after"], "1");
  assert.equal(finished.at(-1)?.status, 503);
  assert.equal(server.connections, 2);
  first.socket.destroy();
  await until(() => server.connections === 1, "room");
  assert.equal((await (await connect()).send(get("/")).one()).status, 200);
});

test("a client that was turned away and stays is closed all the same, and never served", async (t) => {
  const { connect, recorded } = await serve(t, { limits: { maxConnections: 0, discardMs: 60 } });
  const wire = await connect();
  await wire.one();
  wire.send(get("/")).send("garbage\r\n\r\n");
  assert.equal((await wire.end()).length, 1);
  assert.equal(recorded.started, 0);
});

test("each listener counts its own connections", async (t) => {
  const { connect, server } = await serve(t, { limits: { maxConnections: 1 } });
  const second = await server.listen({ host: "127.0.0.1", port: 0 });
  assert.ok(typeof second === "object");
  const full = (await connect()).send(get("/"));
  await full.one();
  const other = await fetch(`http://127.0.0.1:${second.port}/`);
  assert.equal(other.status, 200);
  await other.text();
});

test("a flood beyond the limit leaves the connections that are there alone", async (t) => {
  const { connect, server } = await serve(t, { limits: { maxConnections: 5, discardMs: 50 } });
  const kept = (await connect()).send(get("/"));
  await kept.one();
  const flood = await Promise.all(Array.from({ length: 400 }, connect));
  await until(
    () => server.connections <= 5 && flood.filter(({ closed }) => closed).length >= 396,
    "the end of the flood",
  );
  kept.send(get("/"));
  assert.equal((await kept.count(2))[1]?.status, 200);
});

test("resets at any moment are no errors", async (t) => {
  const { connect, errors, server } = await serve(t);
  const starts = [
    "",
    "G",
    `GET / HTTP/1.1\r\n${HOST}`,
    get("/"),
    get("/hold"),
    "\x16\x03",
    `CONNECT a:1 HTTP/1.1\r\n${HOST}\r\n`,
  ];
  starts.push(get("/download?size=9000000"), `PUT /stream HTTP/1.1\r\n${HOST}Content-Length: 9\r\n\r\n123`);
  for (let round = 0; round < 5; round += 1) {
    const wires = await Promise.all(starts.map(async (bytes) => (await connect()).send(bytes)));
    for (let turn = 0; turn < round; turn += 1) await new Promise(setImmediate);
    for (const wire of wires) wire.socket.resetAndDestroy();
  }
  await until(() => server.connections === 0, "no connection");
  assert.equal((await (await connect()).send(get("/")).one()).status, 200);
  assert.deepEqual(
    errors.filter(({ fields }) => fields["error"] !== "closed"),
    [],
  );
});
