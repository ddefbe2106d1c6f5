/**
 * The real agents and the real daemon over an outage of the daemon: whatever its offline_after, it hears of every host
 * before it would call it offline.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import * as net from "node:net";
import { existsSync, readFileSync } from "node:fs";
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

function configOf(port: number, offlineAfter: number): string {
  const hosts = `[hosts]\noffline_after = "${offlineAfter}s"\n`;
  return `[server]\nport = ${port}\n${hosts}[license]\nkey_hashes = ["${HASH}"]\n`;
}

async function allOnline(daemon: TestDaemon, count: number): Promise<void> {
  const online = async (): Promise<number> => (await healths(daemon)).filter((health) => health === "online").length;
  await eventually("all hosts", async () => ((await online()) === count ? true : undefined));
}

interface DeafServer {
  readonly calls: () => number;
  readonly close: () => Promise<void>;
}

/** Stands where the daemon was and answers nobody; counts who comes. */
async function deafServer(owner: Owner, port: number): Promise<DeafServer> {
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
  test(
    `after an outage no host is called offline with an offline_after of ${offlineAfter} s, also by ` +
      "agents that were started in it",
    async (context) => {
      const daemon = await startDaemon({ config: configOf(0, offlineAfter) }, context);
      const port = daemon.port;
      daemon.configure(configOf(port, offlineAfter));
      const agents = [1, 2, 3].map((n) => new TestAgent(daemon.url, context, "", `host_id = "h-${n}"`));
      for (const agent of agents) agent.start();
      await allOnline(daemon, agents.length);
      // It is in the list before its first beat is answered, with which it joins.
      const own = join(agents[0]?.folder ?? "", "state/cluster.json");
      await eventually("its cluster", () => (existsSync(own) ? true : undefined));
      await daemon.kill9();
      const deaf = await deafServer(context, port);
      // One agent does not know of the daemon but what an earlier one has kept.
      await agents[0]?.stop();
      assert.match(readFileSync(own, "utf8"), new RegExp(`"offline_after_seconds":${offlineAfter}\\b`));
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
    },
  );
}

test("a daemon that was started anew with a shorter offline_after calls no host offline for it", async (context) => {
  const daemon = await startDaemon({ config: configOf(0, 60) }, context);
  const port = daemon.port;
  const agents = [1, 2].map((n) => new TestAgent(daemon.url, context, "", `host_id = "h-${n}"`));
  for (const agent of agents) agent.start();
  await allOnline(daemon, agents.length);
  daemon.configure(configOf(port, 6));
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
