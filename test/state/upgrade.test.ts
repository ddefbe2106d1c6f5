/**
 * What versions before `min_healthy_seconds` wrote: rows of their snapshots and their events are made whole, and
 * nobody's machine counts as down for it.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { isHealthy } from "../../src/fleet/plan/health.ts";
import { nextStep } from "../../src/fleet/plan/next-step.ts";
import type { MachineId } from "../../src/lib/id-types.ts";
import { State } from "../../src/state/state.ts";
import { idOf } from "../support/ids.ts";
import { apply, heard, machineOf, registered, sinceAt, specOf, workloadOf } from "../support/rows.ts";
import { START_WALL } from "../support/clock.ts";

/** The row without the fields that came later. */
function without(row: object, ...fields: readonly string[]): object {
  return Object.fromEntries(Object.entries(row).filter(([name]) => !fields.includes(name)));
}

const LATER: Readonly<Record<string, readonly string[]>> = {
  hosts: ["trouble"],
  drains: ["deadline_from"],
  deployments: ["min_healthy_seconds", "last_failure"],
  machines: ["min_healthy_seconds", "up_since", "healthy", "healthy_at", "fault"],
};

/** A state with one of everything, as it is now. */
function lived(): State {
  const state = new State();
  const { env: _env, min_healthy_seconds: _seconds, ...old } = workloadOf();
  const deployment = {
    id: "dep_1",
    app_id: "web",
    org_id: "o_1",
    replicas: 1,
    env: {},
    ...old,
    min_healthy_seconds: 10,
  };
  apply(state, registered("h-1"));
  apply(state, { type: "app.created", data: { app_id: "web", org_id: "o_1", name: "web", idempotency: null } });
  apply(state, { type: "deployment.created", data: { deployment, idempotency: null } });
  apply(state, {
    type: "machine.created",
    data: { machine: specOf("m-1", { min_healthy_seconds: 10 }), host_id: "h-1", replaces: null, why: null },
  });
  const report = { ready: true, reason: null, exit_code: null, started_at: null };
  apply(state, {
    type: "host.heard",
    data: { host_id: "h-1", key_hash: null, machines: [{ id: "m-1", state: "running", ...report }] },
  });
  apply(state, {
    type: "host.drain_started",
    data: {
      host_id: "h-1",
      max_parallel: 2,
      deadline_at: "2026-01-02T04:04:05.678Z",
      force: false,
      reason: null,
      machine_ids: ["m-1"],
    },
  });
  return state;
}

test("rows of an older snapshot get what they lack, and the next look finds the machine healthy", () => {
  const before = lived();
  const state = new State();
  for (const line of before.lines()) {
    const [table, key, row]: [string, string, object] = JSON.parse(line);
    state.load([table, key, without(row, ...(LATER[table] ?? []))]);
  }
  const machine = machineOf(state, "m-1");
  assert.deepEqual(
    [machine.up_since, machine.healthy, machine.fault, machine.min_healthy_seconds],
    [machine.ready_at, false, null, 10],
  );
  assert.deepEqual(
    [state.hosts.get(idOf("h-1"))?.trouble, state.deployments.get(idOf("dep_1"))?.last_failure],
    [null, null],
  );
  assert.equal(state.drains.get(idOf("h-1"))?.deadline_from, state.drains.get(idOf("h-1"))?.started_at);
  const app = state.apps.get(idOf("web"));
  assert.ok(app !== undefined);
  const scene = {
    state,
    strategy: "spread",
    now: START_WALL,
    since: sinceAt(START_WALL + 60_000),
    newMachineId: () => idOf<MachineId>("m-2"),
    allocated: () => ({ cpus: 0, memory_mb: 0, machines: 0 }),
  } as const;
  const { events } = nextStep(scene, app);
  assert.deepEqual(events, [{ type: "machine.healthy", data: { app_id: "web", machine_ids: ["m-1"] } }]);
  apply(state, ...events);
  assert.ok(isHealthy(machineOf(state, "m-1")));
});

test("a row that is whole is taken as it is, to the byte", () => {
  const before = lived();
  const state = new State();
  for (const line of before.lines()) state.load(JSON.parse(line));
  assert.deepEqual([...state.lines()], [...before.lines()]);
});

test("an older event says online false, and none says how long a machine has to be healthy", () => {
  const state = new State();
  apply(state, registered("h-1"));
  const { min_healthy_seconds: _absent, ...spec } = specOf("m-1");
  apply(state, {
    type: "machine.created",
    data: { machine: spec as ReturnType<typeof specOf>, host_id: "h-1", replaces: null, why: null },
  });
  apply(state, heard("h-1", [{ id: "m-1", state: "running" }], false));
  assert.deepEqual([machineOf(state, "m-1").min_healthy_seconds, state.hosts.get(idOf("h-1"))?.health], [10, "online"]);
});
