/**
 * Part B, Apps, machines, deployments: how a deployment takes over from the one before, or does not, and the images
 * that both need. Fake agents do what their list says.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startDaemon } from "../support/daemon.ts";
import { assertError } from "../support/http.ts";
import type { Answer } from "../support/http.ts";
import { pick, textAt } from "../support/json.ts";
import { Cluster, idsOf, must } from "./apps-world.ts";

const daemon = await startDaemon();
const cluster = new Cluster(daemon);
await cluster.host("h-1");
await cluster.host("h-2");
const image = await cluster.push("v1");
const next = await cluster.push("v2");
const CHECK = { type: "tcp", port: 80 };

/** Machines of `digest` are ready only where `ready` says so; all others are. */
function readiness(digest: string, ready: () => boolean): void {
  for (const agent of cluster.agents.values())
    agent.isReady = (machine) => pick(machine, "image") !== digest || ready();
}

function remove(path: string): Promise<Answer> {
  return daemon.request("DELETE", path);
}

test("image_in_use: while a machine or the deployment before it needs it; then 204", async () => {
  const [v1, v2] = [await cluster.push("in use 1"), await cluster.push("in use 2")];
  const app = await cluster.app("user");
  await cluster.deployed(app, v1);
  assertError(await remove(`/v1/images/${v1}`), 409, "image_in_use");
  readiness(v2, () => false);
  const second = textAt(await cluster.deploy(app, v2, { check: CHECK }), "id");
  await cluster.deploymentIs(app, second, "rolling");
  for (const digest of [v1, v2]) assertError(await remove(`/v1/images/${digest}`), 409, "image_in_use");
  const old = textAt(
    (await cluster.machines(`app_id=${app}`)).find((row) => pick(row, "image") === v1),
    "id",
  );
  must(await cluster.post(`/v1/machines/${old}/stop`), 202);
  await cluster.machineIs(old, "stopped");
  assertError(await remove(`/v1/images/${v1}`), 409, "image_in_use");
  readiness(v2, () => true);
  await cluster.deploymentIs(app, second, "completed");
  assert.equal((await remove(`/v1/images/${v1}`)).status, 204, "nothing needs it any more");
  const agent = cluster.agents.get(textAt((await cluster.machines(`app_id=${app}&state=running`))[0], "host_id"));
  assert.ok(agent !== undefined);
  agent.lingers = true;
  must(await remove(`/v1/apps/${app}?force=true`), 204);
  await agent.beat();
  assertError(await remove(`/v1/images/${v2}`), 409, "image_in_use");
  agent.lingers = false;
  await cluster.until("the image to be free", async () =>
    (await remove(`/v1/images/${v2}`)).status === 204 ? true : undefined,
  );
});

test("rolling replacement keeps the old machines until the new ones are ready", async () => {
  const app = await cluster.app("rolling");
  await cluster.deployed(app, image, { replicas: 2 });
  const old = idsOf(await cluster.machines(`app_id=${app}`));
  let ready = false;
  readiness(next, () => ready);
  const id = textAt(await cluster.deploy(app, next, { replicas: 2, check: CHECK }), "id");
  const fresh = await cluster.until("a new machine to run", async () =>
    (await cluster.machines(`app_id=${app}&state=running`)).find((row) => pick(row, "image") === next),
  );
  assert.equal(pick(fresh, "ready"), false);
  const original = await cluster.machine(textAt(fresh, "replaces"));
  assert.deepEqual([old.includes(textAt(original, "id")), pick(original, "replaced_by")], [true, pick(fresh, "id")]);
  for (let round = 0; round < 5; round++) {
    await cluster.until("a beat", () => true);
    for (const each of old)
      assert.deepEqual(
        [pick(await cluster.machine(each), "state"), pick(await cluster.machine(each), "desired_state")],
        ["running", "running"],
      );
  }
  assert.deepEqual(
    [
      pick(await cluster.deployment(app, id), "state"),
      pick(await cluster.deployment(app, id), "running"),
      pick(await cluster.deployment(app, id), "ready"),
    ],
    ["rolling", 1, 0],
  );
  ready = true;
  let fewest = 2;
  await cluster.until("the end", async () => {
    fewest = Math.min(
      fewest,
      (await cluster.machines(`app_id=${app}&state=running`)).filter((row) => pick(row, "ready") === true).length,
    );
    return pick(await cluster.deployment(app, id), "state") === "completed" ? true : undefined;
  });
  assert.equal(fewest, 2, "never fewer than asked for");
  for (const each of old) {
    const gone = await cluster.machine(each);
    assert.deepEqual(
      [pick(gone, "state"), pick(gone, "reason")],
      ["stopped", `replaced by ${textAt(gone, "replaced_by")}`],
    );
  }
  await cluster.finish(app);
});

test("rolling replacement rolls back by itself when the new ones are not ready; a first deployment fails", async () => {
  const app = await cluster.app("fragile");
  const stable = await cluster.deployed(app, image);
  const old = await cluster.onlyMachine(app);
  readiness(next, () => false);
  const id = textAt(await cluster.deploy(app, next, { check: CHECK, progress_deadline_seconds: 1 }), "id");
  const ended = await cluster.deploymentIs(app, id, "rolled_back");
  assert.match(
    textAt(ended, "reason"),
    new RegExp(`^0 of 1 ready, and no more within 1 s.*; rolled back to ${stable}$`),
  );
  assert.ok(textAt(ended, "finished_at") > textAt(ended, "created_at"));
  assert.equal(pick(must(await cluster.get(`/v1/apps/${app}`), 200), "deployment_id"), stable);
  await cluster.until("the new ones to be gone", async () =>
    (await cluster.machines(`app_id=${app}&state=running`)).length === 1 ? true : undefined,
  );
  const kept = await cluster.machine(old);
  assert.deepEqual(
    [pick(kept, "state"), pick(kept, "desired_state"), pick(kept, "replaced_by")],
    ["running", "running", null],
  );
  const first = await cluster.app("stillborn");
  const never = textAt(await cluster.deploy(first, next, { check: CHECK, progress_deadline_seconds: 1 }), "id");
  assert.match(
    textAt(await cluster.deploymentIs(first, never, "failed"), "reason"),
    /^0 of 1 ready, and no more within 1 s: m_\w+ on h-\d is (pending|running)/,
  );
  for (const name of [app, first]) await cluster.finish(name);
});

test("a deployment that is superseded says by which, and what it started goes", async () => {
  const app = await cluster.app("hasty");
  await cluster.deployed(app, image);
  readiness(next, () => false);
  const first = textAt(await cluster.deploy(app, next, { check: CHECK }), "id");
  await cluster.until("its machine to run", async () =>
    (await cluster.machines(`app_id=${app}&state=running`)).length === 2 ? true : undefined,
  );
  const second = textAt(await cluster.deploy(app, image, { env: { V: "3" } }), "id");
  const shown = await cluster.deployment(app, first);
  assert.deepEqual([pick(shown, "state"), pick(shown, "reason")], ["superseded", `superseded by ${second}`]);
  assert.notEqual(pick(shown, "finished_at"), null);
  await cluster.deploymentIs(app, second, "completed");
  const running = await cluster.machines(`app_id=${app}&state=running`);
  assert.deepEqual(
    running.map((row) => pick(row, "deployment_id")),
    [second],
  );
  assert.equal(pick(await cluster.deployment(app, first), "state"), "superseded");
  await cluster.finish(app);
});
