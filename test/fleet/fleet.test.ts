/**
 * The fleet's executor: who is heard, who is called offline, and what a heartbeat is told, also while the journal is
 * off.
 */
import assert from "node:assert/strict";
import test from "node:test";
import type { Event, EventData } from "../../src/state/events.ts";
import { SYSTEM } from "../../src/state/events.ts";
import { START_WALL, turn } from "../support/clock.ts";
import { idOf } from "../support/ids.ts";
import { created, hostOf, linesOf, machineOf, registered, specOf } from "../support/rows.ts";
import { KEY, OFFLINE_AFTER, OTHER, beat, beatOf, begin, happen, join, says, watch } from "./world.ts";

test("a host that goes on beating stays online; one that stops is offline after offline_after, soon", async () => {
  const world = begin(registered("h-1"), registered("h-2"));
  for (let beats = 0; beats < 4; beats++) {
    await beat(world);
    await world.clock.run(9_000, 500);
  }
  assert.equal(hostOf(world.state, "h-1").health, "online");
  assert.equal(hostOf(world.state, "h-2").health, "offline");
  assert.deepEqual(world.warnings, ["hosts fell silent"]);
});

test("after a restart every host has a full offline_after, however long ago it was heard", async () => {
  const world = begin(registered("h-1"));
  world.clock.setWall(START_WALL + 86_400_000);
  await world.clock.run(OFFLINE_AFTER - 1, 500);
  assert.equal(hostOf(world.state, "h-1").health, "online");
  await world.clock.run(OFFLINE_AFTER / 4 + 1, 500);
  assert.equal(hostOf(world.state, "h-1").health, "offline");
});

test("a wall clock that jumps calls nobody offline", async () => {
  const world = begin(registered("h-1"));
  await world.clock.run(10_000, 500);
  world.clock.setWall(START_WALL + 86_400_000);
  await world.clock.run(15_000, 500);
  assert.equal(hostOf(world.state, "h-1").health, "online");
});

test("a daemon that was paused calls nobody offline for it, and a host that is really gone later", async () => {
  const world = begin(registered("h-1"));
  await world.clock.run(10_000, 500);
  world.clock.pause(3_600_000);
  await world.clock.run(15_000, 50);
  assert.equal(hostOf(world.state, "h-1").health, "online");
  assert.deepEqual(world.warnings, ["the daemon was paused; no host is called offline for that time"]);
  await world.clock.run(15_000, 50);
  assert.equal(hostOf(world.state, "h-1").health, "offline");
});

test("a pause that began right after a sweep is one too, however little late the next sweep is", async () => {
  const world = begin(registered("h-1"));
  // Sweeps are at 22.5 and 30 s. h-1 beats in between, to a process that does not run.
  await world.clock.run(22_600, 50);
  world.clock.pause(8_000);
  await world.clock.run(100, 50);
  assert.equal(hostOf(world.state, "h-1").health, "online");
  await beat(world);
  await world.clock.run(15_000, 500);
  assert.equal(hostOf(world.state, "h-1").health, "online");
});

test(
  "what has arrived is read before anyone is called offline: a beat that comes with the sweep still " + "counts",
  async () => {
    const world = begin(registered("h-1"), registered("h-2"));
    await world.clock.run(30_000, 50);
    await beat(world);
    await world.clock.run(500, 50);
    const lost = world.log.records.flatMap(({ type, data }) =>
      type === "host.lost" ? [(data as EventData["host.lost"]).host_ids] : [],
    );
    assert.deepEqual(lost, [["h-2"]]);
  },
);

test(
  "a host whose beat was read right after the pause is called offline in time when it " + "falls silent then",
  async () => {
    const world = begin(registered("h-1"));
    world.clock.pause(3_600_000);
    await beat(world);
    await world.clock.run(OFFLINE_AFTER + OFFLINE_AFTER / 4 + 500, 50);
    assert.equal(hostOf(world.state, "h-1").health, "offline");
  },
);

function nineWithMachines(): Event[] {
  return Array.from({ length: 9 }, (_, index) => [
    registered(`h-${index}`),
    created(specOf(`m-${index}`), `h-${index}`),
  ]).flat();
}

test("hosts that fall silent in a storm are held, also those of the sweep before", async () => {
  const world = begin(...nineWithMachines());
  const keepAlive = async (ids: readonly number[]): Promise<void> => {
    for (const id of ids) await beat(world, {}, `h-${id}`);
  };
  await world.clock.run(8_000, 500);
  await keepAlive([3, 4, 5, 6, 7, 8]);
  await world.clock.run(23_000, 500);
  assert.deepEqual(
    [0, 1, 2, 3].map((id) => hostOf(world.state, `h-${id}`).health),
    ["offline", "offline", "offline", "online"],
  );
  assert.equal(hostOf(world.state, "h-0").replacement_held, false);
  await keepAlive([4, 5, 6, 7, 8]);
  await world.clock.run(15_000, 500);
  assert.deepEqual(
    [0, 1, 2, 3].map((id) => [hostOf(world.state, `h-${id}`).health, hostOf(world.state, `h-${id}`).replacement_held]),
    Array(4).fill(["offline", true]),
  );
  assert.equal(hostOf(world.state, "h-4").replacement_held, false);
});

test("hosts lost longer ago than offline_after make no storm with one that falls silent now", async () => {
  const world = begin(...nineWithMachines());
  for (let round = 0; round < 8; round++) {
    for (let id = 3; id < 9; id++) if (id > 3 || round < 5) await beat(world, {}, `h-${id}`);
    await world.clock.run(10_000, 500);
  }
  await world.clock.run(5_000, 500);
  assert.deepEqual(
    [0, 1, 2, 3, 4].map((id) => hostOf(world.state, `h-${id}`).health),
    ["offline", "offline", "offline", "offline", "online"],
  );
  assert.equal(hostOf(world.state, "h-3").replacement_held, false);
});

test("a beat that changes nothing is answered at once and writes nothing", () => {
  const world = begin(registered("h-1"));
  const answer = world.fleet.agentCalls.heartbeat(
    idOf("h-1"),
    null,
    beatOf({ usage: { cpus: 1, memory_mb: 2, disk_mb: 3 }, machines: [] }),
    SYSTEM,
  );
  assert.ok(!(answer instanceof Promise));
  assert.deepEqual([answer.host_id, answer.cluster_id, answer.status, answer.machines], ["h-1", "c_1", "active", []]);
  assert.equal(world.log.lastSeq, 0);
  assert.deepEqual(world.fleet.presence.usageOf(idOf("h-1")), { cpus: 1, memory_mb: 2, disk_mb: 3 });
});

test("the list is in the answer whenever the observed revision is not the current one", async () => {
  const world = begin(registered("h-1"), created(specOf("m-1"), "h-1"));
  const first = await beat(world);
  assert.deepEqual(
    first.machines?.map(({ id }) => id),
    ["m-1"],
  );
  const second = await beat(world, { observed_revision: first.revision });
  assert.ok(!("machines" in second));
  assert.equal(second.revision, first.revision);
  await happen(world, created(specOf("m-2"), "h-1"));
  const third = await beat(world, { observed_revision: first.revision });
  assert.deepEqual(
    third.machines?.map(({ id }) => id),
    ["m-1", "m-2"],
  );
  assert.notEqual(third.revision, first.revision);
});

test("a machine missing from a list is gone by the revision that the agent had, not by an older one", async () => {
  const world = begin(registered("h-1"), created(specOf("m-1"), "h-1"));
  const { revision } = await beat(world);
  await happen(world, created(specOf("m-2"), "h-1"));
  await beat(world, { observed_revision: revision, machines: [] });
  assert.equal(machineOf(world.state, "m-1").state, "pending");
  const { revision: current } = await beat(world);
  await beat(world, { observed_revision: current, machines: [says("m-2", "starting")] });
  assert.deepEqual([machineOf(world.state, "m-1").state, machineOf(world.state, "m-2").state], ["failed", "starting"]);
});

test("an older beat that arrives late is answered and otherwise ignored", async () => {
  const world = begin(registered("h-1"), created(specOf("m-1"), "h-1"));
  await beat(world, { boot_id: "a", beat: 2, machines: [says("m-1", "running")] });
  const late = await beat(world, {
    boot_id: "a",
    beat: 1,
    machines: [says("m-1", "starting")],
    usage: { cpus: 9, memory_mb: 9, disk_mb: 9 },
  });
  assert.equal(late.host_id, "h-1");
  assert.equal(machineOf(world.state, "m-1").state, "running");
  assert.equal(world.fleet.presence.usageOf(idOf("h-1")), null);
});

test("two agents under one id: the one that was there first is refused while the other is alive", async () => {
  const world = begin(registered("h-1"));
  await beat(world, { boot_id: "a", beat: 1 });
  await beat(world, { boot_id: "b", beat: 1 });
  await assert.rejects(beat(world, { boot_id: "a", beat: 2 }), { code: "host_id_in_use", status: 409 });
});

test("a host that was offline is online with its first beat, in one line", async () => {
  const world = begin(registered("h-1"));
  await world.clock.run(40_000, 500);
  assert.equal(hostOf(world.state, "h-1").health, "offline");
  const before = world.log.lastSeq;
  assert.equal((await beat(world)).status, "active");
  assert.equal(hostOf(world.state, "h-1").health, "online");
  assert.equal(world.log.lastSeq, before + 1);
});

test("an unknown host, one that left, and one with another key are refused, and not heard", async () => {
  const world = begin();
  await assert.rejects(beat(world), { code: "host_not_registered" });
  await join(world, "h-1", KEY);
  await assert.rejects(beat(world, {}, "h-1", OTHER), { code: "host_key_mismatch" });
  await assert.rejects(beat(world), { code: "host_key_mismatch" });
  await happen(world, { type: "host.deregistered", data: { host_id: "h-1", reason: null } });
  await assert.rejects(beat(world, {}, "h-1", KEY), { code: "host_not_registered" });
  assert.equal(world.fleet.presence.heardWall(idOf("h-1")), null);
});

test("a refusal is not given before what it was computed from is on disk", async () => {
  const world = begin(registered("h-1"));
  world.log.automatic = false;
  void watch(happen(world, { type: "host.deregistered", data: { host_id: "h-1", reason: null } }));
  const refused = watch(beat(world));
  await turn();
  assert.equal(refused.state, "waits");
  world.log.fail("no space");
  await turn();
  assert.equal(refused.state, "answered", "the host never left");
});

test("a key mismatch is not given before the key that bound the id is on disk", async () => {
  const world = begin(registered("h-1"));
  world.log.automatic = false;
  const bound = watch(join(world, "h-1", KEY));
  const refused = watch(beat(world, {}, "h-1", OTHER));
  await turn();
  assert.deepEqual([bound.state, refused.state], ["waits", "waits"]);
  world.log.sync();
  await turn();
  assert.deepEqual([bound.state, refused.state], ["answered", "host_key_mismatch"]);
});

test("a registration is new once, and said so", async () => {
  const world = begin();
  assert.deepEqual([await join(world), await join(world), world.log.lastSeq], [true, false, 1]);
  assert.equal(world.fleet.presence.heardWall(idOf("h-1")), START_WALL);
});

test("a host that registers again while its leave is on its way to the disk is not forgotten", async () => {
  const world = begin(registered("h-1"));
  await beat(world, { machines: [] });
  world.log.automatic = false;
  void happen(world, { type: "host.deregistered", data: { host_id: "h-1", reason: null } });
  const again = join(world);
  world.log.sync();
  assert.equal(await again, true);
  assert.equal(world.fleet.presence.isSilent(idOf("h-1"), world.clock.mono()), false);
  assert.equal(
    world.fleet.presence.reportedMachines(idOf("h-1")),
    null,
    "what the host said before it left counts no more",
  );
});

test("while the journal is off heartbeats are heard and answered, and nobody is called offline", async () => {
  for (const untilRestart of [false, true]) {
    const world = begin(registered("h-1"), registered("h-2"), created(specOf("m-1"), "h-1"));
    world.log.automatic = false;
    world.log.fail("no space", untilRestart);
    const before = linesOf(world.state);
    const heard = beat(world, { machines: [says("m-1", "running")] });
    if (!untilRestart) world.log.fail("no space");
    assert.equal((await heard).status, "active");
    assert.equal(world.fleet.presence.reportedMachines(idOf("h-1")), 1);
    await world.clock.run(60_000, 500);
    assert.deepEqual(linesOf(world.state), before);
  }
});

test("a change that was lost with the journal is said again by the next beat", async () => {
  const world = begin(registered("h-1"), created(specOf("m-1"), "h-1"));
  world.log.automatic = false;
  const lostBeat = beat(world, { machines: [says("m-1", "running")] });
  world.log.fail("no space");
  await lostBeat;
  assert.equal(machineOf(world.state, "m-1").state, "pending");
  world.log.automatic = true;
  await beat(world, { machines: [says("m-1", "running")] });
  assert.equal(machineOf(world.state, "m-1").state, "running");
});

test("two agents under one id are one line of the log for as long as it lasts, and show on the host", async () => {
  const world = begin(registered("h-1"));
  await beat(world, { boot_id: "a", beat: 1 });
  for (let number = 2; number < 30; number++) {
    await beat(world, { boot_id: "b", beat: number });
    await assert.rejects(beat(world, { boot_id: "a", beat: number }), { code: "host_id_in_use" });
    world.clock.advance(1_000);
  }
  const told = world.log.records.filter(({ type }) => type === "host.id_conflict");
  assert.deepEqual(
    told.map(({ data }) => data),
    [{ host_id: "h-1", boot_ids: ["b", "a"] }],
  );
  const host = world.state.hosts.get(idOf("h-1"));
  assert.ok(host !== undefined);
  assert.match(world.fleet.view(world.state, host).trouble ?? "", /two agents beat under this id \(boot ids b and a\)/);
});

test("a beat of a host that was not away says nothing of being online", async () => {
  const world = begin(registered("h-1"));
  await happen(world, created(specOf("m-1"), "h-1"));
  await beat(world, { machines: [says("m-1", "running")] });
  const heard = world.log.records.find(({ type }) => type === "host.heard");
  assert.ok(heard !== undefined && !Object.hasOwn(Object(heard.data), "online"));
});
