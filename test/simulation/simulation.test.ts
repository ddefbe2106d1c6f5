/** A thousand agents for a quarter of an hour of virtual time, and 19 more seeds of smaller fleets: whatever befalls them, every invariant holds. scripts/simulate runs the hour, for a thousand seeds. */
import assert from "node:assert/strict";
import test from "node:test";
import type { Terms } from "./world.ts";
import { simulate } from "./world.ts";

/** Small fleets cost a second each, and each of their hosts meets more. */
const SMALL: readonly Terms[] = Array.from({ length: 19 }, (_, index) => ({ seed: index + 2, agents: 60, minutes: 30 }));

test("the same seed is the same world, to the last event", async () => {
  const terms = { seed: 77, agents: 30, minutes: 15 };
  const [first, again, other] = [await simulate(terms), await simulate(terms), await simulate({ ...terms, seed: 78 })];
  assert.equal(first.failure, null);
  assert.deepEqual(again, first);
  assert.notEqual(other.hash, first.hash);
});

test("a thousand agents over a quarter of an hour: no invariant breaks", async () => {
  const { failure, heartbeats, machines, daemonStarts } = await simulate({ seed: 1, agents: 1_000, minutes: 15 });
  assert.equal(failure, null, failure ?? "");
  assert.ok(heartbeats > 50_000 && machines > 500 && daemonStarts > 1, `it was a quiet world: ${heartbeats} heartbeats, ${machines} machines, ${daemonStarts} starts`);
});

for (const terms of SMALL) {
  test(`${terms.agents} agents over ${terms.minutes} minutes, seed ${terms.seed}: no invariant breaks`, async () => {
    const { failure } = await simulate(terms);
    assert.equal(failure, null, failure ?? "");
  });
}
