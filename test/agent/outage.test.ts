/**
 * The real agents and the real daemon over an outage of the daemon: whatever its offline_after, it hears of every host
 * before it would call it offline.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import * as net from "node:net";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { eventually, startDaemon } from "../support/daemon.ts";
import type { Owner, TestDaemon } from "../support/daemon.ts";
import { listAt, pick } from "../support/json.ts";
import { LICENCE, TestAgent } from "./test-agent.ts";

const HASH = createHash("sha256").update(LICENCE).digest("hex");

async function healths(daemon: TestDaemon): Promise<string[]> {
  return listAt((await daemon.request("GET", "/v1/hosts")).json, "hosts").map((host) => String(pick(host, "health")));
}

/** Stands where the daemon was and answers nobody; counts who comes. */
async function deafServer(owner: Owner, port: number): Promise<{ readonly calls: () => number; readonly close: () => Promise<void> }> {
  let calls = 0;
  const server = net.createServer((socket) => {
    calls += 1;
    socket.on("error", () => undefined);
    socket.destroy();
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  owner.after(() => void server.close());
  return { calls: () => calls, close: () => new Promise((resolve) => void server.close(() => resolve())) };
}

for (const offlineAfter of [1, 5]) {
  test(`after an outage no host is called offline with an offline_after of ${offlineAfter} s, also by agents that were started in it`, async (context) => {
    const config = (port: number): string => `[server]\nport = ${port}\n[hosts]\noffline_after = "${offlineAfter}s"\n[license]\nkey_hashes = ["${HASH}"]\n`;
    const daemon = await startDaemon({ config: config(0) }, context);
    const port = daemon.port;
    daemon.configure(config(port));
    const agents = [1, 2, 3].map((n) => new TestAgent(daemon.url, context, "", `host_id = "h-${n}"`));
    for (const agent of agents) agent.start();
    await eventually("all hosts", async () => ((await healths(daemon)).filter((health) => health === "online").length === agents.length ? true : undefined));
    await daemon.kill9();
    const deaf = await deafServer(context, port);
    // One agent does not know of the daemon but what an earlier one has kept.
    await agents[0]?.stop();
    assert.match(readFileSync(join(agents[0]?.folder ?? "", "state/cluster.json"), "utf8"), new RegExp(`"offline_after_seconds":${offlineAfter}\\b`));
    agents[0]?.start();
    // By then each has come to its longest delay.
    await eventually("many calls", () => (deaf.calls() >= 10 * agents.length ? true : undefined), 60_000);
    await deaf.close();
    await daemon.start();
    const seen = new Set<string>();
    const until = performance.now() + offlineAfter * 2_500;
    while (performance.now() < until) {
      for (const health of await healths(daemon)) seen.add(health);
      await sleep(20);
    }
    assert.deepEqual([...seen], ["online"]);
  });
}

test("a daemon that was started anew with a shorter offline_after calls no host offline for it", async (context) => {
  const config = (port: number, offlineAfter: string): string => `[server]\nport = ${port}\n[hosts]\noffline_after = "${offlineAfter}"\n[license]\nkey_hashes = ["${HASH}"]\n`;
  const daemon = await startDaemon({ config: config(0, "60s") }, context);
  const port = daemon.port;
  const agents = [1, 2].map((n) => new TestAgent(daemon.url, context, "", `host_id = "h-${n}"`));
  for (const agent of agents) agent.start();
  await eventually("all hosts", async () => ((await healths(daemon)).filter((health) => health === "online").length === agents.length ? true : undefined));
  daemon.configure(config(port, "6s"));
  await daemon.kill9();
  await daemon.start();
  const seen = new Set<string>();
  const until = performance.now() + 15_000;
  while (performance.now() < until) {
    for (const health of await healths(daemon)) seen.add(health);
    await sleep(20);
  }
  assert.deepEqual([...seen], ["online"]);
});
