/**
 * Hosts that cannot start machines beside three that can, with the real programs: one with a full disk, one whose
 * runtime command is missing, one that cannot keep images. A deployment of nine completes on the good ones, and `zwrm
 * host list` and `host status` show what is wrong with the bad.
 */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { TestAgent } from "../agent/test-agent.ts";
import { eventually, run } from "../support/daemon.ts";
import { listAt, pick, textAt } from "../support/json.ts";
import { startFleet } from "../support/real-fleet.ts";

const ZWRM = fileURLToPath(new URL("../../dist/zwrm.js", import.meta.url));
const SHELL = 'command = ["/bin/sh", "{image}"]';
const SERVES = "trap 'exit 0' TERM; while :; do sleep 5 & wait $!; done\n";
/** Machines would be spread evenly over six hosts. */
const REPLICAS = 9;

/** A folder of the agent's on a disk of its own, as `options` say; null where no mount namespace can be made. */
async function onDisk(agent: TestAgent, name: string, options: string, then = ""): Promise<boolean> {
  const unshare = process.getuid?.() === 0 ? ["unshare", "-m"] : ["unshare", "-r", "-m"];
  const [command = "", ...flags] = unshare;
  if ((await run(command, [...flags, "sh", "-c", "mount -t tmpfs tmpfs /tmp"])).code !== 0) return false;
  mkdirSync(join(agent.folder, name), { recursive: true });
  const script =
    `mount -t tmpfs -o "${options}" tmpfs "$1" && cd "$1" && { ${then === "" ? ":" : then}; } ` +
    `&& shift && exec "$@"`;
  agent.wrapper = [...unshare, "sh", "-c", script, "sh", join(agent.folder, name)];
  return true;
}

/** A folder of the agent's as it sees it. */
function inside(agent: TestAgent, name: string): string {
  return `/proc/${agent.pid}/root${join(agent.folder, name)}`;
}

test(
  "a deployment of nine completes on the three good hosts, and the others say what is " + "wrong with them",
  async (context) => {
    const fleet = await startFleet(context, { hosts: 3, cpus: 8 });
    const bad = (id: string, runtime: string): TestAgent =>
      new TestAgent(
        fleet.daemon.url,
        context,
        runtime,
        `host_id = "${id}"\ncapacity_cpus = 8\ncapacity_memory_mb = 8192`,
      );
    const [full, missing, unread] = [
      bad("full", SHELL),
      bad("missing", 'command = ["/no/such/program", "{image}"]'),
      bad("unread", SHELL),
    ];
    // The agent's own files fit; then nothing more does.
    const fill = "(while [ ! -e go ]; do sleep 0.1; done; cat /dev/zero >full 2>/dev/null; :) & true";
    const lock = "(while [ ! -e go ]; do sleep 0.1; done; mount -o remount,ro .) & true";
    const isThere =
      (await onDisk(full, "state", "size=1m,mode=0700", fill)) && (await onDisk(unread, "images", "size=1m", lock));
    const agents = isThere ? [full, missing, unread] : [missing];
    if (!isThere) context.diagnostic("no mount namespace can be made here: only the host without its command is tried");
    for (const agent of agents) agent.start();
    await fleet.until("all hosts", "/v1/hosts?status=active", (json) =>
      listAt(json, "hosts").length === 3 + agents.length ? true : undefined,
    );
    if (isThere) {
      const [state, images] = [inside(full, "state"), inside(unread, "images")];
      for (const folder of [state, images]) writeFileSync(join(folder, "go"), "");
      await eventually("a full disk", () => (statfsSync(state).bavail === 0 ? true : undefined));
      await eventually("a disk that takes nothing", () =>
        / \S*\/images tmpfs ro/.test(readFileSync(`/proc/${unread.pid}/mounts`, "utf8")) ? true : undefined,
      );
    }

    const image = await fleet.push(SERVES);
    await fleet.deploy(
      "web",
      { image, replicas: REPLICAS, memory_mb: 16, min_healthy_seconds: 1, progress_deadline_seconds: 60 },
      60_000,
    );
    const machines = await fleet.settled("web", REPLICAS);
    assert.deepEqual(
      machines.filter((machine) => !/^h-\d$/.test(textAt(machine, "host_id"))),
      [],
    );
    const list = await run(process.execPath, [ZWRM, "--api-url", fleet.daemon.url, "host", "list"]);
    const troubles: Readonly<Record<string, RegExp>> = {
      full: /ENOSPC/,
      missing: /\/no\/such\/program/,
      unread: /EROFS|read-only/i,
    };
    for (const [id, trouble] of Object.entries(troubles)) {
      if (!isThere && id !== "missing") continue;
      assert.match(textAt(await fleet.ask("GET", `/v1/hosts/${id}`), "trouble"), trouble);
      const status = await run(process.execPath, [ZWRM, "--api-url", fleet.daemon.url, "host", "status", id]);
      assert.match(status.stdout, trouble);
      assert.match(list.stdout, new RegExp(`^${id} .*${trouble.source}`, "mi"));
    }
    for (const id of fleet.hostIds) assert.equal(pick(await fleet.ask("GET", `/v1/hosts/${id}`), "trouble"), null);
  },
);
