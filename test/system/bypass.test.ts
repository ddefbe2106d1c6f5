/** Part B, Localhost bypass: every one of its conditions, each broken alone. */
import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { test } from "node:test";
import { startDaemon } from "../support/daemon.ts";
import { assertError, parseAnswers, request, sendRaw } from "../support/http.ts";
import type { Answer, Target } from "../support/http.ts";
import { conforms, pick } from "../support/json.ts";
import { LOCALHOST_CALLER, STATUS } from "../support/shapes.ts";

const daemon = await startDaemon({ config: `[server]\nhost = "0.0.0.0"\nsocket = "FOLDER/zwrmd.sock"` });
const loopback: Target = { port: daemon.port, host: "127.0.0.1" };

/** Sends a request head made of exactly these lines. */
async function head(lines: readonly string[], target: Target = loopback): Promise<Answer> {
  const { text } = await sendRaw(target, `${[...lines, "Connection: close"].join("\r\n")}\r\n\r\n`);
  const [answer] = parseAnswers(text);
  assert.ok(answer !== undefined, `an answer to ${JSON.stringify(lines)}, got ${JSON.stringify(text)}`);
  return answer;
}

const WHOAMI = "GET /v1/auth/whoami HTTP/1.1";

test("whoami for the localhost caller", async () => {
  const answer = await request(loopback, "GET", "/v1/auth/whoami");
  assert.equal(answer.status, 200);
  conforms(answer.json, LOCALHOST_CALLER);
});

test("status for the localhost caller: hosts for a host-admin", async () => {
  const answer = await request(loopback, "GET", "/v1/status");
  assert.equal(answer.status, 200);
  conforms(answer.json, STATUS);
  assert.deepEqual(pick(answer.json, "hosts"), { total: 0, online: 0, offline: 0, draining: 0, maintenance: 0 });
  assert.deepEqual(pick(answer.json, "images"), { total: 0, bytes: 0 });
});

test(
  "the localhost caller and a host-admin act in the org default unless they send X-Zwrm-Org: <slug or " + "id>",
  async () => {
    const id = String(pick((await request(loopback, "GET", "/v1/auth/whoami")).json, "org.id"));
    for (const org of ["default", id])
      assert.equal(
        (await request(loopback, "GET", "/v1/auth/whoami", { headers: { "x-zwrm-org": org } })).status,
        200,
        org,
      );
    const unknown = await request(loopback, "GET", "/v1/auth/whoami", { headers: { "x-zwrm-org": "no-such-org" } });
    assert.equal(unknown.status, 404);
  },
);

test(
  "Localhost bypass: only where the socket's remote address is loopback (127.0.0.0/8, ::1, and those " +
    "mapped into IPv6)",
  async (t) => {
    for (const host of ["127.0.0.1", "127.0.0.2"])
      assert.equal((await head([WHOAMI, `Host: ${host}`], { port: daemon.port, host })).status, 200, host);
    const both = await startDaemon({ config: `[server]\nhost = "::"` }, t);
    for (const host of ["127.0.0.1", "::1"])
      assert.equal(
        (await head([WHOAMI, "Host: localhost"], { port: both.port, host })).status,
        200,
        `${host} on a dual-stack listener`,
      );
  },
);

test("Localhost bypass: and the local address is: a caller from the machine's own address is nobody", async (t) => {
  const own = Object.values(networkInterfaces())
    .flat()
    .find((each) => each !== undefined && !each.internal && each.family === "IPv4")?.address;
  if (own === undefined) return t.skip("this machine has no address but the loopback");
  for (const host of ["localhost", own])
    assert.equal((await head([WHOAMI, `Host: ${host}`], { port: daemon.port, host: own })).status, 401, host);
});

test("Localhost bypass: no Authorization is sent (a wrong one is a 401, never an upgrade)", async () => {
  for (const value of ["Bearer x", "Basic eDp5", "", "Bearer", "Negotiate"])
    assert.equal(
      (await head([WHOAMI, "Host: localhost", `Authorization: ${value}`])).status,
      401,
      JSON.stringify(value),
    );
});

test("Localhost bypass: no Forwarded, X-Forwarded-*, X-Real-IP or Via header is there whatever its value", async () => {
  const names = [
    "Forwarded",
    "X-Forwarded-For",
    "x-forwarded-host",
    "X-FORWARDED-PROTO",
    "X-Forwarded-Anything",
    "X-Real-IP",
    "Via",
  ];
  for (const name of names) {
    for (const value of ["127.0.0.1", "", "for=::1"])
      assertError(await head([WHOAMI, "Host: localhost", `${name}: ${value}`]), 401, "unauthorized");
  }
});

test("Localhost bypass: exactly one Host names the loopback, any port (DNS rebinding)", async () => {
  for (const host of [
    "localhost",
    "LocalHost",
    `localhost:${daemon.port}`,
    "127.0.0.1",
    "127.0.0.1:1",
    "127.8.9.10:80",
    "[::1]",
    "[::1]:8080",
  ])
    assert.equal((await head([WHOAMI, `Host: ${host}`])).status, 200, host);
  const strangers = [
    "evil.example",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "evil.example:8080",
    "10.0.0.1",
    "0.0.0.0",
    "128.0.0.1",
    "[::2]",
    "[::ffff:10.0.0.1]",
    "localhost@evil.example",
    "127.0.0.1evil",
    "evil-localhost",
  ];
  for (const host of strangers) assert.ok([400, 401].includes((await head([WHOAMI, `Host: ${host}`])).status), host);
  assert.ok([400, 401].includes((await head([WHOAMI, "Host:"])).status), "an empty Host");
});

test("Localhost bypass: two Hosts, none at all, or the same twice are not exactly one", async () => {
  for (const hosts of [
    ["localhost", "evil.example"],
    ["evil.example", "localhost"],
    ["localhost", "localhost"],
  ]) {
    const answer = await head([WHOAMI, ...hosts.map((host) => `Host: ${host}`)]);
    assert.ok([400, 401].includes(answer.status), hosts.join());
  }
  assert.ok([400, 401].includes((await head([WHOAMI])).status));
});

test("Localhost bypass: no absolute-form target, no HTTP/1.0 without Host", async () => {
  for (const target of [
    "http://localhost/v1/auth/whoami",
    "http://evil.example/v1/auth/whoami",
    `http://127.0.0.1:${daemon.port}/v1/auth/whoami`,
  ]) {
    const answer = await head([`GET ${target} HTTP/1.1`, "Host: localhost"]);
    assert.ok([400, 401, 404].includes(answer.status), `${target}: ${answer.status}`);
  }
  const old = await sendRaw(loopback, "GET /v1/auth/whoami HTTP/1.0\r\n\r\n");
  assert.match(old.text, /^HTTP\/1\.[01] (400|401) /);
});

test("Localhost bypass: no browser of another site is asking (Origin, Sec-Fetch-Site other than none)", async () => {
  assert.equal((await head([WHOAMI, "Host: localhost", "Sec-Fetch-Site: none"])).status, 200);
  for (const line of [
    "Origin: http://localhost",
    "Origin: null",
    "Origin:",
    "Sec-Fetch-Site: cross-site",
    "Sec-Fetch-Site: same-site",
    "Sec-Fetch-Site: same-origin",
    "Sec-Fetch-Site:",
  ]) {
    assert.equal((await head([WHOAMI, "Host: localhost", line])).status, 401, line);
  }
});

test("Localhost bypass: a broken condition refuses changes just as reads", async () => {
  const lines = ["Host: localhost", "Via: 1.1 proxy", "Content-Length: 0"];
  for (const path of ["/v1/hosts/h-1/drain", "/v1/hosts/h-1/undrain", "/v1/hosts/h-1/activate"])
    assert.equal((await head([`POST ${path} HTTP/1.1`, ...lines])).status, 401, path);
  assert.equal((await head([`PUT /v1/images/sha256:${"0".repeat(64)} HTTP/1.1`, ...lines])).status, 401);
  assert.equal((await head([`DELETE /v1/images/sha256:${"0".repeat(64)} HTTP/1.1`, ...lines])).status, 401);
});

test("auth.localhost_bypass = false turns it off", async (t) => {
  const closed = await startDaemon({ config: "[auth]\nlocalhost_bypass = false" }, t);
  for (const path of ["/v1/auth/whoami", "/v1/hosts", "/v1/status"])
    assertError(await closed.request("GET", path), 401, "unauthorized");
  assert.equal((await closed.request("GET", "/v1/health")).status, 200);
});

test(
  "Beside TCP the daemon can listen on a unix socket (server.socket, mode 0660); its peer has the same " + "access",
  async () => {
    const socketPath = `${daemon.folder}/zwrmd.sock`;
    assert.equal(statSync(socketPath).mode & 0o777, 0o660);
    const answer = await request({ socketPath }, "GET", "/v1/auth/whoami");
    assert.equal(answer.status, 200);
    conforms(answer.json, LOCALHOST_CALLER);
    assert.equal((await request({ socketPath }, "GET", "/v1/hosts")).status, 200);
    assert.equal(
      (await request({ socketPath }, "GET", "/v1/hosts", { headers: { authorization: "Bearer wrong" } })).status,
      401,
      "a wrong token is a 401 here too",
    );
  },
);

test("the unix socket goes away at the stop, and a dead one is no obstacle to a start", async (t) => {
  const other = await startDaemon({ config: `[server]\nsocket = "FOLDER/other.sock"` }, t);
  const socketPath = `${other.folder}/other.sock`;
  await other.kill9();
  await other.start();
  assert.equal((await request({ socketPath }, "GET", "/v1/health")).status, 200);
  assert.deepEqual(await other.stop(), { code: 0, signal: null });
  assert.throws(() => statSync(socketPath), { code: "ENOENT" });
});
