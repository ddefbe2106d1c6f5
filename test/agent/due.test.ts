import assert from "node:assert/strict";
import test from "node:test";
import type { Due } from "../../src/agent/due.ts";
import { earliest, isDue, msUntil } from "../../src/agent/due.ts";

test("what is due now is due at any time, what is due at a time from then on, and never is never", () => {
  const dueAt = (due: Due): boolean[] => [0, 9, 10, Infinity].map((now) => isDue(due, now));
  assert.deepEqual(dueAt("now"), [true, true, true, true]);
  assert.deepEqual(dueAt({ at: 10 }), [false, false, true, true]);
  assert.deepEqual(dueAt("never"), [false, false, false, false]);
});

test("now is earlier than any time, and any time is earlier than never", () => {
  assert.equal(earliest([]), "never");
  assert.equal(earliest(["never", "never"]), "never");
  assert.deepEqual(earliest(["never", { at: 30 }, { at: 20 }]), { at: 20 });
  assert.equal(earliest([{ at: -5 }, "now", "never"]), "now");
});

test("what is overdue is waited for no more, and what is not yet due for as long as that takes", () => {
  assert.deepEqual([msUntil("now", 7), msUntil({ at: 5 }, 7), msUntil({ at: 10 }, 7)], [0, 0, 3]);
});
