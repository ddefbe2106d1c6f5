/**
 * Where a machine goes and why: each obstacle in words and numbers, what is preferred among hosts that fit, and why
 * nowhere.
 */
import assert from "node:assert/strict";
import test from "node:test";
import type { Excluded, Need } from "../../src/fleet/placement.ts";
import { Imagined, choose, explain, whyNowhere } from "../../src/fleet/placement.ts";
import { idOf } from "../support/ids.ts";
import { AT, created, heard, specOf } from "../support/rows.ts";
import { Stage } from "./stage.ts";

const NEED: Need = { app_id: idOf("web"), cpus: 2, memory_mb: 512, region: null };
const NONE: Excluded = new Map();

function pick(stage: Stage, need: Partial<Need> = {}, excluded: Excluded = NONE): string | null {
  return choose(stage.scene, { ...NEED, ...need }, excluded)?.hostId ?? null;
}

function reasons(stage: Stage, need: Partial<Need> = {}, excluded: Excluded = NONE): Record<string, string> {
  return Object.fromEntries(
    explain(stage.scene, { ...NEED, ...need }, excluded, null).map((row) => [
      row.host_id,
      `${row.chosen ? "chosen" : row.fits ? "fits" : "no"}: ${row.reason}`,
    ]),
  );
}

/** A machine of `app` on a host. */
function occupy(stage: Stage, id: string, hostId: string, cpus = 1, app = "other", memoryMb = 256): void {
  stage.do(created(specOf(id, { app_id: app, cpus, memory_mb: memoryMb }), hostId));
}

test("every obstacle is told in words and numbers, one row a host, sorted", () => {
  const stage = new Stage()
    .hosts("h-7-fits", "h-1-offline", "h-2-draining", "h-3-maintenance")
    .host("h-4-north", { region: "north" })
    .host("h-5-cpus", { capacity: { cpus: 4 } })
    .host("h-6-memory", { capacity: { memory_mb: 1_000 } });
  occupy(stage, "m-1", "h-5-cpus", 3);
  occupy(stage, "m-2", "h-6-memory", 1, "other", 600);
  stage
    .lose("h-1-offline")
    .drain("h-2-draining")
    .do({ type: "host.drain_finished", data: { host_id: "h-3-maintenance", state: "completed", mode: "maintenance" } });
  assert.deepEqual(reasons(stage, { region: "default" }), {
    "h-1-offline": `no: offline since ${AT}`,
    "h-2-draining": "no: draining",
    "h-3-maintenance": "no: in maintenance",
    "h-4-north": "no: in region north, not default",
    "h-5-cpus": "no: needs 2 cpus, has 1 of 4 free",
    "h-6-memory": "no: needs 512 MiB, has 400 of 1000 free",
    "h-7-fits": "chosen: 0 of the app's machines here, 0 in datacenter default; 25 % full with it",
  });
  assert.deepEqual(
    explain(stage.scene, NEED, NONE, null).map((row) => row.host_id),
    [...stage.state.hosts.keys()].sort(),
  );
});

test("a host that is exactly full with the machine fits, one cpu or one MiB less does not", () => {
  assert.equal(pick(new Stage().host("h-1", { capacity: { cpus: 2, memory_mb: 512 } })), "h-1");
  assert.equal(pick(new Stage().host("h-1", { capacity: { cpus: 1, memory_mb: 512 } })), null);
  assert.equal(pick(new Stage().host("h-1", { capacity: { cpus: 2, memory_mb: 511 } })), null);
});

test("machines that have ended hold nothing; those that are unknown or stopping do", () => {
  for (const [state, free] of [
    ["stopped", true],
    ["failed", true],
    ["unknown", false],
    ["stopping", false],
    ["starting", false],
  ] as const) {
    const stage = new Stage().host("h-1", { capacity: { cpus: 2 } });
    occupy(stage, "m-1", "h-1", 1);
    stage.do(heard("h-1", [{ id: "m-1", state }]));
    assert.equal(pick(stage), free ? "h-1" : null, state);
  }
});

test("an excluded host is not taken, and the row gives the reason for which it is", () => {
  const stage = new Stage().hosts("h-1", "h-2");
  const excluded: Excluded = new Map([[idOf("h-1"), "tried: exit code 3"]]);
  assert.equal(pick(stage, {}, excluded), "h-2");
  assert.equal(reasons(stage, {}, excluded)["h-1"], "no: tried: exit code 3");
});

test("spread takes the emptiest host by what it has least of, pack the fullest that still fits", () => {
  const stage = new Stage().hosts("h-1", "h-2", "h-3").host("h-4", { capacity: { cpus: 2 } });
  occupy(stage, "m-1", "h-1", 4);
  occupy(stage, "m-2", "h-2", 1, "other", 12_000);
  occupy(stage, "m-3", "h-3", 1);
  occupy(stage, "m-4", "h-4", 1);
  assert.equal(pick(stage), "h-3");
  stage.strategy = "pack";
  assert.equal(pick(stage), "h-2", "h-2 is fuller by memory than h-1 by cpus; h-4 has no room");
});

test("replicas are kept apart: by host first, then by datacenter, and only then the strategy counts", () => {
  const stage = new Stage()
    .host("h-1", { datacenter: "a" })
    .host("h-2", { datacenter: "a" })
    .host("h-3", { datacenter: "b" });
  occupy(stage, "m-1", "h-1", 1, "web");
  occupy(stage, "m-2", "h-3", 6);
  assert.equal(pick(stage), "h-3", "the other datacenter, though it is fuller");
  occupy(stage, "m-3", "h-3", 1, "web");
  assert.equal(pick(stage), "h-2", "the host without a machine of the app");
  occupy(stage, "m-4", "h-2", 1, "web");
  assert.equal(pick(stage, { cpus: 1 }), "h-3", "all hosts have one: the datacenter with fewer");
  stage.strategy = "pack";
  assert.equal(pick(stage, { app_id: idOf("third"), cpus: 1 }), "h-3", "another app's machines are no company");
});

test("machines of the app that have ended or go for good are no company, nor is the machine itself", () => {
  const stage = new Stage().hosts("h-1", "h-2");
  occupy(stage, "m-1", "h-1", 1, "web");
  assert.equal(pick(stage), "h-2");
  assert.equal(pick(stage, { machine_id: idOf("m-1") }), "h-2", "by load");
  stage.do({ type: "machine.removed", data: { machine_ids: ["m-1"], reason: "deleted" } });
  occupy(stage, "m-2", "h-2", 4);
  assert.equal(pick(stage), "h-1");
  occupy(stage, "m-3", "h-1", 1, "web");
  stage.do(heard("h-1", [{ id: "m-3", state: "failed" }]));
  assert.equal(pick(stage), "h-1");
});

test("of equal hosts the one with the lowest id is taken, whatever order they came in", () => {
  assert.equal(pick(new Stage().hosts("h-3", "h-1", "h-2")), "h-1");
});

test("the decision says by which strategy, among how many, and what spoke for it", () => {
  const stage = new Stage().hosts("h-1", "h-2").host("h-3", { capacity: { cpus: 1 } });
  occupy(stage, "m-1", "h-1", 1, "web");
  assert.equal(
    choose(stage.scene, NEED, NONE)?.why,
    "spread: chosen of 2 that fit among 3 hosts; 0 of the app's machines here, 1 in datacenter default; 25 " +
      "% full with it",
  );
});

test("explain marks the host that was taken, also where another one would be taken now", () => {
  const stage = new Stage().hosts("h-1", "h-2");
  assert.deepEqual(
    explain(stage.scene, NEED, NONE, idOf("h-2")).map((row) => [row.host_id, row.chosen]),
    [
      ["h-1", false],
      ["h-2", true],
    ],
  );
});

test("machines that are imagined take room and are company, and the state knows nothing of them", () => {
  const stage = new Stage().host("h-1", { capacity: { cpus: 16 } }).host("h-2", { capacity: { cpus: 4 } });
  const imagined = new Imagined(stage.scene);
  const taken = Array.from({ length: 5 }, () => {
    const choice = choose(imagined, NEED, NONE);
    if (choice !== null) imagined.add(NEED, choice.hostId);
    return choice?.hostId;
  });
  assert.deepEqual(taken, ["h-1", "h-2", "h-1", "h-2", "h-1"], "apart as long as there is room");
  for (let i = 0; i < 5; i++) imagined.add(NEED, idOf("h-1"));
  assert.equal(choose(imagined, NEED, NONE), null);
  assert.equal(pick(stage), "h-1");
});

test("nowhere, because there is no host, none in the region, or none that is active", () => {
  assert.equal(whyNowhere(new Stage().scene, NEED), "no host is registered");
  const stage = new Stage().hosts("h-1", "h-2").host("h-3", { region: "north" });
  assert.equal(whyNowhere(stage.scene, { ...NEED, region: "south" }), "no host is in region south; 3 are elsewhere");
  stage.lose("h-1").drain("h-2");
  assert.equal(
    whyNowhere(stage.scene, { ...NEED, region: "default" }),
    "none of the 2 hosts in region default is active (1 offline, 1 draining)",
  );
  stage.drain("h-3");
  assert.equal(whyNowhere(stage.scene, NEED), "none of the 3 hosts is active (1 offline, 2 draining)");
});

test("nowhere, because each active host was tried", () => {
  const stage = new Stage().hosts("h-1", "h-2");
  const excluded: Excluded = new Map([
    [idOf("h-1"), "tried: exit code 3"],
    [idOf("h-2"), "tried: exit code 4"],
  ]);
  assert.equal(whyNowhere(stage.scene, NEED, excluded), "each of the 2 active hosts was tried (tried: exit code 4)");
});

test("nowhere, because of cpus, of memory, or because no host has both", () => {
  const stage = new Stage()
    .host("h-1", { capacity: { cpus: 2, memory_mb: 4_000 } })
    .host("h-7", { capacity: { cpus: 3, memory_mb: 1_000 } });
  occupy(stage, "m-1", "h-7", 1);
  assert.equal(whyNowhere(stage.scene, { ...NEED, cpus: 4 }), "needs 4 cpus; the largest free host h-1 has 2");
  assert.equal(
    whyNowhere(stage.scene, { ...NEED, memory_mb: 5_000 }),
    "needs 5000 MiB; the host with most free memory, h-1, has 4000",
  );
  occupy(stage, "m-2", "h-1", 1);
  assert.equal(
    whyNowhere(stage.scene, { ...NEED, memory_mb: 3_500 }),
    "needs 2 cpus and 3500 MiB on one host; h-7 has 2 and 744 MiB free, h-1 has 1 and 3744 MiB",
  );
});

test("one cpu is one cpu", () => {
  assert.equal(
    whyNowhere(new Stage().host("h-1", { capacity: { cpus: 0 } }).scene, { ...NEED, cpus: 1 }),
    "needs 1 cpu; the largest free host h-1 has 0",
  );
});

/** What an agent reports of a machine that cannot be started for what is its host's fault. */
function fail(stage: Stage, id: string, hostId: string, reason: string): void {
  const report = {
    id,
    state: "failed",
    ready: false,
    reason,
    exit_code: null,
    started_at: null,
    fault: "host",
  } as const;
  stage.do({ type: "host.heard", data: { host_id: hostId, key_hash: null, machines: [report] } });
}

test(
  "a host that could not start a machine ranks last, and says why, until one that came later is healthy " +
    "or ten minutes have passed",
  () => {
    const stage = new Stage().hosts("h-1", "h-2", "h-3");
    occupy(stage, "m-1", "h-1");
    fail(stage, "m-1", "h-1", "no space left on device");
    occupy(stage, "m-2", "h-2", 4);
    occupy(stage, "m-3", "h-3", 4);
    assert.equal(pick(stage), "h-2", "though h-1 is the emptiest");
    assert.match(reasons(stage)["h-1"] ?? "", /^fits: last of all \(no space left on device\); /);
    assert.equal(pick(stage, { cpus: 8 }), "h-1", "where nothing else fits it is tried");
    stage.wait(600_000);
    assert.equal(pick(stage), "h-1");
    fail(stage, "m-1", "h-1", "no space left on device");
    occupy(stage, "m-4", "h-1");
    stage.do({ type: "machine.healthy", data: { app_id: "other", machine_ids: ["m-4"] } });
    assert.equal(stage.state.hosts.get(idOf("h-1"))?.trouble, null);
  },
);

test("nothing is said to be in the way where a host fits", () => {
  const stage = new Stage().hosts("h-1");
  assert.equal(whyNowhere(stage.scene, NEED), null);
});
