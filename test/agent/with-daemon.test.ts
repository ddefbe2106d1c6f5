/**
 * The real agent and the real daemon: an empty host registers, is heard, is drained, and comes back after a restart of
 * either.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { eventually, startDaemon } from "../support/daemon.ts";
import type { TestDaemon } from "../support/daemon.ts";
import { pick } from "../support/json.ts";
import { LICENCE, TestAgent } from "./test-agent.ts";

const HASH = createHash("sha256").update(LICENCE).digest("hex");
const CONFIG = `[hosts]\noffline_after = "3s"\n[license]\nkey_hashes = ["${HASH}"]\n`;

async function hostIs(daemon: TestDaemon, path: string, value: string): Promise<void> {
  await eventually(
    `a host whose ${path} is ${value}`,
    async () => (pick((await daemon.request("GET", "/v1/hosts")).json, `hosts.0.${path}`) === value ? true : undefined),
    30_000,
  );
}

test("an empty host registers, stays online, drains at once, and is activated again", async (context) => {
  const daemon = await startDaemon({ config: CONFIG }, context);
  const agent = new TestAgent(daemon.url, context, 'command = ["/bin/sh", "{image}"]', 'host_id = "h-1"');
  agent.start();
  await hostIs(daemon, "status", "active");
  await eventually("its usage", async () => {
    const usage = pick((await daemon.request("GET", "/v1/hosts/h-1")).json, "usage.memory_mb");
    return typeof usage === "number" && usage > 10 ? true : undefined;
  });
  assert.equal((await daemon.request("POST", "/v1/hosts/h-1/drain", { body: {} })).status, 202);
  await hostIs(daemon, "status", "maintenance");
  assert.equal(pick((await daemon.request("GET", "/v1/hosts/h-1/drain-status")).json, "state"), "completed");
  assert.equal((await daemon.request("POST", "/v1/hosts/h-1/activate")).status, 200);
});

test("an agent that is gone is offline, and online again with the next; nobody else takes its id", async (context) => {
  const daemon = await startDaemon({ config: CONFIG }, context);
  const agent = new TestAgent(daemon.url, context, "", 'host_id = "h-1"');
  agent.start();
  await hostIs(daemon, "health", "online");
  assert.equal((await agent.stop()).code, 0);
  await hostIs(daemon, "health", "offline");
  agent.start();
  await hostIs(daemon, "health", "online");
  const thief = new TestAgent(daemon.url, context, "", 'host_id = "h-1"');
  thief.start();
  await eventually("its refusal", () => (/code=host_key_mismatch/.test(thief.output) ? true : undefined));
  await hostIs(daemon, "health", "online");
});

test("a daemon that lost the host is registered with again, and one that comes back is found", async (context) => {
  const daemon = await startDaemon({ config: `[server]\nport = 0\n${CONFIG}` }, context);
  const agent = new TestAgent(daemon.url, context, "", 'host_id = "h-1"');
  agent.start();
  await hostIs(daemon, "health", "online");
  const port = daemon.port;
  daemon.configure(`[server]\nport = ${port}\n${CONFIG}`);
  await daemon.kill9();
  await daemon.start();
  await hostIs(daemon, "health", "online");
  await eventually(
    "its relief",
    () => (/the control plane answers again/.test(agent.output) ? true : undefined),
    30_000,
  );
  const deregister = (key: string) =>
    daemon.asAgent("POST", "/v1/internal/hosts/h-1/deregister", {
      headers: { authorization: `Bearer ${HASH}`, "x-zwrm-host-key": key },
      body: {},
    });
  assert.equal((await deregister("0".repeat(32))).status, 403);
  const registeredAt = async () => pick((await daemon.request("GET", "/v1/hosts/h-1")).json, "registered_at");
  const before = await registeredAt();
  assert.equal((await deregister(readFileSync(join(agent.folder, "state/host.key"), "utf8").trim())).status, 200);
  // By the next beat's 404, or by the registration that is told again after the daemon was away: the log tells only of
  // the former.
  await eventually(
    "its second registration",
    async () => (typeof (await registeredAt()) === "string" && (await registeredAt()) !== before ? true : undefined),
    30_000,
  );
  await hostIs(daemon, "health", "online");
});
