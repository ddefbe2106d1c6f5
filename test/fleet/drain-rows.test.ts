/** What drain-status and a dry run show: where each machine stands, and why it waits, in words and numbers. */
import assert from "node:assert/strict";
import test from "node:test";
import { planRows } from "../../src/fleet/drain-rows.ts";
import { heldMachines } from "../../src/fleet/drain.ts";
import { toRfc3339 } from "../../src/lib/clock.ts";
import { idOf } from "../support/ids.ts";
import { created, heard, hostOf, specOf } from "../support/rows.ts";
import { Stage } from "./stage.ts";

/** Six machines on h-1, then room elsewhere. */
function busy(replicas = 3, ...others: string[]): Stage {
  return new Stage()
    .hosts("h-1")
    .deploy("dep_1", replicas)
    .settle()
    .ticks(3)
    .hosts(...others);
}

function brief(stage: Stage, hostId = "h-1"): string[] {
  return stage
    .rows(hostId)
    .map(({ id, state, replacement_id, target_host_id, reason }) =>
      [id, state, replacement_id ?? "-", target_host_id ?? "-", reason ?? "-"].join(" "),
    );
}

function plan(stage: Stage, hostId = "h-1"): string[] {
  return planRows(stage.scene, hostOf(stage.state, hostId), heldMachines(stage.state, idOf(hostId))).map(
    ({ id, state, target_host_id, reason }) => [id, state, target_host_id ?? "-", reason ?? "-"].join(" "),
  );
}

test("a row a machine: starting with its replacement, pending behind max_parallel, stopping, migrated", () => {
  const stage = busy(3, "h-2").drain("h-1", { max_parallel: 1 }).settle();
  assert.deepEqual(brief(stage), [
    "m-001 starting m-004 h-2 pending",
    "m-002 pending - - 1 of at most 1 are being moved",
    "m-003 pending - - 1 of at most 1 are being moved",
  ]);
  stage.tick();
  assert.equal(brief(stage)[0], "m-001 starting m-004 h-2 starting");
  assert.deepEqual(stage.rows("h-1").map(({ app_id, app_name }) => [app_id, app_name])[0], ["web", "web"]);
  stage.tick();
  assert.equal(brief(stage)[0], "m-001 stopping m-004 h-2 replaced by m-004");
  stage.ticks(2);
  assert.equal(brief(stage)[0], "m-001 migrated m-004 h-2 -");
  assert.deepEqual(
    stage
      .ticks(12)
      .rows("h-1")
      .map(({ state, reason }) => [state, reason]),
    [
      ["migrated", null],
      ["migrated", null],
      ["migrated", null],
    ],
  );
});

test("a replacement that runs and is not ready says so", () => {
  const stage = busy(1, "h-2");
  stage.fate = ({ id }) => (id === "m-001" ? "runs" : "unready");
  stage.drain("h-1").ticks(3);
  assert.deepEqual(brief(stage), ["m-001 starting m-002 h-2 running, not ready yet"]);
});

test("blocked says what room is missing", () => {
  const stage = new Stage()
    .hosts("h-1")
    .deploy("dep_1", 1, { cpus: 4 })
    .settle()
    .ticks(3)
    .host("h-7", { capacity: { cpus: 2 } })
    .drain("h-1")
    .settle();
  assert.deepEqual(brief(stage), ["m-001 blocked - - needs 4 cpus; the largest free host h-7 has 2"]);
  assert.deepEqual(brief(busy(1).drain("h-1").settle()), [
    "m-001 blocked - - none of the 1 hosts is active (1 draining)",
  ]);
});

test(
  "blocked where its replacement failed on every host says what happened there, and when they are tried " + "again",
  () => {
    const stage = busy(1, "h-2");
    stage.fate = ({ id }) => (id === "m-001" ? "runs" : "fails");
    stage.drain("h-1").settle();
    while (stage.machine("m-001").retry === null) stage.tick(100);
    const at = toRfc3339(stage.now + 1_000);
    assert.deepEqual(brief(stage), [
      `m-001 blocked - - its replacement failed (m-002 on h-2 failed: exit code 1); again at ${at}`,
    ]);
  },
);

test("while the host is offline its rows are blocked, since when, and what has moved has moved", () => {
  const stage = busy(3, "h-2").drain("h-1", { max_parallel: 1 }).ticks(5);
  stage.lose("h-1");
  const rows = brief(stage);
  assert.equal(rows.filter((row) => row.includes("migrated")).length, 1);
  assert.equal(
    rows.filter((row) => row.includes(`blocked`) && row.endsWith(`host offline since ${toRfc3339(stage.now)}`)).length,
    2,
  );
});

test("a machine that belongs to no app says what can be done about it", () => {
  const stage = new Stage()
    .hosts("h-1", "h-2")
    .do(created(specOf("m-1", { app_id: "gone" }), "h-1"), heard("h-1", [{ id: "m-1", state: "running" }]))
    .drain("h-1");
  assert.match(brief(stage)[0] ?? "", /^m-1 pending - - it belongs to no app .* force$/);
  assert.match(plan(stage)[0] ?? "", /^m-1 pending - it belongs to no app/);
  assert.deepEqual(
    stage.rows("h-1").map(({ app_id, app_name }) => [app_id, app_name]),
    [["gone", null]],
  );
});

test("what a deadline with force takes off has failed, with the reason; what had moved by then has migrated", () => {
  const stage = new Stage()
    .hosts("h-1")
    .deploy("dep_1", 2)
    .settle()
    .ticks(3)
    .host("h-2", { capacity: { cpus: 1 } });
  stage.drain("h-1", { deadline_at: toRfc3339(stage.now + 20_000), force: true }).ticks(19);
  assert.deepEqual(
    stage.rows("h-1").map(({ state }) => state),
    ["migrated", "blocked"],
  );
  stage.ticks(5);
  assert.equal(stage.drainState("h-1"), "completed");
  assert.deepEqual(brief(stage), [
    "m-001 migrated m-003 h-2 -",
    "m-002 failed - - stopped at the deadline of a drain with force",
  ]);
  assert.equal(stage.members().length, 2, "its replica waits for room");
});

test("after a deadline without force what is left stays, and says so", () => {
  const stage = busy(2)
    .drain("h-1", { deadline_at: toRfc3339(new Stage().now + 10_000) })
    .ticks(12);
  assert.equal(stage.drainState("h-1"), "failed");
  assert.deepEqual(brief(stage), [
    "m-001 pending - - stays: the drain is failed",
    "m-002 pending - - stays: the drain is failed",
  ]);
  assert.deepEqual(stage.hosts("h-2").ticks(10).ready(), ["m-001", "m-002"], "nothing is moved after it");
});

test("a machine that comes back to the host while it drains has a row too", () => {
  const stage = busy(1, "h-2")
    .drain("h-1")
    .do(created(specOf("m-late"), "h-1"));
  assert.deepEqual(
    stage.rows("h-1").map(({ id }) => id),
    ["m-001", "m-late"],
  );
});

test("a machine that an operator stopped leaves by itself", () => {
  const stage = busy(1, "h-2")
    .do({ type: "machine.stop_requested", data: { machine_id: "m-001", idempotency: null } })
    .drain("h-1")
    .settle();
  assert.deepEqual([brief(stage)[0], stage.count("machine.created")], ["m-001 stopping - - -", 1]);
  assert.equal(stage.ticks(4).drainState("h-1"), "completed");
});

test(
  "a dry run places one after the other, each with the ones before it in place, and says who would have " + "no room",
  () => {
    const stage = busy(4)
      .host("h-2", { capacity: { cpus: 2 } })
      .host("h-3", { capacity: { cpus: 1 } });
    assert.deepEqual(plan(stage), [
      "m-001 pending h-2 -",
      "m-002 pending h-3 -",
      "m-003 pending h-2 -",
      "m-004 blocked - needs 1 cpu; the largest free host h-2 has 0",
    ]);
    assert.equal(stage.events.filter(({ type }) => type.startsWith("host.drain")).length, 0);
  },
);

test("where the dry run says that machines would go, they go", () => {
  for (const strategy of ["spread", "pack"] as const) {
    const stage = busy(5)
      .host("h-2", { capacity: { cpus: 3 } })
      .host("h-3", { capacity: { cpus: 4 } })
      .host("h-4", { capacity: { cpus: 2 } });
    stage.strategy = strategy;
    const planned = planRows(stage.scene, hostOf(stage.state, "h-1"), heldMachines(stage.state, idOf("h-1"))).map(
      ({ target_host_id }) => target_host_id,
    );
    stage.drain("h-1", { max_parallel: 10 }).ticks(6);
    assert.deepEqual(
      stage.rows("h-1").map(({ target_host_id }) => target_host_id),
      planned,
      strategy,
    );
  }
});
