/** What each event makes of a machine. */
import assert from "node:assert/strict";
import test from "node:test";
import { HostMachine } from "../../src/agent/machine.ts";
import type { LaunchErrorOptions } from "../../src/agent/runtime.ts";
import { hostFault, LaunchError } from "../../src/agent/runtime.ts";
import type { Change } from "../../src/agent/transitions.ts";
import { ended, notStarted } from "../../src/agent/transitions.ts";
import { desired } from "./fakes.ts";

function machine(changes: Change = {}): HostMachine {
  return Object.assign(new HostMachine(desired("m-1"), 0), { phase: "starting" } satisfies Change, changes);
}

function system(code: string): Error {
  return Object.assign(new Error(`${code}: no`), { code });
}

test("whose fault a start's end is decides whether it is tried here again, and who is blamed", () => {
  const become = (error: unknown, vain = 0): string => {
    const { phase, fault = null, vain: after = 0 } = notStarted(machine({ vain }), error, 0);
    return `${phase} ${fault} ${after}`;
  };
  const launch = (final: boolean, options: LaunchErrorOptions = {}): LaunchError =>
    new LaunchError("no", final, options);
  assert.equal(become(launch(true)), "failed null 0", "no host can give it");
  assert.equal(become(launch(true, { fault: "host" })), "failed host 0");
  for (const code of ["ENOSPC", "EDQUOT", "EROFS", "EACCES", "EIO"]) {
    assert.equal(become(hostFault("it", system(code))), "failed host 0", code);
  }
  for (const code of ["EAGAIN", "EMFILE", "ENOMEM"]) {
    assert.equal(become(hostFault("it", system(code))), "waiting null 1", code);
    assert.equal(become(hostFault("it", system(code)), 2), "failed host 3", code);
  }
  assert.equal(become(new Error("out of the blue"), 1), "waiting null 2");
  assert.equal(become(new Error("out of the blue"), 2), "failed host 3");
  assert.equal(become(launch(false, { fault: "control_plane" }), 2), "waiting null 2", "no other host could do better");
});

test("how long a machine ran is told by the monotonic clock, or by whoever saw its end later", () => {
  const reason = (ranMs?: number | null): string | null | undefined => {
    const exit = { code: 1, detail: null, ...(ranMs === undefined ? {} : { ranMs }) };
    return ended(machine({ phase: "running", upSince: 1_000 }), exit, 4_000).reason;
  };
  assert.equal(reason(), "exit code 1 after 3.0 s; restart 1 in 1 s");
  assert.equal(reason(1_500), "exit code 1 after 1.5 s; restart 1 in 1 s");
  assert.equal(reason(null), "exit code 1; restart 1 in 1 s");
});
