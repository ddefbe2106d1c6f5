/** Part B, Beyond the given table: paths that are kept for what is not there yet. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startDaemon } from "../support/daemon.ts";
import { assertError } from "../support/http.ts";

test("Volumes, secrets and databases are reserved: 501 not_available_yet", async (t) => {
  const daemon = await startDaemon({}, t);
  for (const path of ["/v1/apps/a-1/volumes", "/v1/apps/a-1/secrets", "/v1/org/secrets", "/v1/databases"]) {
    assertError(await daemon.request("GET", path), 501, "not_available_yet");
    assertError(await daemon.request("POST", path, { body: { name: "x" } }), 501, "not_available_yet");
    assert.equal((await daemon.request("GET", path, { headers: { authorization: "Bearer wrong" } })).status, 401, path);
  }
});
