/**
 * Every action in every mode and health: the table as it was agreed, written out here, held against the table and
 * against the decisions that carry it out.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { runningDrain } from "../../src/fleet/drain-terms.ts";
import { decideActivate, decideDrain, decideUndrain, planDrain } from "../../src/fleet/drain.ts";
import { decideHeard } from "../../src/fleet/heartbeat.ts";
import { decideLost } from "../../src/fleet/liveness.ts";
import type { Action as Asking } from "../../src/fleet/modes.ts";
import { MODES, nextMode, statusOf } from "../../src/fleet/modes.ts";
import { decideDeregister, decideRegister, decideRemove } from "../../src/fleet/registration.ts";
import { ApiError } from "../../src/lib/errors.ts";
import type { Event } from "../../src/state/events.ts";
import type { State } from "../../src/state/state.ts";
import type { Health, Mode } from "../../src/state/types.ts";
import { START_WALL } from "../support/clock.ts";
import { idOf } from "../support/ids.ts";
import {
  CALM,
  CAPACITY,
  apply,
  drainStarted,
  factsOf,
  hostOf,
  lost,
  registered,
  sinceAt,
  stateAfter,
} from "../support/rows.ts";

const MODE_NAMES: readonly Mode[] = ["active", "draining", "maintenance"];
const HEALTHS: readonly Health[] = ["online", "offline"];
/** Those that ask the table, and those that change no mode whatever it is. */
type Action = Asking | "heartbeat" | "deregister" | "lose";

const ACTIONS: readonly Action[] = [
  "register",
  "heartbeat",
  "deregister",
  "remove",
  "drain",
  "undrain",
  "activate",
  "complete",
  "lose",
];

/**
 * A mode: the host's, or for `deregister` and `remove` its id's, afterwards. A 409's code: refused. "nothing": the
 * action is none here.
 */
const TABLE: readonly [action: Action, mode: Mode, health: Health, outcome: string][] = [
  ["register", "active", "online", "active"],
  ["register", "active", "offline", "active"],
  ["register", "draining", "online", "draining"],
  ["register", "draining", "offline", "draining"],
  ["register", "maintenance", "online", "maintenance"],
  ["register", "maintenance", "offline", "maintenance"],
  ["heartbeat", "active", "online", "active"],
  ["heartbeat", "active", "offline", "active"],
  ["heartbeat", "draining", "online", "draining"],
  ["heartbeat", "draining", "offline", "draining"],
  ["heartbeat", "maintenance", "online", "maintenance"],
  ["heartbeat", "maintenance", "offline", "maintenance"],
  ["deregister", "active", "online", "active"],
  ["deregister", "active", "offline", "active"],
  ["deregister", "draining", "online", "maintenance"],
  ["deregister", "draining", "offline", "maintenance"],
  ["deregister", "maintenance", "online", "maintenance"],
  ["deregister", "maintenance", "offline", "maintenance"],
  ["remove", "active", "online", "host_online"],
  ["remove", "active", "offline", "active"],
  ["remove", "draining", "online", "host_online"],
  ["remove", "draining", "offline", "maintenance"],
  ["remove", "maintenance", "online", "host_online"],
  ["remove", "maintenance", "offline", "maintenance"],
  ["drain", "active", "online", "draining"],
  ["drain", "active", "offline", "draining"],
  ["drain", "draining", "online", "draining"],
  ["drain", "draining", "offline", "draining"],
  ["drain", "maintenance", "online", "host_in_maintenance"],
  ["drain", "maintenance", "offline", "host_in_maintenance"],
  ["undrain", "active", "online", "host_not_draining"],
  ["undrain", "active", "offline", "host_not_draining"],
  ["undrain", "draining", "online", "active"],
  ["undrain", "draining", "offline", "active"],
  ["undrain", "maintenance", "online", "host_not_draining"],
  ["undrain", "maintenance", "offline", "host_not_draining"],
  ["activate", "active", "online", "host_not_in_maintenance"],
  ["activate", "active", "offline", "host_not_in_maintenance"],
  ["activate", "draining", "online", "host_not_in_maintenance"],
  ["activate", "draining", "offline", "host_not_in_maintenance"],
  ["activate", "maintenance", "online", "active"],
  ["activate", "maintenance", "offline", "active"],
  ["complete", "active", "online", "nothing"],
  ["complete", "active", "offline", "nothing"],
  ["complete", "draining", "online", "maintenance"],
  ["complete", "draining", "offline", "maintenance"],
  ["complete", "maintenance", "online", "nothing"],
  ["complete", "maintenance", "offline", "nothing"],
  ["lose", "active", "online", "active"],
  ["lose", "active", "offline", "nothing"],
  ["lose", "draining", "online", "draining"],
  ["lose", "draining", "offline", "nothing"],
  ["lose", "maintenance", "online", "maintenance"],
  ["lose", "maintenance", "offline", "nothing"],
];

/** A host h-1 that came to its mode and health by events. */
function stateOf(mode: Mode, health: Health): State {
  const state = stateAfter(registered("h-1", { mode, mode_reason: mode === "active" ? null : "disk" }));
  if (mode === "draining") apply(state, drainStarted("h-1"));
  if (health === "offline") apply(state, lost("h-1"));
  return state;
}

/** The real decision for an action, as the executor asks for it. */
const DECIDE: Readonly<Record<Action, (state: State) => Event | null>> = {
  register: (state) =>
    decideRegister(state, {
      host_id: idOf("h-1"),
      facts: factsOf("h-1", { agent_version: "2.0.0" }),
      capacity: CAPACITY,
      key: null,
    }),
  heartbeat: (state) => decideHeard(state, hostOf(state, "h-1"), { key: null, machines: [], current: true }),
  deregister: (state) => decideDeregister(state, idOf("h-1"), null, null),
  remove: (state) => decideRemove(state, idOf("h-1")),
  drain: (state) =>
    decideDrain(
      state,
      idOf("h-1"),
      { max_parallel: undefined, deadline_seconds: undefined, reason: undefined, force: undefined },
      START_WALL,
    ),
  undrain: (state) => decideUndrain(state, idOf("h-1")),
  activate: (state) => decideActivate(state, idOf("h-1")),
  complete: (state) => {
    const drain = runningDrain(state, idOf("h-1"));
    return drain === null ? null : planDrain(state, hostOf(state, "h-1"), drain, 0, sinceAt(START_WALL));
  },
  lose: (state) => decideLost(state, () => true, new Set(), CALM),
};

const HEALTH_AFTER: Readonly<Partial<Record<Action, Health>>> = {
  register: "online",
  heartbeat: "online",
  lose: "offline",
};

test("the table here has each action in each mode and health once", () => {
  assert.equal(TABLE.length, ACTIONS.length * MODE_NAMES.length * HEALTHS.length);
  assert.equal(new Set(TABLE.map(([action, mode, health]) => `${action} ${mode} ${health}`)).size, TABLE.length);
  assert.deepEqual(Object.keys(MODES.active.online).sort(), ACTIONS.filter(asks).sort());
});

function asks(action: Action): action is Asking {
  return action !== "heartbeat" && action !== "deregister" && action !== "lose";
}

for (const [action, mode, health, outcome] of TABLE) {
  test(`${action} of a host that is ${mode} and ${health}: ${outcome}`, () => {
    const state = stateOf(mode, health);
    const host = hostOf(state, "h-1");
    assert.deepEqual([host.mode, host.health], [mode, health]);
    if (outcome.startsWith("host_")) {
      assert.ok(asks(action));
      assert.deepEqual(MODES[mode][health][action], { refuse: outcome });
      for (const refused of [() => nextMode(host, action), () => DECIDE[action](state)]) {
        assert.throws(
          refused,
          (error) =>
            error instanceof ApiError &&
            error.code === outcome &&
            error.status === 409 &&
            error.message.includes("h-1"),
        );
      }
      return;
    }
    const event = DECIDE[action](state);
    if (outcome === "nothing") {
      assert.equal(event, null);
      if (!asks(action)) return;
      assert.equal(MODES[mode][health][action], "nothing");
      assert.equal(nextMode(host, action), mode);
      return;
    }
    if (asks(action)) {
      assert.deepEqual(MODES[mode][health][action], { to: outcome });
      assert.equal(nextMode(host, action), outcome);
    }
    if (event !== null) apply(state, event);
    if (action === "deregister" || action === "remove") {
      assert.equal(state.hosts.get(idOf("h-1")), undefined);
      assert.equal(state.departedHosts.get(idOf("h-1"))?.mode ?? "active", outcome);
      return;
    }
    assert.deepEqual(
      [hostOf(state, "h-1").mode, hostOf(state, "h-1").health],
      [outcome, HEALTH_AFTER[action] ?? health],
    );
  });
}

test("a refusal says what the host is and what to do", () => {
  assert.throws(
    () => nextMode(hostOf(stateOf("maintenance", "online"), "h-1"), "drain"),
    /in maintenance already.*Activate it first/,
  );
  assert.throws(() => nextMode(hostOf(stateOf("active", "online"), "h-1"), "undrain"), /is active, not draining/);
  assert.throws(
    () => nextMode(hostOf(stateOf("draining", "online"), "h-1"), "activate"),
    /is draining, not in maintenance; undrain it instead/,
  );
  assert.throws(
    () => nextMode(hostOf(stateOf("active", "online"), "h-1"), "activate"),
    /is active, not in maintenance\.$/,
  );
  assert.throws(
    () => nextMode(hostOf(stateOf("active", "online"), "h-1"), "remove"),
    /is online\. End its agent first/,
  );
});

test("the status for people is offline where the host is, else its mode", () => {
  for (const mode of MODE_NAMES) {
    assert.equal(statusOf(hostOf(stateOf(mode, "online"), "h-1")), mode);
    assert.equal(statusOf(hostOf(stateOf(mode, "offline"), "h-1")), "offline");
  }
});

test("a host in maintenance that drops out comes back in maintenance, with its reason", () => {
  const state = stateOf("maintenance", "offline");
  const event = DECIDE.heartbeat(state);
  assert.ok(event !== null);
  apply(state, event);
  assert.deepEqual(
    [hostOf(state, "h-1").mode, hostOf(state, "h-1").mode_reason, hostOf(state, "h-1").offline_since],
    ["maintenance", "disk", null],
  );
});

test("an action on a host that is not there is a 404", () => {
  const state = stateAfter();
  for (const action of ["drain", "undrain", "activate"] as const)
    assert.throws(() => DECIDE[action](state), { code: "host_not_found", status: 404 });
  assert.throws(() => DECIDE.deregister(state), { code: "host_not_registered", status: 404 });
});
