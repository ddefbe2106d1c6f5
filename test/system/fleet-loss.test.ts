/**
 * Part B, Apps, machines, deployments: the loss of a host and its return, with real agents that are killed while their
 * machines run on.
 */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { TestContext } from "node:test";
import { eventually } from "../support/daemon.ts";
import { listAt, pick, textAt } from "../support/json.ts";
import type { Json } from "../support/json.ts";
import { READY_CHECK, serverImage, startFleet, TIME_SCALE } from "../support/real-fleet.ts";
import type { RealFleet } from "../support/real-fleet.ts";

const LIVENESS = `offline_after = "2s"\ncheck_interval = "500ms"`;
/** New machines serve only while the file is there; those that serve already go on without it. */
const folder = mkdtempSync(join(tmpdir(), "zwrm-gate-"));
const gate = join(folder, "open");
after(() => rmSync(folder, { recursive: true, force: true }));

function openGate(): void {
  writeFileSync(gate, "");
}

function closeGate(): void {
  rmSync(gate, { force: true });
}

function startHosts(owner: TestContext, hosts: number): Promise<RealFleet> {
  openGate();
  return startFleet(owner, { hosts, liveness: LIVENESS });
}

/** Kills the agents and waits until their hosts are offline. Their machines run on. */
async function lose(fleet: RealFleet, ...hostIds: readonly string[]): Promise<void> {
  const before = fleet.processes();
  await Promise.all(hostIds.map((id) => fleet.agent(id).stop("SIGKILL")));
  for (const id of hostIds) await fleet.hostIs(id, "offline");
  assert.deepEqual(
    before.filter((each) => !fleet.processes().includes(each)),
    [],
    "machines outlive their agent and the silence",
  );
}

function on(machines: readonly Json[], hostId: string): Json[] {
  return machines.filter((machine) => pick(machine, "host_id") === hostId);
}

function one(machines: readonly Json[]): Json {
  assert.equal(machines.length, 1, JSON.stringify(machines));
  return machines[0] ?? null;
}

/** Waits until the machine is so. */
function machineIs(fleet: RealFleet, id: string, what: string, is: (machine: Json) => boolean): Promise<Json> {
  return fleet.until(`machine ${id} to be ${what}`, `/v1/machines/${id}`, (machine) =>
    is(machine) ? machine : undefined,
  );
}

/** Waits until exactly this runs, as `host/machine`. */
async function runs(fleet: RealFleet, what: string, machines: readonly Json[]): Promise<void> {
  const wanted = machines
    .map((machine) => `${textAt(machine, "host_id")}/${textAt(machine, "id")}`)
    .sort()
    .join();
  await eventually(
    `${what}: ${wanted}`,
    () => (fleet.processes().join() === wanted ? true : undefined),
    15_000 * TIME_SCALE,
  );
}

test(
  "The machines of an offline host are unknown with the reason host_offline, and replaced; When the host " +
    "is heard again: where the replacement is running, the original is stopped",
  async (t) => {
    const fleet = await startHosts(t, 3);
    await fleet.deploy("web", { image: await fleet.push(serverImage("web", gate)), replicas: 3, check: READY_CHECK });
    const original = one(on(await fleet.present("web"), "h-1"));
    const id = textAt(original, "id");
    closeGate();
    await lose(fleet, "h-1");
    const lost = await machineIs(fleet, id, "replaced", (machine) => pick(machine, "replaced_by") !== null);
    assert.deepEqual(
      [pick(lost, "state"), pick(lost, "reason"), pick(lost, "ready")],
      ["unknown", "host_offline", false],
    );
    openGate();
    const replacement = await machineIs(
      fleet,
      textAt(lost, "replaced_by"),
      "ready",
      (machine) => pick(machine, "ready") === true,
    );
    assert.deepEqual([pick(replacement, "replaces"), pick(replacement, "host_id") === "h-1"], [id, false]);
    assert.ok(fleet.processes().includes(`h-1/${id}`), "while a partition lasts both copies may run");
    fleet.agent("h-1").start();
    const ended = await machineIs(fleet, id, "stopped", (machine) => pick(machine, "state") === "stopped");
    assert.match(textAt(ended, "reason"), /^replaced by m_/);
    await runs(fleet, "exactly one copy of each", await fleet.settled("web", 3));
  },
);

test("When the host is heard again: where not yet, the replacement is given up and the original stays", async (t) => {
  const fleet = await startHosts(t, 3);
  await fleet.deploy("web", { image: await fleet.push(serverImage("web", gate)), replicas: 3, check: READY_CHECK });
  const before = await fleet.present("web");
  const pids = fleet.agent("h-1").processes();
  closeGate();
  await lose(fleet, "h-1");
  const { id } = pids[0] ?? { id: "" };
  const replacementId = textAt(
    await machineIs(fleet, id, "replaced", (machine) => pick(machine, "replaced_by") !== null),
    "replaced_by",
  );
  await machineIs(fleet, replacementId, "running, not ready", (machine) => pick(machine, "state") === "running");
  fleet.agent("h-1").start();
  const given = await machineIs(fleet, replacementId, "stopped", (machine) => pick(machine, "state") === "stopped");
  assert.match(textAt(given, "reason"), new RegExp(`^not needed: ${id} stays$`));
  const stays = await machineIs(fleet, id, "ready", (machine) => pick(machine, "ready") === true);
  assert.deepEqual([pick(stays, "state"), pick(stays, "replaced_by"), pick(stays, "reason")], ["running", null, null]);
  assert.deepEqual(fleet.agent("h-1").processes(), pids, "the very same process");
  await runs(fleet, "exactly what ran before", before);
});

test("replaced unless the deployment says wait or restart is never", async (t) => {
  const fleet = await startHosts(t, 3);
  const image = await fleet.push(serverImage("web"));
  await fleet.deploy("moves", { image, replicas: 3, check: READY_CHECK });
  await fleet.deploy("waits", { image, replicas: 3, check: READY_CHECK, on_host_loss: "wait" });
  await fleet.deploy("once", { image, replicas: 3, check: READY_CHECK, restart: "never" });
  const staying = [...(await fleet.present("waits")), ...(await fleet.present("once"))];
  const pids = fleet.agent("h-1").processes();
  await lose(fleet, "h-1");
  // The one that moves shows that the others had their time.
  await fleet.until("the replacement of moves", "/v1/machines?app_id=moves", (json) =>
    listAt(json, "machines").filter((machine) => pick(machine, "ready") === true).length === 3 ? true : undefined,
  );
  for (const app of ["waits", "once"]) {
    const machines = await fleet.machines(`?app_id=${app}`);
    assert.equal(machines.length, 3, `${app} has no replacement`);
    const lost = one(on(machines, "h-1"));
    assert.deepEqual(
      [pick(lost, "state"), pick(lost, "reason"), pick(lost, "replaced_by")],
      ["unknown", "host_offline", null],
      app,
    );
  }
  fleet.agent("h-1").start();
  await runs(fleet, "what stayed, and one copy of what moved", [...staying, ...(await fleet.settled("moves", 3))]);
  for (const app of ["waits", "once"]) await fleet.settled(app, 3);
  const left = fleet.agent("h-1").processes();
  assert.deepEqual(
    left,
    pids.filter(({ id }) => left.some((process) => process.id === id)),
    "the very same processes",
  );
  assert.equal(left.length, 2);
});

test(
  "When more than max(3, a third) of the online hosts fall silent within one offline_after, they are " +
    "offline but nothing is replaced until POST /v1/hosts/replace-lost",
  async (t) => {
    const fleet = await startHosts(t, 6);
    await fleet.deploy("web", { image: await fleet.push(serverImage("web")), replicas: 6, check: READY_CHECK });
    const before = await fleet.present("web");
    const lost = ["h-1", "h-2", "h-3", "h-4"];
    await lose(fleet, ...lost);
    // A host without a machine of its own shows that placing goes on meanwhile.
    await fleet.ask("POST", "/v1/apps/web/scale", { replicas: 7 }, 202);
    await fleet.until("the seventh", "/v1/machines?app_id=web", (json) =>
      listAt(json, "machines").filter((machine) => pick(machine, "ready") === true).length >= 3 ? true : undefined,
    );
    const held = await fleet.machines("?app_id=web");
    assert.deepEqual(
      held.filter((machine) => pick(machine, "replaces") !== null),
      [],
      "nothing is replaced",
    );
    assert.equal(held.length, 7);
    for (const hostId of lost)
      assert.deepEqual(
        [pick(one(on(held, hostId)), "state"), pick(one(on(held, hostId)), "reason")],
        ["unknown", "host_offline"],
      );
    const answer = await fleet.ask("POST", "/v1/hosts/replace-lost", {});
    assert.deepEqual(pick(answer, "host_ids"), lost);
    await fleet.until("four replacements", "/v1/machines?app_id=web", (json) =>
      listAt(json, "machines").filter(
        (machine) => pick(machine, "replaces") !== null && pick(machine, "ready") === true,
      ).length === 4
        ? true
        : undefined,
    );
    assert.equal(fleet.processes().length, before.length + 1 + 4);
    for (const hostId of lost) fleet.agent(hostId).start();
    for (const hostId of lost) await fleet.hostIs(hostId, "active");
    await runs(fleet, "exactly one copy of each", await fleet.settled("web", 7));
    assert.ok(existsSync(gate));
  },
);

test(
  "a storm that is over by itself: every host is heard again, and every machine is " + "the one that it was",
  async (t) => {
    const fleet = await startHosts(t, 6);
    await fleet.deploy("web", { image: await fleet.push(serverImage("web")), replicas: 6, check: READY_CHECK });
    const before = await fleet.present("web");
    const pids = fleet.hostIds.map((id) => fleet.agent(id).processes());
    const lost = ["h-2", "h-3", "h-4", "h-5", "h-6"];
    await lose(fleet, ...lost);
    for (const hostId of lost) fleet.agent(hostId).start();
    const back = await fleet.settled("web", 6);
    assert.deepEqual(
      back.map((machine) => pick(machine, "id")),
      before.map((machine) => pick(machine, "id")),
    );
    assert.equal((await fleet.machines("?app_id=web")).length, 6, "nothing was ever replaced");
    assert.deepEqual(
      fleet.hostIds.map((id) => fleet.agent(id).processes()),
      pids,
    );
  },
);
