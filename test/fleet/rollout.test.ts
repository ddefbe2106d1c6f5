/**
 * How a deployment moves to its end: completed only when all are up and the old ones gone; failed, rolled back,
 * superseded; and late after all.
 */
import assert from "node:assert/strict";
import test from "node:test";
import type { Deployment } from "../../src/state/types.ts";
import { idOf } from "../support/ids.ts";
import { APP, Stage } from "./stage.ts";

function begin(replicas = 2): Stage {
  return new Stage().hosts("h-1", "h-2", "h-3").deploy("dep_1", replicas, { progress_deadline_seconds: 30 }).settle();
}

/** One whose second deployment never gets ready. */
function stuck(): Stage {
  const stage = begin().ticks(3);
  stage.fate = (machine) => (machine.deployment_id === "dep_2" ? "unready" : "runs");
  return stage.deploy("dep_2", 3, { progress_deadline_seconds: 30, check: { type: "tcp", port: 1 } }).settle();
}

function brief({ state, reason, finished_at }: Deployment): unknown[] {
  return [state, reason, finished_at !== null];
}

test("a deployment is rolling when its first machine is made, and completed when every one of them is ready", () => {
  const stage = begin();
  assert.deepEqual(brief(stage.deployment("dep_1")), ["rolling", null, false]);
  stage.fate = (machine) => (machine.id === "m-001" ? "runs" : "hangs");
  stage.ticks(4);
  assert.equal(stage.deployment("dep_1").state, "rolling");
  stage.fate = () => "runs";
  stage.ticks(2);
  assert.deepEqual(brief(stage.deployment("dep_1")), ["completed", null, true]);
  assert.equal(stage.state.apps.get(idOf(APP))?.stable_id, "dep_1");
});

test("without a host it is rolling and waits; with one it completes", () => {
  const stage = new Stage().deploy("dep_1", 1).settle();
  assert.deepEqual([stage.deployment("dep_1").state, stage.members()], ["rolling", ["m-001@- pending"]]);
  assert.equal(stage.hosts("h-1").ticks(3).deployment("dep_1").state, "completed");
});

test(
  "it is not completed while one of the old machines still runs, but a host that nobody hears holds it " +
    "up no longer",
  () => {
    const stage = begin().ticks(3);
    for (const id of ["h-1", "h-2", "h-3"]) stage.stubborn.add(id);
    stage.deploy("dep_2", 2, { progress_deadline_seconds: 3_600 }).ticks(20);
    assert.equal(stage.ready().filter((id) => stage.machine(id).deployment_id === "dep_2").length, 2);
    assert.equal(stage.deployment("dep_2").state, "rolling");
    stage.lose("h-1", "h-2");
    const here = stage.state
      .machinesOf(idOf(APP))
      .filter(({ removing }) => removing)
      .every(({ state }) => state === "unknown");
    assert.ok(here);
    stage.find("h-3").ticks(5);
    assert.equal(stage.deployment("dep_2").state, "completed");
  },
);

test("a stopped machine counts as a replica of a completed deployment", () => {
  const stage = begin();
  stage.do({ type: "machine.stop_requested", data: { machine_id: "m-001", idempotency: null } }).ticks(3);
  assert.equal(stage.deployment("dep_1").state, "completed");
});

test(
  "a first deployment that makes no progress in time has failed, and says how far it came and what is in " + "the way",
  () => {
    const stage = begin();
    stage.fate = ({ id }) => (id === "m-001" ? "runs" : "fails");
    stage.ticks(34);
    const { state, reason } = stage.deployment("dep_1");
    assert.equal(state, "failed");
    assert.match(reason ?? "", /^1 of 2 ready, and no more within 30 s: m-\d+ on h-\d(?: failed)?: exit code 1$/);
  },
);

test("one that comes late has come all the same", () => {
  const stage = begin();
  stage.fate = () => "hangs";
  stage.ticks(40);
  assert.equal(stage.deployment("dep_1").state, "failed");
  stage.fate = () => "runs";
  stage.ticks(5);
  assert.deepEqual(brief(stage.deployment("dep_1")), ["completed", null, true]);
});

test("the deadline counts from the last machine that got ready, to the millisecond", () => {
  const stage = begin(3);
  stage.fate = ({ id }) => (id === "m-001" ? "runs" : "hangs");
  stage.ticks(1, 20_000).ticks(1, 5_000);
  assert.equal(stage.machine("m-001").ready, true);
  stage.wait(29_999);
  assert.equal(stage.settle().deployment("dep_1").state, "rolling");
  stage.wait(1);
  assert.equal(stage.settle().deployment("dep_1").state, "failed");
});

test(
  "where there is one to go back to, it is rolled back by itself: the old machines were there all the " +
    "time, the new ones go",
  () => {
    const stage = stuck();
    for (let i = 0; i < 29; i++) assert.deepEqual(stage.tick().ready(), ["m-001", "m-002"]);
    stage.ticks(2);
    assert.equal(stage.deployment("dep_2").state, "rolled_back");
    assert.match(
      stage.deployment("dep_2").reason ?? "",
      /^0 of 3 ready, and no more within 30 s: m-\d+ on h-\d was not ready within 30 s; rolled back to dep_1$/,
    );
    stage.ticks(5);
    assert.deepEqual(
      [stage.ready(), stage.running(), stage.state.apps.get(idOf(APP))?.deployment_id],
      [["m-001", "m-002"], ["m-001", "m-002"], "dep_1"],
    );
    assert.equal(stage.deployment("dep_1").state, "completed");
  },
);

test(
  "a roll-back replaces those of the new machines that had come, and makes as many as the old deployment " + "had",
  () => {
    const stage = begin(4).ticks(3);
    stage.fate = ({ deployment_id, id }) => (deployment_id === "dep_1" || id === "m-005" ? "runs" : "hangs");
    stage.deploy("dep_2", 6, { progress_deadline_seconds: 30 }).ticks(8);
    assert.ok(stage.ready().includes("m-005"));
    stage.ticks(40);
    assert.equal(stage.deployment("dep_2").state, "rolled_back");
    stage.ticks(10);
    assert.deepEqual([stage.ready().length, stage.running().length], [4, 4]);
    assert.ok(stage.ready().every((id) => stage.machine(id).deployment_id === "dep_1"));
  },
);

test("a newer deployment supersedes one that is still rolling, and its machines go", () => {
  const stage = stuck();
  stage.deploy("dep_3", 2).settle();
  assert.ok(
    stage.state.machinesOf(idOf(APP)).every((machine) => machine.deployment_id !== "dep_2" || machine.removing),
    "at once, not when their time is over",
  );
  assert.deepEqual(brief(stage.deployment("dep_2")), ["superseded", "superseded by dep_3", true]);
  stage.ticks(12);
  assert.equal(stage.deployment("dep_3").state, "completed");
  assert.ok(stage.running().every((id) => stage.machine(id).deployment_id === "dep_3"));
  assert.equal(stage.deployment("dep_2").state, "superseded");
});

test("a completed deployment stays completed when its machines fail later", () => {
  const stage = begin().ticks(3);
  stage.fate = () => "fails";
  stage.crash("m-001").ticks(60);
  assert.equal(stage.deployment("dep_1").state, "completed");
});

test("a scale is under way until it is done, and is given its own time", () => {
  const stage = begin().ticks(3);
  stage.wait(3_600_000);
  stage.scale(3).settle();
  assert.deepEqual(brief(stage.deployment("dep_1")), ["rolling", null, false]);
  stage.ticks(3);
  assert.deepEqual(brief(stage.deployment("dep_1")), ["completed", null, true]);
});

test("a scale that does not come about has failed, and what runs goes on", () => {
  const stage = begin().ticks(3);
  stage.fate = ({ id }) => (["m-001", "m-002"].includes(id) ? "runs" : "hangs");
  stage.scale(3).ticks(40);
  assert.equal(stage.deployment("dep_1").state, "failed");
  assert.deepEqual(stage.ready(), ["m-001", "m-002"]);
});

test("rolled back to one that was superseded in the middle of a scale: the scale goes on, and completes", () => {
  const stage = begin().ticks(3);
  stage.fate = ({ deployment_id, id }) => (deployment_id === "dep_1" && id !== "m-003" ? "runs" : "hangs");
  stage.scale(3).ticks(2).deploy("dep_2", 3, { progress_deadline_seconds: 30 }).settle();
  assert.equal(stage.deployment("dep_1").state, "superseded");
  stage.ticks(32);
  assert.equal(stage.deployment("dep_2").state, "rolled_back");
  assert.deepEqual(brief(stage.deployment("dep_1")), ["rolling", null, false]);
  stage.fate = () => "runs";
  stage.ticks(6);
  assert.deepEqual([brief(stage.deployment("dep_1")), stage.ready().length], [["completed", null, true], 3]);
});
