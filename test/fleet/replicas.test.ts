/** What an app needs next: how many replicas, who goes, what replaces what, and in which order. */
import assert from "node:assert/strict";
import test from "node:test";
import { WAITING_AT_MOST } from "../../src/fleet/plan/missing.ts";
import { whyNotYet } from "../../src/fleet/plan/why-not-yet.ts";
import { nextStep } from "../../src/fleet/plan/next-step.ts";
import { surgeOf } from "../../src/fleet/plan/replace.ts";
import type { Event } from "../../src/state/events.ts";
import type { Machine } from "../../src/state/types.ts";
import { idOf } from "../support/ids.ts";
import { APP, Stage } from "./stage.ts";

/** An app of so many replicas, all up, on hosts with room. */
function running(replicas: number, hosts = 4): Stage {
  const stage = new Stage()
    .hosts(...Array.from({ length: hosts }, (_, i) => `h-${i + 1}`))
    .deploy("dep_1", replicas)
    .settle()
    .ticks(3);
  assert.equal(stage.ready().length, replicas);
  assert.equal(stage.deployment("dep_1").state, "completed");
  return stage;
}

function hostsOf(stage: Stage): string[] {
  return stage.state
    .machinesOf(idOf(APP))
    .filter(({ removing, state }) => !removing && state !== "failed")
    .map(({ host_id }) => host_id ?? "-")
    .sort();
}

function since(stage: Stage, work: () => void): Event[] {
  const before = stage.events.length;
  work();
  return stage.events.slice(before);
}

/** Ticks until it is so, and the fewest machines that were ready at any time. */
function fewestReady(stage: Stage, isSo: () => boolean, ticks = 60): number {
  let fewest = stage.ready().length;
  for (let i = 0; i < ticks && !isSo(); i++) fewest = Math.min(fewest, stage.tick().ready().length);
  assert.ok(isSo(), `not so after ${ticks} ticks: ${stage.members().join(", ")}`);
  return fewest;
}

test("an app that was never deployed needs nothing", () => {
  const stage = new Stage()
    .hosts("h-1")
    .do({ type: "app.created", data: { app_id: APP, org_id: "o_1", name: APP, idempotency: null } });
  const app = stage.state.apps.get(idOf(APP));
  assert.ok(app !== undefined);
  assert.deepEqual(nextStep(stage.scene, app), { events: [], waits: false });
});

test("a first deployment makes its replicas apart, each as the deployment says, and says why there", () => {
  const stage = new Stage()
    .hosts("h-1", "h-2", "h-3")
    .deploy("dep_1", 3, { cpus: 2, env: { A: "1" }, check: { type: "tcp", port: 1 } })
    .settle();
  assert.deepEqual(hostsOf(stage), ["h-1", "h-2", "h-3"]);
  const machine = stage.machine("m-001");
  assert.deepEqual(
    [machine.deployment_id, machine.cpus, machine.check, machine.org_id, machine.streak],
    ["dep_1", 2, { type: "tcp", port: 1 }, "o_1", 0],
  );
  assert.match(machine.placed_why ?? "", /^spread: chosen of 3/);
});

test("replicas without room wait for it, and are placed when it is there, no more than fit", () => {
  const stage = new Stage()
    .host("h-1", { capacity: { cpus: 2 } })
    .deploy("dep_1", 5)
    .settle()
    .ticks(3);
  assert.equal(stage.members().filter((line) => line.endsWith("@- pending")).length, 3);
  stage.host("h-2", { capacity: { cpus: 2 } }).ticks(3);
  assert.deepEqual([stage.ready().length, stage.members().filter((line) => line.includes("@-")).length], [4, 1]);
  stage.host("h-3").ticks(3);
  assert.equal(stage.ready().length, 5);
  assert.equal(stage.count("machine.created"), 5);
});

test("ten thousand replicas without room are 25 machines that wait, a number and a reason", () => {
  const stage = new Stage()
    .host("h-1", { capacity: { cpus: 2 } })
    .deploy("dep_1", 10_000)
    .settle()
    .ticks(3);
  const waiting = (): number => stage.members().filter((line) => line.endsWith("@- pending")).length;
  assert.deepEqual([stage.ready().length, waiting(), stage.count("machine.created")], [2, WAITING_AT_MOST, 27]);
  const why = whyNotYet(stage.scene, stage.deployment("dep_1"));
  assert.equal(why, "9998 of 10000 wait for room: needs 1 cpu; the largest free host h-1 has 0");
  const before = stage.events.length;
  stage.ticks(5);
  assert.equal(stage.events.length, before, "nothing more is written while there is no room");

  stage.host("h-2", { capacity: { cpus: 40 } }).ticks(3);
  assert.deepEqual(
    [stage.ready().length, waiting()],
    [42, WAITING_AT_MOST],
    "room goes to those that wait, then to new ones",
  );
  stage.scale(45).ticks(3);
  assert.deepEqual([stage.ready().length, waiting()], [42, 3], "what waits goes first");
  assert.equal(
    whyNotYet(stage.scene, stage.deployment("dep_1")),
    "3 of 45 wait for room: needs 1 cpu; the largest free host h-1 has 0",
  );
  stage.scale(42).ticks(3);
  assert.deepEqual([stage.ready().length, waiting(), stage.deployment("dep_1").state], [42, 0, "completed"]);
});

test("replicas that are made without room cost one look at the hosts, and not one each", () => {
  const stage = new Stage().host("h-1", { capacity: { cpus: 1 } }).deploy("dep_1", 10_000, { cpus: 4 });
  const app = stage.state.apps.get(idOf(APP));
  assert.ok(app !== undefined);
  const looksFor = (replicas: number): number => {
    stage.scale(replicas);
    let looks = 0;
    const { scene } = stage;
    const { events } = nextStep({ ...scene, allocated: (hostId) => (looks++, scene.allocated(hostId)) }, app);
    assert.equal(events.length, Math.min(replicas, WAITING_AT_MOST));
    return looks;
  };
  assert.equal(looksFor(10_000), looksFor(1));
});

test("machines that wait for the same room cost one look at the hosts, however many they are", () => {
  const stage = new Stage()
    .host("h-1", { capacity: { cpus: 1 } })
    .deploy("dep_1", 400)
    .settle();
  const app = stage.state.apps.get(idOf(APP));
  assert.ok(app !== undefined);
  let looks = 0;
  const { scene } = stage;
  nextStep({ ...scene, allocated: (hostId) => (looks++, scene.allocated(hostId)) }, app);
  assert.ok(looks < 20, `${looks} looks at one host`);
});

test("scaling up makes the missing ones, scaling down takes the newest of the least worth", () => {
  const stage = running(2);
  stage.scale(4).ticks(3);
  assert.equal(stage.ready().length, 4);
  stage.crash("m-001").tick(0);
  const gone = since(stage, () => stage.scale(2).settle()).filter(({ type }) => type === "machine.removed");
  assert.deepEqual(
    gone.map(({ data }) => data),
    [{ machine_ids: ["m-001", "m-005", "m-004"], reason: "scaled to 2" }],
    "the one that failed with its replacement, then the newest that run",
  );
  stage.ticks(3);
  assert.deepEqual(stage.ready(), ["m-002", "m-003"]);
  assert.deepEqual(stage.running(), ["m-002", "m-003"]);
});

test("an old machine that does not run goes before a newer one that does", () => {
  const stage = new Stage().hosts("h-1", "h-2");
  stage.fate = ({ id }) => (id === "m-001" ? "hangs" : "runs");
  stage.deploy("dep_1", 2).settle().ticks(3).scale(1).ticks(3);
  assert.deepEqual(stage.ready(), ["m-002"]);
});

test("what waits for room goes before what runs", () => {
  const stage = new Stage()
    .host("h-1", { capacity: { cpus: 2 } })
    .deploy("dep_1", 4)
    .settle()
    .ticks(3)
    .scale(2)
    .ticks(3);
  assert.deepEqual(stage.ready(), ["m-001", "m-002"]);
});

test("scaled to nothing, nothing runs and the deployment is completed", () => {
  const stage = running(3);
  stage.scale(0).tick();
  assert.equal(stage.deployment("dep_1").state, "rolling", "they are still stopping");
  stage.ticks(3);
  assert.deepEqual([stage.running(), stage.deployment("dep_1").state], [[], "completed"]);
});

test(
  "a rolling replacement starts a quarter at a time, keeps every old one until its new one is ready, and " +
    "ends with new ones alone",
  () => {
    const stage = running(8);
    assert.deepEqual([1, 2, 4, 5, 8, 9].map(surgeOf), [1, 1, 1, 2, 2, 3]);
    stage.deploy("dep_2", 8).settle();
    const isNew = (machine: Machine): boolean => machine.deployment_id === "dep_2";
    assert.equal(stage.state.machinesOf(idOf(APP)).filter(isNew).length, 2);
    let most = 0;
    const fewest = fewestReady(stage, () => {
      most = Math.max(most, stage.state.machinesOf(idOf(APP)).filter((machine) => !machine.removing).length);
      return stage.deployment("dep_2").state === "completed";
    });
    assert.deepEqual([fewest, most], [8, 10]);
    assert.ok(stage.state.machinesOf(idOf(APP)).every((machine) => isNew(machine) || machine.removing));
    assert.equal(stage.running().length, 8);
  },
);

test("a deployment that is not ready keeps the old ones where they are", () => {
  const stage = running(4);
  stage.fate = (machine) => (machine.deployment_id === "dep_1" ? "runs" : "unready");
  stage.deploy("dep_2", 4, { check: { type: "tcp", port: 1 } }).ticks(30);
  assert.deepEqual(stage.ready(), ["m-001", "m-002", "m-003", "m-004"]);
  assert.equal(stage.state.machinesOf(idOf(APP)).length, 5);
});

test("what still waited for room is not replaced but superseded", () => {
  const stage = new Stage()
    .host("h-1", { capacity: { cpus: 2 } })
    .deploy("dep_1", 3)
    .settle()
    .ticks(2)
    .deploy("dep_2", 2)
    .settle();
  const waiting = stage.state
    .machinesOf(idOf(APP))
    .find((machine) => machine.host_id === null && machine.deployment_id === "dep_1");
  assert.deepEqual(
    [waiting?.state, waiting?.removing, waiting?.reason],
    ["stopped", true, "superseded before it was placed"],
  );
});

test("a drain moves max_parallel at a time, each original only after its replacement is ready", () => {
  for (const most of [1, 3]) {
    const stage = new Stage()
      .hosts("h-1")
      .deploy("dep_1", 6)
      .settle()
      .ticks(3)
      .hosts("h-2", "h-3")
      .drain("h-1", { max_parallel: most });
    let moving = 0;
    const fewest = fewestReady(stage, () => {
      const own = stage.state.machines.group(idOf("h-1")).filter((machine) => machine.state !== "stopped");
      moving = Math.max(moving, own.filter((machine) => machine.removing || machine.replaced_by !== null).length);
      return stage.drainState("h-1") === "completed";
    });
    assert.deepEqual([fewest, moving, stage.ready().length, stage.running().length], [6, most, 6, 6]);
    assert.equal(stage.state.hosts.get(idOf("h-1"))?.mode, "maintenance");
  }
});

test("a drained host with a machine that does not stop is not called drained", () => {
  const stage = running(4);
  stage.stubborn.add("h-1");
  stage.drain("h-1").ticks(60);
  assert.equal(stage.drainState("h-1"), "draining");
  stage.stubborn.clear();
  assert.equal(stage.ticks(3).drainState("h-1"), "completed");
});

test(
  "a replacement that fails is removed, the original stays, other hosts are tried at once, and then " +
    "again after 1 s doubling to 30 s",
  () => {
    const stage = new Stage().hosts("h-1").deploy("dep_1", 1).settle().ticks(3).hosts("h-2", "h-3");
    stage.fate = (machine) => (machine.host_id === "h-1" ? "runs" : "fails");
    stage.drain("h-1");
    const tries: { at: number; host: string | null }[] = [];
    const began = stage.now;
    let seen = stage.events.length;
    for (let i = 0; i < 600; i++) {
      stage.tick(250);
      for (const event of stage.events.slice(seen))
        if (event.type === "machine.created") tries.push({ at: stage.now - began, host: event.data.host_id });
      seen = stage.events.length;
      assert.deepEqual(stage.ready(), ["m-001"], "the original stays as it was");
    }
    assert.deepEqual(
      tries.slice(0, 4).map(({ host }) => host),
      ["h-2", "h-3", "h-2", "h-3"],
      "each host once a round",
    );
    const pauses = tries.slice(1).map(({ at }, index) => at - (tries[index]?.at ?? 0));
    // Each try takes two beats of 250 ms and the pause counts from its failure.
    const between = pauses.filter((_, index) => index % 2 === 1).map((ms) => Math.round((ms - 500) / 1_000));
    assert.deepEqual(between.slice(0, 6), [1, 2, 4, 8, 16, 30]);
    assert.ok(
      pauses.filter((_, index) => index % 2 === 0).every((ms) => ms <= 500),
      `the second host of a round at once: ${pauses.join(" ")}`,
    );
    stage.fate = () => "runs";
    assert.equal(stage.ticks(40).drainState("h-1"), "completed");
  },
);

test("a replacement that is not ready within the deadline counts as failed, and other hosts are tried", () => {
  const stage = new Stage()
    .hosts("h-1")
    .deploy("dep_1", 1, { progress_deadline_seconds: 10 })
    .settle()
    .ticks(3)
    .hosts("h-2", "h-3");
  stage.fate = ({ host_id }) => (host_id === "h-2" ? "hangs" : "runs");
  stage.drain("h-1").ticks(9);
  assert.deepEqual(hostsOf(stage), ["h-1", "h-2"]);
  stage.ticks(2);
  assert.equal(stage.machine("m-002").reason, "m-002 on h-2 was not ready within 10 s");
  assert.equal(stage.machine("m-001").replaced_by, "m-003");
  assert.deepEqual(
    fewestReady(stage, () => stage.drainState("h-1") === "draining"),
    1,
  );
});

test(
  "a target that starts to drain, is lost or leaves: its unfinished replacement is placed anew at once, " +
    "and no host is blamed",
  () => {
    const troubles: readonly ((stage: Stage) => void)[] = [
      (stage) => stage.drain("h-2"),
      (stage) => stage.lose("h-2"),
      (stage) => stage.do({ type: "host.deregistered", data: { host_id: "h-2", reason: null } }),
    ];
    for (const trouble of troubles) {
      const stage = new Stage()
        .hosts("h-1")
        .deploy("dep_1", 1)
        .settle()
        .ticks(3)
        .hosts("h-2", "h-3")
        .drain("h-1")
        .settle();
      assert.equal(stage.machine("m-002").host_id, "h-2");
      trouble(stage);
      stage.settle();
      assert.deepEqual(
        [stage.machine("m-002").removing, stage.machine("m-003").host_id, stage.machine("m-001").retry],
        [true, "h-3", null],
      );
      assert.equal(
        fewestReady(stage, () => stage.drainState("h-1") === "completed"),
        1,
      );
      assert.deepEqual(stage.ready(), ["m-003"]);
    }
  },
);

test(
  "undrain in the middle: what still starts is removed, what is stopping finishes, what has moved stays " + "moved",
  () => {
    const stage = new Stage()
      .hosts("h-1")
      .deploy("dep_1", 3)
      .settle()
      .ticks(3)
      .hosts("h-2", "h-3")
      .drain("h-1", { max_parallel: 1 });
    stage.ticks(3);
    const [first] = stage.state.machines.group(idOf("h-1")).filter((machine) => machine.removing);
    assert.ok(first !== undefined && first.state !== "stopped", "the first is stopping");
    stage.drain("h-1", { max_parallel: 3 }).settle();
    const starting = stage.state.machinesOf(idOf(APP)).filter((machine) => machine.state === "pending");
    assert.ok(starting.length > 0);
    stage.undrain("h-1").settle();
    assert.ok(
      starting.every(({ id }) => stage.machine(id).removing),
      "what still starts",
    );
    stage.ticks(4);
    assert.equal(stage.machine(first.id).state, "stopped");
    assert.deepEqual(hostsOf(stage).filter((id) => id === "h-1").length, 2);
    assert.deepEqual([stage.ready().length, stage.running().length], [3, 3]);
  },
);

test("at rest an app costs nothing: it neither writes nor waits", () => {
  const stage = running(3);
  const app = stage.state.apps.get(idOf(APP));
  assert.ok(app !== undefined);
  assert.deepEqual(nextStep(stage.scene, app), { events: [], waits: false });
  assert.deepEqual(
    since(stage, () => stage.ticks(50, 60_000)),
    [],
  );
});
