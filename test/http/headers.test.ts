import assert from "node:assert/strict";
import { test } from "node:test";
import { assertError } from "../support/http.ts";
import { get, HOST, post, serve } from "./harness.ts";

function fields(count: number): string {
  return Array.from({ length: count }, (_, index) => `X-${index}: v\r\n`).join("");
}

test("takes 100 header fields and answers 431 to the 101st, whatever it is", async (t) => {
  const { connect } = await serve(t);
  assert.equal((await (await connect()).send(get("/", fields(99))).one()).status, 200);
  for (const count of [100, 101, 150, 400]) {
    const wire = (await connect()).send(get("/", fields(count)));
    assertError(await wire.one(), 431, "headers_too_large");
    await wire.end();
  }
});

test("answers 431 to headers of more than 16 KiB, and closes", async (t) => {
  const { connect, finished } = await serve(t);
  assert.equal((await (await connect()).send(get("/", `X-Big: ${"x".repeat(15_000)}\r\n`)).one()).status, 200);
  const wire = (await connect()).send(get("/", `X-Big: ${"x".repeat(20_000)}\r\n`));
  assertError(await wire.one(), 431, "headers_too_large");
  await wire.end();
  assert.equal(finished.at(-1)?.status, 431);
});

test("answers 414 to a target of more than 8 KiB", async (t) => {
  const { connect } = await serve(t);
  assert.equal((await (await connect()).send(get(`/?${"x".repeat(8_000)}`)).one()).status, 200);
  assertError(await (await connect()).send(get(`/?${"x".repeat(8_200)}`)).one(), 414, "uri_too_long");
});

const REFUSED: readonly (readonly [what: string, head: string])[] = [
  ["no Host", "GET / HTTP/1.1\r\n\r\n"],
  ["two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nhOST: a\r\n\r\n"],
  ["two Authorizations", `GET / HTTP/1.1\r\n${HOST}Authorization: Bearer a\r\nAUTHORIZATION: Bearer b\r\n\r\n`],
  ["an asterisk", `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`],
  ["another scheme", `GET ftp://x/y HTTP/1.1\r\n${HOST}\r\n`],
  ["a fragment", `GET /#a HTTP/1.1\r\n${HOST}\r\n`],
  ["chunks in HTTP/1.0", `POST /none HTTP/1.0\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
];
for (const [what, head] of REFUSED) {
  test(`answers 400 to a request with ${what}, logs it, and closes`, async (t) => {
    const { connect, finished, finishedCount } = await serve(t);
    const wire = (await connect()).send(head + get("/"));
    const answers = await wire.end();
    assert.equal(answers.length, 1);
    assertError(answers[0] ?? assert.fail(), 400, "malformed_request");
    await finishedCount(1);
    assert.equal(finished[0]?.requestId, answers[0]?.headers["x-request-id"]);
  });
}

test("serves HTTP/1.0 without Host, and closes as that version does", async (t) => {
  const { connect } = await serve(t);
  const [answer] = await (await connect()).send("GET / HTTP/1.0\r\n\r\n").end();
  assert.equal(answer?.status, 200);
});

test("takes the path of an absolute target", async (t) => {
  const { connect } = await serve(t);
  const wire = (await connect()).send("GET http://elsewhere:99/things/a?b=c HTTP/1.1\r\nHost: elsewhere\r\n\r\n");
  assert.equal((await wire.one()).text, '{"id":"a"}');
  wire.send("GET HTTPS://elsewhere HTTP/1.1\r\nHost: elsewhere\r\n\r\n");
  assert.equal((await wire.count(2))[1]?.text, '{"ok":true}');
});

test("serves a request that offers an upgrade as if it had not", async (t) => {
  const { connect } = await serve(t);
  const wire = (await connect()).send(
    get("/", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"),
  );
  assert.equal((await wire.one()).status, 200);
  wire.send(get("/", "Connection: Upgrade\r\nUpgrade: websocket\r\n"));
  assert.equal((await wire.count(2))[1]?.status, 200);
});

test("refuses CONNECT with 400, and closes", async (t) => {
  const { connect, finished } = await serve(t);
  const wire = (await connect()).send(`CONNECT elsewhere:443 HTTP/1.1\r\n${HOST}\r\n\x16\x03\x01 hello`);
  const answers = await wire.end();
  assertError(answers[0] ?? assert.fail(), 400, "malformed_request");
  assert.equal(finished[0]?.status, 400);
});

test("refuses CONNECT only after the answer that is owed before it", async (t) => {
  const { connect, held } = await serve(t);
  const wire = (await connect()).send(`${get("/hold")}CONNECT a:1 HTTP/1.1\r\n${HOST}\r\n`);
  wire.send("more");
  while (held.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  held[0]?.();
  assert.deepEqual(
    (await wire.end()).map((answer) => answer.status),
    [200, 400],
  );
});

test("sends 100 only when a body is wanted", async (t) => {
  const { connect } = await serve(t);
  const expect = "Expect: 100-continue\r\nContent-Type: application/json\r\nContent-Length: 7\r\n";
  const wire = (await connect()).send(`POST /json HTTP/1.1\r\n${HOST}${expect}\r\n`);
  assert.equal((await wire.one()).status, 100);
  wire.send('{"a":1}');
  assert.deepEqual(
    (await wire.count(2)).map((answer) => answer.status),
    [100, 200],
  );

  const wrong = (await connect()).send(`POST /json HTTP/1.1\r\n${HOST}Authorization: Bearer wrong\r\n${expect}\r\n`);
  assert.deepEqual(
    (await wrong.end()).map((answer) => answer.status),
    [401],
  );
  const large = (await connect()).send(
    `POST /json HTTP/1.1\r\n${HOST}Expect: 100-continue\r\nContent-Type: ` +
      "application/json\r\nContent-Length: 99999999\r\n\r\n",
  );
  assert.deepEqual(
    (await large.end()).map((answer) => answer.status),
    [413],
  );
});

test("a streaming route sends 100 when it starts to read, and none when it refuses first", async (t) => {
  const { connect } = await serve(t);
  const head = (path: string): string =>
    `PUT ${path} HTTP/1.1\r\n${HOST}Expect: 100-continue\r\nContent-Length: 5\r\n\r\n`;
  const wire = (await connect()).send(head("/stream"));
  assert.equal((await wire.one()).status, 100);
  wire.send("12345");
  assert.equal((await wire.count(2))[1]?.text, '{"size":5}');
  const refused = (await connect()).send(head("/refuse-at-once"));
  assert.deepEqual(
    (await refused.end()).map((answer) => answer.status),
    [413],
  );
});

test("answers 417 to any other expectation", async (t) => {
  const { connect } = await serve(t);
  assertError(
    await (await connect()).send(post("/json", "{}", "Expect: a-miracle\r\nContent-Type: application/json\r\n")).one(),
    417,
    "expectation_failed",
  );
});
