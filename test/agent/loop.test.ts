import assert from "node:assert/strict";
import test from "node:test";
import { Loop } from "../../src/agent/loop.ts";
import type { DesiredMachine, MachineReport } from "../../src/wire/agents.ts";
import { ClientError } from "../../src/client/errors.ts";
import { FakeClock, turn } from "../support/clock.ts";
import { desired, FakeControl, FakeLog, FakeMembership } from "./fakes.ts";

class World {
  readonly clock = new FakeClock();
  readonly log = new FakeLog();
  readonly control = new FakeControl(this.clock);
  readonly membership = new FakeMembership();
  readonly taken: (readonly DesiredMachine[])[] = [];
  machines: MachineReport[] = [];
  readonly #chance: number;

  constructor(chance = 0.5) {
    this.#chance = chance;
  }

  readonly loop = new Loop({
    clock: this.clock,
    log: this.log,
    control: this.control,
    membership: this.membership,
    workload: { report: () => this.machines, take: (list) => void this.taken.push(list) },
    facts: () => ({
      host_id: "h-1",
      hostname: "h",
      region: "r",
      datacenter: "d",
      capacity: { cpus: 1, memory_mb: 1, disk_mb: 1 },
      agent_version: "1",
      labels: {},
    }),
    usage: () => ({ cpus: 0.5, memory_mb: 1, disk_mb: 1 }),
    bootId: "boot-1",
    chance: () => this.#chance,
  });

  async run(ms: number): Promise<void> {
    await this.clock.run(ms, 10);
  }

  /** Registered, and told its first list. */
  async join(): Promise<void> {
    this.loop.start();
    this.control.registrations[0]?.answer();
    await turn();
    this.control.beat(-1).answer({ revision: "r-1", machines: [desired("m-1")] });
    await turn();
    await this.run(30);
  }
}

const unreachable = new ClientError("unreachable", "no route");

test(
  "registers, then beats without a revision until it has a list, then holds its beats " + "for the interval",
  async () => {
    const world = new World();
    await world.join();
    const [first, second] = world.control.beats.map(({ request }) => request);
    assert.deepEqual(
      [first?.boot_id, first?.beat, first?.observed_revision, first?.wait_seconds],
      ["boot-1", 1, undefined, 0],
    );
    assert.deepEqual([second?.beat, second?.observed_revision, second?.wait_seconds], [2, "r-1", 10]);
    assert.deepEqual(world.taken, [[desired("m-1")]]);
    assert.deepEqual(second?.usage, { cpus: 0.5, memory_mb: 1, disk_mb: 1 });
  },
);

test("a held beat that brings nothing is followed by the next, and no beat waits longer than 25 s", async () => {
  const world = new World();
  world.control.intervalSeconds = 60;
  await world.join();
  assert.equal(world.control.beat(-1).request.wait_seconds, 25);
  await world.run(25_000);
  world.control.beat(-1).answer({ revision: "r-1" });
  await turn();
  assert.equal(world.control.beats.length, 2);
  await world.run(35_000);
  assert.equal(world.control.beats.length, 3);
});

test("control that comes in a held answer is taken at once and confirmed at once", async () => {
  const world = new World();
  await world.join();
  await world.run(4_000);
  world.control.beat(-1).answer({ revision: "r-2", machines: [] });
  await turn();
  assert.deepEqual(world.taken.at(-1), []);
  await world.run(100);
  assert.equal(world.control.beat(-1).request.observed_revision, "r-2");
});

test("a daemon that answers at once is not asked more often than its interval", async () => {
  const world = new World();
  await world.join();
  const before = world.control.beats.length;
  world.control.beat(-1).answer({ revision: "r-1" });
  await world.run(9_900);
  assert.equal(world.control.beats.length, before);
  await world.run(200);
  assert.equal(world.control.beats.length, before + 1);
});

test("a change is told within a fraction of a second, while another beat is held", async () => {
  const world = new World();
  await world.join();
  world.machines = [{ id: "m-1", state: "failed" }];
  world.loop.notify();
  await world.run(100);
  assert.deepEqual(world.control.beat(-1).request.machines, [{ id: "m-1", state: "failed" }]);
  assert.equal(world.control.beat(-1).request.beat, 3);
});

test("early beats are at most one a second on average, whatever changes", async () => {
  const world = new World();
  await world.join();
  const before = world.control.beats.length;
  for (let round = 0; round < 600; round += 1) {
    world.loop.notify();
    await world.run(100);
  }
  const early = world.control.beats.length - before;
  assert.ok(early >= 55 && early <= 66, `${early} beats in a minute`);
});

test("an answer that was overtaken by a newer one is not taken", async () => {
  const world = new World();
  await world.join();
  const held = world.control.beat(-1);
  world.loop.notify();
  await world.run(100);
  world.control.beat(-1).answer({ revision: "r-3", machines: [desired("m-3")] });
  await turn();
  held.answer({ revision: "r-2", machines: [desired("m-2")] });
  await world.run(100);
  assert.deepEqual(world.taken.at(-1), [desired("m-3")]);
  assert.equal(world.control.beat(-1).request.observed_revision, "r-3");
});

test(
  "while nobody answers, tries grow rarer and are said once, and the first answer " + "brings everything back",
  async () => {
    const world = new World();
    await world.join();
    const before = world.control.beats.length;
    const failAll = async (ms: number): Promise<void> => {
      for (let left = ms; left > 0; left -= 1_000) {
        world.control.beats.forEach((beat) => beat.fail(unreachable));
        await world.clock.run(1_000, 100);
      }
    };
    await failAll(3_600_000);
    const tries = world.control.beats.length - before;
    assert.ok(tries > 320 && tries < 365, `${tries} tries in an hour`);
    assert.equal(world.log.count("warn"), 1);
    assert.equal(world.taken.length, 1, "nothing was started or stopped");
    world.machines = [{ id: "m-1", state: "running" }];
    await world.run(11_000);
    const next = world.control.beat(-1);
    assert.deepEqual(
      [next.request.machines, next.request.observed_revision],
      [[{ id: "m-1", state: "running" }], "r-1"],
    );
    next.answer({ revision: "r-1" });
    await world.run(100);
    const held = world.control.beat(-1);
    assert.notEqual(held, next);
    held.answer({ revision: "r-1" });
    await world.run(11_000);
    assert.equal(Math.round(world.control.beat(-1).at - held.at), 10_000, "back to its interval");
  },
);

test(
  "the first beat after an outage is not held, and the next one is: what changed meanwhile, and what " +
    "shall change, is told at once",
  async () => {
    const world = new World();
    await world.join();
    world.control.beat(-1).fail(unreachable);
    await world.run(3_000);
    assert.equal(world.control.beat(-1).request.wait_seconds, 0);
    world.control.beat(-1).answer({ revision: "r-1" });
    await turn();
    await world.run(1_500);
    assert.deepEqual([world.control.beats.length, world.control.beat(-1).request.wait_seconds], [4, 10]);
  },
);

test("changes do not shorten the wait for a control plane that is away", async () => {
  const world = new World();
  await world.join();
  for (let round = 0; round < 6; round += 1) {
    world.control.beat(-1).fail(unreachable);
    await world.run(11_000);
  }
  const before = world.control.beats.length;
  world.control.beat(-1).fail(unreachable);
  for (let round = 0; round < 9; round += 1) {
    world.loop.notify();
    await world.run(1_000);
  }
  assert.equal(world.control.beats.length, before);
});

test("an unknown host registers again, and not in a storm where that does not help", async () => {
  const world = new World();
  await world.join();
  const unknown = new ClientError("host_not_registered", "Host h-1 is not registered here.", { status: 404 });
  for (let round = 0; round < 600; round += 1) {
    world.control.beats.forEach((beat) => beat.fail(unknown));
    world.control.registrations.forEach(({ answer }) => answer());
    await world.clock.run(100, 50);
  }
  const again = world.control.registrations.length - 1;
  assert.ok(again >= 7 && again <= 12, `${again} registrations in a minute`);
});

test("registers until it is let in, and waits as long as it is told to", async () => {
  const world = new World();
  world.loop.start();
  world.control.registrations[0]?.fail(
    new ClientError("license_not_configured", "none", { status: 503, retryAfterSeconds: 20 }),
  );
  await world.run(20_000);
  assert.equal(world.control.registrations.length, 1);
  await world.run(3_000);
  assert.equal(world.control.registrations.length, 2);
});

test("belongs to the first cluster that it meets", async () => {
  const world = new World();
  await world.join();
  assert.equal(world.membership.clusterId, "c-1");
});

test("another cluster's list starts and stops nothing, and the host is heard there all the same", async () => {
  const world = new World();
  await world.join();
  world.control.cluster = "c-2";
  for (let round = 0; round < 5; round += 1) {
    world.control.beat(-1).answer({ revision: "r-9", machines: [] });
    await world.run(10_100);
  }
  assert.equal(world.taken.length, 1);
  assert.equal(world.membership.clusterId, "c-1");
  assert.equal(world.membership.offered, "c-2");
  assert.equal(world.log.count("error"), 1, "it is said once");
  assert.equal(world.control.beat(-1).request.observed_revision, undefined, "what is not obeyed is not confirmed");
  assert.ok(world.control.beats.length >= 5 && world.control.beats.length <= 8, `${world.control.beats.length} beats`);
});

test("an operator's word makes the other cluster its own; a word for a third one does not", async () => {
  const world = new World();
  await world.join();
  world.control.cluster = "c-2";
  world.membership.word = "c-3";
  world.control.beat(-1).answer({ revision: "r-9", machines: [] });
  await world.run(10_100);
  assert.equal(world.taken.length, 1);
  world.membership.word = "c-2";
  world.control.beat(-1).answer({ revision: "r-9", machines: [] });
  await world.run(100);
  assert.equal(world.membership.clusterId, "c-2");
  assert.deepEqual(world.taken.at(-1), []);
});

test("a wiped control plane, which does not know the host, makes it stop nothing", async () => {
  const world = new World();
  await world.join();
  world.control.cluster = "c-new";
  world.control.beat(-1).fail(new ClientError("host_not_registered", "unknown", { status: 404 }));
  await world.run(1_000);
  world.control.registrations.at(-1)?.answer();
  await world.run(100);
  world.control.beat(-1).answer({ revision: "r-empty", machines: [] });
  await world.run(1_000);
  assert.equal(world.control.registrations.length, 2);
  assert.equal(world.taken.length, 1);
});

test("after a stop it calls nobody and takes nothing", async () => {
  const world = new World();
  await world.join();
  world.loop.stop();
  world.control.beat(-1).answer({ revision: "r-2", machines: [] });
  world.loop.notify();
  await world.run(60_000);
  assert.equal(world.taken.length, 1);
  assert.equal(world.control.beats.length, 2);
  assert.equal(world.clock.armed, 0);
  await world.loop.deregister("bye");
  assert.deepEqual(world.control.deregistered, ["h-1"]);
  world.control.refusal = new ClientError("host_not_registered", "it is gone", { status: 404 });
  await world.loop.deregister("its first answer was lost");
  world.control.refusal = new ClientError("unreachable", "nobody there");
  await assert.rejects(world.loop.deregister("bye"), { code: "unreachable" });
});

test("an agent that ends is heard to its end, and takes no list that it could not carry out", async () => {
  const world = new World();
  await world.join();
  world.loop.end();
  world.control.beat(-1).answer({ revision: "r-2", machines: [desired("m-2")] });
  await world.run(10_100);
  assert.equal(world.taken.length, 1);
  assert.equal(world.control.beats.length, 3, "no beat is held back, and none is early");
  assert.equal(world.control.beat(-1).request.observed_revision, "r-1", "what is not obeyed is not confirmed");
});

test("a host that leaves is heard until it has left, and does not come back by itself", async () => {
  const world = new World();
  await world.join();
  world.control.refusal = unreachable;
  await assert.rejects(world.loop.deregister("bye"));
  world.control.beat(-1).answer({ revision: "r-1" });
  await world.run(10_100);
  assert.equal(world.control.beats.length, 3);
  // Its second try was carried out; a beat knows of that before its answer comes.
  world.control.beat(-1).fail(new ClientError("host_not_registered", "unknown", { status: 404 }));
  await world.run(60_000);
  assert.equal(world.control.registrations.length, 1);
  world.control.refusal = null;
  await world.loop.deregister("bye");
  await world.run(60_000);
  assert.deepEqual([world.control.beats.length, world.control.registrations.length, world.clock.armed], [3, 1, 0]);
});

/** What an outage may look like to an agent: each call is refused at once, or swallowed. */
for (const outage of ["refused", "swallowed"] as const) {
  for (const offlineAfterSeconds of [1, 5, 30, 300]) {
    test(
      `a control plane that comes back after its calls were ${outage} is called within an offline_after ` +
        `of ${offlineAfterSeconds} s, whatever chance says`,
      async () => {
        for (const chance of [0, 0.5, 0.999]) {
          const world = new World(chance);
          world.control.intervalSeconds = Math.max(1, Math.floor(offlineAfterSeconds / 3));
          world.loop.start();
          world.control.registrations[0]?.answer({ offline_after_seconds: offlineAfterSeconds });
          await turn();
          const offlineAfterMs = offlineAfterSeconds * 1000;
          // Ten times as long as its host may be silent; then it could come back at any moment.
          for (let left = 10 * offlineAfterMs; left > 0; left -= offlineAfterMs / 100) {
            if (outage === "refused") world.control.beats.forEach((beat) => beat.fail(unreachable));
            await world.clock.run(offlineAfterMs / 100, offlineAfterMs / 100);
          }
          const times = world.control.beats.map(({ at }) => at).slice(-10);
          assert.equal(times.length, 10);
          const gaps = times.slice(1).map((at, index) => at - (times[index] ?? 0));
          assert.ok(Math.max(...gaps) <= offlineAfterMs * 0.85, `${Math.max(...gaps)} ms`);
          assert.ok(Math.min(...gaps) >= 50, "and it is no flood");
        }
      },
    );
  }
}

test("a beat that is answered late is taken all the same, though another was sent in its place", async () => {
  const world = new World();
  await world.join();
  const held = world.control.beat(-1);
  await world.run(18_500);
  assert.notEqual(world.control.beat(-1), held);
  held.answer({ revision: "r-2", machines: [desired("m-2")] });
  await turn();
  assert.deepEqual(world.taken.at(-1), [desired("m-2")]);
});

test("what a control plane asks for is obeyed, but never so long that it would call the host offline", async () => {
  const world = new World();
  await world.join();
  const before = world.control.beats.length;
  world.control.beat(-1).fail(new ClientError("unavailable", "later", { status: 503, retryAfterSeconds: 3_600 }));
  await world.run(14_900);
  assert.equal(world.control.beats.length, before);
  await world.run(200);
  assert.equal(world.control.beats.length, before + 1);
});

test("offline_after is kept for the next start, but not another cluster's", async () => {
  const world = new World();
  world.loop.start();
  world.control.registrations[0]?.answer({ offline_after_seconds: 5 });
  await turn();
  assert.equal(world.membership.offlineAfterMs, 5_000);
  world.control.beat(-1).answer({ revision: "r-1", machines: [] });
  await world.run(1_000);
  world.control.beat(-1).fail(new ClientError("host_not_registered", "unknown", { status: 404 }));
  await world.run(2_000);
  world.control.cluster = "c-2";
  world.control.registrations.at(-1)?.answer({ offline_after_seconds: 900 });
  await turn();
  assert.equal(world.membership.offlineAfterMs, 5_000);
});

test(
  "after an outage, and where beats are held for less than they may be, it asks again what the control " +
    "plane wants",
  async () => {
    const world = new World();
    await world.join();
    await world.run(6_000);
    world.control.beat(-1).fail(unreachable);
    await world.run(1_000);
    world.control.beat(-1).answer({ revision: "r-1" });
    await turn();
    assert.equal(world.control.registrations.length, 2);
    world.control.registrations.at(-1)?.answer({ offline_after_seconds: 90, heartbeat_interval_seconds: 30 });
    await world.run(6_000);
    assert.deepEqual([world.membership.offlineAfterMs, world.control.beat(-1).request.wait_seconds], [90_000, 25]);
    assert.equal(world.control.beat(-1).request.observed_revision, "r-1", "nothing else changes");
    // Restarted with 12 s, behind a socket that lets no call fail: beats are held for 8 s at most.
    await world.run(2_000);
    world.control.beat(-1).answer({ revision: "r-1" });
    await turn();
    assert.equal(world.control.registrations.length, 3);
    world.control.registrations.at(-1)?.answer({ offline_after_seconds: 12, heartbeat_interval_seconds: 4 });
    await world.run(4_000);
    const held = world.control.beat(-1);
    assert.equal(held.request.wait_seconds, 4, "its next beat comes by the new interval");
    await world.run(4_000 - (world.clock.mono() - held.at));
    held.answer({ revision: "r-1" });
    await world.run(6_000);
    assert.equal(
      world.control.registrations.length,
      3,
      "a beat that was held as long as it may be is no sign of anything",
    );
  },
);

test("what it has just asked it asks again a second later, not never", async () => {
  const world = new World();
  await world.join();
  world.control.beat(-1).fail(unreachable);
  await world.run(600);
  world.control.beat(-1).answer({ revision: "r-1" });
  await turn();
  assert.equal(world.control.registrations.length, 1);
  await world.run(1_000);
  assert.equal(world.control.registrations.length, 2);
  world.control.registrations.at(-1)?.fail(unreachable);
  await world.run(10_000);
  assert.equal(world.control.registrations.length, 2);
  world.control.beat(-1).answer({ revision: "r-1" });
  await turn();
  assert.equal(world.control.registrations.length, 3, "and again when it is next heard, until it has been answered");
  world.control.registrations.at(-1)?.answer();
  await world.run(10_100);
  world.control.beat(-1).answer({ revision: "r-1" });
  await world.run(5_000);
  assert.equal(world.control.registrations.length, 3);
});

test("a host that leaves in the middle of its registration leaves after it", async () => {
  const world = new World();
  world.loop.start();
  const left = world.loop.deregister("bye");
  await turn();
  assert.deepEqual(world.control.deregistered, []);
  world.control.registrations[0]?.answer();
  await left;
  assert.deepEqual(world.control.deregistered, ["h-1"]);
  await world.run(60_000);
  assert.deepEqual([world.control.registrations.length, world.clock.armed], [1, 0]);
});

test("a host that leaves waits for what it has just told again", async () => {
  const world = new World();
  await world.join();
  await world.run(6_000);
  world.control.beat(-1).fail(unreachable);
  await world.run(1_000);
  world.control.beat(-1).answer({ revision: "r-1" });
  await turn();
  const left = world.loop.deregister("bye");
  await turn();
  assert.deepEqual(world.control.deregistered, []);
  world.control.registrations.at(-1)?.fail(unreachable);
  await left;
  assert.deepEqual(world.control.deregistered, ["h-1"]);
});
