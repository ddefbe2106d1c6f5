/** Part B, Commands: SIGHUP reloads certificates, origins and licence hashes, and nothing else. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { sha256Hex } from "../../src/lib/ids.ts";
import { eventually, startDaemon } from "../support/daemon.ts";
import { register } from "../support/fleet.ts";

const daemon = await startDaemon();

async function reload(toml: string): Promise<void> {
  daemon.configure(toml);
  const reloads = (): number => daemon.stdoutLines.filter((line) => line.includes("reloaded")).length;
  const before = reloads();
  daemon.signal("SIGHUP");
  await eventually("the reload's line in the log", () => (reloads() > before ? true : undefined));
}

test(
  "SIGHUP: reload licence hashes: the old hash is refused and the new one let in from the next request " + "on",
  async () => {
    assert.equal((await register(daemon, "h-1")).status, 201);
    await reload(`[license]\nkey_hashes = ["${sha256Hex("another")}"]`);
    assert.equal((await register(daemon, "h-1")).status, 401);
  },
);

test("SIGHUP does not turn the localhost bypass off or on: that takes a restart", async () => {
  await reload("[auth]\nlocalhost_bypass = false");
  assert.equal((await daemon.request("GET", "/v1/hosts")).status, 200);
});

test("SIGHUP with a config that cannot be read changes nothing", async () => {
  await reload(`[license]\nkey_hashes = ["${sha256Hex("third")}"]\n[server]\nprot = 1`);
  assert.equal((await daemon.request("GET", "/v1/health")).status, 200);
});
