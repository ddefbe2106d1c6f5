/** What each event makes of a machine. */
import assert from "node:assert/strict";
import test from "node:test";
import type { MachineState, States } from "../../src/agent/machine.ts";
import { createMachine, fromRecord, keptOf, toActual, toRecord, toReport } from "../../src/agent/machine.ts";
import type { Desire, Phase } from "../../src/agent/reconcile.ts";
import { NEXT, reconcile } from "../../src/agent/reconcile.ts";
import type { LaunchErrorOptions } from "../../src/agent/runtime.ts";
import { hostFault, LaunchError } from "../../src/agent/runtime.ts";
import type { Action, Events, EventType, MachineEvent, Outcome } from "../../src/agent/machine-events.ts";
import { next, TABLE } from "../../src/agent/transitions.ts";
import type { DesiredMachine } from "../../src/wire/agents.ts";
import { desired } from "./fakes.ts";

const GRACE_MS = 10_000;
const CHECKED = desired("m-1", { check: { type: "tcp", port: 1 } });

/** A machine in each of its states. */
function statesOf(machine: DesiredMachine = CHECKED): States {
  const kept = keptOf(createMachine(machine));
  const launched = { ...kept, launch: { id: "l-1", handle: { pid: 7 }, startedAt: 5 } };
  const up = { ...launched, upSince: 1_000 };
  return {
    waiting: createMachine(machine),
    pulling: { ...kept, phase: "pulling" },
    starting: { ...launched, phase: "starting" },
    running: { ...up, phase: "running", ready: true },
    cancelling: { ...launched, phase: "cancelling", asked: true },
    stopping: { ...up, phase: "stopping", asked: true, due: { at: 2_000 } },
    stopped: { ...launched, phase: "stopped", asked: true },
    failed: { ...kept, phase: "failed" },
  };
}

const EVENTS: Events = {
  launch: { type: "launch" },
  stop: { type: "stop" },
  kill: { type: "kill" },
  forget: { type: "forget" },
  pulled: { type: "pulled", imagePath: "/i", launchId: "l-2", wall: 6 },
  prepared: { type: "prepared", imagePath: "/i" },
  started: { type: "started", handle: { pid: 8 }, startedAt: 7, upSince: 3_000 },
  not_started: { type: "not_started", error: new Error("no") },
  exited: { type: "exited", exit: { code: 1, detail: null } },
  checked: { type: "checked", failure: "its check fails: x" },
};
const PHASES = Object.keys(TABLE) as Phase[];
const TYPES = Object.keys(EVENTS) as EventType[];

function happen(before: MachineState, event: MachineEvent, now = 4_000): Outcome {
  return next(before, event, { now, stopGraceMs: GRACE_MS });
}

/** The state that follows; fails where the machine is gone. */
function become(before: MachineState, event: MachineEvent, now = 4_000): MachineState {
  const { state } = happen(before, event, now);
  return state === "gone" ? assert.fail("it is gone") : state;
}

function nameOf(action: Action): string {
  return typeof action === "string" ? action : action.do === "log" ? `say ${action.level}` : action.do;
}

function system(code: string): Error {
  return Object.assign(new Error(`${code}: no`), { code });
}

test("whose fault a start's end is decides whether it is tried here again, and who is blamed", () => {
  const after = (error: unknown, vain = 0): string => {
    const before = { ...statesOf().pulling, vain };
    const { phase, fault, vain: more } = become(before, { type: "not_started", error });
    return `${phase} ${fault} ${more}`;
  };
  const launch = (final: boolean, options: LaunchErrorOptions = {}): LaunchError =>
    new LaunchError("no", final, options);
  assert.equal(after(launch(true)), "failed null 0", "no host can give it");
  assert.equal(after(launch(true, { fault: "host" })), "failed host 0");
  for (const code of ["ENOSPC", "EDQUOT", "EROFS", "EACCES", "EIO"]) {
    assert.equal(after(hostFault("it", system(code))), "failed host 0", code);
  }
  for (const code of ["EAGAIN", "EMFILE", "ENOMEM"]) {
    assert.equal(after(hostFault("it", system(code))), "waiting null 1", code);
    assert.equal(after(hostFault("it", system(code)), 2), "failed host 3", code);
  }
  assert.equal(after(new Error("out of the blue"), 1), "waiting null 2");
  assert.equal(after(new Error("out of the blue"), 2), "failed host 3");
  assert.equal(after(launch(false, { fault: "control_plane" }), 2), "waiting null 2", "no other host could do better");
});

test("how long a machine ran is told by the monotonic clock, or by whoever saw its end later", () => {
  const reason = (ranMs?: number | null): string | null | undefined => {
    const exit = { code: 1, detail: null, ...(ranMs === undefined ? {} : { ranMs }) };
    return become(statesOf().running, { type: "exited", exit }, 4_000).reason;
  };
  assert.equal(reason(), "exit code 1 after 3.0 s; restart 1 in 1 s");
  assert.equal(reason(1_500), "exit code 1 after 1.5 s; restart 1 in 1 s");
  assert.equal(reason(null), "exit code 1; restart 1 in 1 s");
});

/** Every cell in which something happens; in all others the event comes too late, and changes nothing. */
const CELLS: { readonly [P in Phase]: { readonly [E in EventType]?: string } } = {
  waiting: {
    launch: "pulling: save, pull",
    stop: "stopped: let go, save",
    forget: "gone: remove",
  },
  pulling: {
    stop: "stopped: let go, save",
    pulled: "starting: prepare",
    not_started: "waiting: save, say warn",
  },
  starting: {
    stop: "cancelling: save",
    prepared: "starting: start",
    started: "running: watch, save",
    not_started: "waiting: save, say warn",
    exited: "waiting: let go, save, say info",
  },
  running: {
    stop: "stopping: let go, terminate, save",
    exited: "waiting: let go, save, say info",
    checked: "running: save",
  },
  cancelling: {
    prepared: "stopped: let go, save",
    started: "stopping: terminate, save",
    not_started: "stopped: let go, save",
    exited: "stopped: let go, save",
  },
  stopping: {
    kill: "stopping: say warn, kill",
    exited: "stopped: let go, save",
  },
  stopped: { forget: "gone: remove" },
  failed: { forget: "gone: remove" },
};

test("in each state each event leads where the table says, and asks for nothing else", () => {
  for (const phase of PHASES) {
    for (const type of TYPES) {
      const before = statesOf()[phase];
      const { state, actions } = happen(before, EVENTS[type]);
      const expected = CELLS[phase][type];
      if (expected === undefined) {
        assert.deepEqual([state, actions], [before, []], `${phase}, ${type}`);
        continue;
      }
      const found = `${state === "gone" ? state : state.phase}: ${actions.map(nameOf).join(", ")}`;
      assert.equal(found, expected, `${phase}, ${type}`);
    }
  }
});

test("no event changes the state that it is given", () => {
  for (const phase of PHASES) {
    for (const type of TYPES) {
      const before = statesOf()[phase];
      happen(before, EVENTS[type]);
      assert.deepEqual(before, statesOf()[phase], `${phase}, ${type}`);
    }
  }
});

test("a state holds nothing of the one before but what is kept", () => {
  const shapes = new Map(PHASES.map((phase) => [phase, Object.keys(statesOf()[phase]).sort().join()]));
  for (const phase of PHASES) {
    for (const type of TYPES) {
      const { state } = happen(statesOf()[phase], EVENTS[type]);
      if (state !== "gone")
        assert.equal(Object.keys(state).sort().join(), shapes.get(state.phase), `${phase}, ${type}`);
    }
  }
});

test("a machine that was asked to stop is killed once, after its grace", () => {
  const stopping = become(statesOf().running, EVENTS.stop, 1_000);
  assert.deepEqual(toActual(stopping).due, { at: 1_000 + GRACE_MS });
  const killed = become(stopping, EVENTS.kill, 1_000 + GRACE_MS);
  assert.deepEqual([killed.phase, toActual(killed).due], ["stopping", "never"]);
});

test("a stop while it is started follows the start at once, whatever comes of it", () => {
  const cancelling = become(statesOf().starting, EVENTS.stop);
  assert.equal(toActual(cancelling).due, "never", "there is nobody to kill yet");
  const stopping = become(cancelling, EVENTS.started, 9_000);
  assert.deepEqual([stopping.phase, toActual(stopping).due], ["stopping", { at: 9_000 + GRACE_MS }]);
  for (const type of ["prepared", "not_started"] as const)
    assert.equal(become(cancelling, EVENTS[type]).launch, null, "nothing was started");
});

test("a machine without a check is not watched, and one that comes up is well until its check says otherwise", () => {
  const { state, actions } = happen(statesOf(desired("m-1")).starting, EVENTS.started);
  assert.deepEqual(actions, ["save"]);
  assert.equal(state !== "gone" && state.ready, null);
  const unwell: MachineState = { ...statesOf().starting, ready: false, reason: "its check fails: x" };
  assert.deepEqual(
    [become(unwell, EVENTS.started).ready, become(unwell, EVENTS.started).reason],
    [false, "its check fails: x"],
    "it was unwell before the agent was restarted",
  );
});

/** What may come of the work that is under way in a phase. */
const UNDER_WAY: { readonly [P in Phase]: readonly EventType[] } = {
  waiting: [],
  pulling: ["pulled", "not_started"],
  starting: ["started", "not_started", "exited"],
  running: ["exited"],
  cancelling: ["prepared", "started", "not_started", "exited"],
  stopping: ["exited"],
  stopped: [],
  failed: [],
};

/** Where a machine comes to rest while this is desired, by every way that its work may take. */
function endsOf(state: MachineState | "gone", list: readonly DesiredMachine[], steps = 0): string[] {
  if (state === "gone") return [state];
  assert.ok(steps < 10, "it comes to no rest");
  const room = { cpus: 8, memory_mb: 8_192 };
  const [step] = reconcile({ machines: list, fresh: true }, [toActual(state)], Infinity, room);
  if (step?.type === "create") return endsOf(createMachine(step.machine), list, steps + 1);
  const events = step === undefined ? UNDER_WAY[state.phase].map((type) => EVENTS[type]) : [step];
  const ends = events.flatMap((event) => endsOf(happen(state, event).state, list, steps + 1));
  return events.length === 0 ? [state.phase] : [...new Set(ends)];
}

test("whatever its state, an orphaned machine ends gone, and one that is to stop ends stopped", () => {
  for (const phase of PHASES) {
    assert.deepEqual(endsOf(statesOf()[phase], []), ["gone"], phase);
    const ends = endsOf(statesOf()[phase], [desired("m-1", { desired_state: "stopped" })]);
    assert.deepEqual(ends, [phase === "failed" ? "failed" : "stopped"], phase);
  }
});

test("every phase has its answer to every desire", () => {
  const desires: readonly Desire[] = ["unknown", "unlisted", "run", "run anew", "stop", "orphaned"];
  assert.deepEqual(Object.keys(NEXT), PHASES);
  for (const phase of PHASES) assert.deepEqual(Object.keys(NEXT[phase]), desires, phase);
});

test("a record brings a machine back to where it was, as far as anybody knows", () => {
  const back = (phase: Phase, launch = true): string => {
    const { launch: noted, ...record } = toRecord(statesOf()[phase]);
    return fromRecord({ ...record, launch: launch ? noted : undefined }).phase;
  };
  assert.deepEqual(
    PHASES.map((phase) => `${phase}: ${back(phase)}`),
    [
      "waiting: waiting",
      "pulling: waiting",
      "starting: starting",
      "running: starting",
      "cancelling: cancelling",
      "stopping: cancelling",
      "stopped: stopped",
      "failed: failed",
    ],
  );
  assert.deepEqual([back("running", false), back("stopping", false)], ["waiting", "stopped"], "nothing was started");
});

test("a machine is reported in the words of the control plane, with its start where it has a process", () => {
  const reports = PHASES.map((phase) => {
    const { state, started_at: startedAt, ready } = toReport(statesOf()[phase]);
    return [phase, state, startedAt !== undefined, ready];
  });
  assert.deepEqual(reports, [
    ["waiting", "starting", false, undefined],
    ["pulling", "starting", false, undefined],
    ["starting", "starting", false, undefined],
    ["running", "running", true, true],
    ["cancelling", "stopping", false, undefined],
    ["stopping", "stopping", true, undefined],
    ["stopped", "stopped", false, undefined],
    ["failed", "failed", false, undefined],
  ]);
});
