/**
 * Machines whose host is lost, that give up, that are stopped or deleted: what becomes of them, and of their replicas.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { toRfc3339 } from "../../src/lib/clock.ts";
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

function stop(stage: Stage, id: string): void {
  stage.do({ type: "machine.stop_requested", data: { machine_id: id, idempotency: null } });
}

function start(stage: Stage, id: string): void {
  stage.do({ type: "machine.start_requested", data: { machine_id: id, idempotency: null } });
}

test(
  "the machines of a lost host are replaced elsewhere; when it is heard again after that, the originals " +
    "are stopped",
  () => {
    const stage = running(4);
    stage.lose("h-1").ticks(3);
    assert.equal(hostsOf(stage).filter((id) => id !== "h-1").length, 4);
    assert.equal(stage.running().length, 5, "while the partition lasts both copies may run");
    stage.find("h-1").ticks(3);
    assert.deepEqual(
      [stage.ready().length, stage.running().length, stage.state.hosts.get(idOf("h-1"))?.health],
      [4, 4, "online"],
    );
    assert.ok(hostsOf(stage).every((id) => id !== "h-1"));
  },
);

test(
  "a lost host that is heard again before the replacement is up keeps its machine, and the replacement " +
    "is given up",
  () => {
    const stage = running(1, 2);
    stage.fate = () => "hangs";
    stage.lose("h-1").ticks(3);
    assert.equal(stage.machine("m-001").replaced_by, "m-002");
    stage.find("h-1").tick();
    assert.deepEqual(
      [stage.machine("m-002").removing, stage.machine("m-001").state, stage.machine("m-001").replaced_by],
      [true, "running", null],
    );
    assert.deepEqual(stage.ticks(3).running(), ["m-001"]);
  },
);

test("while a host that is back has not said how its machine is, the replacement goes on", () => {
  const stage = running(1, 2);
  stage.fate = () => "hangs";
  stage.lose("h-1").ticks(2).host("h-1").settle();
  assert.deepEqual(
    [stage.state.hosts.get(idOf("h-1"))?.health, stage.machine("m-001").state, stage.machine("m-002").removing],
    ["online", "unknown", false],
  );
});

test("held in a storm nothing is replaced, until a host-admin says so", () => {
  const stage = running(4);
  stage.loseInStorm("h-1", "h-2").ticks(20, 60_000);
  assert.equal(stage.count("machine.created"), 4);
  stage.do({ type: "host.replacement_allowed", data: { host_ids: ["h-1", "h-2"] } }).ticks(3);
  assert.equal(stage.ready().filter((id) => ["h-3", "h-4"].includes(stage.machine(id).host_id ?? "")).length, 4);
});

test("with on_host_loss wait, or restart never, a lost machine waits for its host", () => {
  for (const more of [{ on_host_loss: "wait" }, { restart: "never" }] as const) {
    const stage = new Stage()
      .hosts("h-1", "h-2")
      .deploy("dep_1", 2, more)
      .settle()
      .ticks(3)
      .lose("h-1")
      .ticks(30, 60_000);
    assert.equal(stage.count("machine.created"), 2);
    stage.find("h-1").ticks(2);
    assert.deepEqual(stage.ready(), ["m-001", "m-002"]);
  }
});

test("a stopped machine counts as a replica, holds no capacity, and is placed anew when it is started", () => {
  const stage = new Stage()
    .host("h-1", { capacity: { cpus: 1 } })
    .deploy("dep_1", 1)
    .settle()
    .ticks(3);
  stop(stage, "m-001");
  stage.ticks(3);
  assert.deepEqual([stage.members(), stage.scene.allocated(idOf("h-1")).cpus], [["m-001@h-1 stopped"], 0]);
  stage.host("h-0").ticks(3);
  assert.equal(stage.count("machine.created"), 1);
  start(stage, "m-001");
  stage.ticks(3);
  assert.deepEqual([stage.members(), stage.ready()], [["m-001@h-0 running"], ["m-001"]]);
});

test("a machine that was told to go keeps the reason why when its host is lost", () => {
  const stage = running(2);
  stage.stubborn.add("h-1");
  stage.scale(0).settle().lose("h-1");
  assert.deepEqual([stage.machine("m-001").state, stage.machine("m-001").reason], ["unknown", "scaled to 0"]);
});

test("a machine that was stopped while its host was lost is not brought back by its replacement", () => {
  const stage = running(1, 2);
  stage.lose("h-1").settle();
  assert.equal(stage.machine("m-001").replaced_by, "m-002");
  stop(stage, "m-001");
  stage.ticks(5);
  assert.deepEqual(
    [stage.machine("m-002").removing, stage.machine("m-001").removing, stage.ready()],
    [true, false, ["m-001"]],
    "it runs where nobody hears",
  );
  stage.find("h-1").ticks(4);
  assert.deepEqual([stage.running(), stage.members()], [[], ["m-001@h-1 stopped"]]);
});

test("a deleted machine is replaced, unless the replicas shrink", () => {
  const stage = running(2);
  stage.do({ type: "machine.removed", data: { machine_ids: ["m-001"], reason: "deleted" } }).ticks(3);
  assert.deepEqual(stage.ready(), ["m-002", "m-003"]);
  stage
    .do({ type: "machine.removed", data: { machine_ids: ["m-002"], reason: "deleted" } })
    .scale(1)
    .ticks(3);
  assert.deepEqual([stage.ready(), stage.running()], [["m-003"], ["m-003"]]);
});

test("the machines of a deleted app all go, also when their host is heard again only then", () => {
  const stage = running(4);
  stage
    .lose("h-1")
    .do({ type: "app.deleted", data: { app_id: APP } })
    .ticks(3);
  assert.deepEqual(
    stage.running(),
    stage.running().filter((id) => stage.machine(id).host_id === "h-1"),
  );
  stage.find("h-1").ticks(3);
  assert.deepEqual(stage.running(), []);
  assert.ok(
    stage.state.machinesOf(idOf(APP)).every((machine) => machine.state === "stopped" && machine.ended_at !== null),
  );
});

test(
  "a machine that gave up is replaced on another host at once; what cannot run does not spin: 1 s " +
    "doubling to 5 min",
  () => {
    const stage = running(1, 3);
    const starts: number[] = [];
    for (let i = 0; i < 3_000; i++) {
      const before = stage.count("machine.created");
      const created = stage.tick().count("machine.created") > before;
      if (created) starts.push(stage.now);
      // It is ready for a moment, so each one replaces the one before, and then it dies.
      const up = stage.ready()[0];
      if (up !== undefined && stage.machine(up).ready && starts.length < 11 && !stage.machine(up).removing)
        stage.crash(up);
    }
    assert.equal(stage.machine("m-002").streak, 1);
    assert.notEqual(stage.machine("m-002").host_id, "h-1");
    const pauses = starts.slice(1).map((at, index) => at - (starts[index] ?? 0));
    assert.ok(
      pauses.every((ms, index) => index === 0 || ms >= Math.min(300_000, 1_000 * 2 ** index)),
      pauses.join(" "),
    );
    assert.ok(
      pauses.every((ms) => ms < 310_000),
      pauses.join(" "),
    );
    assert.equal(stage.ready().length, 1);
  },
);

test("a clock that is put back by a day holds up no replacement", () => {
  const failing = running(1, 3);
  failing.fate = () => "fails";
  failing.crash("m-001").ticks(20);
  const before = failing.count("machine.created");
  failing.now -= 86_400_000;
  failing.ticks(700);
  assert.ok(failing.count("machine.created") > before + 2, "what fails is tried again");
  const suspected = running(1, 3);
  const until = toRfc3339(suspected.now + 60_000);
  suspected.do({ type: "host.lost", data: { host_ids: ["h-1"], held_host_ids: [], replace_after: until } });
  suspected.silent.add("h-1");
  suspected.now -= 86_400_000;
  assert.equal(suspected.ticks(59).count("machine.created"), 1, "nor does it come earlier");
  assert.equal(suspected.ticks(2).count("machine.created"), 2, "what is lost is replaced");
});

test("a machine that was well for 10 minutes before it gave up begins with a new streak", () => {
  const stage = running(1, 3);
  stage.crash("m-001").ticks(4);
  assert.equal(stage.machine("m-002").streak, 1);
  stage.ticks(700).crash("m-002").ticks(4);
  assert.equal(stage.machine("m-003").streak, 0);
});

test("a new deployment does not wait for the streak of the old one", () => {
  const stage = running(1, 3);
  for (let i = 0; i < 400 && stage.machine(stage.members()[0]?.split("@")[0] ?? "").streak < 7; i++) {
    const up = stage.ready()[0];
    if (up !== undefined && stage.machine(up).ready && !stage.machine(up).removing) stage.crash(up);
    stage.tick();
  }
  const last = stage.state.machinesOf(idOf(APP)).find((machine) => !machine.removing);
  assert.ok(last !== undefined && last.streak >= 7, `streak ${last?.streak}`);
  stage.crash(last.id).ticks(2);
  stage.deploy("dep_2", 1).ticks(3);
  const [now] = stage.ready().map((id) => stage.machine(id));
  assert.deepEqual([now?.deployment_id, now?.streak], ["dep_2", 0]);
});

test("what has done its work is left in peace, and counts as up", () => {
  const stage = new Stage().hosts("h-1", "h-2");
  stage.fate = () => "ends";
  stage.deploy("dep_1", 2, { restart: "on-failure" }).settle().ticks(4);
  assert.deepEqual([stage.count("machine.created"), stage.deployment("dep_1").state], [2, "completed"]);
  assert.ok(stage.state.machinesOf(idOf(APP)).every(({ state, removing }) => state === "stopped" && !removing));
});

test("with restart never a machine that failed stays as it is", () => {
  const stage = new Stage().hosts("h-1", "h-2");
  stage.fate = () => "fails";
  stage.deploy("dep_1", 1, { restart: "never" }).settle().ticks(30, 10_000);
  assert.deepEqual([stage.count("machine.created"), stage.members()], [1, ["m-001@h-1 failed"]]);
});

test(
  "what never ran does not go through the whole fleet: not when it is deployed, and not when its host is " + "drained",
  () => {
    const broken = (): Stage => {
      const stage = new Stage().hosts(...Array.from({ length: 30 }, (_, index) => `h-${index}`));
      stage.fate = () => "fails";
      return stage;
    };
    assert.ok(
      broken().deploy("dep_1", 1).settle().ticks(240, 250).count("machine.created") <= 8,
      "1 s doubling to 30 s gives seven tries in the first minute",
    );
    const drained = broken();
    drained.fate = () => "hangs";
    drained.deploy("dep_1", 1).settle().ticks(3);
    drained.fate = () => "fails";
    drained.drain(drained.machine("m-001").host_id ?? "");
    assert.ok(drained.ticks(240, 250).count("machine.created") <= 9);
  },
);
