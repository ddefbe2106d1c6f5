/** The machine's clock, and the one that tests move. */
import assert from "node:assert/strict";
import test from "node:test";
import { systemClock, toRfc3339 } from "../../src/lib/clock.ts";
import { FakeClock, START_WALL } from "../support/clock.ts";

test("times are RFC 3339 in UTC with milliseconds", () => {
  assert.equal(toRfc3339(START_WALL), "2026-01-02T03:04:05.678Z");
  assert.equal(toRfc3339(0), "1970-01-01T00:00:00.000Z");
});

test("the machine's clock tells wall time and a monotonic time that never falls", () => {
  assert.ok(Math.abs(systemClock.wall() - Date.now()) < 5_000);
  const first = systemClock.mono();
  assert.ok(systemClock.mono() >= first);
});

test("a timer fires once, and a cancelled one never", async () => {
  let fired = 0;
  const cancel = systemClock.after(1, () => assert.fail("cancelled"));
  cancel();
  cancel();
  await new Promise<void>((resolve) => {
    // The clock's own timers keep no process alive, so the test brings one that does.
    const alive = setInterval(() => undefined, 1_000);
    systemClock.after(1, () => fired++);
    systemClock.after(20, () => (clearInterval(alive), resolve()));
  });
  assert.equal(fired, 1);
});

test("a timer longer than the machine can count does not fire at once", async () => {
  let fired = false;
  const cancel = systemClock.after(2 ** 31, () => (fired = true));
  await new Promise((resolve) => setTimeout(resolve, 20));
  cancel();
  assert.equal(fired, false);
});

test("the tests' clock runs due timers in the order of their times, each at its own time", () => {
  const clock = new FakeClock(START_WALL, 0);
  const seen: string[] = [];
  clock.after(30, () => seen.push(`c ${clock.mono()}`));
  clock.after(10, () => {
    seen.push(`a ${clock.mono()}`);
    clock.after(5, () => seen.push(`b ${clock.mono()}`));
  });
  clock.after(10, () => seen.push(`a2 ${clock.mono()}`));
  clock.after(31, () => seen.push("too early"));
  clock.after(20, () => seen.push("cancelled"))();
  clock.advance(30);
  assert.deepEqual(seen, ["a 10", "a2 10", "b 15", "c 30"]);
  assert.equal(clock.wall(), START_WALL + 30);
  assert.equal(clock.armed, 1);
});

test("the tests' clock can be paused and its wall time set apart", () => {
  const clock = new FakeClock(START_WALL, 0);
  let firedAt = 0;
  clock.after(10, () => (firedAt = clock.mono()));
  clock.pause(100);
  assert.equal(firedAt, 0);
  clock.advance(0);
  assert.equal(firedAt, 100);
  clock.setWall(0);
  assert.deepEqual([clock.wall(), clock.mono()], [0, 100]);
});
