/**
 * What a heartbeat changes: the host that is back, the key that binds, and each machine by what the agent says of it.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { decideHeard } from "../../src/fleet/heartbeat.ts";
import type { ReportedMachine } from "../../src/wire/agents.ts";
import { sha256Hex } from "../../src/lib/ids.ts";
import type { MachineReport } from "../../src/state/events.ts";
import type { State } from "../../src/state/state.ts";
import { idOf } from "../support/ids.ts";
import {
  apply,
  created,
  drainStarted,
  heard,
  hostOf,
  lost,
  machineOf,
  registered,
  specOf,
  stateAfter,
} from "../support/rows.ts";

const CHECK = { type: "http", port: 80 };
const STARTED = "2026-01-01T00:00:00.000Z";

function says(id: string, state: ReportedMachine["state"], more: Partial<ReportedMachine> = {}): ReportedMachine {
  return {
    id: idOf(id),
    state,
    started_at: undefined,
    reason: undefined,
    exit_code: undefined,
    ready: undefined,
    ...more,
  };
}

/** h-1 with m-1 (running) and m-2 (pending), h-2 with m-9. */
function world(): State {
  return stateAfter(
    registered("h-1"),
    registered("h-2"),
    created(specOf("m-1"), "h-1"),
    created(specOf("m-2", { check: CHECK }), "h-1"),
    created(specOf("m-9"), "h-2"),
    {
      type: "host.heard",
      data: {
        host_id: "h-1",
        online: false,
        key_hash: null,
        machines: [{ id: "m-1", state: "running", ready: true, reason: null, exit_code: null, started_at: STARTED }],
      },
    },
  );
}

function changes(
  state: State,
  machines: readonly ReportedMachine[] | undefined,
  current: boolean,
): readonly MachineReport[] {
  return decideHeard(state, hostOf(state, "h-1"), { key: null, machines, current })?.data.machines ?? [];
}

const SAME = says("m-1", "running", { started_at: STARTED });

test("a beat that changes nothing is no event", () => {
  const state = world();
  for (const machines of [undefined, [SAME, says("m-3", "running")]]) {
    assert.equal(decideHeard(state, hostOf(state, "h-1"), { key: null, machines, current: false }), null);
  }
});

test("a host that was offline is online again, its hold is lifted, and nothing else changes", () => {
  const state = world();
  apply(state, { type: "host.lost", data: { host_ids: ["h-1"], held_host_ids: ["h-1"], replace_after: null } });
  const event = decideHeard(state, hostOf(state, "h-1"), { key: null, machines: undefined, current: false });
  assert.deepEqual(event?.data, { host_id: "h-1", online: true, key_hash: null, machines: [] });
  apply(state, event);
  const { health, offline_since, replacement_held } = hostOf(state, "h-1");
  assert.deepEqual(
    { health, offline_since, replacement_held },
    { health: "online", offline_since: null, replacement_held: false },
  );
  assert.equal(machineOf(state, "m-1").state, "unknown", "the beat said nothing of machines");
});

test("the machines of a host that is back are what it says they are", () => {
  const state = world();
  apply(state, lost("h-1"));
  const event = decideHeard(state, hostOf(state, "h-1"), { key: null, machines: [SAME], current: false });
  assert.ok(event !== null);
  apply(state, event);
  const { state: found, ready, reason } = machineOf(state, "m-1");
  assert.deepEqual({ found, ready, reason }, { found: "running", ready: true, reason: null });
  assert.equal(machineOf(state, "m-2").state, "unknown");
});

test("the first key binds an id that has none; a bound one is not bound again", () => {
  const state = stateAfter(registered("h-1"), registered("h-2", { key_hash: sha256Hex("bound") }));
  assert.equal(
    decideHeard(state, hostOf(state, "h-1"), { key: "a key", machines: undefined, current: false })?.data.key_hash,
    sha256Hex("a key"),
  );
  assert.equal(decideHeard(state, hostOf(state, "h-2"), { key: "bound", machines: undefined, current: false }), null);
});

/** What m-1 (running, ready, started) becomes by a report. */
const REPORTS: readonly [why: string, report: ReportedMachine, change: Partial<MachineReport> | null][] = [
  ["the same", SAME, null],
  ["the same, without the start", says("m-1", "running"), null],
  ["stopping", says("m-1", "stopping"), { state: "stopping", ready: false }],
  [
    "stopped, with a reason and a code",
    says("m-1", "stopped", { reason: "oom", exit_code: 137 }),
    { state: "stopped", ready: false, reason: "oom", exit_code: 137 },
  ],
  ["failed", says("m-1", "failed"), { state: "failed", ready: false }],
  [
    "starting again",
    says("m-1", "starting", { started_at: "2026-01-02T00:00:00.000Z" }),
    { state: "starting", ready: false, started_at: "2026-01-02T00:00:00.000Z" },
  ],
  ["not ready", says("m-1", "running", { ready: false }), { ready: false }],
  ["ready, though it does not run", says("m-1", "starting", { ready: true }), { state: "starting", ready: false }],
  ["running with a reason", says("m-1", "running", { reason: "restarted" }), { reason: "restarted" }],
  ["running with the exit code of its last end", says("m-1", "running", { exit_code: 1 }), { exit_code: 1 }],
  ["exit code 0", says("m-1", "stopped", { exit_code: 0 }), { state: "stopped", ready: false, exit_code: 0 }],
];

for (const [why, report, change] of REPORTS) {
  test(
    `a running machine that is reported as ${why} ` + `${change === null ? "changes nothing" : "changes by just that"}`,
    () => {
      const before: MachineReport = {
        id: idOf("m-1"),
        state: "running",
        ready: true,
        reason: null,
        exit_code: null,
        started_at: STARTED,
      };
      assert.deepEqual(changes(world(), [report], false), change === null ? [] : [{ ...before, ...change }]);
    },
  );
}

test("a machine with a check is ready when the agent says so; one without when it runs", () => {
  const state = world();
  const readyOf = (id: string, ready?: boolean): boolean | undefined =>
    changes(state, [says(id, "running", { ready, started_at: "2026-01-03T00:00:00.000Z" })], false)[0]?.ready;
  assert.deepEqual(
    [readyOf("m-1"), readyOf("m-2"), readyOf("m-2", true), readyOf("m-2", false)],
    [true, false, true, false],
  );
});

test("a machine missing from a list is gone where the agent knew the current revision, and only there", () => {
  const state = world();
  assert.deepEqual(changes(state, [], false), []);
  assert.deepEqual(changes(state, undefined, true), []);
  const gone = changes(state, [], true);
  assert.deepEqual(
    gone
      .map(({ id, state: now, ready, reason }) => ({ id, now, ready, reason }))
      .sort((a, b) => (a.id < b.id ? -1 : 1)),
    [
      { id: "m-1", now: "failed", ready: false, reason: "gone_from_host" },
      { id: "m-2", now: "failed", ready: false, reason: "gone_from_host" },
    ],
  );
  assert.equal(gone.find(({ id }) => id === "m-1")?.started_at, STARTED);
});

test("a machine that was told to stop and is gone has stopped", () => {
  const state = world();
  apply(state, drainStarted("h-1"), { type: "host.drain_forced", data: { host_id: "h-1", machine_ids: ["m-1"] } });
  const [m1] = changes(state, [says("m-2", "starting")], true).filter(({ id }) => id === "m-1");
  assert.deepEqual([m1?.state, m1?.reason], ["stopped", null]);
});

test("a machine that ended is ended: no report and no absence brings it back or changes it", () => {
  const state = world();
  apply(
    state,
    heard("h-1", [
      { id: "m-1", state: "stopped" },
      { id: "m-2", state: "failed" },
    ]),
  );
  assert.deepEqual(changes(state, [SAME, says("m-2", "running")], true), []);
  assert.deepEqual(changes(state, [], true), []);
});

test("a machine of another host, and one that nobody knows, is none of the state's business", () => {
  const state = world();
  assert.deepEqual(
    changes(state, [says("m-9", "failed"), says("m-unknown", "running"), says("__proto__", "running")], false),
    [],
  );
});

test("a machine that is reported twice counts once, so that its beats are not written for ever", () => {
  const state = world();
  const twice = [SAME, says("m-1", "stopping")];
  assert.deepEqual(changes(state, twice, false), []);
  assert.deepEqual(
    changes(state, [...twice].reverse(), false).map((change) => change.state),
    ["stopping"],
  );
});

test("all that one beat changes is one event", () => {
  const state = world();
  apply(state, lost("h-1"));
  const event = decideHeard(state, hostOf(state, "h-1"), {
    key: "first",
    machines: [SAME, says("m-2", "failed")],
    current: true,
  });
  assert.deepEqual(
    [event?.data.online, event?.data.key_hash, event?.data.machines.map(({ id }) => id)],
    [true, sha256Hex("first"), ["m-1", "m-2"]],
  );
});
