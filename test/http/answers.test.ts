import assert from "node:assert/strict";
import { test } from "node:test";
import { assertError } from "../support/http.ts";
import { get, post, serve } from "./harness.ts";

test("every answer bears its request id, Vary, nosniff and Date, and JSON is not cached", async (t) => {
  const { connect } = await serve(t);
  const wire = await connect();
  const paths = ["/", "/nowhere", "/things/%zz", "/throw"];
  for (const [index, path] of paths.entries()) {
    wire.send(get(path));
    const { headers } = (await wire.count(index + 1))[index] ?? assert.fail();
    assert.match(String(headers["x-request-id"]), /^[0-9a-f]{12}-\d+$/);
    assert.equal(headers["vary"], "Origin");
    assert.equal(headers["x-content-type-options"], "nosniff");
    assert.ok(!Number.isNaN(Date.parse(String(headers["date"]))));
    assert.equal(headers["content-type"], "application/json");
    assert.equal(headers["cache-control"], "no-store");
    assert.equal(headers["connection"], "keep-alive");
  }
});

test("keeps a client's own request id when it is one, and makes another where it is not", async (t) => {
  const { connect, finished, finishedCount } = await serve(t);
  const wire = await connect();
  const own = ["a", "A.b_c-9", "x".repeat(128)];
  const other = ["x".repeat(129), "a b", "a,b", "%61", "\u00e4", ""];
  for (const [index, id] of [...own, ...other].entries()) {
    wire.send(get("/nowhere", `X-Request-Id: ${id}\r\n`));
    const answer = (await wire.count(index + 1))[index] ?? assert.fail();
    assert.equal(answer.headers["x-request-id"] === id, own.includes(id), id);
    assertError(answer, 404, "route_not_found");
  }
  await finishedCount(own.length + other.length);
  assert.deepEqual(
    finished.slice(0, 3).map((entry) => entry.requestId),
    own,
  );
});

test("gives every request another id", async (t) => {
  const { connect } = await serve(t);
  const wire = (await connect()).send(get("/").repeat(50));
  const ids = new Set((await wire.count(50)).map((answer) => answer.headers["x-request-id"]));
  assert.equal(ids.size, 50);
});

test("HEAD runs GET's handler and sends its headers alone", async (t) => {
  const { connect, finished } = await serve(t);
  const wire = (await connect()).send("HEAD /things/abc HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  await wire.end();
  assert.match(wire.text, /^HTTP\/1\.1 200 OK\r\n/);
  assert.match(wire.text, /\r\nContent-Length: 12\r\n/);
  assert.ok(wire.text.endsWith("\r\n\r\n"));
  assert.deepEqual(
    finished.map(({ method, status, bytes }) => [method, status, bytes]),
    [["HEAD", 200, 0]],
  );
});

test("HEAD of a download announces its length and sends nothing", async (t) => {
  const { connect } = await serve(t);
  const wire = (await connect()).send("HEAD /download?size=77 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  await wire.end();
  assert.match(wire.text, /\r\nContent-Length: 77\r\n/);
  assert.ok(wire.text.endsWith("\r\n\r\n"));
});

test(
  "an unknown path is 404, a wrong method 405 with Allow, a broken escape 400, and " + "the connection stays",
  async (t) => {
    const { connect } = await serve(t);
    const wire = (await connect()).send(get("/nope"));
    assertError(await wire.one(), 404, "route_not_found");
    wire.send("DELETE /things/a HTTP/1.1\r\nHost: x\r\n\r\n");
    const wrong = (await wire.count(2))[1] ?? assert.fail();
    assertError(wrong, 405, "method_not_allowed");
    assert.equal(wrong.headers["allow"], "GET, HEAD");
    wire.send(get("/things/%zz"));
    assertError((await wire.count(3))[2] ?? assert.fail(), 400, "malformed_request");
    wire.send(get("/"));
    assert.equal((await wire.count(4))[3]?.status, 200);
  },
);

test(
  "what a handler throws or rejects with is a 500 that says nothing outside and all in the log, under " + "the same id",
  async (t) => {
    const { connect, errors } = await serve(t);
    const wire = await connect();
    for (const [index, path] of ["/throw", "/reject"].entries()) {
      wire.send(get(path));
      const answer = (await wire.count(index + 1))[index] ?? assert.fail();
      assertError(answer, 500, "internal");
      assert.doesNotMatch(answer.text, /secret/);
      assert.equal(errors[index]?.fields["request_id"], answer.headers["x-request-id"]);
      assert.match(String(errors[index]?.fields["stack"]), /secret detail[\s\S]*harness/);
    }
  },
);

test("a reply that cannot be sent as a header is a 500, not a split answer", async (t) => {
  const { connect, errors } = await serve(t);
  const answer = await (await connect()).send(get("/bad-header")).one();
  assertError(answer, 500, "internal");
  assert.equal(errors.length, 1);
});

test("401 names Bearer, and comes before the body is looked at", async (t) => {
  const { connect, recorded } = await serve(t);
  const wire = (await connect()).send(post("/json", "no json", "Authorization: Bearer wrong\r\n"));
  const answer = await wire.one();
  assertError(answer, 401, "unauthorized");
  assert.equal(answer.headers["www-authenticate"], "Bearer");
  assert.deepEqual(recorded.rows, ["POST /json 401"]);
});

test("204 has neither body nor length", async (t) => {
  const { connect } = await serve(t);
  const wire = (await connect()).send("POST /none HTTP/1.1\r\nHost: x\r\n\r\n");
  const answer = await wire.one();
  assert.equal(answer.status, 204);
  assert.equal(answer.headers["content-length"], undefined);
  assert.equal(answer.headers["transfer-encoding"], undefined);
});

test("the bytes and the status told at the end are those that were sent", async (t) => {
  const { connect, finished, finishedCount } = await serve(t);
  const wire = (await connect()).send(get("/things/abc") + get("/download?size=200000"));
  await wire.count(2);
  await finishedCount(2);
  assert.deepEqual(
    finished.map(({ status, bytes, aborted }) => [status, bytes, aborted]),
    [
      [200, 12, false],
      [200, 200_000, false],
    ],
  );
  assert.ok(finished.every(({ seconds }) => seconds > 0 && seconds < 5));
});
