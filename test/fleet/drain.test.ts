/**
 * Taking a host out of service: the terms of a drain, what is next, when it is over, and what people are shown of it.
 */
import assert from "node:assert/strict";
import test from "node:test";
import type { DrainRequest } from "../../src/wire/hosts.ts";
import { decideDrain, decideUndrain, getDrain, heldMachines, planDrain } from "../../src/fleet/drain.ts";
import { runningDrain } from "../../src/fleet/drain-terms.ts";
import { Presence } from "../../src/fleet/presence.ts";
import { drainView, hostView } from "../../src/fleet/view.ts";
import type { Event } from "../../src/state/events.ts";
import type { State } from "../../src/state/state.ts";
import { START_WALL } from "../support/clock.ts";
import { idOf } from "../support/ids.ts";
import {
  AT,
  CAPACITY,
  apply,
  created,
  drainStarted,
  heard,
  hostOf,
  lost,
  machineOf,
  registered,
  sinceAt,
  specOf,
  stateAfter,
} from "../support/rows.ts";

const NO_TERMS: DrainRequest = {
  max_parallel: undefined,
  deadline_seconds: undefined,
  reason: undefined,
  force: undefined,
};
const DEADLINE = "2026-01-02T03:05:05.678Z";
const AT_DEADLINE = START_WALL + 60_000;

function drain(state: State, request: Partial<DrainRequest> = {}, now = START_WALL): Event {
  const event = decideDrain(state, idOf("h-1"), { ...NO_TERMS, ...request }, now);
  apply(state, event);
  return event;
}

function plan(state: State, reported: number | null, now = START_WALL): Event | null {
  const running = runningDrain(state, idOf("h-1"));
  assert.ok(running !== null);
  return planDrain(state, hostOf(state, "h-1"), running, reported, sinceAt(now));
}

function take(state: State, event: Event | null): void {
  assert.ok(event !== null);
  apply(state, event);
}

/** h-1 with two machines that run and one that ended. */
function busy(): State {
  const state = stateAfter(
    registered("h-1"),
    registered("h-2"),
    created(specOf("m-2"), "h-1"),
    created(specOf("m-1"), "h-1"),
    created(specOf("m-0"), "h-1"),
  );
  apply(
    state,
    heard("h-1", [
      { id: "m-1", state: "running" },
      { id: "m-2", state: "running" },
      { id: "m-0", state: "stopped" },
    ]),
  );
  return state;
}

test("a drain has its defaults, and remembers the machines that it has to move, in order", () => {
  const state = busy();
  assert.deepEqual(
    heldMachines(state, idOf("h-1")).map(({ id }) => id),
    ["m-1", "m-2"],
  );
  assert.deepEqual(drain(state), {
    type: "host.drain_started",
    data: {
      host_id: "h-1",
      max_parallel: 2,
      deadline_at: null,
      force: false,
      reason: null,
      machine_ids: ["m-1", "m-2"],
    },
  });
  const { state: name, started_at, finished_at, forced } = getDrain(state, idOf("h-1"));
  assert.deepEqual(
    { name, started_at, finished_at, forced },
    { name: "draining", started_at: AT, finished_at: null, forced: false },
  );
});

test("a drain takes the terms it is given; the deadline counts from now", () => {
  const state = busy();
  const { data } = drain(state, { max_parallel: 7, deadline_seconds: 60, reason: "disk", force: true });
  assert.deepEqual(data, {
    host_id: "h-1",
    max_parallel: 7,
    deadline_at: DEADLINE,
    force: true,
    reason: "disk",
    machine_ids: ["m-1", "m-2"],
  });
  assert.equal(hostOf(state, "h-1").mode_reason, "disk");
});

test("draining already: given fields replace the old ones, the others stay, and the drain goes on", () => {
  const state = busy();
  drain(state, { max_parallel: 7, deadline_seconds: 60, reason: "disk", force: true });
  const update = drain(state, { max_parallel: 1 }, START_WALL + 5_000);
  assert.deepEqual(update, {
    type: "host.drain_updated",
    data: { host_id: "h-1", max_parallel: 1, deadline_at: DEADLINE, force: true, reason: "disk" },
  });
  drain(state, { deadline_seconds: 55, force: false }, START_WALL + 10_000);
  const { deadline_at, force, max_parallel, machine_ids, started_at } = getDrain(state, idOf("h-1"));
  assert.deepEqual(
    [deadline_at, force, max_parallel, machine_ids, started_at],
    ["2026-01-02T03:05:10.678Z", false, 1, ["m-1", "m-2"], AT],
  );
});

test("a host that never had a machine is drained without its agent's word, also when it is offline", () => {
  for (const offline of [false, true]) {
    const state = stateAfter(registered("h-1"), ...(offline ? [lost("h-1")] : []));
    drain(state, { reason: "disk" });
    take(state, plan(state, null));
    const { mode, mode_reason } = hostOf(state, "h-1");
    assert.deepEqual(
      [mode, mode_reason, getDrain(state, idOf("h-1")).state, getDrain(state, idOf("h-1")).finished_at],
      ["maintenance", "disk", "completed", AT],
    );
    assert.equal(runningDrain(state, idOf("h-1")), null);
  }
});

test("a host that had a machine is drained when its agent has reported a list without any", () => {
  const state = busy();
  drain(state);
  assert.equal(plan(state, 2), null);
  apply(
    state,
    heard("h-1", [
      { id: "m-1", state: "stopped" },
      { id: "m-2", state: "failed" },
    ]),
  );
  assert.equal(plan(state, null), null, "the agent said nothing since the daemon started");
  assert.equal(plan(state, 2), null, "its newest list still has machines");
  assert.deepEqual(plan(state, 0), {
    type: "host.drain_finished",
    data: { host_id: "h-1", state: "completed", mode: "maintenance" },
  });
});

test("machines that the state still has hold the drain, whatever the agent says", () => {
  const state = busy();
  drain(state);
  assert.equal(plan(state, 0), null);
});

test("machines that nobody here knows hold the drain as long as the agent reports them", () => {
  const state = stateAfter(registered("h-1"));
  drain(state);
  assert.equal(plan(state, 1), null);
  assert.equal(plan(state, 0)?.type, "host.drain_finished");
});

test("a host that left and came back had its machines all the same", () => {
  const state = busy();
  apply(
    state,
    heard("h-1", [
      { id: "m-1", state: "stopped" },
      { id: "m-2", state: "stopped" },
    ]),
    { type: "host.deregistered", data: { host_id: "h-1", reason: null } },
    registered("h-1"),
  );
  drain(state);
  assert.equal(plan(state, null), null);
  assert.equal(plan(state, 0)?.type, "host.drain_finished");
});

test("the deadline fails the drain, to the millisecond: the mode stays, nothing is stopped", () => {
  const state = busy();
  drain(state, { deadline_seconds: 60 });
  assert.equal(plan(state, 2, AT_DEADLINE - 1), null);
  assert.deepEqual(plan(state, 2, AT_DEADLINE), {
    type: "host.drain_finished",
    data: { host_id: "h-1", state: "failed", mode: "draining" },
  });
  take(state, plan(state, 2, AT_DEADLINE));
  assert.deepEqual(
    [hostOf(state, "h-1").mode, getDrain(state, idOf("h-1")).state, runningDrain(state, idOf("h-1"))],
    ["draining", "failed", null],
  );
  assert.deepEqual(
    ["m-1", "m-2"].map((id) => machineOf(state, id).desired_state),
    ["running", "running"],
  );
});

test("a failed drain starts anew, without the old deadline; undrain activates", () => {
  const state = busy();
  drain(state, { deadline_seconds: 60, reason: "disk" });
  take(state, plan(state, 2, AT_DEADLINE));
  const again = drain(state, {}, AT_DEADLINE);
  assert.deepEqual(again, {
    type: "host.drain_started",
    data: {
      host_id: "h-1",
      max_parallel: 2,
      deadline_at: null,
      force: false,
      reason: null,
      machine_ids: ["m-1", "m-2"],
    },
  });
  assert.equal(getDrain(state, idOf("h-1")).state, "draining");
  const other = busy();
  drain(other, { deadline_seconds: 60 });
  take(other, plan(other, 2, AT_DEADLINE));
  apply(other, decideUndrain(other, idOf("h-1")));
  assert.deepEqual([hostOf(other, "h-1").mode, hostOf(other, "h-1").mode_reason], ["active", null]);
});

test("with force the deadline stops what is left, once, and the drain completes on the agent's word", () => {
  const state = busy();
  drain(state, { deadline_seconds: 60, force: true });
  assert.equal(plan(state, 2, AT_DEADLINE - 1), null);
  assert.deepEqual(plan(state, 2, AT_DEADLINE), {
    type: "host.drain_forced",
    data: { host_id: "h-1", machine_ids: ["m-1", "m-2"] },
  });
  take(state, plan(state, 2, AT_DEADLINE));
  assert.deepEqual(
    ["m-0", "m-1", "m-2"].map((id) => machineOf(state, id).desired_state),
    ["running", "stopped", "stopped"],
  );
  assert.deepEqual(
    ["m-0", "m-1", "m-2"].map((id) => machineOf(state, id).removing),
    [false, true, true],
  );
  assert.equal(machineOf(state, "m-1").reason, "stopped at the deadline of a drain with force");
  assert.equal(getDrain(state, idOf("h-1")).forced, true);
  assert.equal(plan(state, 2, AT_DEADLINE + 60_000), null);
  apply(
    state,
    heard("h-1", [
      { id: "m-1", state: "stopped" },
      { id: "m-2", state: "stopped" },
    ]),
  );
  assert.equal(plan(state, 2, AT_DEADLINE + 60_000), null);
  take(state, plan(state, 0, AT_DEADLINE + 60_000));
  assert.deepEqual([hostOf(state, "h-1").mode, getDrain(state, idOf("h-1")).state], ["maintenance", "completed"]);
});

test("a host that is empty by its deadline completes rather than fails", () => {
  const state = stateAfter(registered("h-1"));
  drain(state, { deadline_seconds: 60 });
  const event = plan(state, 0, AT_DEADLINE);
  assert.ok(event?.type === "host.drain_finished");
  assert.equal(event.data.state, "completed");
});

test("undrain cancels: the mode is active and the reason gone", () => {
  const state = busy();
  drain(state, { reason: "disk" });
  apply(state, decideUndrain(state, idOf("h-1")));
  assert.deepEqual(
    [
      hostOf(state, "h-1").mode,
      hostOf(state, "h-1").mode_reason,
      getDrain(state, idOf("h-1")).state,
      getDrain(state, idOf("h-1")).finished_at,
    ],
    ["active", null, "cancelled", AT],
  );
});

test("there is no drain of a host that was never drained, or is not there", () => {
  const state = stateAfter(registered("h-1"));
  assert.throws(() => getDrain(state, idOf("h-1")), { code: "no_drain", status: 404 });
  assert.throws(() => getDrain(state, idOf("h-2")), { code: "host_not_found", status: 404 });
});

test("the view counts the rows", () => {
  const state = busy();
  drain(state, { deadline_seconds: 60, reason: "disk" });
  const row = { app_id: "a_1", app_name: "web", replacement_id: null, target_host_id: null, reason: null };
  const states = ["pending", "starting", "stopping", "migrated", "migrated", "blocked", "failed"] as const;
  const rows = states.map((name, index) => ({ id: `m-${index}`, state: name, ...row }));
  const { machines, ...head } = drainView(hostOf(state, "h-1"), getDrain(state, idOf("h-1")), rows);
  assert.deepEqual(machines, rows);
  const terms = { host_id: "h-1", state: "draining", started_at: AT, finished_at: null, deadline_at: DEADLINE };
  assert.deepEqual(head, { ...terms, total: 7, migrated: 2, remaining: 4, failed: 1 });
});

test("a host's view counts the machines that hold capacity, in every state", () => {
  const states = ["pending", "starting", "running", "stopping", "unknown", "stopped", "failed"] as const;
  const state = stateAfter(
    registered("h-1"),
    ...states.map((name) => created(specOf(`m-${name}`, { cpus: 2, memory_mb: 1_000 }), "h-1")),
  );
  apply(
    state,
    heard(
      "h-1",
      states.map((name) => ({ id: `m-${name}`, state: name })),
    ),
  );
  const view = hostView(state, new Presence(1_000), hostOf(state, "h-1"), sinceAt(START_WALL));
  assert.equal(view.machine_count, 5);
  assert.deepEqual(view.allocated, { cpus: 10, memory_mb: 5_000, disk_mb: 0 });
  assert.deepEqual(view.available, { cpus: 0, memory_mb: CAPACITY.memory_mb - 5_000, disk_mb: CAPACITY.disk_mb });
});

test("a host's view shows the newest contact and its usage, and no key", () => {
  const state = stateAfter(registered("h-1", { key_hash: "secret" }), drainStarted("h-1"), lost("h-1"));
  const presence = new Presence(1_000);
  const before = hostView(state, presence, hostOf(state, "h-1"), sinceAt(START_WALL));
  assert.deepEqual(
    [before.last_heartbeat_at, before.usage, before.status, before.health, before.mode],
    [AT, null, "offline", "offline", "draining"],
  );
  presence.hear(idOf("h-1"), 0, START_WALL + 1_000);
  presence.report(idOf("h-1"), { cpus: 0.5, memory_mb: 10, disk_mb: 20 }, null);
  const after = hostView(state, presence, hostOf(state, "h-1"), sinceAt(START_WALL));
  assert.deepEqual(
    [after.last_heartbeat_at, after.usage],
    ["2026-01-02T03:04:06.678Z", { cpus: 0.5, memory_mb: 10, disk_mb: 20 }],
  );
  assert.ok(!JSON.stringify(after).includes("secret"));
});
