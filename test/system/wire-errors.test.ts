/** Part B, Wire: errors, their codes and headers, request ids, and requests that are not HTTP. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { LICENSE_HASH, startDaemon } from "../support/daemon.ts";
import { register } from "../support/fleet.ts";
import { assertError, parseAnswers, rawStatus } from "../support/http.ts";
import { textAt } from "../support/json.ts";

const daemon = await startDaemon();
assert.equal((await register(daemon, "h-1")).status, 201);

test(
  `Wire: An error is {"error":"a sentence","code":"snake_case","request_id":"..."}; a bad field adds ` +
    `"field":"capacity.cpus"`,
  async () => {
    const answer = await register(daemon, "h-2", { capacity: { cpus: "many", memory_mb: 1 } });
    assertError(answer, 400, "invalid_field", "capacity.cpus");
    assert.match(textAt(answer.json, "error"), /^[^\n]+\.$/);
    assertError(await register(daemon, "h-2", { capacity: {} }), 400, "invalid_field", "capacity.cpus");
    assertError(await register(daemon, "h-2", { hostname: 7 }), 400, "invalid_field", "hostname");
  },
);

test("Wire: 401 with WWW-Authenticate: Bearer", async () => {
  const answer = await daemon.request("GET", "/v1/hosts", { headers: { authorization: "Bearer wrong" } });
  assertError(answer, 401, "unauthorized");
  assert.equal(answer.headers["www-authenticate"], "Bearer");
});

test("Wire: 404 (unknown path or unknown thing: two codes; an unknown path is a 404 before any auth)", async () => {
  assertError(await daemon.request("GET", "/v1/nothing-here"), 404, "route_not_found");
  assertError(await daemon.request("GET", "/v1/internal/nothing-here"), 404, "route_not_found");
  assertError(
    await daemon.request("GET", "/v1/nothing-here", { headers: { authorization: "Bearer wrong" } }),
    404,
    "route_not_found",
  );
  assertError(await daemon.request("GET", "/v1/hosts/nobody"), 404, "host_not_found");
  for (const path of ["/v1/hosts/", "//v1/hosts", "/V1/hosts", "/v1/hosts/h-1/", "/v1//hosts"])
    assert.equal((await daemon.request("GET", path)).status, 404, path);
});

test("Wire: 405 with Allow", async () => {
  const answer = await daemon.request("DELETE", "/v1/hosts");
  assertError(answer, 405, "method_not_allowed");
  assert.deepEqual(
    String(answer.headers.allow)
      .split(", ")
      .sort()
      .filter((method) => method !== "OPTIONS"),
    ["GET", "HEAD"],
  );
  const post = await daemon.request("GET", "/v1/hosts/h-1/drain");
  assertError(post, 405, "method_not_allowed");
  assert.deepEqual(
    String(post.headers.allow)
      .split(", ")
      .filter((method) => method !== "OPTIONS"),
    ["POST"],
  );
  for (const method of ["PATCH", "PURGE", "TRACE", "PROPFIND"])
    assert.equal((await daemon.request(method, "/v1/hosts")).status, 405, method);
});

test("Wire: 409 state conflict", async () => {
  assertError(await daemon.request("POST", "/v1/hosts/h-1/undrain"), 409, "host_not_draining");
});

test("Wire: 415 (a JSON route with a body of another type)", async () => {
  const path = "/v1/internal/hosts/h-1/heartbeat";
  assertError(
    await daemon.asAgent("POST", path, {
      body: "beat=1",
      headers: { "content-type": "application/x-www-form-urlencoded" },
    }),
    415,
    "unsupported_media_type",
  );
  assertError(
    await daemon.asAgent("POST", path, { body: "{}", headers: { "content-type": "text/plain" } }),
    415,
    "unsupported_media_type",
  );
  assertError(
    await daemon.asAgent("POST", path, { body: "{}", headers: { "content-type": "application/jsonp" } }),
    415,
    "unsupported_media_type",
  );
  assertError(await daemon.asAgent("POST", path, { body: "{}" }), 415, "unsupported_media_type");
  for (const type of ["application/json; charset=utf-8", "Application/JSON", "application/json ;charset=UTF-8"]) {
    assert.equal(
      (await daemon.asAgent("POST", path, { body: "{}", headers: { "content-type": type } })).status,
      200,
      type,
    );
  }
});

test("Wire: 400 malformed or invalid", async () => {
  const path = "/v1/internal/hosts/h-1/heartbeat";
  for (const body of ["{", "[]", "null", "7", `"text"`, `{"usage":}`, "\u0000", `{"a":1}{"b":2}`]) {
    assertError(
      await daemon.asAgent("POST", path, { body, headers: { "content-type": "application/json" } }),
      400,
      "malformed_json",
    );
  }
  const notUtf8 = Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]);
  assertError(
    await daemon.asAgent("POST", path, { body: notUtf8, headers: { "content-type": "application/json" } }),
    400,
    "malformed_json",
  );
});

test("Wire: a malformed percent-escape is a 400, an escape is decoded once", async () => {
  for (const path of ["/v1/hosts/%", "/v1/hosts/%zz", "/v1/hosts/%f0%28", "/v1/hosts/%c0%af"])
    assertError(await daemon.request("GET", path), 400, "malformed_request");
  assert.equal((await daemon.request("GET", "/v1/hosts/%68-1")).status, 200);
  assertError(await daemon.request("GET", "/v1/hosts/%2568-1"), 404, "host_not_found");
  assertError(await daemon.request("GET", "/v1/hosts/h-1%2Fdrain-status"), 404, "host_not_found");
});

test(
  "Wire: Every answer bears X-Request-Id (a client's own is kept when it is 1 to 128 " + "of [A-Za-z0-9._-])",
  async () => {
    const idOf = async (sent: string): Promise<string> =>
      String(
        (await daemon.request("GET", "/v1/health", { headers: { "x-request-id": sent } })).headers["x-request-id"],
      );
    const longest = "a".repeat(128);
    for (const own of ["x", "Req.1_2-3", longest]) assert.equal(await idOf(own), own);
    for (const bad of ["", "with blank", `${longest}a`, "semi;colon", "ä"]) {
      const given = await idOf(bad);
      assert.notEqual(given, bad);
      assert.match(given, /^[A-Za-z0-9._-]{1,128}$/);
    }
    const [first, second] = [
      (await daemon.request("GET", "/")).headers["x-request-id"],
      (await daemon.request("GET", "/")).headers["x-request-id"],
    ];
    assert.notEqual(first, second, "ids that the daemon makes differ");
  },
);

test("Wire: the log line and the error body bear the request id too", async () => {
  const answer = await daemon.request("GET", "/v1/hosts/nobody", { headers: { "x-request-id": "find-me-again" } });
  assert.equal(textAt(answer.json, "request_id"), "find-me-again");
  assert.match(await daemon.line(/find-me-again/), /\bGET \/v1\/hosts\/nobody 404 /);
});

test("Wire: 431 for headers that are too large or too many", async () => {
  const large = await daemon.raw(
    `GET / HTTP/1.1\r\nHost: localhost\r\nX-Large: ${"x".repeat(70_000)}\r\nConnection: close\r\n\r\n`,
  );
  assert.equal(rawStatus(large.text), 431, large.text.slice(0, 200));
  const many = Array.from({ length: 2_500 }, (_, index) => `X-${index}: 1\r\n`).join("");
  const flood = await daemon.raw(`GET / HTTP/1.1\r\nHost: localhost\r\n${many}Connection: close\r\n\r\n`);
  assert.equal(rawStatus(flood.text), 431, "no header is dropped silently");
});

test("Wire: what is not HTTP is a 400 of the contract's shape, and the connection closes", async () => {
  const broken = [
    "NONSENSE\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "GET / HTTP/1.1\r\nHost: localhost\r\n folded: header\r\n\r\n",
    "POST /v1/hosts/h-1/drain HTTP/1.1\r\nHost: localhost\r\nContent-Type: " +
      "application/json\r\nTransfer-Encoding: chunked\r\n\r\nXYZ\r\n",
  ];
  for (const bytes of broken) {
    const result = await daemon.raw(bytes);
    assert.equal(result.closed, true, bytes);
    const [answer] = parseAnswers(result.text);
    assert.ok(answer !== undefined, `an answer to ${JSON.stringify(bytes)}`);
    assertError(answer, 400, "malformed_request");
  }
});

test("Wire: a smuggled request behind a refused one is never answered", async () => {
  const auth = `Authorization: Bearer ${LICENSE_HASH}\r\n`;
  const smuggled = "GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n";
  const result = await daemon.raw(
    `POST /v1/internal/hosts/h-1/heartbeat HTTP/1.1\r\nHost: localhost\r\n${auth}Content-Length: ` +
      `4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
  );
  assert.ok(!result.text.includes("healthy"), result.text);
  assert.equal(parseAnswers(result.text).length, 1);
});
