/** What people ask of apps, deployments and machines, and when it is refused. */
import assert from "node:assert/strict";
import test from "node:test";
import {
  currentDeployment,
  decideApp,
  decideAppDeletion,
  decideDeployment,
  decideMachineDeletion,
  decideScale,
  decideStart,
  decideStop,
  findApp,
  findDeployment,
  findMachine,
} from "../../src/fleet/workloads.ts";
import { appView, deploymentView, machineView, machineViews, placementView } from "../../src/fleet/workload-view.ts";
import { WAITING_AT_MOST } from "../../src/fleet/plan/missing.ts";
import type { App } from "../../src/state/types.ts";
import { idempotencyKey } from "../../src/state/state.ts";
import { idOf } from "../support/ids.ts";
import { machineOf, workloadOf } from "../support/rows.ts";
import { APP, Stage } from "./stage.ts";

const NOTE = { key: "k-1", body_sum: "s" };

function appOf(stage: Stage): App {
  return findApp(stage.state, idOf("o_1"), APP);
}

function running(replicas = 1): Stage {
  return new Stage().hosts("h-1", "h-2").deploy("dep_1", replicas).settle().ticks(3);
}

test(
  "an app is found by its id or its name, and not from another org, also where that one has an app of " + "the name",
  () => {
    const stage = new Stage()
      .do({ type: "app.created", data: { app_id: "app_1", org_id: "o_1", name: "shop", idempotency: null } })
      .do({ type: "app.created", data: { app_id: "app_2", org_id: "o_2", name: "shop", idempotency: null } });
    assert.equal(findApp(stage.state, idOf("o_1"), "app_1").id, "app_1");
    assert.equal(findApp(stage.state, idOf("o_1"), "shop").id, "app_1");
    assert.equal(findApp(stage.state, idOf("o_2"), "shop").id, "app_2");
    for (const [org, id] of [
      ["o_1", "app_2"],
      ["o_3", "shop"],
      ["o_1", "none"],
    ] as const)
      assert.throws(() => findApp(stage.state, idOf(org), id), { code: "app_not_found", status: 404 });
  },
);

test("a deployment is found in its app only, a machine in its org only", () => {
  const stage = running().deploy("dep_9", 1, {}, "api");
  assert.equal(findDeployment(stage.state, appOf(stage), idOf("dep_1")).id, "dep_1");
  for (const id of ["dep_9", "none"])
    assert.throws(() => findDeployment(stage.state, appOf(stage), idOf(id)), {
      code: "deployment_not_found",
      status: 404,
    });
  assert.equal(findMachine(stage.state, idOf("o_1"), idOf("m-001")).id, "m-001");
  for (const [org, id] of [
    ["o_2", "m-001"],
    ["o_1", "none"],
  ] as const)
    assert.throws(() => findMachine(stage.state, idOf(org), idOf(id)), { code: "machine_not_found", status: 404 });
});

test("a name is taken once an org, and the refusal names the app that has it", () => {
  const stage = running();
  assert.throws(() => decideApp(stage.state, idOf("o_1"), APP, idOf("app_2"), null), {
    code: "app_exists",
    status: 409,
    extra: { id: APP },
  });
  assert.deepEqual(decideApp(stage.state, idOf("o_2"), APP, idOf("app_2"), NOTE), {
    type: "app.created",
    data: { app_id: "app_2", org_id: "o_2", name: APP, idempotency: NOTE },
  });
});

test(
  "an app is shown with its current deployment: state, replicas, those of them that are ready, image and " + "when",
  () => {
    const stage = new Stage()
      .hosts("h-1", "h-2")
      .do({ type: "app.created", data: { app_id: "app_1", org_id: "o_1", name: "shop", idempotency: null } });
    const shown = (): unknown => {
      const {
        state,
        replicas,
        ready,
        image,
        deployed_at: at,
      } = appView(stage.state, findApp(stage.state, idOf("o_1"), "app_1"));
      return [state, replicas, ready, image, at];
    };
    assert.deepEqual(shown(), [null, 0, 0, null, null]);
    const served = running(2);
    const { image, created_at: at } = currentDeployment(served.state, appOf(served));
    const { state, replicas, ready, image: shownImage, deployed_at: shownAt } = appView(served.state, appOf(served));
    assert.deepEqual([state, replicas, ready, shownImage, shownAt], ["completed", 2, 2, image, at]);
  },
);

test("a machine that goes for good says so, one that an operator stopped does not", () => {
  const stage = running(2)
    .do({ type: "machine.stop_requested", data: { machine_id: "m-001", idempotency: null } })
    .ticks(3);
  stage.do({ type: "machine.removed", data: { machine_ids: ["m-002"], reason: "deleted" } });
  const removing = (id: string): unknown => pickOf(machineView(stage.scene, machineOf(stage.state, id)));
  assert.deepEqual(
    [removing("m-001"), removing("m-002")],
    [
      ["stopped", false],
      ["stopped", true],
    ],
  );
});

function pickOf({ desired_state: desired, removing }: ReturnType<typeof machineView>): unknown {
  return [desired, removing];
}

test("an app with machines is deleted by force only; ended machines are none", () => {
  const stage = running(2);
  assert.throws(() => decideAppDeletion(stage.state, appOf(stage), false), {
    code: "app_has_machines",
    status: 409,
    message: /has 2 machines.*force/,
  });
  assert.equal(decideAppDeletion(stage.state, appOf(stage), true).type, "app.deleted");
  stage.scale(0).tick();
  assert.throws(
    () => decideAppDeletion(stage.state, appOf(stage), false),
    { code: "app_has_machines" },
    "they are still stopping",
  );
  stage.ticks(3);
  assert.equal(decideAppDeletion(stage.state, appOf(stage), false).type, "app.deleted");
});

test("an image that the org has not pushed is unknown to it, also where another org has it", () => {
  const stage = running();
  const workload = workloadOf();
  stage.do({ type: "image.added", data: { digest: workload.image, size_bytes: 1, org_id: "o_2", app_id: null } });
  assert.throws(() => decideDeployment(stage.state, appOf(stage), idOf("dep_2"), 1, workload, null), {
    code: "image_unknown",
    status: 422,
    field: "image",
  });
  stage.do({ type: "image.added", data: { digest: workload.image, size_bytes: 1, org_id: "o_1", app_id: null } });
  assert.deepEqual(decideDeployment(stage.state, appOf(stage), idOf("dep_2"), 3, workload, null).data.deployment, {
    id: "dep_2",
    app_id: APP,
    org_id: "o_1",
    replicas: 3,
    ...workload,
  });
});

test(
  "a scale changes the current deployment; to the same number it writes nothing, unless a key is to be " + "remembered",
  () => {
    const stage = running(2);
    assert.equal(decideScale(stage.state, appOf(stage), 2, null), null);
    assert.deepEqual(decideScale(stage.state, appOf(stage), 2, NOTE)?.data, {
      deployment_id: "dep_1",
      replicas: 2,
      idempotency: NOTE,
    });
    assert.deepEqual(decideScale(stage.state, appOf(stage), 0, null)?.data, {
      deployment_id: "dep_1",
      replicas: 0,
      idempotency: null,
    });
    const fresh = new Stage().do({
      type: "app.created",
      data: { app_id: APP, org_id: "o_1", name: APP, idempotency: null },
    });
    for (const work of [
      () => decideScale(fresh.state, appOf(fresh), 2, null),
      () => currentDeployment(fresh.state, appOf(fresh)),
    ])
      assert.throws(work, { code: "no_deployment", status: 409 });
  },
);

test("every command with a key remembers what it led to", () => {
  const stage = running(2);
  const row = (key: string): string | undefined =>
    stage.state.idempotency.get(idempotencyKey(idOf("o_1"), key))?.resource_id;
  stage.do({
    type: "app.created",
    data: { app_id: "app_9", org_id: "o_1", name: "nine", idempotency: { key: "a", body_sum: "s" } },
  });
  stage.do({
    type: "deployment.scaled",
    data: { deployment_id: "dep_1", replicas: 1, idempotency: { key: "b", body_sum: "s" } },
  });
  stage.do({ type: "machine.stop_requested", data: { machine_id: "m-001", idempotency: { key: "c", body_sum: "s" } } });
  assert.deepEqual(["a", "b", "c", "d"].map(row), ["app_9", "dep_1", "m-001", undefined]);
  assert.equal(stage.state.idempotency.get(idempotencyKey(idOf("o_2"), "a")), undefined);
});

test("stopping twice is stopping once; deleting twice is deleting once", () => {
  const stage = running();
  const event = decideStop(stage.state, stage.machine("m-001"), null);
  assert.ok(event !== null);
  assert.equal(decideStop(stage.do(event).state, stage.machine("m-001"), null), null);
  const deletion = decideMachineDeletion(stage.machine("m-001"));
  assert.ok(deletion !== null);
  assert.equal(decideMachineDeletion(stage.do(deletion).machine("m-001")), null);
});

test("a machine is started when it has stopped, not before; one that runs needs no start", () => {
  const stage = running();
  assert.equal(decideStart(stage.state, stage.machine("m-001"), null), null);
  stage.do({ type: "machine.stop_requested", data: { machine_id: "m-001", idempotency: null } });
  for (let i = 0; i < 2; i++) {
    assert.throws(() => decideStart(stage.state, stage.machine("m-001"), null), {
      code: "machine_state",
      status: 409,
      message: /has not stopped yet \((?:running|stopping)\)/,
    });
    stage.tick();
  }
  assert.equal(decideStart(stage.state, stage.machine("m-001"), null)?.type, "machine.start_requested");
});

test("a machine that goes for good is neither stopped nor started, and the refusal says why it goes", () => {
  const stage = running(2).scale(1).settle();
  for (const decide of [decideStop, decideStart])
    assert.throws(() => decide(stage.state, stage.machine("m-002"), null), {
      code: "machine_state",
      message: /m-002 goes for good: scaled to 1/,
    });
});

test("a replacement that is not up yet is not stopped by itself", () => {
  const stage = running().drain("h-1").settle();
  assert.throws(() => decideStop(stage.state, stage.machine("m-002"), null), {
    code: "machine_state",
    message: /m-002 is about to replace m-001/,
  });
});

test("one that gave up and is being replaced is not started beside its replacement", () => {
  const stage = running().crash("m-001");
  stage.fate = () => "hangs";
  stage.tick();
  assert.throws(() => decideStart(stage.state, stage.machine("m-001"), null), {
    code: "machine_state",
    message: /m-001 is being replaced by m-002/,
  });
});

test("a deployment's view counts its own machines and names its env without the values", () => {
  const stage = new Stage()
    .hosts("h-1", "h-2")
    .deploy("dep_1", 2, { env: { B: "secret", A: "secret" } })
    .settle()
    .ticks(3);
  stage.fate = ({ deployment_id }) => (deployment_id === "dep_1" ? "runs" : "unready");
  stage.deploy("dep_2", 2, { env: { C: "secret" }, check: { type: "tcp", port: 1 } }).ticks(3);
  const views = ["dep_1", "dep_2"].map((id) => deploymentView(stage.scene, stage.deployment(id)));
  assert.deepEqual(
    views.map(({ running: n, ready, env_names }) => [n, ready, env_names]),
    [
      [2, 2, ["A", "B"]],
      [1, 0, ["C"]],
    ],
  );
  assert.ok(
    !JSON.stringify(views).includes("secret") &&
      !JSON.stringify(stage.state.machinesOf(idOf(APP)).map((machine) => machineView(stage.scene, machine))).includes(
        "secret",
      ),
  );
});

test("a machine without room says what room it needs, as the hosts are now", () => {
  const stage = new Stage()
    .host("h-1", { capacity: { cpus: 1 } })
    .deploy("dep_1", 1, { cpus: 4 })
    .settle();
  assert.equal(
    machineView(stage.scene, stage.machine("m-001")).reason,
    "needs 4 cpus; the largest free host h-1 has 1",
  );
  const { host_id, decision, hosts } = placementView(stage.scene, stage.machine("m-001"));
  assert.deepEqual([host_id, decision], [null, "nowhere yet: needs 4 cpus; the largest free host h-1 has 1"]);
  assert.deepEqual(hosts, [{ host_id: "h-1", fits: false, chosen: false, reason: "needs 4 cpus, has 1 of 1 free" }]);
});

test("machines that wait for the same room are listed for the cost of one", () => {
  const stage = new Stage()
    .host("h-1", { capacity: { cpus: 1 } })
    .deploy("dep_1", 60, { cpus: 4 })
    .settle();
  let looks = 0;
  const scene = { ...stage.scene, allocated: (hostId: string) => ((looks += 1), stage.scene.allocated(idOf(hostId))) };
  const [first] = [...stage.state.machines.values()];
  assert.ok(first !== undefined);
  machineView(scene, first);
  const ofOne = looks;
  looks = 0;
  const views = machineViews(scene, [...stage.state.machines.values()]);
  assert.deepEqual([views.length, looks], [WAITING_AT_MOST, ofOne]);
  assert.deepEqual([...new Set(views.map(({ reason }) => reason))], ["needs 4 cpus; the largest free host h-1 has 1"]);
});

test(
  "a machine's placement tells the decision as it was made, and judges every host now without the " +
    "machine's own share",
  () => {
    const stage = new Stage()
      .host("h-1", { capacity: { cpus: 4 } })
      .deploy("dep_1", 1, { cpus: 4 })
      .settle()
      .ticks(3)
      .host("h-2", { capacity: { cpus: 2 } });
    const { host_id, decision, hosts, strategy } = placementView(stage.scene, stage.machine("m-001"));
    assert.deepEqual([host_id, strategy], ["h-1", "spread"]);
    assert.match(
      decision,
      /^on h-1 since \S+: spread: chosen of 1 that fit among 1 host; 0 of the app's machines here/,
    );
    assert.deepEqual(
      hosts.map((row) => [row.host_id, row.fits, row.chosen, row.reason]),
      [
        ["h-1", true, true, "0 of the app's machines here, 0 in datacenter default; 100 % full with it"],
        ["h-2", false, false, "needs 4 cpus, has 2 of 2 free"],
      ],
    );
  },
);

test("a stopped machine that was placed nowhere says so", () => {
  const stage = new Stage()
    .deploy("dep_1", 1)
    .settle()
    .do({ type: "machine.stop_requested", data: { machine_id: "m-001", idempotency: null } });
  assert.equal(placementView(stage.scene, stage.machine("m-001")).decision, "nowhere: it is stopped");
});

test(
  "a deployment that has no room says so at once, in the placement's words, also where an older one " + "still runs",
  () => {
    const waiting = new Stage()
      .host("h-1", { capacity: { cpus: 2 } })
      .deploy("dep_1", 3)
      .settle();
    assert.equal(
      deploymentView(waiting.scene, waiting.deployment("dep_1")).reason,
      "1 of 3 wait for room: needs 1 cpu; the largest free host h-1 has 0",
    );
    const full = new Stage()
      .host("h-1", { capacity: { cpus: 1 } })
      .host("h-2", { capacity: { cpus: 1 } })
      .deploy("dep_1", 2)
      .settle()
      .ticks(3)
      .deploy("dep_2", 2)
      .settle();
    assert.equal(
      deploymentView(full.scene, full.deployment("dep_2")).reason,
      "no room for a further one beside what runs: needs 1 cpu; the largest free host h-1 has 0",
    );
    assert.equal(deploymentView(full.scene, full.deployment("dep_1")).reason, null, "it is over");
  },
);

test(
  "a machine whose host is lost says why nothing runs in its stead; one that is about to be placed says " + "nothing",
  () => {
    const stage = new Stage()
      .host("h-1", { capacity: { cpus: 1 } })
      .deploy("dep_1", 1)
      .settle()
      .ticks(3)
      .lose("h-1")
      .settle();
    assert.match(
      machineView(stage.scene, stage.machine("m-001")).reason ?? "",
      /^host_offline; no replacement yet: none of the 1 hosts is active/,
    );
    const paused = new Stage().hosts("h-1").deploy("dep_1", 1).settle().ticks(3);
    paused.do({ type: "machine.stop_requested", data: { machine_id: "m-001", idempotency: null } }).ticks(3);
    paused.do({ type: "machine.start_requested", data: { machine_id: "m-001", idempotency: null } });
    assert.deepEqual(
      [paused.machine("m-001").host_id, machineView(paused.scene, paused.machine("m-001")).reason],
      [null, null],
    );
  },
);

test("a deployment whose machines fail says how, while it goes on; it is silent where nothing is in the way", () => {
  const stage = new Stage().hosts("h-1").deploy("dep_1", 1).settle();
  assert.equal(deploymentView(stage.scene, stage.deployment("dep_1")).reason, null);
  const report = {
    id: "m-001",
    state: "starting",
    ready: false,
    reason: "exit code 1 after 0.1 s; restart 1 in 1 s",
    exit_code: 1,
    started_at: null,
  } as const;
  stage.do({ type: "host.heard", data: { host_id: "h-1", key_hash: null, machines: [report] } });
  assert.equal(
    deploymentView(stage.scene, stage.deployment("dep_1")).reason,
    "m-001 on h-1: exit code 1 after 0.1 s; restart 1 in 1 s",
  );
});

test("a deployment whose machines are ready says for how long they have to stay so", () => {
  const stage = new Stage().hosts("h-1").deploy("dep_1", 2, { min_healthy_seconds: 10 }).settle().ticks(3);
  assert.equal(deploymentView(stage.scene, stage.deployment("dep_1")).reason, "2 of 2 ready, and to stay so for 10 s");
  assert.equal(deploymentView(stage.scene, stage.ticks(10).deployment("dep_1")).reason, null);
});
