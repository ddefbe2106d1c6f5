/**
 * The fleet's executor: answers that are held until there is something to tell, and drains that move on by themselves.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { turn } from "../support/clock.ts";
import { idOf } from "../support/ids.ts";
import { created, drainStarted, hostOf, registered, specOf } from "../support/rows.ts";
import { beat, begin, happen, says, watch } from "./world.ts";
import type { World } from "./world.ts";

/** A heartbeat's answer that is held for `ms`. */
async function held(world: World, ms: number, onCancel: (cancel: () => void) => void = () => undefined): Promise<void> {
  await world.fleet.assignments.waitForChange(
    idOf("h-1"),
    world.fleet.assignments.desired(idOf("h-1")).revision,
    ms,
    onCancel,
  );
}

test("a held answer leaves when the list changes, once the change is on disk", async () => {
  const world = begin(registered("h-1"));
  const answer = watch(held(world, 25_000));
  world.log.automatic = false;
  void happen(world, created(specOf("m-1"), "h-1"));
  await turn();
  assert.equal(answer.state, "waits");
  world.log.sync();
  await turn();
  assert.equal(answer.state, "answered");
});

test("a held answer leaves when a drain stops machines, and when another beat ends one", async () => {
  for (const change of ["drain", "beat"]) {
    const world = begin(registered("h-1"), created(specOf("m-1"), "h-1"));
    const answer = watch(held(world, 25_000));
    if (change === "drain")
      await happen(world, { type: "host.drain_forced", data: { host_id: "h-1", machine_ids: ["m-1"] } });
    else {
      // An agent that has not seen the list can end nothing that it did not start.
      await beat(world, { machines: [says("m-1", "running")] });
      await beat(world, { machines: [says("m-1", "stopped")] });
    }
    await turn();
    assert.equal(answer.state, "answered", change);
  }
});

test("a held answer stays held for what does not change the list", async () => {
  const world = begin(registered("h-1"), registered("h-2"), created(specOf("m-1"), "h-1"));
  const answer = watch(held(world, 25_000));
  await happen(world, created(specOf("m-2"), "h-2"));
  await beat(world, { machines: [says("m-1", "running")] });
  await happen(world, { type: "host.key_removed", data: { host_id: "h-1" } });
  await turn();
  assert.equal(answer.state, "waits");
});

test(
  "a held answer leaves when its time is over, when the client leaves, when the host leaves, and when " +
    "the daemon stops",
  async () => {
    const ways: Readonly<Record<string, (world: World, cancel: () => void) => Promise<void>>> = {
      time: ({ clock }) => clock.run(25_100, 100),
      client: async (_world, cancel) => cancel(),
      host: (world) => happen(world, { type: "host.deregistered", data: { host_id: "h-1", reason: null } }),
      stop: async ({ fleet }) => fleet.stop(),
    };
    for (const [name, way] of Object.entries(ways)) {
      const world = begin(registered("h-1"));
      let cancel = (): void => undefined;
      const answer = watch(held(world, 25_000, (leave) => (cancel = leave)));
      await world.clock.run(20_000, 1_000);
      assert.equal(answer.state, "waits", name);
      await way(world, cancel);
      await turn();
      assert.equal(answer.state, "answered", name);
    }
  },
);

test("a host without machines is in maintenance as soon as its drain is on disk", async () => {
  const world = begin(registered("h-1"));
  await happen(world, drainStarted("h-1"));
  await turn();
  assert.deepEqual(
    [hostOf(world.state, "h-1").mode, world.state.drains.get(idOf("h-1"))?.state],
    ["maintenance", "completed"],
  );
});

test("a host with machines is in maintenance when its agent has reported none, and not before", async () => {
  const world = begin(registered("h-1"), created(specOf("m-1"), "h-1"));
  const { revision } = await beat(world, { machines: [says("m-1", "running")] });
  await happen(world, drainStarted("h-1"));
  await world.clock.run(5_000, 500);
  await beat(world, { machines: [says("m-1", "stopped")], observed_revision: revision });
  await turn();
  assert.equal(hostOf(world.state, "h-1").mode, "draining");
  await beat(world, { machines: [] });
  await turn();
  assert.equal(hostOf(world.state, "h-1").mode, "maintenance");
});

test("a deadline is seen without anyone asking", async () => {
  const world = begin(
    registered("h-1"),
    created(specOf("m-1"), "h-1"),
    drainStarted("h-1", { deadline_at: "2026-01-02T03:04:08.678Z", machine_ids: ["m-1"] }),
  );
  await world.clock.run(2_500, 100);
  assert.equal(world.state.drains.get(idOf("h-1"))?.state, "draining");
  await world.clock.run(1_100, 100);
  assert.deepEqual(
    [world.state.drains.get(idOf("h-1"))?.state, hostOf(world.state, "h-1").mode],
    ["failed", "draining"],
  );
});

test("a drain goes on after a restart, and after a write of it that failed", async () => {
  const world = begin(registered("h-1"), drainStarted("h-1"));
  world.log.automatic = false;
  await world.clock.run(600, 100);
  world.log.fail("no space");
  await turn();
  assert.equal(hostOf(world.state, "h-1").mode, "draining");
  await world.clock.run(600, 100);
  assert.equal(hostOf(world.state, "h-1").mode, "draining", "nothing is tried while writing is off");
  world.log.writability = { writable: true };
  world.log.automatic = true;
  await world.clock.run(600, 100);
  assert.equal(hostOf(world.state, "h-1").mode, "maintenance");
});

test("a fleet that was stopped has no timer left, also when a sweep was under way", async () => {
  const world = begin(registered("h-1"));
  world.log.automatic = false;
  await world.clock.run(37_500, 500);
  assert.equal(hostOf(world.state, "h-1").health, "offline", "decided, not yet durable");
  world.fleet.stop();
  world.log.sync();
  await turn();
  assert.equal(world.clock.armed, 0);
});
