import assert from "node:assert/strict";
import { test } from "node:test";
import { get, HOST, serve } from "./harness.ts";

/** A request that must never be seen as one of its own. */
const HIDDEN = `GET /things/smuggled HTTP/1.1\r\n${HOST}\r\n`;
const TYPE = "Content-Type: application/json\r\n";

const REFUSED: readonly (readonly [what: string, bytes: string])[] = [
  [
    "Content-Length with Transfer-Encoding",
    `POST /none HTTP/1.1\r\n${HOST}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${HIDDEN}`,
  ],
  [
    "Transfer-Encoding with Content-Length",
    `POST /none HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n${HIDDEN}`,
  ],
  [
    "two different lengths",
    `POST /none HTTP/1.1\r\n${HOST}Content-Length: 0\r\nContent-Length: ${HIDDEN.length}\r\n\r\n${HIDDEN}`,
  ],
  ["two equal lengths", `POST /none HTTP/1.1\r\n${HOST}Content-Length: 0\r\nContent-Length: 0\r\n\r\n${HIDDEN}`],
  ["a list of lengths", `POST /none HTTP/1.1\r\n${HOST}Content-Length: 0, 0\r\n\r\n${HIDDEN}`],
  ["a signed length", `POST /none HTTP/1.1\r\n${HOST}Content-Length: +0\r\n\r\n${HIDDEN}`],
  ["a hexadecimal length", `POST /none HTTP/1.1\r\n${HOST}Content-Length: 0x0\r\n\r\n${HIDDEN}`],
  [
    "a length beyond all numbers",
    `POST /none HTTP/1.1\r\n${HOST}Content-Length: 99999999999999999999999\r\n\r\n${HIDDEN}`,
  ],
  ["a blank before the colon", `POST /none HTTP/1.1\r\n${HOST}Content-Length : 0\r\n\r\n${HIDDEN}`],
  [
    "chunked that is not last",
    `POST /none HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n${HIDDEN}`,
  ],
  ["an unknown encoding", `POST /none HTTP/1.1\r\n${HOST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${HIDDEN}`],
  [
    "an encoding behind a vertical tab",
    `POST /none HTTP/1.1\r\n${HOST}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n${HIDDEN}`,
  ],
  ["a folded header", `GET / HTTP/1.1\r\n${HOST}X-Fold: a\r\n b\r\n\r\n${HIDDEN}`],
  ["bare line feeds", `GET / HTTP/1.1\n${HOST.replace("\r", "")}\n${HIDDEN}`],
  ["a bare line feed between headers", `GET / HTTP/1.1\r\n${HOST}X-A: b\nX-C: d\r\n\r\n${HIDDEN}`],
  ["a bare carriage return in a value", `GET / HTTP/1.1\r\n${HOST}X-A: b\rX-C: d\r\n\r\n${HIDDEN}`],
  ["a NUL in a value", `GET / HTTP/1.1\r\n${HOST}X-A: b\0c\r\n\r\n${HIDDEN}`],
  [
    "a broken chunk size",
    `POST /json HTTP/1.1\r\n${HOST}${TYPE}Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n${HIDDEN}`,
  ],
  [
    "a chunk size beyond all numbers",
    `POST /json HTTP/1.1\r\n${HOST}${TYPE}Transfer-Encoding: ` +
      `chunked\r\n\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n${HIDDEN}`,
  ],
  [
    "a chunk longer than it says",
    `POST /json HTTP/1.1\r\n${HOST}${TYPE}Transfer-Encoding: chunked\r\n\r\n2\r\n{}xx\r\n0\r\n\r\n${HIDDEN}`,
  ],
  [
    "a bare line feed after a chunk size",
    `POST /json HTTP/1.1\r\n${HOST}${TYPE}Transfer-Encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n${HIDDEN}`,
  ],
  ["two encodings", `POST /none HTTP/1.1\r\n${HOST}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n${HIDDEN}`],
  ["another version", `GET / HTTP/2.0\r\n${HOST}\r\n${HIDDEN}`],
  ["no version", `GET /\r\n\r\n${HIDDEN}`],
  ["a made-up method", `SMUGGLE / HTTP/1.1\r\n${HOST}\r\n${HIDDEN}`],
  ["TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
];
for (const [what, bytes] of REFUSED) {
  test(`${what}: 400 in JSON, logged, closed, and nothing behind it is served`, async (t) => {
    const { connect, finished, finishedCount, recorded } = await serve(t, { limits: { discardMs: 50 } });
    const wire = (await connect()).send(bytes);
    const answers = await wire.end();
    assert.deepEqual(
      answers.map((answer) => answer.status),
      [400],
      wire.text,
    );
    const [answer] = answers;
    assert.match(answer?.text ?? "", /"code":"malformed_request"/);
    assert.equal(answer?.headers["connection"], "close");
    assert.equal(answer?.headers["vary"], "Origin");
    assert.doesNotMatch(wire.text, /smuggled/);
    await finishedCount(1);
    assert.equal(finished.length, 1);
    assert.equal(finished[0]?.requestId, answer?.headers["x-request-id"]);
    assert.equal(recorded.started, recorded.rows.length);
  });
}

test("chunk extensions of no sensible size are 413 or 400, and closed", async (t) => {
  const { connect } = await serve(t);
  const wire = (await connect()).send(
    `POST /json HTTP/1.1\r\n${HOST}${TYPE}Transfer-Encoding: ` +
      `chunked\r\n\r\n2;${"x".repeat(40_000)}\r\n{}\r\n0\r\n\r\n${HIDDEN}`,
  );
  const answers = await wire.end();
  assert.equal(answers.length, 1);
  assert.ok([400, 413].includes(answers[0]?.status ?? 0), wire.text);
});

test("a body that nobody asked for is no request", async (t) => {
  const { connect } = await serve(t);
  const wire = (await connect()).send(`GET / HTTP/1.1\r\n${HOST}Content-Length: ${HIDDEN.length}\r\n\r\n${HIDDEN}`);
  assert.deepEqual(
    (await wire.end()).map((answer) => answer.text),
    ['{"ok":true}'],
  );
});

test("what follows a request that said it was the last is not answered", async (t) => {
  const { connect, finished, finishedCount } = await serve(t);
  for (const [index, rest] of [get("/things/more"), "garbage\r\n\r\n"].entries()) {
    const wire = (await connect()).send(get("/", "Connection: close\r\n") + rest);
    assert.deepEqual(
      (await wire.end()).map((answer) => answer.text),
      ['{"ok":true}'],
    );
    await finishedCount(index + 1);
    assert.equal(finished.length, index + 1);
  }
});

test("garbage behind a good request is refused after the good answer", async (t) => {
  const { connect } = await serve(t);
  const wire = (await connect()).send(`${get("/")}garbage\r\n\r\n`);
  assert.deepEqual(
    (await wire.end()).map((answer) => answer.status),
    [200, 400],
  );
});

test("garbage behind a request that is still held waits for its answer", async (t) => {
  const { connect, held } = await serve(t);
  const wire = (await connect()).send(`${get("/hold")}garbage\r\n\r\n${HIDDEN}`);
  while (held.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(wire.text, "");
  held[0]?.();
  assert.deepEqual(
    (await wire.end()).map((answer) => answer.status),
    [200, 400],
  );
});
