/** Part B, the licence: what opens the internal routes, and that nothing else does. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { LICENSE_HASH, LICENSE_KEY, eventually, startDaemon } from "../support/daemon.ts";
import type { TestDaemon } from "../support/daemon.ts";
import { assertError } from "../support/http.ts";
import { listTree } from "../support/tree.ts";

function hashOf(key: string): string {
  return createHash("sha256").update(key).digest("hex");
}

async function statusWith(daemon: TestDaemon, authorization: string): Promise<number> {
  return (await daemon.request("GET", "/v1/internal/images", { headers: { authorization } })).status;
}

test("The licence: the agent sends Authorization: Bearer <lower-case hex SHA-256 of the licence key>", async (t) => {
  const daemon = await startDaemon({}, t);
  assert.equal(await statusWith(daemon, `Bearer ${LICENSE_HASH}`), 200);
  assert.equal(await statusWith(daemon, `bearer ${LICENSE_HASH}`), 200, "the scheme's name has no case");
  const wrong = [
    `Bearer ${LICENSE_HASH.toUpperCase()}`,
    `Bearer ${LICENSE_KEY}`,
    `Bearer ${LICENSE_HASH.slice(0, 63)}`,
    `Bearer ${LICENSE_HASH}0`,
    `Basic ${LICENSE_HASH}`,
    LICENSE_HASH,
    "Bearer",
    "Bearer ",
    `Bearer ${hashOf(LICENSE_HASH)}`,
  ];
  for (const header of wrong) {
    const answer = await daemon.request("GET", "/v1/internal/images", { headers: { authorization: header } });
    assertError(answer, 401, "unauthorized");
    assert.equal(answer.headers["www-authenticate"], "Bearer");
  }
});

test("The licence: two Authorization headers open nothing", async (t) => {
  const daemon = await startDaemon({}, t);
  const result = await daemon.raw(
    "GET /v1/internal/images HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " +
      `${LICENSE_HASH}\r\nAuthorization: Bearer x\r\nConnection: close\r\n\r\n`,
  );
  assert.match(result.text, /^HTTP\/1\.1 (400|401) /);
});

test("The localhost bypass does not open internal routes, and no unix socket does", async (t) => {
  const daemon = await startDaemon({ config: `[server]\nsocket = "FOLDER/zwrmd.sock"` }, t);
  for (const [method, path] of [
    ["GET", "/v1/internal/images"],
    ["POST", "/v1/internal/hosts/register"],
    ["POST", "/v1/internal/hosts/h/heartbeat"],
    ["POST", "/v1/internal/hosts/h/deregister"],
  ] as const) {
    assertError(await daemon.request(method, path), 401, "unauthorized");
  }
});

test("The licence: license.key_hashes, several for rotation", async (t) => {
  const daemon = await startDaemon({ config: `[license]\nkey_hashes = ["${hashOf("old")}", "${hashOf("new")}"]` }, t);
  assert.equal(await statusWith(daemon, `Bearer ${hashOf("old")}`), 200);
  assert.equal(await statusWith(daemon, `Bearer ${hashOf("new")}`), 200);
  assert.equal(await statusWith(daemon, `Bearer ${LICENSE_HASH}`), 401);
});

test("The licence: license.key is hashed at start and forgotten: The daemon keeps hashes only", async (t) => {
  const daemon = await startDaemon({ config: `[license]\nkey = "plain secret words"\nkey_hashes = []` }, t);
  assert.equal(await statusWith(daemon, `Bearer ${hashOf("plain secret words")}`), 200);
  await daemon.stop();
  for (const name of listTree(daemon.dataDir).filter((path) => !path.endsWith("/")))
    assert.ok(!readFileSync(`${daemon.dataDir}/${name}`).includes("plain secret words"), name);
  assert.ok(!daemon.stdoutLines.join("\n").includes("plain secret words"));
  assert.ok(!daemon.stdoutLines.join("\n").includes(hashOf("plain secret words")));
});

test("The licence: ZWRM_LICENSE_KEY is hashed at start", async (t) => {
  const daemon = await startDaemon(
    { config: "[license]\nkey_hashes = []", env: { ZWRM_LICENSE_KEY: "from the environment" } },
    t,
  );
  assert.equal(await statusWith(daemon, `Bearer ${hashOf("from the environment")}`), 200);
});

test("The licence: None configured: internal routes answer 503 license_not_configured", async (t) => {
  const daemon = await startDaemon({ config: "[license]\nkey_hashes = []" }, t);
  for (const headers of [{}, { authorization: `Bearer ${LICENSE_HASH}` }, { authorization: "Bearer " }]) {
    const answer = await daemon.request("POST", "/v1/internal/hosts/register", { headers });
    assertError(answer, 503, "license_not_configured");
    assert.match(String(answer.headers["retry-after"]), /^\d+$/, "503 with Retry-After");
  }
  assert.equal((await daemon.request("GET", "/v1/hosts")).status, 200, "the rest is served");
});

test("SIGHUP: reload licence hashes", async (t) => {
  const daemon = await startDaemon({}, t);
  daemon.configure(`[license]\nkey_hashes = ["${hashOf("rotated")}"]`);
  daemon.signal("SIGHUP");
  await eventually("the new licence to open", async () =>
    (await statusWith(daemon, `Bearer ${hashOf("rotated")}`)) === 200 ? true : undefined,
  );
  assert.equal(await statusWith(daemon, `Bearer ${LICENSE_HASH}`), 401, "and the old one not any more");
});

test("SIGHUP: reload origins; a config that is wrong is said and leaves the old one in force", async (t) => {
  const daemon = await startDaemon({ config: `[cors]\nallowed_origins = ["https://old.example"]` }, t);
  const allowed = async (origin: string): Promise<boolean> =>
    (await daemon.request("GET", "/", { headers: { origin } })).headers["access-control-allow-origin"] === origin;
  assert.equal(await allowed("https://old.example"), true);
  daemon.configure(`[cors]\nallowed_origins = ["https://new.example"]`);
  daemon.signal("SIGHUP");
  await eventually("the new origin", async () => ((await allowed("https://new.example")) ? true : undefined));
  assert.equal(await allowed("https://old.example"), false);
  daemon.configure(`[cors]\nallowed_origins = 7`);
  daemon.signal("SIGHUP");
  await daemon.line(/ (WARN|ERROR) .*allowed_origins/);
  assert.equal(await allowed("https://new.example"), true);
  assert.equal(await statusWith(daemon, `Bearer ${LICENSE_HASH}`), 200);
});
