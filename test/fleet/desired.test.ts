/** What an agent shall run, and the revision that is equal exactly for equal lists. */
import assert from "node:assert/strict";
import test from "node:test";
import { DesiredLists, computeDesired } from "../../src/fleet/desired.ts";
import type { AppId, DeploymentId, ImageDigest } from "../../src/lib/id-types.ts";
import { State } from "../../src/state/state.ts";
import { idOf } from "../support/ids.ts";
import {
  apply,
  created,
  deployed,
  heard,
  linesOf,
  lost,
  machineOf,
  registered,
  specOf,
  stateAfter,
} from "../support/rows.ts";

function world(): State {
  const checked = specOf("m-1", { deployment_id: "dep_2", check: { type: "tcp", port: 1 } });
  return stateAfter(
    deployed("dep_1"),
    deployed("dep_2", { env: { B: "2", A: "1" } }),
    registered("h-1"),
    registered("h-2"),
    created(specOf("m-2"), "h-1"),
    created(checked, "h-1"),
    created(specOf("m-3"), "h-2"),
    created(specOf("m-4"), null),
  );
}

function revisionOf(state: State, hostId = "h-1"): string {
  return new DesiredLists().of(state, idOf(hostId)).revision;
}

test(
  "a list has every machine of the host that has not ended, sorted, with what the agent needs and " + "nothing else",
  () => {
    const { machines, revision } = new DesiredLists().of(world(), idOf("h-1"));
    const { app_id, image, cpus, memory_mb, restart } = specOf("m");
    const rest = { app_id, image, cpus, memory_mb, env: {}, restart };
    assert.deepEqual(machines, [
      { id: "m-1", ...rest, env: { B: "2", A: "1" }, check: { type: "tcp", port: 1 }, desired_state: "running" },
      { id: "m-2", ...rest, desired_state: "running" },
    ]);
    assert.match(revision, /^[0-9a-f]{32}$/);
  },
);

test("a host without machines has the empty list, and all empty lists have one revision", () => {
  const lists = new DesiredLists();
  const state = world();
  assert.deepEqual(lists.of(state, idOf("h-9")).machines, []);
  assert.equal(lists.of(state, idOf("h-9")).revision, computeDesired(state, []).revision);
  apply(state, heard("h-2", [{ id: "m-3", state: "stopped" }]));
  assert.equal(lists.of(state, idOf("h-2")).revision, lists.of(state, idOf("h-9")).revision);
});

test("the revision is the same after a restart, from the log and from a snapshot, and whatever the order", () => {
  const state = world();
  const snapshot = new State();
  for (const line of linesOf(state)) snapshot.load(JSON.parse(line));
  assert.equal(revisionOf(snapshot), revisionOf(state));
  const other = stateAfter(
    deployed("dep_2", { env: { B: "2", A: "1" } }),
    registered("h-1"),
    created(specOf("m-1", { deployment_id: "dep_2", check: { type: "tcp", port: 1 } }), "h-1"),
    created(specOf("m-2"), "h-1"),
  );
  assert.equal(revisionOf(other), revisionOf(state));
});

test(
  "the revision changes when a machine comes, ends or is told to stop, and not with what the agent " + "itself reports",
  () => {
    const state = world();
    const seen = [revisionOf(state)];
    const changed = (): void => {
      assert.ok(!seen.includes(revisionOf(state)));
      seen.push(revisionOf(state));
    };
    apply(
      state,
      heard("h-1", [
        { id: "m-1", state: "running" },
        { id: "m-2", state: "starting" },
      ]),
      lost("h-1"),
    );
    assert.equal(revisionOf(state), seen[0]);
    apply(state, created(specOf("m-5"), "h-1"));
    changed();
    apply(state, { type: "host.drain_forced", data: { host_id: "h-1", machine_ids: ["m-5"] } });
    changed();
    apply(state, heard("h-1", [{ id: "m-2", state: "failed" }]));
    changed();
    apply(state, heard("h-1", [{ id: "m-5", state: "stopped" }]));
    changed();
  },
);

test("a machine that was told to stop stays in the list until the agent has reported it stopped or gone", () => {
  const state = world();
  apply(state, { type: "host.drain_forced", data: { host_id: "h-1", machine_ids: ["m-1", "m-2"] } });
  assert.deepEqual(
    new DesiredLists().of(state, idOf("h-1")).machines.map(({ id, desired_state }) => [id, desired_state]),
    [
      ["m-1", "stopped"],
      ["m-2", "stopped"],
    ],
  );
  apply(
    state,
    heard("h-1", [
      { id: "m-1", state: "stopping" },
      { id: "m-2", state: "stopped" },
    ]),
  );
  assert.deepEqual(
    new DesiredLists().of(state, idOf("h-1")).machines.map(({ id }) => id),
    ["m-1"],
  );
});

for (const [what, change] of [
  ["image", { image: idOf<ImageDigest>(`sha256:${"b".repeat(64)}`) }],
  ["cpus", { cpus: 2 }],
  ["memory_mb", { memory_mb: 512 }],
  ["env", { deployment_id: idOf<DeploymentId>("dep_2") }],
  ["starts", { starts: 1 }],
  ["restart", { restart: "always" }],
  ["check", { check: { type: "tcp", port: 2 } }],
  ["app_id", { app_id: idOf<AppId>("api") }],
] as const) {
  test(`two lists that differ in ${what} have two revisions`, () => {
    const state = stateAfter(
      deployed("dep_1"),
      deployed("dep_2", { env: { A: "2" } }),
      registered("h-1"),
      created(specOf("m-1"), "h-1"),
    );
    const one = machineOf(state, "m-1");
    assert.notEqual(computeDesired(state, [one]).revision, computeDesired(state, [{ ...one, ...change }]).revision);
  });
}

test("a list is made anew only when the host's machines changed, and a rollback is a change", () => {
  const lists = new DesiredLists();
  const state = world();
  const first = lists.of(state, idOf("h-1"));
  apply(state, heard("h-2", [{ id: "m-3", state: "running" }]));
  assert.equal(lists.of(state, idOf("h-1")), first);
  state.undo.begin();
  apply(state, created(specOf("m-7"), "h-1"));
  assert.equal(lists.of(state, idOf("h-1")).machines.length, 3);
  state.undo.abort();
  assert.deepEqual(lists.of(state, idOf("h-1")), first);
  lists.forget(idOf("h-1"));
  assert.deepEqual(lists.of(state, idOf("h-1")), first);
});
