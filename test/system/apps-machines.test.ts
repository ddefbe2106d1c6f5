/** Part B, Apps, machines, deployments: machines, where they go and why. Fake agents do what their list says. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually, startDaemon } from "../support/daemon.ts";
import { beat, show } from "../support/fleet.ts";
import { assertError } from "../support/http.ts";
import type { Answer } from "../support/http.ts";
import { conforms, listAt, numberAt, pick, textAt } from "../support/json.ts";
import type { Json } from "../support/json.ts";
import { Cluster, idsOf, MACHINE, must, PLACEMENT } from "./apps-world.ts";
import type { FakeAgent } from "./apps-world.ts";

const daemon = await startDaemon();
const cluster = new Cluster(daemon);
await cluster.host("h-1");
await cluster.host("h-2");
await cluster.host("h-3", { region: "north", capacity: { cpus: 8, memory_mb: 8_192 } });
const image = await cluster.push("v1");

function act(id: string, action: string): Promise<Answer> {
  return cluster.post(`/v1/machines/${id}/${action}`);
}

function remove(path: string): Promise<Answer> {
  return daemon.request("DELETE", path);
}

function agentOf(machine: Json): FakeAgent {
  const agent = cluster.agents.get(textAt(machine, "host_id"));
  assert.ok(agent !== undefined);
  return agent;
}

function rowOf(placement: Json, hostId: string): Json {
  return listAt(placement, "hosts").find((row) => pick(row, "host_id") === hostId) ?? null;
}

test("GET /v1/machines (?app_id=, ?host_id=, ?state=), GET /v1/machines/{id}", async () => {
  const app = await cluster.app("listed");
  const deployment = await cluster.deployed(app, image, { replicas: 3 });
  const rows = await cluster.machines(`app_id=${app}`);
  rows.forEach((row) => conforms(row, MACHINE));
  assert.equal(rows.length, 3);
  assert.deepEqual(idsOf(rows), idsOf(rows).sort());
  assert.equal(new Set(rows.map((row) => pick(row, "host_id"))).size, 3, "replicas of an app apart where possible");
  for (const row of rows) {
    const seen = [
      pick(row, "app_id"),
      pick(row, "deployment_id"),
      pick(row, "state"),
      pick(row, "ready"),
      pick(row, "desired_state"),
    ];
    assert.deepEqual(seen, [app, deployment, "running", true, "running"]);
    assert.deepEqual(await cluster.machine(textAt(row, "id")), row);
  }
  const other = await cluster.app("other");
  await cluster.deployed(other, image);
  await cluster.deploy(other, image, { cpus: 64, replicas: 2 });
  await cluster.until("one that waits", async () =>
    (await cluster.machines("app_id=other&state=pending")).length === 1 ? true : undefined,
  );
  assert.deepEqual(await cluster.machines("app_id=listed"), rows, "by name too");
  assert.deepEqual(await cluster.machines("app_id=nobody"), []);
  for (const row of rows) {
    const [id, host] = [textAt(row, "id"), textAt(row, "host_id")];
    assert.deepEqual(idsOf(await cluster.machines(`app_id=${app}&host_id=${host}`)), [id]);
    assert.deepEqual(
      (await cluster.machines(`host_id=${host}`)).filter((each) => pick(each, "host_id") !== host),
      [],
    );
  }
  assert.equal((await cluster.machines("state=running")).length, 4);
  assert.equal((await cluster.machines("")).length, 5);
  assertError(await cluster.get("/v1/machines?state=gone"), 400, "invalid_field", "state");
  assertError(await cluster.get("/v1/machines/m_none"), 404, "machine_not_found");
  for (const name of [app, other]) await cluster.finish(name);
});

test("stop: a stopped one counts as a replica and holds no capacity; start: it is placed anew", async () => {
  const app = await cluster.app("paused");
  const deployment = await cluster.deployed(app, image, { cpus: 3 });
  const id = await cluster.onlyMachine(app);
  const before = await cluster.machine(id);
  const agent = agentOf(before);
  const allocated = async (): Promise<number> => numberAt(await show(daemon, agent.id), "allocated.cpus");
  assert.equal(await allocated(), 3);
  agent.lingers = true;
  const stopping = await act(id, "stop");
  assert.deepEqual([stopping.status, pick(stopping.json, "desired_state")], [202, "stopped"]);
  conforms(stopping.json, MACHINE);
  await cluster.machineIs(id, "stopping");
  assert.equal(await allocated(), 3, "what still stops has its room");
  assertError(await act(id, "start"), 409, "machine_state");
  agent.lingers = false;
  const stopped = await cluster.machineIs(id, "stopped");
  assert.deepEqual([pick(stopped, "ready"), pick(stopped, "desired_state")], [false, "stopped"]);
  assert.equal(await allocated(), 0);
  assert.equal((await act(id, "stop")).status, 202, "a second stop changes nothing");
  await cluster.until("the list to be empty", () => (agent.wanted.length === 0 ? true : undefined));
  assert.equal(await cluster.onlyMachine(app), id, "nothing is made in its stead");
  assert.deepEqual(
    [
      pick(await cluster.deployment(app, deployment), "state"),
      pick(await cluster.deployment(app, deployment), "running"),
    ],
    ["completed", 0],
  );
  const started = await act(id, "start");
  assert.deepEqual(
    [started.status, pick(started.json, "desired_state"), pick(started.json, "ended_at")],
    [202, "running", null],
  );
  const running = await cluster.machineIs(id, "running");
  conforms(running, MACHINE);
  assert.equal(
    pick(running, "host_id"),
    pick(rowOf(must(await cluster.get(`/v1/machines/${id}/placement`), 200), textAt(running, "host_id")), "host_id"),
  );
  assert.equal((await act(id, "start")).status, 202, "a second start changes nothing");
  assert.deepEqual(await cluster.machine(id), running);
  await cluster.finish(app);
});

test("start: it is placed anew, also on another host where its own is full meanwhile", async () => {
  const app = await cluster.app("moved");
  await cluster.deployed(app, image, { cpus: 16 });
  const id = await cluster.onlyMachine(app);
  const host = textAt(await cluster.machine(id), "host_id");
  must(await act(id, "stop"), 202);
  await cluster.machineIs(id, "stopped");
  await cluster.app("filler");
  await cluster.deployed("filler", image, { cpus: 16, replicas: 1 });
  const filled = textAt((await cluster.machines("app_id=filler"))[0], "host_id");
  assert.equal(filled, host, "its room is free");
  must(await act(id, "start"), 202);
  assert.notEqual(pick(await cluster.machineIs(id, "running"), "host_id"), host);
  for (const name of [app, "filler"]) await cluster.finish(name);
});

test(
  "DELETE /v1/machines/{id}: 204; a deleted machine is replaced unless the replicas shrink; a " +
    "replacement is a new machine; ended machines are listed",
  async () => {
    const app = await cluster.app("deleted");
    const deployment = await cluster.deployed(app, image, { replicas: 2 });
    const [first = "", second = ""] = idsOf(await cluster.machines(`app_id=${app}`));
    assert.equal((await remove(`/v1/machines/${first}`)).status, 204);
    assert.equal((await remove(`/v1/machines/${first}`)).status, 204, "it goes already");
    assertError(await act(first, "start"), 409, "machine_state");
    assertError(await act(first, "stop"), 409, "machine_state");
    const gone = await cluster.machineIs(first, "stopped");
    assert.deepEqual([pick(gone, "reason"), pick(gone, "desired_state")], ["deleted", "stopped"]);
    assert.match(textAt(gone, "ended_at"), /Z$/);
    const running = await cluster.until("two to run", async () => {
      const rows = await cluster.machines(`app_id=${app}&state=running`);
      return rows.length === 2 ? rows : undefined;
    });
    assert.ok(idsOf(running).includes(second) && !idsOf(running).includes(first));
    assert.equal((await cluster.machines(`app_id=${app}`)).length, 3);
    must(await cluster.post(`/v1/apps/${app}/scale`, { replicas: 1 }), 202);
    await cluster.deploymentIs(app, deployment, "completed");
    assert.equal((await cluster.machines(`app_id=${app}`)).length, 3, "nothing new");
    const [shrunk = null] = (await cluster.machines(`app_id=${app}&state=stopped`)).filter(
      (row) => pick(row, "id") !== first,
    );
    assert.equal(pick(shrunk, "reason"), "scaled to 1");
    await cluster.finish(app);
  },
);

test(
  "GET /v1/machines/{id}/placement: why it is where it is, or nowhere: a row per host, in words and " + "numbers",
  async () => {
    const app = await cluster.app("explained");
    await cluster.deployed(app, image, { cpus: 2 });
    const machine = await cluster.machine(await cluster.onlyMachine(app));
    const host = textAt(machine, "host_id");
    const placed = must(await cluster.get(`/v1/machines/${textAt(machine, "id")}/placement`), 200);
    conforms(placed, PLACEMENT);
    assert.deepEqual(
      [pick(placed, "machine_id"), pick(placed, "host_id"), pick(placed, "strategy")],
      [pick(machine, "id"), host, "spread"],
    );
    assert.match(
      textAt(placed, "decision"),
      new RegExp(
        `^on ${host} since \\d{4}-.*: spread: chosen of 3 that fit among 3 hosts; 0 of the app's machines here`,
      ),
    );
    const rows = listAt(placed, "hosts");
    assert.deepEqual(
      rows.map((row) => [pick(row, "host_id"), pick(row, "fits"), pick(row, "chosen")]),
      ["h-1", "h-2", "h-3"].map((id) => [id, true, id === host]),
    );
    for (const row of rows)
      assert.match(
        textAt(row, "reason"),
        /^0 of the app's machines here, 0 in datacenter default; \d+ % full with it$/,
      );

    await cluster.app("giant");
    await cluster.deploy("giant", image, { cpus: 64 });
    const id = await cluster.until("the giant", async () => idsOf(await cluster.machines("app_id=giant"))[0]);
    const nowhere = must(await cluster.get(`/v1/machines/${id}/placement`), 200);
    conforms(nowhere, PLACEMENT);
    assert.equal(pick(nowhere, "host_id"), null);
    const [free, other] = host === "h-1" ? [14, "h-2"] : [16, "h-1"];
    assert.equal(pick(nowhere, "decision"), `nowhere yet: needs 64 cpus; the largest free host ${other} has 16`);
    assert.equal(pick(await cluster.machine(id), "reason"), `needs 64 cpus; the largest free host ${other} has 16`);
    assert.deepEqual(rowOf(nowhere, "h-1"), {
      host_id: "h-1",
      fits: false,
      chosen: false,
      reason: `needs 64 cpus, has ${free} of 16 free`,
    });
    assert.deepEqual(rowOf(nowhere, "h-3"), {
      host_id: "h-3",
      fits: false,
      chosen: false,
      reason: "needs 64 cpus, has 8 of 8 free",
    });
    assertError(await cluster.get("/v1/machines/m_none/placement"), 404, "machine_not_found");
    for (const name of [app, "giant"]) await cluster.finish(name);
  },
);

test("a machine without room is placed when there is some", async () => {
  const app = await cluster.app("patient");
  await cluster.deploy(app, image, { memory_mb: 32_768 });
  const id = await cluster.until("the machine", async () => idsOf(await cluster.machines(`app_id=${app}`))[0]);
  assert.equal(
    pick(await cluster.machine(id), "reason"),
    "needs 32768 MiB; the host with most free memory, h-1, has 16384",
  );
  await cluster.host("h-4", { capacity: { cpus: 1, memory_mb: 65_536 } });
  assert.deepEqual(
    [pick(await cluster.machineIs(id, "running"), "host_id"), pick(await cluster.machine(id), "reason")],
    ["h-4", null],
  );
  await cluster.finish(app);
  cluster.agents.delete("h-4");
  must(await daemon.asAgent("POST", "/v1/internal/hosts/h-4/deregister"), 200);
});

test("region: only hosts of it are taken, and where there is none it is said", async () => {
  const app = await cluster.app("northern");
  await cluster.deployed(app, image, { region: "north", replicas: 3 });
  const rows = await cluster.machines(`app_id=${app}`);
  assert.deepEqual(
    rows.map((row) => [pick(row, "host_id"), pick(row, "region")]),
    Array(3).fill(["h-3", "north"]),
  );
  const placement = must(await cluster.get(`/v1/machines/${textAt(rows[0], "id")}/placement`), 200);
  assert.deepEqual(rowOf(placement, "h-1"), {
    host_id: "h-1",
    fits: false,
    chosen: false,
    reason: "in region default, not north",
  });
  await cluster.app("southern");
  await cluster.deploy("southern", image, { region: "south" });
  const [waiting = null] = await cluster.until("the machine", async () => {
    const found = await cluster.machines("app_id=southern");
    return found.length === 1 ? found : undefined;
  });
  assert.deepEqual(
    [pick(waiting, "state"), pick(waiting, "host_id"), pick(waiting, "reason")],
    ["pending", null, "no host is in region south; 3 are elsewhere"],
  );
  for (const name of [app, "southern"]) await cluster.finish(name);
});

test("placement: never onto a host that is offline, draining or in maintenance", async (t) => {
  const lone = new Cluster(await startDaemon({ config: `[hosts]\noffline_after = "2s"\ncheck_interval = "250ms"` }, t));
  await lone.host("h-open");
  (await lone.host("h-drain")).isBusy = true;
  for (const id of ["h-rest", "h-silent"]) await lone.host(id);
  const digest = await lone.push("v1");
  const hostIs = (id: string, status: string): Promise<true> =>
    lone.until(`${id} to be ${status}`, async () =>
      pick(await show(lone.daemon, id), "status") === status ? true : undefined,
    );
  lone.agents.delete("h-silent");
  await lone.until("a beat", () => true);
  for (const id of ["h-drain", "h-rest"]) must(await lone.post(`/v1/hosts/${id}/drain`, { reason: "test" }), 202);
  await hostIs("h-rest", "maintenance");
  await hostIs("h-silent", "offline");
  await hostIs("h-drain", "draining");
  const app = await lone.app("web");
  await lone.deployed(app, digest, { replicas: 4 });
  const rows = await lone.machines(`app_id=${app}`);
  assert.deepEqual(
    rows.map((row) => pick(row, "host_id")),
    Array(4).fill("h-open"),
  );
  const placement = must(await lone.get(`/v1/machines/${textAt(rows[0], "id")}/placement`), 200);
  assert.deepEqual(
    listAt(placement, "hosts").map((row) => [pick(row, "host_id"), pick(row, "fits")]),
    [
      ["h-drain", false],
      ["h-open", true],
      ["h-rest", false],
      ["h-silent", false],
    ],
  );
  assert.deepEqual(
    ["h-drain", "h-rest"].map((id) => pick(rowOf(placement, id), "reason")),
    ["draining", "in maintenance"],
  );
  assert.match(textAt(rowOf(placement, "h-silent"), "reason"), /^offline since \d{4}-\d\d-\d\dT/);
});

test(
  "heartbeat: a lost answer costs one interval, nothing else: what is started anew is not taken for " +
    "ended by an old report",
  async (t) => {
    const lone = new Cluster(await startDaemon({}, t));
    await lone.host("h-1");
    const app = await lone.app("again");
    await lone.deployed(app, await lone.push("v1"));
    const id = await lone.onlyMachine(app);
    must(await lone.post(`/v1/machines/${id}/stop`), 202);
    const told = (await beat(lone.daemon, "h-1", { machines: [{ id, state: "running" }] })).json;
    const report = { machines: [{ id, state: "stopped" }], observed_revision: textAt(told, "revision") };
    must(await beat(lone.daemon, "h-1", report), 200);
    must(await lone.post(`/v1/machines/${id}/start`), 202);
    // The answer was lost, so the agent says the same again.
    must(await beat(lone.daemon, "h-1", report), 200);
    await lone.machineIs(id, "running");
  },
);

test(
  "heartbeat: a lost answer costs one interval, nothing else: what ended by itself and was started anew " +
    "is started, also where its list is the old one again",
  async (t) => {
    const lone = new Cluster(await startDaemon({}, t));
    await lone.host("h-1");
    const app = await lone.app("job");
    await lone.deployed(app, await lone.push("v1"));
    const id = await lone.onlyMachine(app);
    const told = (await beat(lone.daemon, "h-1", { machines: [{ id, state: "running" }] })).json;
    const report = { machines: [{ id, state: "stopped", exit_code: 0 }], observed_revision: textAt(told, "revision") };
    must(await beat(lone.daemon, "h-1", report), 200);
    must(await lone.post(`/v1/machines/${id}/start`), 202);
    // That answer was lost, so the agent has never seen a list without the machine, and says the same again.
    const again = await eventually("the list with the machine", async () => {
      const answer = must(await beat(lone.daemon, "h-1", report), 200);
      return listAt(answer, "machines").length === 1 ? answer : undefined;
    });
    assert.notEqual(textAt(again, "revision"), textAt(told, "revision"));
    assert.deepEqual(
      [pick(listAt(again, "machines")[0] ?? null, "starts"), pick(await lone.machine(id), "state")],
      [1, "pending"],
    );
    await lone.machineIs(id, "running");
  },
);

test(
  "DELETE /v1/hosts/{id}: a host that is offline and will not come back leaves the list; until then what " +
    "was on it holds up neither app nor image",
  async (t) => {
    const lone = new Cluster(
      await startDaemon({ config: `[hosts]\noffline_after = "1s"\ncheck_interval = "250ms"` }, t),
    );
    await lone.host("h-1");
    const app = await lone.app("web");
    const digest = await lone.push("v1");
    await lone.deployed(app, digest);
    const id = await lone.onlyMachine(app);
    assertError(await lone.daemon.request("DELETE", "/v1/hosts/h-1"), 409, "host_online");
    assertError(await lone.daemon.request("DELETE", "/v1/hosts/h-2"), 404, "host_not_found");
    lone.agents.delete("h-1");
    await eventually("h-1 to be offline", async () =>
      pick(await show(lone.daemon, "h-1"), "status") === "offline" ? true : undefined,
    );
    must(await lone.post(`/v1/apps/${app}/scale`, { replicas: 0 }), 202);
    await eventually("the machine to be told", async () =>
      pick(await lone.machine(id), "desired_state") === "stopped" ? true : undefined,
    );
    assert.equal(pick(await lone.machine(id), "state"), "unknown", "nobody can say that it has ended");
    assert.equal((await lone.daemon.request("DELETE", `/v1/apps/${app}`)).status, 204);
    assert.equal((await lone.daemon.request("DELETE", `/v1/images/${digest}`)).status, 204);
    assert.equal((await lone.daemon.request("DELETE", "/v1/hosts/h-1")).status, 204);
    assertError(await lone.get("/v1/hosts/h-1"), 404, "host_not_found");
    assert.deepEqual(
      [pick(await lone.machine(id), "state"), pick(await lone.machine(id), "reason")],
      ["stopped", "host_deregistered"],
    );
  },
);
