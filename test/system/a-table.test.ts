/**
 * Part A of the contract: every row of its table, each route's access, and the middleware that every request passes.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { startDaemon } from "../support/daemon.ts";
import { beat, register, registerBusy } from "../support/fleet.ts";
import { assertError } from "../support/http.ts";
import { conforms, exactly, listOf, nullOr, pick, shape, text } from "../support/json.ts";
import type { Check, Json } from "../support/json.ts";
import { DRAIN_STATUS, HOST, IMAGES, LOCALHOST_CALLER, REGISTERED, STATUS, heard } from "../support/shapes.ts";

const daemon = await startDaemon({ config: `[cors]\nallowed_origins = ["https://console.example"]` });
const bytes = Buffer.from("an image of a few bytes");
const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
const HOSTS: Check = shape({ hosts: listOf(HOST) });

interface Row {
  readonly row: string;
  readonly access: "public" | "internal" | "protected";
  readonly method: string;
  readonly path: string;
  readonly body?: Json;
  readonly status: number;
  readonly check: Check | null;
}

/** The rows in an order in which each finds what it needs: h-1 is drained and activated, h-2 drained and undrained. */
const ROWS: readonly Row[] = [
  {
    row: `public GET / {"service":"zwrmd","version":"..."}`,
    access: "public",
    method: "GET",
    path: "/",
    status: 200,
    check: shape({ service: exactly("zwrmd"), version: text }),
  },
  {
    row: "public GET /metrics Prometheus metrics",
    access: "public",
    method: "GET",
    path: "/metrics",
    status: 200,
    check: null,
  },
  {
    row: `public GET /v1/health {"status":"healthy"}`,
    access: "public",
    method: "GET",
    path: "/v1/health",
    status: 200,
    check: exactly({ status: "healthy" }),
  },
  {
    row: "internal POST /v1/internal/hosts/register register a host agent",
    access: "internal",
    method: "POST",
    path: "/v1/internal/hosts/register",
    body: { host_id: "h-new", hostname: "new", capacity: { cpus: 1, memory_mb: 1 } },
    status: 201,
    check: REGISTERED,
  },
  {
    row: "internal POST /v1/internal/hosts/{host_id}/heartbeat heartbeat",
    access: "internal",
    method: "POST",
    path: "/v1/internal/hosts/h-1/heartbeat",
    body: {},
    status: 200,
    check: heard(true),
  },
  {
    row: "internal GET /v1/internal/images/{digest} download an image by its content digest",
    access: "internal",
    method: "GET",
    path: `/v1/internal/images/${digest}`,
    status: 200,
    check: null,
  },
  {
    row: "internal HEAD /v1/internal/images/{digest} does it exist",
    access: "internal",
    method: "HEAD",
    path: `/v1/internal/images/${digest}`,
    status: 200,
    check: null,
  },
  {
    row: "internal GET /v1/internal/images list",
    access: "internal",
    method: "GET",
    path: "/v1/internal/images",
    status: 200,
    check: IMAGES,
  },
  {
    row: "internal GET /v1/internal/images optionally ?app_id=",
    access: "internal",
    method: "GET",
    path: "/v1/internal/images?app_id=web",
    status: 200,
    check: IMAGES,
  },
  {
    row: "protected GET /v1/hosts list all hosts",
    access: "protected",
    method: "GET",
    path: "/v1/hosts",
    status: 200,
    check: HOSTS,
  },
  {
    row: "protected GET /v1/hosts/{host_id} one host, with capacity",
    access: "protected",
    method: "GET",
    path: "/v1/hosts/h-1",
    status: 200,
    check: HOST,
  },
  {
    row: "protected POST /v1/hosts/{host_id}/drain start a drain",
    access: "protected",
    method: "POST",
    path: "/v1/hosts/h-2/drain",
    body: {},
    status: 202,
    check: DRAIN_STATUS,
  },
  {
    row: "protected GET /v1/hosts/{host_id}/drain-status its progress",
    access: "protected",
    method: "GET",
    path: "/v1/hosts/h-2/drain-status",
    status: 200,
    check: DRAIN_STATUS,
  },
  {
    row: "protected POST /v1/hosts/{host_id}/undrain cancel it",
    access: "protected",
    method: "POST",
    path: "/v1/hosts/h-2/undrain",
    status: 200,
    check: null,
  },
  {
    row: "protected POST /v1/hosts/{host_id}/activate back from maintenance",
    access: "protected",
    method: "POST",
    path: "/v1/hosts/h-3/activate",
    status: 200,
    check: null,
  },
  {
    row: "protected GET /v1/auth/whoami the current user",
    access: "protected",
    method: "GET",
    path: "/v1/auth/whoami",
    status: 200,
    check: LOCALHOST_CALLER,
  },
  {
    row: "protected GET /v1/status system status, scoped to the user's org",
    access: "protected",
    method: "GET",
    path: "/v1/status",
    status: 200,
    check: STATUS,
  },
  {
    row: "internal POST /v1/internal/hosts/{host_id}/deregister deregister",
    access: "internal",
    method: "POST",
    path: "/v1/internal/hosts/h-new/deregister",
    body: {},
    status: 200,
    check: null,
  },
];

test("the hosts and the image that the rows need", async () => {
  assert.equal((await register(daemon, "h-1")).status, 201);
  await registerBusy(daemon, "h-2");
  assert.equal((await register(daemon, "h-3")).status, 201);
  await daemon.request("POST", "/v1/hosts/h-3/drain");
  assert.equal((await beat(daemon, "h-3", { machines: [] })).status, 200);
  assert.equal((await daemon.request("PUT", `/v1/images/${digest}?app_id=web`, { body: bytes })).status, 201);
});

for (const { row, access, method, path, body, status, check } of ROWS) {
  const options = body === undefined ? {} : { body };

  test(`A: ${row}`, async () => {
    if (access !== "public") {
      const outside = access === "internal" ? {} : { via: "1.1 proxy" };
      const refused = await daemon.request(method, path, { ...options, headers: outside });
      assert.equal(refused.status, 401, "nothing but its own credentials opens it");
      assert.equal(refused.headers["www-authenticate"], "Bearer");
      if (method !== "HEAD") assertError(refused, 401, "unauthorized");
      const wrong = await daemon.request(method, path, { ...options, headers: { authorization: "Bearer nonsense" } });
      assert.equal(wrong.status, 401, "a wrong token is a 401, from localhost too");
    } else {
      const anyone = await daemon.request(method, path, {
        headers: { authorization: "Bearer nonsense", via: "1.1 proxy" },
      });
      assert.equal(anyone.status, status, "Auth checks the bearer token on protected routes only");
    }
    const answer =
      access === "internal" ? await daemon.asAgent(method, path, options) : await daemon.request(method, path, options);
    assert.equal(answer.status, status, answer.text);
    if (check !== null) conforms(answer.json, check);
  });
}

test(
  "A: Internal routes are authenticated by the SHA-256 hash of the licence key, and it opens nothing " + "else",
  async () => {
    for (const path of ["/v1/hosts", "/v1/auth/whoami", "/v1/status"])
      assertError(await daemon.asAgent("GET", path), 401, "unauthorized");
  },
);

test("A: download an image by its content digest gives its bytes, HEAD says that it exists", async () => {
  const got = await daemon.asAgent("GET", `/v1/internal/images/${digest}`);
  assert.deepEqual(got.body, bytes);
  const head = await daemon.asAgent("HEAD", `/v1/internal/images/${digest}`);
  assert.equal(head.headers["content-length"], String(bytes.length));
  const missing = `sha256:${"0".repeat(64)}`;
  assert.equal((await daemon.asAgent("HEAD", `/v1/internal/images/${missing}`)).status, 404);
});

test("A: list of images, optionally ?app_id=", async () => {
  const listed = async (query: string): Promise<Json | undefined> =>
    pick((await daemon.asAgent("GET", `/v1/internal/images${query}`)).json, "images.0.digest");
  assert.equal(await listed(""), digest);
  assert.equal(await listed("?app_id=web"), digest);
  assert.equal(await listed("?app_id=other"), undefined);
});

test("A: Logger (one line: METHOD PATH STATUS DURATION BYTES), with the request id behind it", async () => {
  const answer = await daemon.request("GET", "/v1/health?probe=1", { headers: { "x-request-id": "log-line-1" } });
  const line = await daemon.line(/log-line-1/);
  const [, bytesSent] = /\bGET \/v1\/health\S* 200 [\d.]+(?:µs|us|ms|s) (\d+) .*log-line-1/.exec(line) ?? [];
  assert.equal(bytesSent, String(answer.body.length), line);
  await daemon.request("GET", "/nowhere", { headers: { "x-request-id": "log-line-2" } });
  assert.match(await daemon.line(/log-line-2/), /\bGET \/nowhere 404 /);
  await daemon.request("GET", "/v1/hosts", {
    headers: { "x-request-id": "log-line-3", authorization: "Bearer zwrm_key_very-secret" },
  });
  assert.match(await daemon.line(/log-line-3/), /\bGET \/v1\/hosts 401 /);
  assert.ok(!daemon.stdoutLines.some((each) => each.includes("very-secret")), "no token reaches the log");
});

test(
  "A: CORS (checks Origin against cors.allowed_origins) and Metrics stand before Auth: a 401 bears CORS " +
    "headers and is counted",
  async () => {
    const counted = async (): Promise<number> => {
      const scraped = await daemon.request("GET", "/metrics");
      return Number(
        /^zwrmd_http_requests_total\{method="GET",route="\/v1\/hosts",status="401"\} (\d+)$/m.exec(scraped.text)?.[1] ??
          0,
      );
    };
    const before = await counted();
    const answer = await daemon.request("GET", "/v1/hosts", { headers: { origin: "https://console.example" } });
    assert.equal(answer.status, 401);
    assert.equal(answer.headers["access-control-allow-origin"], "https://console.example");
    assert.equal(await counted(), before + 1);
  },
);

test("A: one configured port, 8080 by default", async () => {
  const { stdout } = await daemon.command("--generate-config");
  assert.match(stdout, /^#? ?port = 8080$/m);
});

test("A: Recovery answers with a JSON body: an error is never HTML or empty", async () => {
  const answers = await Promise.all([
    daemon.request("GET", "/nowhere"),
    daemon.request("DELETE", "/v1/hosts"),
    daemon.request("GET", "/v1/hosts/none"),
    daemon.asAgent("GET", "/v1/internal/images/x"),
  ]);
  assert.deepEqual(
    answers.map((answer) => answer.status),
    [404, 405, 404, 400],
  );
  for (const answer of answers)
    conforms(answer.json, shape({ error: text, code: text, request_id: text, "field?": nullOr(text) }));
});
