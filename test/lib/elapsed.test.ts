/** How long ago a moment was, whatever the wall clock does meanwhile. */
import assert from "node:assert/strict";
import test from "node:test";
import { toRfc3339 } from "../../src/lib/clock.ts";
import { Elapsed } from "../../src/lib/elapsed.ts";

function begin(): { time: { wall: number; mono: number }; elapsed: Elapsed } {
  const time = { wall: 1_800_000_000_000, mono: 500 };
  return { time, elapsed: new Elapsed({ wall: () => time.wall, mono: () => time.mono, after: () => () => undefined }) };
}

test("a moment of before the start is as old as the wall clock says, and ages by the monotonic one", () => {
  const { time, elapsed } = begin();
  const at = toRfc3339(time.wall - 7_000);
  assert.equal(elapsed.since(at), 7_000);
  time.wall += 3_600_000;
  time.mono += 250;
  assert.equal(elapsed.since(at), 7_250);
  time.wall -= 86_400_000;
  assert.equal(elapsed.since(at), 7_250);
});

test("a moment that lies ahead is now: a clock that was put back makes no wait longer than it is", () => {
  const { time, elapsed } = begin();
  const at = toRfc3339(time.wall + 86_400_000);
  assert.equal(elapsed.since(at), 0);
  time.mono += 1_000;
  assert.equal(elapsed.since(at), 1_000);
});

test("what is asked for again and again is kept for ever; what nobody asks for is forgotten", () => {
  const { time, elapsed } = begin();
  const [kept, left] = [toRfc3339(time.wall - 1_000), toRfc3339(time.wall - 2_000)];
  elapsed.since(left);
  for (let round = 0; round < 20; round++) {
    assert.equal(elapsed.since(kept), 1_000 + round * 300_000);
    time.mono += 300_000;
  }
  assert.equal(elapsed.since(left), 2_000, "placed anew by a wall clock that stood still");
});
