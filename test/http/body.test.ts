import assert from "node:assert/strict";
import { createServer } from "node:http";
import { connect as connectTo } from "node:net";
import { test } from "node:test";
import { readJsonBody } from "../../src/http/body.ts";
import { Context } from "../../src/http/context.ts";
import { ClientGone } from "../../src/http/send-file.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { assertError } from "../support/http.ts";
import { HOST, post, serve, until } from "./harness.ts";

const TYPE = "Content-Type: application/json\r\n";

function chunked(...pieces: string[]): string {
  const chunks = pieces.map((piece) => `${Buffer.byteLength(piece).toString(16)}\r\n${piece}\r\n`).join("");
  return `POST /json HTTP/1.1\r\n${HOST}${TYPE}Transfer-Encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`;
}

test("an absent body is {}, with a Content-Type or without", async (t) => {
  const { connect } = await serve(t);
  const wire = await connect();
  wire
    .send(`POST /json HTTP/1.1\r\n${HOST}\r\n`)
    .send(post("/json", "", TYPE))
    .send(post("/json", "", "Content-Type: text/plain\r\n"))
    .send(post("/json", "", ""))
    .send(chunked());
  for (const answer of await wire.count(5)) assert.equal(answer.text, "{}");
});

const TYPES: readonly (readonly [string, number])[] = [
  ["application/json", 200],
  ["Application/JSON", 200],
  ["application/json; charset=utf-8", 200],
  ['application/json ;charset="UTF-8"; x=y', 200],
  ["application/json;", 200],
  ["application/json; charset=latin1", 415],
  ["application/json; x=y; charset=utf-16", 415],
  ["application/jsonp", 415],
  ["application/json, text/plain", 415],
  ["text/json", 415],
  ["application/x-www-form-urlencoded", 415],
  ["", 415],
];
for (const [type, status] of TYPES) {
  test(`a body of type "${type}" is ${status}`, async (t) => {
    const { connect } = await serve(t);
    const answer = await (await connect()).send(post("/json", '{"a":1}', `Content-Type: ${type}\r\n`)).one();
    if (status === 200) assert.equal(answer.text, '{"a":1}');
    else assertError(answer, status, "unsupported_media_type");
  });
}

test("a body without a type, or compressed, is 415", async (t) => {
  const { connect } = await serve(t);
  assertError(await (await connect()).send(post("/json", "{}", "")).one(), 415, "unsupported_media_type");
  assertError(
    await (await connect()).send(post("/json", "{}", `${TYPE}Content-Encoding: gzip\r\n`)).one(),
    415,
    "unsupported_media_type",
  );
  assert.equal(
    (await (await connect()).send(post("/json", "{}", `${TYPE}Content-Encoding: identity\r\n`)).one()).status,
    200,
  );
});

test("what is not a JSON object in UTF-8 is 400 malformed_json, and the connection stays", async (t) => {
  const { connect } = await serve(t);
  const wire = await connect();
  const bad: (string | Buffer)[] = [
    "[]",
    "1",
    "null",
    '"a"',
    "{",
    '{"a":1}x',
    "{'a':1}",
    " ",
    '{"a":01}',
    Buffer.from('{"a":"\xff"}', "latin1"),
    Buffer.from([0x7b, 0x22, 0xc0, 0xaf, 0x22, 0x3a, 0x31, 0x7d]),
  ];
  for (const [index, body] of bad.entries()) {
    wire.send(post("/json", body));
    assertError((await wire.count(index + 1))[index] ?? assert.fail(), 400, "malformed_json");
  }
});

test("keeps what JSON says, whatever the pieces it comes in", async (t) => {
  const { connect } = await serve(t);
  const body = '{"\u00e4":"\u20ac\ud83d\ude00","__proto__":{"x":1},"n":[1,2.5,-0]}';
  const bytes = post("/json", body);
  const wire = await connect();
  wire.socket.setNoDelay(true);
  for (const byte of bytes) {
    wire.send(Buffer.of(byte));
    await new Promise(setImmediate);
  }
  wire.send(chunked(body.slice(0, 3), body.slice(3)));
  // The harness keeps bytes as latin1.
  const wanted = Buffer.from(JSON.stringify(JSON.parse(body))).toString("latin1");
  for (const answer of await wire.count(2)) assert.equal(answer.body.toString("latin1"), wanted);
});

test("a body of exactly the limit passes, one byte more is 413, whether announced or not", async (t) => {
  const { connect } = await serve(t, { body: { maxBytes: 100 } });
  const fits = `{"a":"${"x".repeat(92)}"}`;
  assert.equal(fits.length, 100);
  for (const [body, status] of [
    [fits, 200],
    [fits.replace("x", "xx"), 413],
  ] as const) {
    for (const bytes of [post("/json", body), chunked(body.slice(0, 50), body.slice(50))]) {
      const answer = await (await connect()).send(bytes).one();
      if (status === 200) assert.equal(answer.text, body);
      else assertError(answer, 413, "body_too_large");
    }
  }
});

test("a JSON body that is not whole in time is 408, and the connection ends", async (t) => {
  const { connect, finishedCount, finished } = await serve(t, { body: { timeoutMs: 60 }, limits: { discardMs: 60 } });
  const wire = (await connect()).send(`POST /json HTTP/1.1\r\n${HOST}${TYPE}Content-Length: 50\r\n\r\n{`);
  assertError((await wire.end())[0] ?? assert.fail(), 408, "request_timeout");
  await finishedCount(1);
  assert.equal(finished[0]?.status, 408);
});

test("a JSON body that drips in is not saved by its progress", async (t) => {
  const { connect } = await serve(t, { body: { timeoutMs: 100 }, limits: { discardMs: 50 } });
  const wire = (await connect()).send(`POST /json HTTP/1.1\r\n${HOST}${TYPE}Content-Length: 5000\r\n\r\n{`);
  const drip = setInterval(() => wire.send(" "), 10);
  t.after(() => clearInterval(drip));
  assertError(await wire.one(), 408, "request_timeout");
});

test("a client that leaves in the middle of its body is noted, not an error", async (t) => {
  const { connect, finished, finishedCount, errors, recorded } = await serve(t);
  for (const path of ["/json", "/stream"]) {
    const method = path === "/json" ? "POST" : "PUT";
    const wire = (await connect()).send(`${method} ${path} HTTP/1.1\r\n${HOST}${TYPE}Content-Length: 50\r\n\r\n{`);
    await until(() => recorded.started > finished.length, "the start");
    wire.socket.resetAndDestroy();
    await finishedCount(finished.length + 1);
  }
  assert.deepEqual(
    finished.map(({ status, aborted }) => [status, aborted]),
    [
      [499, true],
      [499, true],
    ],
  );
  assert.deepEqual(errors, []);
  assert.deepEqual(recorded.rows, ["POST /json 499", "PUT /stream 499"]);
});

test("streams a body through whole, of any framing, and keeps the connection", async (t) => {
  const { connect } = await serve(t);
  const size = 3_000_000;
  const wire = await connect();
  wire.send(`PUT /stream HTTP/1.1\r\n${HOST}Content-Length: ${size}\r\n\r\n`).send(Buffer.alloc(size, "a"));
  assert.equal((await wire.one()).text, `{"size":${size}}`);
  wire.send(`PUT /stream HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n1\r\nf\r\n0\r\n\r\n`);
  assert.equal((await wire.count(2))[1]?.text, '{"size":6}');
  wire.send(`PUT /stream HTTP/1.1\r\n${HOST}\r\n`);
  assert.equal((await wire.count(3))[2]?.text, '{"size":0}');
});

test("a streamed body may take its time as long as it moves, and is 408 when it stops", async (t) => {
  const { connect } = await serve(t, { body: { timeoutMs: 150 }, limits: { discardMs: 50 } });
  const slow = (await connect()).send(`PUT /stream HTTP/1.1\r\n${HOST}Content-Length: 30\r\n\r\n`);
  const began = performance.now();
  for (let sent = 0; sent < 30; sent += 1) {
    slow.send("x");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.equal((await slow.one()).text, '{"size":30}');
  assert.ok(performance.now() - began > 150);
  const stuck = (await connect()).send(`PUT /stream HTTP/1.1\r\n${HOST}Content-Length: 30\r\n\r\nxx`);
  assertError((await stuck.end())[0] ?? assert.fail(), 408, "request_timeout");
});

test("whoever waits for a body is told at once that the client has gone, also when it went before", async (t) => {
  const server = createServer();
  t.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  const client = connectTo(address.port, "127.0.0.1").on("error", () => undefined);
  client.write(`POST / HTTP/1.1\r\n${HOST}${TYPE}Content-Length: 9\r\n\r\n{`);
  const context = await new Promise<Context<never, null>>((resolve) => {
    const peer = { unixSocket: false, remoteAddress: null, localAddress: null };
    server.once("request", (req, res) => resolve(new Context(req, res, "r", "/", "", { kind: "none" }, peer)));
  });
  const options = { maxBytes: 100, timeoutMs: 60_000, clock: systemClock };
  const waiting = readJsonBody(context, options);
  client.resetAndDestroy();
  await assert.rejects(async () => waiting, ClientGone);
  await assert.rejects(async () => readJsonBody(context, options), ClientGone);
});
