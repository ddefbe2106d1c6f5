/** What was kept long enough goes, and nothing that still counts. */
import assert from "node:assert/strict";
import test from "node:test";
import { decideExpired } from "../../src/fleet/expiry.ts";
import { START_WALL } from "../support/clock.ts";
import { idOf } from "../support/ids.ts";
import { created, heard, specOf } from "../support/rows.ts";
import { APP, Stage } from "./stage.ts";

const DAY = 24 * 3600 * 1000;

test("an ended machine that went for good is let go after 24 h, to the millisecond", () => {
  const stage = new Stage().hosts("h-1").deploy("dep_1", 1).settle().ticks(3).scale(0).ticks(3);
  const ended = Date.parse(stage.machine("m-001").ended_at ?? "");
  assert.equal(decideExpired(stage.state, ended + DAY - 1), null);
  const event = decideExpired(stage.state, ended + DAY);
  assert.deepEqual(event?.data, { machine_ids: ["m-001"], idempotency_keys: [] });
  assert.ok(event !== null);
  assert.equal(stage.do(event).state.machinesOf(idOf(APP)).length, 0);
  assert.equal(decideExpired(stage.state, ended + 2 * DAY), null);
});

test(
  "what still counts as a replica is kept however long ago it ended: stopped by an operator, done, or " +
    "failed for good",
  () => {
    const stopped = new Stage()
      .hosts("h-1")
      .deploy("dep_1", 1)
      .settle()
      .ticks(3)
      .do({ type: "machine.stop_requested", data: { machine_id: "m-001", idempotency: null } })
      .ticks(3);
    const done = new Stage().hosts("h-1").deploy("dep_1", 1).settle();
    done.fate = () => "ends";
    const failed = new Stage().hosts("h-1").deploy("dep_1", 1, { restart: "never" }).settle();
    failed.fate = () => "fails";
    for (const stage of [stopped, done.ticks(3), failed.ticks(3)]) {
      assert.ok(stage.machine("m-001").ended_at !== null);
      assert.equal(decideExpired(stage.state, stage.now + 30 * DAY), null);
    }
  },
);

test("a machine that has not ended is kept, also when it was told to go long ago", () => {
  const stage = new Stage()
    .hosts("h-1")
    .deploy("dep_1", 1)
    .settle()
    .ticks(3)
    .lose("h-1")
    .do({ type: "app.deleted", data: { app_id: APP } });
  assert.equal(decideExpired(stage.state, stage.now + 30 * DAY), null);
});

test("ended machines of an app that is gone are let go too", () => {
  const stage = new Stage()
    .hosts("h-1")
    .do(created(specOf("m-1", { app_id: "gone" }), "h-1"), heard("h-1", [{ id: "m-1", state: "failed" }]));
  assert.deepEqual(decideExpired(stage.state, stage.now + DAY)?.data.machine_ids, ["m-1"]);
});

test("a key is remembered for 24 h", () => {
  const stage = new Stage().do({
    type: "app.created",
    data: { app_id: APP, org_id: "o_1", name: APP, idempotency: { key: "k", body_sum: "s" } },
  });
  assert.equal(decideExpired(stage.state, START_WALL + DAY - 1), null);
  assert.deepEqual(decideExpired(stage.state, START_WALL + DAY)?.data, {
    machine_ids: [],
    idempotency_keys: ["o_1/k"],
  });
});

test("of an app's ended machines the newest thousand are kept, and one line lets go of 5,000 at most", () => {
  const stage = new Stage().hosts("h-1");
  const ids = Array.from({ length: 6_500 }, (_, index) => `m-${String(index).padStart(4, "0")}`);
  for (const id of ids) stage.do(created(specOf(id, { app_id: "gone" }), "h-1"));
  stage.do(
    heard(
      "h-1",
      ids.map((id) => ({ id, state: "failed" as const })),
    ),
  );
  const first = decideExpired(stage.state, stage.now);
  assert.ok(first !== null);
  assert.deepEqual([first.data.machine_ids.length, first.data.machine_ids[0]], [5_000, "m-0000"]);
  const second = decideExpired(stage.do(first).state, stage.now);
  assert.ok(second !== null);
  assert.deepEqual(second.data.machine_ids, ids.slice(5_000, 5_500));
  assert.equal(decideExpired(stage.do(second).state, stage.now), null);
});
