/** Tests of JSON calls in src/client: what goes out, what comes back, and what is said when nothing does. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import * as https from "node:https";
import * as net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { test } from "node:test";
import { parseAddress } from "../../src/client/address.ts";
import { ClientError, explain } from "../../src/client/errors.ts";
import { Client } from "../../src/client/http.ts";
import { systemClock } from "../../src/lib/clock.ts";
import type { Answering } from "./support.ts";
import { listen, ManualClock, portOf, serve, until } from "./support.ts";

function clientOf(
  t: TestContext,
  apiUrl: string,
  more: { token?: string; headers?: Record<string, string>; clock?: ManualClock } = {},
): Client {
  const client = new Client({ apiUrl, clock: systemClock, userAgent: "test/1", ...more });
  t.after(() => client.close());
  return client;
}

async function pair(
  t: TestContext,
  answer: Answering,
  more: { token?: string; headers?: Record<string, string> } = {},
) {
  const server = await serve(answer);
  t.after(() => server.close());
  return { server, client: clientOf(t, server.url, more) };
}

/** A server that speaks no HTTP: `talk` has the socket once the first bytes are there. */
async function rawServer(t: TestContext, talk: (socket: net.Socket, connection: number) => void): Promise<string> {
  let connections = 0;
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    const connection = (connections += 1);
    socket.on("error", () => undefined);
    socket.on("data", () => talk(socket, connection));
  });
  await listen(server);
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `http://127.0.0.1:${portOf(server)}`;
}

async function failure(work: Promise<unknown>): Promise<ClientError> {
  const error: unknown = await work.then(
    () => null,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof ClientError, String(error));
  return error;
}

test("sends method, path, query, headers and JSON, and gives back what was answered", async (t) => {
  const { server, client } = await pair(t, () => [201, { host: "h-1" }], {
    token: "zwrm_key_x",
    headers: { "X-Zwrm-Org": "acme" },
  });
  const answer = await client.request("POST", "/v1/hosts/a%2Fb/drain", {
    body: { reason: "Übung" },
    query: { limit: 5, after: "a b&c", gone: undefined, force: true },
    headers: { "X-More": "1" },
  });
  assert.deepEqual([answer.status, answer.body, answer.requestId], [201, { host: "h-1" }, "req-1"]);
  const [seen] = server.seen;
  assert.deepEqual([seen?.method, seen?.url], ["POST", "/v1/hosts/a%2Fb/drain?limit=5&after=a+b%26c&force=true"]);
  assert.deepEqual(JSON.parse(String(seen?.body)), { reason: "Übung" });
  const {
    authorization,
    accept,
    "user-agent": agent,
    "x-zwrm-org": org,
    "x-more": more,
    "content-type": type,
    host,
  } = seen?.headers ?? {};
  assert.deepEqual(
    [authorization, accept, agent, org, more, type, host],
    ["Bearer zwrm_key_x", "application/json", "test/1", "acme", "1", "application/json", `127.0.0.1:${server.port}`],
  );
});

test(
  "sends nothing that a proxy would, whatever the environment says, so that the localhost bypass stays " + "open",
  async (t) => {
    const saved = { ...process.env };
    t.after(() => Object.assign(process.env, saved));
    for (const name of ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]) {
      process.env[name] = "http://127.0.0.1:1";
      t.after(() => delete process.env[name]);
    }
    const { server, client } = await pair(t, () => [200, {}]);
    await client.request("GET", "/");
    assert.deepEqual(Object.keys(server.seen[0]?.headers ?? {}).sort(), ["accept", "connection", "host", "user-agent"]);
  },
);

test("gives null for an answer without a body", async (t) => {
  const { client } = await pair(t, () => [204, null]);
  assert.equal((await client.request("DELETE", "/v1/hosts/h/key")).body, null);
  assert.equal((await client.request("HEAD", "/v1/hosts")).body, null);
});

test("speaks over a unix socket with a loopback Host", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "zwrm-client-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const server = await serve(() => [200, { status: "healthy" }], { path: join(folder, "z.sock") });
  t.after(() => server.close());
  assert.deepEqual((await clientOf(t, server.url).request("GET", "/v1/health")).body, { status: "healthy" });
  assert.equal(server.seen[0]?.headers.host, "localhost");
});

test("puts the URL's own path in front of every call", async (t) => {
  const server = await serve(() => [200, {}]);
  t.after(() => server.close());
  await clientOf(t, `${server.url}/zwrm/`).request("GET", "/v1/status");
  assert.equal(server.seen[0]?.url, "/zwrm/v1/status");
});

test("throws the daemon's error with its code, field, request id and Retry-After", async (t) => {
  const { client } = await pair(t, () => [
    429,
    { error: "Slow down.", code: "too_many", request_id: "r-9", field: "email" },
    { "Retry-After": "7" },
  ]);
  const error = await failure(client.request("GET", "/"));
  assert.deepEqual(
    [error.message, error.code, error.status, error.field, error.requestId, error.retryAfterSeconds],
    ["Slow down.", "too_many", 429, "email", "r-9", 7],
  );
});

test("takes the request id from the header where the error body has none", async (t) => {
  const { client } = await pair(t, () => [500, { error: "It failed.", code: "internal" }]);
  assert.equal((await failure(client.request("GET", "/"))).requestId, "req-1");
});

test("says so when something else answers", async (t) => {
  const answers: readonly (readonly [number, unknown, Record<string, string>, RegExp])[] = [
    [502, "<html>", { "Content-Type": "text/html" }, /is not zwrmd \(status 502, text\/html\)/],
    [200, "<html>", { "Content-Type": "text/html" }, /is not zwrmd \(status 200, text\/html\)/],
    [200, "{", {}, /is not zwrmd/],
    [404, { message: "no" }, {}, /is not zwrmd \(status 404, application\/json\)/],
    [302, "", { Location: "https://other/" }, /redirects to https:\/\/other\/\. Redirects are not followed/],
  ];
  for (const [status, body, headers, message] of answers) {
    const { client } = await pair(t, () => [status, body, headers]);
    const error = await failure(client.request("GET", "/"));
    assert.equal(error.code, "bad_answer");
    assert.match(error.message, message);
  }
});

test("says what to do when nothing listens", async (t) => {
  const server = await serve(() => [200, {}]);
  await server.close();
  const error = await failure(clientOf(t, server.url).request("GET", "/"));
  assert.deepEqual([error.code, error.status], ["unreachable", null]);
  assert.match(error.message, new RegExp(`^Nothing listens at ${server.url}\\. Is zwrmd running`));
});

test("says what to do when a socket is missing, stale, forbidden or no socket", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "zwrm-client-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const missing = join(folder, "z.sock");
  assert.match(
    (await failure(clientOf(t, `unix:${missing}`).request("GET", "/"))).message,
    /There is no socket at .*z\.sock\. Is zwrmd running/,
  );
  writeFileSync(join(folder, "file"), "");
  assert.match(
    (await failure(clientOf(t, `unix:${folder}/file`).request("GET", "/"))).message,
    /Nothing listens on the socket|is not a socket/,
  );
  const denied = Object.assign(new Error("connect EACCES"), { code: "EACCES" });
  assert.match(explain(denied, parseAddress(`unix:${missing}`)).message, /may not open the socket .* Join the group/);
});

test("has a sentence for every way in which a connection fails", () => {
  const address = parseAddress("https://cp.example:8443");
  const said = (code: string): readonly [string, string] => {
    const { code: kind, message } = explain(Object.assign(new Error("raw"), { code }), address);
    return [kind, message];
  };
  const expected: readonly (readonly [string, string, RegExp])[] = [
    ["ENOTFOUND", "unreachable", /The name cp\.example is not known/],
    ["EAI_AGAIN", "unreachable", /no name server answers/],
    ["EHOSTUNREACH", "unreachable", /no route to cp\.example/],
    ["EACCES", "unreachable", /firewall or a sandbox/],
    ["ETIMEDOUT", "timeout", /port 8443/],
    ["EPROTO", "tls", /begin with http:\/\//],
    ["DEPTH_ZERO_SELF_SIGNED_CERT", "tls", /NODE_EXTRA_CA_CERTS/],
    ["CERT_HAS_EXPIRED", "tls", /has expired/],
    ["ERR_TLS_CERT_ALTNAME_INVALID", "tls", /another name than cp\.example/],
    ["CERT_REVOKED", "tls", /CERT_REVOKED/],
    ["ECONNRESET", "closed", /try again/],
    ["HPE_INVALID_CONSTANT", "bad_answer", /does not speak HTTP/],
    ["EWHATEVER", "unreachable", /cannot be reached: raw/],
  ];
  for (const [code, kind, message] of expected) {
    const [saidKind, sentence] = said(code);
    assert.equal(saidKind, kind, code);
    assert.match(sentence, message);
  }
});

test("names what is wrong with a real certificate, and with TLS where there is none", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "zwrm-client-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const made = spawnSync("openssl", [
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-nodes",
    "-subj",
    "/CN=x",
    "-days",
    "2",
    "-keyout",
    key,
    "-out",
    cert,
  ]);
  const plain = await serve(() => [200, {}]);
  t.after(() => plain.close());
  assert.equal((await failure(clientOf(t, plain.url.replace("http:", "https:")).request("GET", "/"))).code, "tls");
  if (made.status !== 0) return;
  const server = https.createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (_req, res) => res.end("{}"));
  await listen(server);
  t.after(() => server.close());
  const error = await failure(clientOf(t, `https://127.0.0.1:${portOf(server)}`).request("GET", "/"));
  assert.equal(error.code, "tls");
  assert.match(error.message, /not signed by an authority/);
});

test("says so when what answers does not speak HTTP, and when it hangs up in the middle", async (t) => {
  const ssh = await rawServer(t, (socket) => socket.end("SSH-2.0-OpenSSH\r\n"));
  assert.match((await failure(clientOf(t, ssh).request("GET", "/"))).message, /does not speak HTTP/);
  const short = await rawServer(t, (socket) =>
    socket.end('HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"a":'),
  );
  assert.equal((await failure(clientOf(t, short).request("GET", "/"))).code, "closed");
  let asked = 0;
  const mute = await rawServer(t, (socket) => {
    asked += 1;
    socket.destroy();
  });
  assert.equal((await failure(clientOf(t, mute).request("GET", "/"))).code, "closed");
  assert.equal(asked, 1, "a new connection that breaks is not tried again");
});

test("asks once more when a kept connection was closed just then, but only for what changes nothing", async (t) => {
  const ok = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
  const requests = new Map<number, number>();
  const url = await rawServer(t, (socket, connection) => {
    const count = (requests.get(connection) ?? 0) + 1;
    requests.set(connection, count);
    if (count === 1) socket.write(ok);
    else socket.destroy();
  });
  const client = clientOf(t, url);
  await client.request("GET", "/");
  assert.deepEqual((await client.request("GET", "/")).body, {});
  await client.request("GET", "/");
  assert.equal((await failure(client.request("POST", "/"))).code, "closed");
});

test("gives up after the time without progress, and not before", async (t) => {
  const clock = new ManualClock();
  let socket: net.Socket | undefined;
  const url = await rawServer(t, (it) => (socket = it));
  const error = failure(clientOf(t, url, { clock }).request("GET", "/", { timeoutMs: 10_000 }));
  await until(() => socket !== undefined);
  for (const part of [
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n",
    '{"a"',
    ":1,",
  ]) {
    clock.advance(9_000);
    socket?.write(part);
    // Nothing here shows when the client has read that: loopback needs far less than these turns.
    for (let turn = 0; turn < 200; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  }
  clock.advance(9_000);
  assert.equal(clock.pending, 1, "each part was progress");
  clock.advance(2_000);
  assert.deepEqual(
    [(await error).code, (await error).message],
    ["timeout", `${url} has not answered within 10s. It may be overloaded: try again.`],
  );
  assert.equal(clock.pending, 0);
});

test("leaves no timer behind after an answer", async (t) => {
  const clock = new ManualClock();
  const server = await serve(() => [200, {}]);
  t.after(() => server.close());
  await clientOf(t, server.url, { clock }).request("GET", "/");
  assert.equal(clock.pending, 0);
});

test("refuses a token that no header can carry, without showing it", () => {
  const make = () =>
    new Client({ apiUrl: "http://x", clock: systemClock, userAgent: "test/1", token: "secret\nX-Evil: 1" });
  assert.throws(
    make,
    (error: Error) => error instanceof ClientError && error.code === "bad_header" && !error.message.includes("secret"),
  );
});
