/** Who is called offline, when the daemon does not trust its own clock, and what is a storm. */
import assert from "node:assert/strict";
import test from "node:test";
import {
  decideLost,
  decideReplaceLost,
  isStorm,
  pausedFor,
  quietAfter,
  sweepInterval,
} from "../../src/fleet/liveness.ts";
import type { HostId } from "../../src/lib/id-types.ts";
import type { State } from "../../src/state/state.ts";
import type { Event } from "../../src/state/events.ts";
import { idsOf } from "../support/ids.ts";
import {
  CALM,
  apply,
  created,
  heard,
  hostOf,
  lost,
  machineOf,
  registered,
  specOf,
  stateAfter,
} from "../support/rows.ts";

const NOBODY: ReadonlySet<HostId> = new Set();

/** Hosts that have had a machine each. */
function fleetOf(count: number): State {
  return stateAfter(
    ...Array.from({ length: count }, (_, index) => [
      registered(`h-${index}`),
      created(specOf(`m-${index}`), `h-${index}`),
    ]).flat(),
  );
}

function hosts(...ids: string[]): ReadonlySet<HostId> {
  return new Set(idsOf<HostId>(...ids));
}

/** The first `count` hosts of a fleet fall silent. */
function silent(count: number): (id: string) => boolean {
  return (id) => Number(id.slice(2)) < count;
}

test("the sweep runs four times in an offline_after, at least every check_interval, at most 20 times a second", () => {
  assert.equal(sweepInterval(30_000, 15_000), 7_500);
  assert.equal(sweepInterval(30_000, 5_000), 5_000);
  assert.equal(sweepInterval(600_000, 15_000), 15_000);
  assert.equal(sweepInterval(1_000, 15_000), 250);
  assert.equal(sweepInterval(100, 15_000), 50);
});

test("a timer that comes a little late was not paused", () => {
  for (const [gap, interval] of [
    [7_500, 7_500],
    [7_000, 7_500],
    [11_250, 7_500],
    [450, 250],
    [250, 250],
  ] as const)
    assert.equal(pausedFor(gap, interval), 0, `${gap} of ${interval}`);
});

test(
  "a timer that comes half an interval late, and 200 ms, was paused for all of the gap: nobody knows " +
    "when in it that began",
  () => {
    assert.equal(pausedFor(11_251, 7_500), 11_251);
    assert.equal(pausedFor(451, 250), 451);
    assert.equal(pausedFor(60_000, 7_500), 60_000);
  },
);

const STORMS: readonly [lostHosts: number, online: number, storm: boolean][] = [
  [1, 1, false],
  [3, 3, false],
  [3, 4, false],
  [4, 4, true],
  [3, 8, false],
  [3, 9, false],
  [4, 9, true],
  [4, 11, true],
  [4, 12, false],
  [5, 12, true],
  [5, 15, false],
  [6, 15, true],
  [33, 100, false],
  [34, 100, true],
  [10_000, 30_000, false],
  [10_001, 30_000, true],
];

for (const [lostHosts, online, storm] of STORMS) {
  test(`${lostHosts} of ${online} hosts silent at once is ${storm ? "a storm" : "no storm"}`, () => {
    assert.equal(isStorm(lostHosts, online), storm);
    if (online > 1_000) return;
    const event = decideLost(fleetOf(online), silent(lostHosts), NOBODY, CALM);
    assert.equal(event?.data.host_ids.length, lostHosts);
    assert.deepEqual(event.data.held_host_ids, storm ? event.data.host_ids : []);
  });
}

test("nobody silent is no event", () => {
  assert.equal(
    decideLost(fleetOf(3), () => false, NOBODY, CALM),
    null,
  );
  assert.equal(
    decideLost(stateAfter(), () => true, NOBODY, CALM),
    null,
  );
});

test("a host that is offline is not lost again, and does not count as online", () => {
  const state = fleetOf(4);
  apply(state, lost("h-0", "h-1"));
  assert.equal(
    decideLost(state, (id) => id < "h-2", NOBODY, CALM),
    null,
  );
  assert.deepEqual(decideLost(state, () => true, NOBODY, CALM)?.data, {
    host_ids: ["h-2", "h-3"],
    held_host_ids: [],
    replace_after: null,
  });
});

test("hosts are named in order, whatever order they registered in", () => {
  const state = stateAfter(...["h-3", "h-1", "h-2"].map((id) => registered(id)));
  assert.deepEqual(decideLost(state, () => true, NOBODY, CALM)?.data.host_ids, ["h-1", "h-2", "h-3"]);
});

test("a storm that comes in two sweeps is one, and holds the hosts of the first too", () => {
  const state = fleetOf(9);
  const first = decideLost(state, silent(3), NOBODY, CALM);
  assert.deepEqual(first?.data.held_host_ids, []);
  apply(state, first);
  const second = decideLost(state, silent(4), new Set(first.data.host_ids), CALM);
  assert.deepEqual(second?.data, {
    host_ids: ["h-3"],
    held_host_ids: ["h-0", "h-1", "h-2", "h-3"],
    replace_after: null,
  });
  apply(state, second);
  for (const id of ["h-0", "h-1", "h-2", "h-3"]) assert.ok(hostOf(state, id).replacement_held, id);
});

test("hosts lost longer ago than offline_after, or heard again since, count for no storm", () => {
  const state = fleetOf(9);
  apply(state, lost("h-0", "h-1", "h-2"));
  assert.deepEqual(decideLost(state, silent(4), NOBODY, CALM)?.data.held_host_ids, []);
  apply(state, heard("h-0", [], true), heard("h-1", [], true));
  assert.deepEqual(decideLost(state, (id) => id === "h-3", hosts("h-0", "h-1", "h-2"), CALM)?.data.held_host_ids, []);
  apply(state, { type: "host.deregistered", data: { host_id: "h-2", reason: null } });
  assert.deepEqual(decideLost(state, (id) => id === "h-3", hosts("h-2", "h-9"), CALM)?.data.held_host_ids, []);
});

test("hosts that never had a machine make no storm, and are no part of one", () => {
  const six = fleetOf(6);
  apply(six, ...Array.from({ length: 8 }, (_, index) => registered(`zz-${index}`)));
  const fakes = decideLost(six, (id) => id.startsWith("zz-") || id === "h-0", NOBODY, CALM);
  assert.deepEqual(fakes?.data.host_ids.length, 9, "they are offline all the same");
  assert.deepEqual([fakes.data.held_host_ids, fakes.data.replace_after], [[], null]);
  const real = decideLost(six, (id) => id.startsWith("zz-") || id < "h-4", NOBODY, CALM);
  assert.deepEqual(real?.data.held_host_ids, ["h-0", "h-1", "h-2", "h-3"], "four of six are one, of whatever others");
  const idle = { isQuiet: (id: string) => id.startsWith("zz-"), until: "later" };
  assert.equal(decideLost(six, (id) => id === "h-0", NOBODY, idle)?.data.replace_after, null);
});

test("a third is counted of the hosts that were online before the storm began", () => {
  // 12 online, 4 lost at first: 8 are left. One more makes 5 of 12, which is more than a third; 5 of 8 is not the
  // question.
  const state = fleetOf(12);
  apply(state, lost("h-0", "h-1", "h-2", "h-3"));
  assert.equal(decideLost(state, silent(5), hosts("h-0", "h-1", "h-2", "h-3"), CALM)?.data.held_host_ids.length, 5);
  const larger = fleetOf(15);
  apply(larger, lost("h-0", "h-1", "h-2", "h-3"));
  assert.equal(decideLost(larger, silent(5), hosts("h-0", "h-1", "h-2", "h-3"), CALM)?.data.held_host_ids.length, 0);
});

test("the hold is lifted by a host-admin, for every held host at once, and by being heard", () => {
  const state = fleetOf(5);
  const event = decideLost(state, silent(5), NOBODY, CALM);
  assert.ok(event !== null);
  apply(state, event, heard("h-4", [], true));
  assert.equal(hostOf(state, "h-4").replacement_held, false);
  const lifted = decideReplaceLost(state);
  assert.deepEqual(lifted?.data.host_ids, ["h-0", "h-1", "h-2", "h-3"]);
  apply(state, lifted);
  assert.equal(decideReplaceLost(state), null);
  assert.equal(hostOf(state, "h-0").health, "offline");
});

test("the machines of a lost host are unknown, and those that ended stay as they ended", () => {
  const state = stateAfter(
    registered("h-1"),
    registered("h-2"),
    created(specOf("m-1"), "h-1"),
    created(specOf("m-2"), "h-1"),
    created(specOf("m-3"), "h-2"),
  );
  apply(
    state,
    heard("h-1", [
      { id: "m-1", state: "running" },
      { id: "m-2", state: "stopped" },
    ]),
    lost("h-1"),
  );
  assert.deepEqual([machineOf(state, "m-1").state, machineOf(state, "m-1").reason], ["unknown", "host_offline"]);
  assert.equal(machineOf(state, "m-2").state, "stopped");
  assert.equal(machineOf(state, "m-3").state, "pending");
});

test(
  "where the hosts that are quiet would make it a storm, nothing is replaced until they are heard or " + "lost too",
  () => {
    const state = fleetOf(9);
    const quiet = new Set(["h-1", "h-2", "h-3"]);
    const decide = (also: readonly string[]): Event | null =>
      decideLost(state, (id) => id === "h-0", new Set(), {
        isQuiet: (id) => quiet.has(id) || also.includes(id),
        until: "later",
      });
    assert.deepEqual(decide([]), {
      type: "host.lost",
      data: { host_ids: ["h-0"], held_host_ids: [], replace_after: "later" },
    });
    quiet.delete("h-3");
    assert.deepEqual(
      decide([]),
      { type: "host.lost", data: { host_ids: ["h-0"], held_host_ids: [], replace_after: null } },
      "three of nine are no storm",
    );
    assert.deepEqual(decide(["h-0", "h-5"]), {
      type: "host.lost",
      data: { host_ids: ["h-0"], held_host_ids: [], replace_after: "later" },
    });
  },
);

test("hosts of one failure are quiet when the first of them is lost: the longest time between two beats before", () => {
  assert.equal(quietAfter(30_000, 10_000), 17_000);
  assert.equal(quietAfter(1_000, 1_000), 0);
});
