/**
 * A thousand agents for some minutes of virtual time, and 19 more seeds of smaller fleets: whatever befalls them, every
 * invariant holds. scripts/simulate runs the hour, for a thousand seeds; .ci/run has it run 20.
 */
import assert from "node:assert/strict";
import test from "node:test";
import type { Terms } from "./world.ts";
import { simulate } from "./world.ts";

/** Small fleets cost less than a second each, and each of their hosts meets more. */
const SMALL: readonly Terms[] = Array.from({ length: 19 }, (_, index) => ({
  seed: index + 2,
  agents: 60,
  minutes: 30,
}));
/** It once found a pause of the daemon that began in the 50 ms between seeing who is silent and saying so. */
const FOUND: Terms = { seed: 1084, agents: 60, minutes: 30 };

test("the same seed is the same world, to the last event", async () => {
  const terms = { seed: 77, agents: 30, minutes: 15 };
  const [first, again, other] = [await simulate(terms), await simulate(terms), await simulate({ ...terms, seed: 78 })];
  assert.equal(first.failure, null);
  assert.deepEqual(again, first);
  assert.notEqual(other.hash, first.hash);
});

/**
 * Of the hour. ZWRM_SIM_MINUTES=60 is all of it, in half a minute to a minute of real time; less than 9 has no calm to
 * settle in.
 */
const LARGE_MINUTES = Number(process.env["ZWRM_SIM_MINUTES"] ?? "10");

test(`a thousand agents over ${LARGE_MINUTES} minutes: no invariant breaks`, async () => {
  const { failure, heartbeats, machines } = await simulate({ seed: 1, agents: 1_000, minutes: LARGE_MINUTES });
  assert.equal(failure, null, failure ?? "");
  assert.ok(
    heartbeats > 5_000 * LARGE_MINUTES && machines > 100,
    `it was a quiet world: ${heartbeats} heartbeats, ${machines} machines`,
  );
});

for (const terms of [...SMALL, FOUND]) {
  test(`${terms.agents} agents over ${terms.minutes} minutes, seed ${terms.seed}: no invariant breaks`, async () => {
    const { failure } = await simulate(terms);
    assert.equal(failure, null, failure ?? "");
  });
}
