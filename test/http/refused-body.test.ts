import assert from "node:assert/strict";
import { test } from "node:test";
import { assertError } from "../support/http.ts";
import { get, HOST, post, serve, until } from "./harness.ts";

const MIB = 1024 * 1024;
const TYPE = "Content-Type: application/json\r\n";

test("a client that sends 3 MiB too much still sees the 413, then the connection closes", async (t) => {
  const { connect, finished } = await serve(t);
  for (let round = 0; round < 5; round += 1) {
    const wire = (await connect()).send(post("/json", Buffer.alloc(3 * MIB, " ")));
    const answers = await wire.end();
    assert.equal(answers.length, 1);
    assertError(answers[0] ?? assert.fail(), 413, "body_too_large");
    assert.equal(answers[0]?.headers["connection"], "close");
  }
  assert.ok(finished.every(({ status, aborted, bytes }) => status === 413 && !aborted && bytes > 0));
});

test("what is announced may be sent to its end after the answer: nothing resets the connection before", async (t) => {
  const { connect } = await serve(t, { limits: { discardMs: 5_000 } });
  const half = Buffer.alloc(MIB, " ");
  const wire = (await connect())
    .send(`POST /json HTTP/1.1\r\n${HOST}${TYPE}Content-Length: ${2 * MIB}\r\n\r\n`)
    .send(half);
  let reset = false;
  wire.socket.on("error", () => {
    reset = true;
  });
  assertError(await wire.one(), 413, "body_too_large");
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(wire.closed, false);
  wire.send(half);
  await wire.end();
  assert.equal(reset, false);
});

test("a refusal in the middle of a stream is seen too", async (t) => {
  const { connect } = await serve(t);
  const wire = (await connect())
    .send(`PUT /refuse-stream HTTP/1.1\r\n${HOST}Content-Length: ${3 * MIB}\r\n\r\n`)
    .send(Buffer.alloc(3 * MIB));
  assertError((await wire.end())[0] ?? assert.fail(), 413, "image_too_large");
});

test("401 and 404 to uploads are seen too", async (t) => {
  const { connect } = await serve(t);
  const denied = (await connect()).send(post("/json", Buffer.alloc(2 * MIB), "Authorization: Bearer wrong\r\n"));
  assertError((await denied.end())[0] ?? assert.fail(), 401, "unauthorized");
  const lost = (await connect()).send(post("/nowhere", Buffer.alloc(2 * MIB)));
  assertError((await lost.end())[0] ?? assert.fail(), 404, "route_not_found");
});

test("no more than the limit is read of what nobody wants", async (t) => {
  const { connect } = await serve(t, { limits: { discardBytes: 256 * 1024, discardMs: 5_000 } });
  const wire = (await connect()).send(`POST /json HTTP/1.1\r\n${HOST}${TYPE}Content-Length: ${1024 * MIB}\r\n\r\n`);
  let sent = 0;
  const piece = Buffer.alloc(64 * 1024);
  const pour = (): void => {
    while (!wire.closed && sent < 64 * MIB) {
      sent += piece.length;
      if (!wire.socket.write(piece)) return void wire.socket.once("drain", pour);
    }
  };
  pour();
  await until(() => wire.closed, "the end");
  assert.ok(sent < 32 * MIB, `${sent} bytes were taken`);
});

test("a sender that stops sending is not waited for longer than the limit", async (t) => {
  const { connect, finishedCount } = await serve(t, { limits: { discardMs: 60 } });
  const wire = (await connect()).send(`POST /json HTTP/1.1\r\n${HOST}${TYPE}Content-Length: ${1024 * MIB}\r\n\r\nx`);
  await wire.one();
  await finishedCount(1);
  await wire.end();
});

test("a body that was read whole and refused costs no connection", async (t) => {
  const { connect } = await serve(t);
  const wire = (await connect()).send(post("/json", "[]")).send(get("/"));
  assert.deepEqual(
    (await wire.count(2)).map((answer) => answer.status),
    [400, 200],
  );
  assert.equal(wire.closed, false);
});

test("a body that is here already when the answer is decided costs no connection", async (t) => {
  const { connect, held } = await serve(t);
  const wire = (await connect()).send(`GET /hold HTTP/1.1\r\n${HOST}Content-Length: 5\r\n\r\n12345`);
  await until(() => held.length === 1, "the request");
  await new Promise(setImmediate);
  held[0]?.();
  wire.send(get("/"));
  assert.deepEqual(
    (await wire.count(2)).map((answer) => answer.status),
    [200, 200],
  );
});
