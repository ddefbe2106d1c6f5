import assert from "node:assert/strict";
import test from "node:test";
import { Watchdog } from "../../src/lib/watchdog.ts";
import { FakeClock } from "../support/clock.ts";

function createLab() {
  const clock = new FakeClock();
  const barks: number[] = [];
  const start = clock.mono();
  const watchdog = new Watchdog(clock, 1_000, () => barks.push(clock.mono() - start));
  return { clock, barks, watchdog };
}

test("barks once, when nothing has come for so long", async () => {
  const { clock, barks } = createLab();
  await clock.run(5_000, 100);
  assert.deepEqual(barks, [1_000]);
});

test("counts from the last progress, with one timer however often there is some", async () => {
  const { clock, barks, watchdog } = createLab();
  for (let times = 0; times < 20; times += 1) {
    await clock.run(200, 100);
    watchdog.pet();
    assert.equal(clock.armed, 1);
  }
  await clock.run(900, 100);
  assert.deepEqual(barks, []);
  await clock.run(2_000, 100);
  assert.deepEqual(barks, [5_000]);
});

test("is silent once nothing is awaited", async () => {
  const { clock, barks, watchdog } = createLab();
  watchdog.end();
  await clock.run(5_000, 100);
  assert.deepEqual([barks, clock.armed], [[], 0]);
});
