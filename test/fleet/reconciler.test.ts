/**
 * The executor of an app's steps: at once upon events, again for what waits, and nothing lost or doubled when the
 * journal fails.
 */
import assert from "node:assert/strict";
import test from "node:test";
import type { Deployment } from "../../src/state/types.ts";
import { turn } from "../support/clock.ts";
import { idOf } from "../support/ids.ts";
import type { Told } from "../support/ids.ts";
import { created, drainStarted, heard, linesOf, registered, specOf, workloadOf } from "../support/rows.ts";
import type { World } from "./world.ts";
import { beat, begin, happen, watch } from "./world.ts";

const APP: Told = { type: "app.created", data: { app_id: "web", org_id: "o_1", name: "web", idempotency: null } };

function deployed(replicas: number, id = "dep_1", more: Partial<Deployment> = {}): Told {
  const workload = workloadOf();
  const { cpus = workload.cpus } = more;
  return {
    type: "deployment.created",
    data: { deployment: { id, app_id: "web", org_id: "o_1", replicas, ...workload, cpus }, idempotency: null },
  };
}

/** Lets every step that is due be taken and reach the disk. */
async function rest(world: World): Promise<void> {
  for (let i = 0; i < 5; i++) {
    world.clock.advance(1);
    await turn();
  }
}

function placed({ state }: World): string[] {
  return state
    .machinesOf(idOf("web"))
    .filter(({ removing }) => !removing)
    .map(({ host_id }) => host_id ?? "-")
    .sort();
}

test(
  "a deployment is carried out as soon as it is on disk, without a sweep, and each " + "placement is counted",
  async () => {
    const world = begin(registered("h-1"), registered("h-2"), APP);
    await happen(world, deployed(2));
    await rest(world);
    assert.deepEqual(placed(world), ["h-1", "h-2"]);
    assert.deepEqual(world.placements, ["placed", "placed"]);
  },
);

test("nothing is done on the word of a line that is not on disk", async () => {
  const world = begin(registered("h-1"), APP);
  world.log.automatic = false;
  void happen(world, deployed(2)).catch(() => undefined);
  await rest(world);
  assert.deepEqual(placed(world), []);
  world.log.sync();
  await rest(world);
  assert.equal(placed(world).length, 2);
});

test("after a restart every app is looked at: what was half done is done", async () => {
  const world = begin(registered("h-1"), APP, deployed(3), created(specOf("m-1"), "h-1"));
  await world.clock.run(600, 100);
  assert.equal(placed(world).length, 3);
});

test("what waits for room is placed when a host comes, without anybody asking", async () => {
  const world = begin(APP);
  await happen(world, deployed(1));
  await rest(world);
  assert.deepEqual([placed(world), world.placements], [["-"], ["no_host"]]);
  await happen(world, registered("h-1"));
  await world.clock.run(600, 100);
  assert.deepEqual([placed(world), world.placements], [["h-1"], ["no_host", "placed"]]);
});

test("two apps never get the same room", async () => {
  const world = begin(registered("h-1"), APP, {
    type: "app.created",
    data: { app_id: "api", org_id: "o_1", name: "api", idempotency: null },
  });
  const other = deployed(8, "dep_2");
  assert.ok(other.type === "deployment.created");
  await Promise.all([
    happen(world, deployed(8)),
    happen(world, { ...other, data: { ...other.data, deployment: { ...other.data.deployment, app_id: "api" } } }),
  ]);
  await world.clock.run(2_000, 100);
  const on = world.state.machines.group(idOf("h-1"));
  assert.equal(
    on.reduce((sum, machine) => sum + machine.cpus, 0),
    8,
  );
  assert.equal([...world.state.machines.values()].length, 16);
});

test("steps whose write fails are taken back, and taken again when there is room", async () => {
  const world = begin(registered("h-1"), registered("h-2"), APP);
  await happen(world, deployed(2));
  await rest(world);
  world.log.automatic = false;
  void happen(world, { type: "deployment.scaled", data: { deployment_id: "dep_1", replicas: 4, idempotency: null } });
  world.log.sync();
  await rest(world);
  assert.equal(placed(world).length, 4, "decided, on its way to the disk");
  world.log.fail("no space");
  await rest(world);
  assert.equal(placed(world).length, 2, "taken back");
  await world.clock.run(3_000, 100);
  assert.equal(placed(world).length, 2, "nothing is placed while writing is off");
  assert.ok(world.warnings.includes("app web failed, will be tried again"));
  world.log.automatic = true;
  world.log.writability = { writable: true };
  await world.clock.run(1_000, 100);
  assert.equal(placed(world).length, 4);
  assert.equal(
    new Set(world.log.records.filter(({ type }) => type === "machine.created").map(({ data }) => JSON.stringify(data)))
      .size,
    4,
    "none twice",
  );
});

test(
  "a failed write that another decision was made upon loses no step: every app is looked at again in a " + "while",
  async () => {
    const world = begin(
      registered("h-1"),
      registered("h-2"),
      APP,
      deployed(1),
      created(specOf("m-1"), "h-1"),
      heard("h-1", [{ id: "m-1", state: "running" }]),
    );
    await world.clock.run(1_000, 100);
    await happen(world, {
      type: "deployment.moved",
      data: { deployment_id: "dep_1", app_id: "web", state: "completed", reason: null, target_id: "dep_1" },
    });
    world.log.automatic = false;
    // A stop is on its way to the disk while the drain's line arrives there: seen from there, nothing is to be moved.
    void happen(world, drainStarted("h-1", { machine_ids: ["m-1"] })).catch(() => undefined);
    const lostStop = watch(
      happen(world, { type: "machine.stop_requested", data: { machine_id: "m-1", idempotency: null } }),
    );
    world.log.sync(1);
    await rest(world);
    world.log.fail("no space");
    await rest(world);
    assert.equal(lostStop.state, "storage_failed");
    world.log.automatic = true;
    world.log.writability = { writable: true };
    for (let i = 0; i < 13; i++) {
      for (const id of ["h-1", "h-2"]) await beat(world, {}, id);
      await world.clock.run(5_000, 500);
    }
    assert.equal(world.state.machines.get(idOf("m-1"))?.replaced_by, "m-new-1");
  },
);

test("while the journal is off nothing is placed; when it works again, it goes on without anybody asking", async () => {
  const world = begin(registered("h-1"), APP);
  await happen(world, deployed(1, "dep_1", { cpus: 9 }));
  await rest(world);
  world.log.fail("no space");
  const before = linesOf(world.state);
  await world.clock.run(5_000, 100);
  assert.deepEqual(linesOf(world.state), before);
  world.log.writability = { writable: true };
  await happen(world, deployed(1, "dep_2"));
  await world.clock.run(1_000, 100);
  assert.deepEqual(placed(world), ["h-1"]);
});

test("after a stop no step is taken, and nothing goes on by itself, whatever still arrives", async () => {
  const world = begin(registered("h-1"), APP);
  world.log.automatic = false;
  void happen(world, deployed(3)).catch(() => undefined);
  world.fleet.stop();
  world.log.sync();
  await rest(world);
  assert.deepEqual(placed(world), []);
  assert.equal(world.clock.armed, 0, "no timer keeps the process alive");
});

test("a look that finds nothing to do writes nothing", async () => {
  const world = begin(registered("h-1"), APP);
  await happen(world, deployed(1));
  await rest(world);
  const lines = world.log.records.length;
  for (let i = 0; i < 60; i++) {
    await beat(world);
    await world.clock.run(2_000, 500);
  }
  assert.equal(world.log.records.length, lines);
});
