/**
 * Part B, Register, heartbeat, deregister: a wiped control plane must not stop a fleet, nor one that was restored from
 * an old backup.
 */
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { eventually } from "../support/daemon.ts";
import { listAt, pick, textAt } from "../support/json.ts";
import { READY_CHECK, serverImage, startFleet, TIME_SCALE } from "../support/real-fleet.ts";
import type { RealFleet } from "../support/real-fleet.ts";

const LIVENESS = `offline_after = "3s"`;
const HOSTS = 3;

interface Process {
  readonly pid: number;
  readonly id: string;
}

function processesOf(fleet: RealFleet): Process[] {
  return fleet.hostIds.flatMap((id) => fleet.agent(id).processes()).sort((a, b) => a.pid - b.pid);
}

/**
 * Every agent has met the other cluster, and has beaten to it several times since: whatever it would do on its word, it
 * has done.
 */
async function meetOtherCluster(fleet: RealFleet): Promise<void> {
  for (const hostId of fleet.hostIds) {
    await eventually(
      `${hostId} to say that another cluster answers`,
      () => (/another cluster answers/.test(fleet.agent(hostId).output) ? true : undefined),
      15_000 * TIME_SCALE,
    );
  }
  await fleet.until(`${HOSTS} hosts`, "/v1/hosts?status=active", (json) =>
    listAt(json, "hosts").length === HOSTS ? true : undefined,
  );
  const heard = async (): Promise<string[]> =>
    listAt(await fleet.ask("GET", "/v1/hosts"), "hosts").map((host) => textAt(host, "last_heartbeat_at"));
  for (let beats = 0; beats < 3; beats += 1) {
    const before = await heard();
    await eventually(
      "a beat of every host",
      async () => ((await heard()).every((at, index) => at > (before[index] ?? "")) ? true : undefined),
      15_000 * TIME_SCALE,
    );
  }
}

async function acceptCluster(fleet: RealFleet, hostId: string): Promise<void> {
  const accepted = await fleet.agent(hostId).command("accept-cluster");
  assert.equal(accepted.code, 0, accepted.stderr);
}

/**
 * What every agent runs, one host after the other, once its operator has accepted the new cluster: nothing of the old
 * one, and what the new one asks for.
 */
async function obeyAfterAcceptance(fleet: RealFleet, old: readonly Process[]): Promise<void> {
  const [first = "", ...others] = fleet.hostIds;
  const kept = old.filter(
    ({ id }) =>
      !fleet
        .agent(first)
        .processes()
        .some((process) => process.id === id),
  );
  await acceptCluster(fleet, first);
  await eventually(
    `${first} to stop what the new cluster does not know`,
    () => (fleet.agent(first).processes().length === 0 ? true : undefined),
    15_000 * TIME_SCALE,
  );
  assert.deepEqual(processesOf(fleet), kept, "nobody else has accepted anything");
  for (const hostId of others) await acceptCluster(fleet, hostId);
  await eventually(
    "all of it to be stopped",
    () => (processesOf(fleet).length === 0 ? true : undefined),
    15_000 * TIME_SCALE,
  );
  await fleet.deploy("anew", { image: await fleet.push(serverImage("anew")), replicas: HOSTS, check: READY_CHECK });
  assert.equal(processesOf(fleet).length, HOSTS);
}

test(
  "a daemon whose data was wiped: no agent stops a machine; after zwrm-agent accept-cluster it obeys the " + "new one",
  async (t) => {
    const fleet = await startFleet(t, { hosts: HOSTS, liveness: LIVENESS });
    await fleet.deploy("web", { image: await fleet.push(serverImage("web")), replicas: 6, check: READY_CHECK });
    const running = processesOf(fleet);
    assert.equal(running.length, 6);
    await fleet.daemon.kill9();
    rmSync(fleet.daemon.dataDir, { recursive: true });
    await fleet.daemon.start();
    await meetOtherCluster(fleet);
    assert.deepEqual(processesOf(fleet), running, "the very same processes");
    for (const hostId of fleet.hostIds)
      assert.equal(fleet.look(hostId).ready.length, 2, "the agent goes on to run and check them");
    await obeyAfterAcceptance(fleet, running);
  },
);

test(
  "a daemon restored from an old backup: no agent stops a machine; after zwrm-agent accept-cluster it " +
    "obeys the new one",
  async (t) => {
    const fleet = await startFleet(t, { hosts: HOSTS, liveness: LIVENESS });
    const backup = join(fleet.daemon.folder, "old.backup");
    const saved = await fleet.daemon.command("backup", backup);
    assert.equal(saved.code, 0, saved.stderr);
    const before = textAt(await fleet.ask("GET", "/v1/status"), "cluster_id");
    await fleet.deploy("web", { image: await fleet.push(serverImage("web")), replicas: 6, check: READY_CHECK });
    const running = processesOf(fleet);
    await fleet.daemon.stop();
    rmSync(fleet.daemon.dataDir, { recursive: true });
    const restored = await fleet.daemon.command("restore", backup);
    assert.equal(restored.code, 0, restored.stderr);
    await fleet.daemon.start();
    assert.notEqual(
      pick(await fleet.ask("GET", "/v1/status"), "cluster_id"),
      before,
      "cluster_id is made anew by a restore",
    );
    await meetOtherCluster(fleet);
    assert.deepEqual(processesOf(fleet), running, "the very same processes");
    await obeyAfterAcceptance(fleet, running);
  },
);

test("an agent that is started anew under a wiped daemon stops nothing either", async (t) => {
  const fleet = await startFleet(t, { hosts: HOSTS, liveness: LIVENESS });
  await fleet.deploy("web", { image: await fleet.push(serverImage("web")), replicas: 3, check: READY_CHECK });
  const running = processesOf(fleet);
  for (const hostId of fleet.hostIds) await fleet.agent(hostId).stop("SIGKILL");
  await fleet.daemon.stop();
  rmSync(fleet.daemon.dataDir, { recursive: true });
  await fleet.daemon.start();
  for (const hostId of fleet.hostIds) fleet.agent(hostId).start();
  await meetOtherCluster(fleet);
  assert.deepEqual(processesOf(fleet), running, "the very same processes");
});
