import assert from "node:assert/strict";
import test from "node:test";
import { afterExit, callDelay, restartDelay } from "../../src/agent/backoff.ts";
import type { Actual, Phase } from "../../src/agent/reconcile.ts";
import type { Exit } from "../../src/agent/runtime.ts";
import { nextDue, reconcile } from "../../src/agent/reconcile.ts";
import { desired } from "./fakes.ts";

const ROOM = { cpus: 4, memory_mb: 1_024 };

function actual(phase: Phase, changes: Partial<Actual> = {}): Actual {
  return {
    id: "m-1",
    phase,
    due: phase === "waiting" ? "now" : "never",
    asked: false,
    starts: 0,
    cpus: 1,
    memory_mb: 64,
    ...changes,
  };
}

function steps(
  list: readonly ReturnType<typeof desired>[] | null,
  machines: readonly Actual[],
  now = 0,
  fresh = true,
): string[] {
  return reconcile({ machines: list, fresh }, machines, now, ROOM).map(
    (step) => `${step.type} ${step.type === "create" ? step.machine.id : step.id}`,
  );
}

const RUN = [desired("m-1")];
const STOP = [desired("m-1", { desired_state: "stopped" })];
const ALL: readonly Phase[] = ["waiting", "starting", "running", "stopping", "stopped", "failed"];

test(
  "what has ended is created anew where it was started anew, also when the list in which it was gone " +
    "never came here",
  () => {
    const anew = [desired("m-1", { starts: 1 })];
    for (const phase of ["stopped", "failed"] as const) {
      assert.deepEqual(steps(anew, [actual(phase)]), ["create m-1"]);
      assert.deepEqual(steps(anew, [actual(phase, { starts: 1 })]), [], "that start has ended too");
      assert.deepEqual(steps(RUN, [actual(phase)]), []);
      assert.deepEqual(steps(anew, [actual(phase)], 0, false), [], "the list may be an old one");
    }
    assert.deepEqual(steps(anew, [actual("running")]), [], "what runs is what was wanted");
  },
);

test(
  "while what the list does not have still stops, nothing is started that would be more than the host " +
    "has; and nobody looks again and again",
  () => {
    const list = [desired("m-2", { cpus: 3 }), desired("m-3")];
    const waiting = [actual("waiting", { id: "m-2", cpus: 3 }), actual("waiting", { id: "m-3" })];
    const leaving = actual("stopping", { cpus: 2, due: { at: 50 } });
    assert.deepEqual(steps(list, [leaving, ...waiting]), ["launch m-3"]);
    assert.equal(nextDue({ machines: list, fresh: true }, [leaving, ...waiting], ROOM), "now", "m-3 can start");
    assert.deepEqual(
      nextDue({ machines: list, fresh: true }, [leaving, ...waiting.slice(0, 1)], ROOM),
      { at: 50 },
      "the kill, not the start that waits for it",
    );
    assert.deepEqual(steps(list, waiting), ["launch m-2", "launch m-3"], "it has ended");
    assert.deepEqual(
      steps([...list, desired("m-1", { desired_state: "stopped" })], [leaving, ...waiting]),
      ["launch m-2", "launch m-3"],
      "what is listed is counted where machines are placed",
    );
    assert.deepEqual(
      steps(list, [actual("stopping", { memory_mb: 1_000, due: { at: 50 } }), ...waiting]),
      [],
      "memory counts too",
    );
  },
);

test("what is listed and not here is created; what is listed as stopped is not", () => {
  assert.deepEqual(steps([desired("m-1"), desired("m-2", { desired_state: "stopped" })], []), ["create m-1"]);
});

test("what is not in the list shall not run, and is forgotten once it does not", () => {
  const found = ALL.map((phase) => [phase, ...steps([], [actual(phase)])]);
  assert.deepEqual(found, [
    ["waiting", "forget m-1"],
    ["starting", "stop m-1"],
    ["running", "stop m-1"],
    ["stopping"],
    ["stopped", "forget m-1"],
    ["failed", "forget m-1"],
  ]);
});

test("a listed stop stops what runs or waits, and keeps what has ended until it leaves the list", () => {
  const found = ALL.map((phase) => [phase, ...steps(STOP, [actual(phase)])]);
  assert.deepEqual(found, [
    ["waiting", "stop m-1"],
    ["starting", "stop m-1"],
    ["running", "stop m-1"],
    ["stopping"],
    ["stopped"],
    ["failed"],
  ]);
});

test("what ended by itself stays ended; what was asked to stop is started anew when it is wanted again", () => {
  assert.deepEqual(steps(RUN, [actual("stopped")]), []);
  assert.deepEqual(steps(RUN, [actual("failed")]), []);
  assert.deepEqual(steps(RUN, [actual("stopped", { asked: true })]), ["create m-1"]);
  assert.deepEqual(steps(RUN, [actual("stopping", { asked: true })]), []);
});

test("a restart waits for its time, and a stop that takes too long becomes a kill", () => {
  assert.deepEqual(steps(RUN, [actual("waiting", { due: { at: 10 } })], 9), []);
  assert.deepEqual(steps(RUN, [actual("waiting", { due: { at: 10 } })], 10), ["launch m-1"]);
  assert.deepEqual(steps(RUN, [actual("stopping", { due: { at: 10 } })], 9), []);
  assert.deepEqual(steps(RUN, [actual("stopping", { due: { at: 10 } })], 10), ["kill m-1"]);
});

test("without a list everything goes on as it is", () => {
  assert.deepEqual(
    ALL.flatMap((phase) => steps(null, [actual(phase)])),
    ["launch m-1"],
  );
});

test("an old list starts and stops nothing until it is known to be good, and a kill is not held up by that", () => {
  assert.deepEqual(
    ALL.flatMap((phase) => steps([desired("m-2")], [actual(phase)], 0, false)),
    [],
  );
  assert.deepEqual(steps([], [actual("stopping", { due: { at: 0 } })], 0, false), ["kill m-1"]);
});

test("the next time to look is the earliest restart or kill", () => {
  const machines = [actual("waiting", { due: { at: 30 } }), actual("stopping", { due: { at: 20 } }), actual("running")];
  assert.deepEqual(nextDue({ machines: RUN, fresh: true }, machines, ROOM), { at: 20 });
  assert.equal(nextDue({ machines: RUN, fresh: false }, [actual("waiting", { due: { at: 5 } })], ROOM), "never");
});

test("restarts are spaced 1 s apart, doubling to 5 minutes", () => {
  assert.deepEqual([1, 2, 3, 9, 10, 50].map(restartDelay), [1_000, 2_000, 4_000, 256_000, 300_000, 300_000]);
});

test("each policy follows an end in its own way", () => {
  const next = (restart: "always" | "on-failure" | "never", code: number | null): string =>
    afterExit(restart, { code, detail: null }, 0, 0).next;
  assert.deepEqual([next("always", 0), next("always", 1), next("always", null)], ["restart", "restart", "restart"]);
  assert.deepEqual(
    [next("on-failure", 0), next("on-failure", 1), next("on-failure", null)],
    ["stopped", "restart", "restart"],
  );
  assert.deepEqual([next("never", 0), next("never", 1), next("never", null)], ["stopped", "failed", "failed"]);
});

test("a machine that ran for ten minutes starts over with its backoff", () => {
  const delay = (ranMs: number): number | undefined => {
    const verdict = afterExit("always", { code: 1, detail: null }, ranMs, 5);
    return verdict.next === "restart" ? verdict.delayMs : undefined;
  };
  assert.equal(delay(599_999), 32_000);
  assert.equal(delay(600_000), 1_000);
});

test("an end is told in one way: how, after how long, what follows", () => {
  const code = (number: number): Exit => ({ code: number, detail: null });
  const none: Exit = { code: null, detail: null };
  const reasons = [
    afterExit("never", code(0), 2_960, 0),
    afterExit("on-failure", code(1), 3_000, 1),
    afterExit("never", code(1), 61_040, 0),
    afterExit("always", { ...none, signal: "SIGKILL" }, 40, 0),
    afterExit("always", { ...none, detail: "the host was restarted" }, null, 0),
    afterExit("always", { ...none, detail: "nobody saw it" }, 1_000, 0),
  ].map(({ reason }) => reason);
  assert.deepEqual(reasons, [
    "exit code 0 after 3.0 s",
    "exit code 1 after 3.0 s; restart 2 in 2 s",
    "exit code 1 after 61.0 s; its restart policy is never",
    "killed by SIGKILL after 0.0 s; restart 1 in 1 s",
    "ended: the host was restarted; restart 1 in 1 s",
    "ended after 1.0 s: nobody saw it; restart 1 in 1 s",
  ]);
});

test("calls are spread by chance over half to one and a half of their delay, 10 s at most", () => {
  assert.deepEqual(
    [callDelay(1, 0), callDelay(1, 0.5), callDelay(3, 0.5), callDelay(99, 0.5), callDelay(99, 0.75)],
    [250, 500, 2_000, 10_000, 12_500],
  );
});
