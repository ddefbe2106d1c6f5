/**
 * Part B, Apps, machines, deployments: apps, deployments, what is refused, what is done once, and what nobody sees.
 * Fake agents do what their list says.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startDaemon } from "../support/daemon.ts";
import { assertError } from "../support/http.ts";
import { readJournal } from "../support/journal.ts";
import { conforms, listAt, numberAt, pick, textAt } from "../support/json.ts";
import type { Json } from "../support/json.ts";
import { APP, Cluster, DEPLOYMENT, idsOf, MACHINE, must } from "./apps-world.ts";

const daemon = await startDaemon();
const cluster = new Cluster(daemon);
const ELSEWHERE = { "x-zwrm-org": "elsewhere" };
must(await cluster.post("/v1/orgs", { slug: "elsewhere" }), 201);
await cluster.host("h-1");
await cluster.host("h-2");
const image = await cluster.push("v1");

async function placements(result: string): Promise<number> {
  const { text } = await cluster.get("/metrics");
  return Number(new RegExp(`^zwrmd_placements_total\\{result="${result}"\\} (\\d+)$`, "m").exec(text)?.[1] ?? 0);
}

test(`POST /v1/apps {"name"} -> 201 {"id","name","org_id","created_at"}`, async () => {
  const answer = await cluster.post("/v1/apps", { name: "web" });
  assert.equal(answer.status, 201);
  conforms(answer.json, APP);
  assert.deepEqual([pick(answer.json, "name"), pick(answer.json, "deployment_id")], ["web", null]);
  const wrong: Json[] = [{}, { name: "" }, { name: "a b" }, { name: "a".repeat(65) }, { name: 5 }];
  for (const body of wrong) assertError(await cluster.post("/v1/apps", body), 400, "invalid_field", "name");
});

test("POST /v1/apps: 409 app_exists with the id; another org may have an app of the name", async () => {
  const { json } = await cluster.get("/v1/apps/web");
  const answer = await cluster.post("/v1/apps", { name: "web" });
  assert.equal(answer.status, 409);
  assert.deepEqual([pick(answer.json, "code"), pick(answer.json, "id")], ["app_exists", pick(json, "id")]);
  const other = must(await cluster.post("/v1/apps", { name: "web" }, ELSEWHERE), 201);
  assert.notEqual(pick(other, "org_id"), pick(json, "org_id"));
});

test("GET /v1/apps, GET /v1/apps/{id}: by id and by name, sorted by id, the org's own only", async () => {
  const own = must(await cluster.get("/v1/apps/web"), 200);
  const other = must(await cluster.get("/v1/apps/web", ELSEWHERE), 200);
  assert.notEqual(pick(own, "id"), pick(other, "id"));
  assert.deepEqual(must(await cluster.get(`/v1/apps/${textAt(own, "id")}`), 200), own);
  await cluster.app("api");
  const listed = listAt(must(await cluster.get("/v1/apps"), 200), "apps");
  listed.forEach((row) => conforms(row, APP));
  assert.deepEqual(listed.map((row) => textAt(row, "name")).sort(), ["api", "web"]);
  assert.deepEqual(idsOf(listed), idsOf(listed).sort());
  assert.deepEqual(must(await cluster.get("/v1/apps", ELSEWHERE), 200), { apps: [other] });
  const page = must(await cluster.get("/v1/apps?limit=1"), 200);
  assert.deepEqual(page, { apps: listed.slice(0, 1), next_after: textAt(listed[0], "id") });
});

test(
  "A thing of another org is a 404, not a 403: apps, deployments and machines, " + "whatever is asked of them",
  async () => {
    const app = await cluster.app("mine");
    const deployment = await cluster.deployed(app, image);
    const [machine = null] = await cluster.machines(`app_id=${app}`);
    const id = textAt(machine, "id");
    const apps: [string, string, Json?][] = [
      ["GET", ""],
      ["DELETE", ""],
      ["DELETE", "?force=true"],
      ["GET", "/deployments"],
      ["GET", `/deployments/${deployment}`],
      ["POST", "/deployments", { image }],
      ["POST", "/scale", { replicas: 0 }],
    ];
    for (const [method, path, body] of apps) {
      for (const name of [app, "mine"])
        assertError(
          await daemon.request(method, `/v1/apps/${name}${path}`, {
            headers: ELSEWHERE,
            ...(body === undefined ? {} : { body }),
          }),
          404,
          "app_not_found",
        );
    }
    for (const [method, path] of [
      ["GET", ""],
      ["DELETE", ""],
      ["POST", "/stop"],
      ["POST", "/start"],
      ["GET", "/placement"],
    ] as const) {
      assertError(
        await daemon.request(method, `/v1/machines/${id}${path}`, { headers: ELSEWHERE }),
        404,
        "machine_not_found",
      );
    }
    assert.deepEqual(must(await cluster.get(`/v1/machines?app_id=${app}`, ELSEWHERE), 200), { machines: [] });
    assert.deepEqual(must(await cluster.get("/v1/machines?host_id=h-1", ELSEWHERE), 200), { machines: [] });
    assertError(await cluster.get(`/v1/apps/api/deployments/${deployment}`), 404, "deployment_not_found");
    assert.deepEqual(await cluster.machine(id), machine, "nothing of it has changed");
  },
);

test("DELETE /v1/apps/{id}: 409 while it has machines, unless ?force=true; 204", async () => {
  const app = await cluster.app("short-lived");
  await cluster.deployed(app, image, { replicas: 2 });
  assertError(await daemon.request("DELETE", `/v1/apps/${app}`), 409, "app_has_machines");
  assertError(await daemon.request("DELETE", `/v1/apps/${app}?force=false`), 409, "app_has_machines");
  assertError(await daemon.request("DELETE", `/v1/apps/${app}?force=yes`), 400, "invalid_field", "force");
  assert.equal((await daemon.request("DELETE", `/v1/apps/${app}?force=true`)).status, 204);
  assertError(await cluster.get(`/v1/apps/${app}`), 404, "app_not_found");
  await cluster.until("its machines to be stopped", async () =>
    (await cluster.machines(`app_id=${app}`)).every((row) => pick(row, "state") === "stopped") ? true : undefined,
  );
  const empty = await cluster.app("short-lived");
  assert.equal(
    (await daemon.request("DELETE", "/v1/apps/short-lived")).status,
    204,
    "without machines it needs no force, and its name works",
  );
  assertError(await daemon.request("DELETE", `/v1/apps/${empty}`), 404, "app_not_found");
});

test(
  "POST deployments -> 202, with replicas 1, cpus 1, memory_mb 256, restart on-failure, on_host_loss " +
    "replace, progress_deadline_seconds 600, min_healthy_seconds 10",
  async () => {
    const app = await cluster.app("defaults");
    const answer = await cluster.post("/v1/apps/defaults/deployments", { image });
    assert.equal(answer.status, 202);
    conforms(answer.json, DEPLOYMENT);
    const { json } = answer;
    const defaults = {
      app_id: app,
      state: "pending",
      image,
      replicas: 1,
      cpus: 1,
      memory_mb: 256,
      restart: "on-failure",
      on_host_loss: "replace",
      progress_deadline_seconds: 600,
      min_healthy_seconds: 10,
      region: null,
      check: null,
      env_names: [],
      running: 0,
      ready: 0,
      reason: null,
      finished_at: null,
    };
    for (const [key, value] of Object.entries(defaults)) assert.deepEqual(pick(json, key), value, key);
    const done = await cluster.deploymentIs(app, textAt(json, "id"), "completed");
    assert.deepEqual([pick(done, "running"), pick(done, "ready")], [1, 1]);
    assert.ok(textAt(done, "finished_at") >= textAt(done, "created_at"));
  },
);

test("GET lists and shows deployments; all that was asked for is shown, and reaches the agent", async () => {
  const app = await cluster.app("asked");
  const asked = {
    image,
    replicas: 2,
    cpus: 2,
    memory_mb: 512,
    region: "default",
    restart: "always",
    check: { type: "http", port: 80, path: "/ok" },
    on_host_loss: "wait",
    progress_deadline_seconds: 60,
    min_healthy_seconds: 0.5,
  };
  const id = await cluster.deployed(app, image, { ...asked, env: { B: "2", A: "1" } });
  const shown = await cluster.deployment(app, id);
  conforms(shown, DEPLOYMENT);
  for (const [key, value] of Object.entries({ ...asked, env_names: ["A", "B"] }))
    assert.deepEqual(pick(shown, key), value, key);
  assert.deepEqual(must(await cluster.get("/v1/apps/asked/deployments"), 200), { deployments: [shown] });
  assert.equal(pick((await cluster.get("/v1/apps/asked")).json, "deployment_id"), id);
  assertError(await cluster.get(`/v1/apps/${app}/deployments/dep_none`), 404, "deployment_not_found");
  const [machine = null] = await cluster.machines(`app_id=${app}`);
  const wanted = cluster.agents
    .get(textAt(machine, "host_id"))
    ?.wanted.find((row) => pick(row, "id") === pick(machine, "id"));
  assert.deepEqual(wanted, {
    id: pick(machine, "id"),
    app_id: app,
    image,
    cpus: 2,
    memory_mb: 512,
    env: { A: "1", B: "2" },
    restart: "always",
    check: asked.check,
    desired_state: "running",
  });
  must(await daemon.request("DELETE", `/v1/apps/${app}?force=true`), 204);
});

test("POST deployments: a known field of the wrong type or range is a 400 naming it", async () => {
  const wrong: [string, Json][] = [
    ["image", "v1"],
    ["image", 5],
    ["replicas", -1],
    ["replicas", 10_001],
    ["replicas", 1.5],
    ["replicas", "1"],
    ["cpus", 0],
    ["memory_mb", 0],
    ["env", []],
    ["env", "A=1"],
    ["region", ""],
    ["restart", "sometimes"],
    ["check", "tcp"],
    ["on_host_loss", "panic"],
    ["progress_deadline_seconds", 0],
    ["min_healthy_seconds", -1],
    ["min_healthy_seconds", 600],
  ];
  for (const [field, value] of wrong)
    assertError(await cluster.post("/v1/apps/web/deployments", { image, [field]: value }), 400, "invalid_field", field);
  const nested: [string, Json][] = [
    ["check.port", { check: { type: "tcp" } }],
    ["check.port", { check: { type: "http" } }],
    ["check.port", { check: { type: "tcp", port: 65_536 } }],
    ["check.command", { check: { type: "exec" } }],
    ["check.command", { check: { type: "exec", command: [] } }],
    ["check.type", { check: { type: "udp" } }],
    ["env.1A", { env: { "1A": "x" } }],
    ["env.A", { env: { A: 1 } }],
    ["env.A", { env: { A: "a\0b" } }],
    ["env", { env: { A: "x".repeat(40_000), B: "x".repeat(40_000) } }],
  ];
  for (const [field, body] of nested)
    assertError(
      await cluster.post("/v1/apps/web/deployments", { image, ...Object(body) }),
      400,
      "invalid_field",
      field,
    );
  assertError(await cluster.post("/v1/apps/web/deployments", {}), 400, "invalid_field", "image");
  assert.deepEqual(listAt((await cluster.get("/v1/apps/web/deployments")).json, "deployments"), []);
});

test("POST deployments: 422 image_unknown where the org has no such image", async () => {
  const foreign = await cluster.push("of another org", ELSEWHERE);
  for (const digest of [foreign, `sha256:${"0".repeat(64)}`])
    assertError(await cluster.post("/v1/apps/web/deployments", { image: digest }), 422, "image_unknown", "image");
});

test(
  `POST /v1/apps/{id}/scale {"replicas"} -> 202 with the deployment; 409 no_deployment; out of range a ` + "400",
  async () => {
    assertError(await cluster.post("/v1/apps/web/scale", { replicas: 1 }), 409, "no_deployment");
    const app = await cluster.app("scaled");
    const id = await cluster.deployed(app, image);
    for (const replicas of [-1, 10_001, "2", null])
      assertError(await cluster.post("/v1/apps/scaled/scale", { replicas }), 400, "invalid_field", "replicas");
    for (const replicas of [3, 1, 0, 2]) {
      const answer = await cluster.post("/v1/apps/scaled/scale", { replicas });
      assert.equal(answer.status, 202);
      conforms(answer.json, DEPLOYMENT);
      assert.deepEqual([pick(answer.json, "id"), pick(answer.json, "replicas")], [id, replicas]);
      const done = await cluster.deploymentIs(app, id, "completed");
      assert.equal(pick(done, "running"), replicas);
      assert.equal((await cluster.machines("app_id=scaled&state=running")).length, replicas);
    }
    const before = readJournal(daemon.dataDir).length;
    assert.equal(
      pick(must(await cluster.post("/v1/apps/scaled/scale", { replicas: 2 }), 202), "state"),
      "completed",
      "to what it is changes nothing",
    );
    assert.equal(readJournal(daemon.dataDir).length, before);
  },
);

test(
  "POSTs take Idempotency-Key: the same key with the same body gives the same resource again, also after " +
    "a restart; with another body 422",
  async () => {
    const again = async (path: string, key: string, body: Json, status: number): Promise<() => Promise<void>> => {
      const first = must(await cluster.post(path, body, { "idempotency-key": key }), status);
      return async () => {
        const repeated = must(await cluster.post(path, body, { "idempotency-key": key }), status);
        assert.equal(pick(repeated, "id"), pick(first, "id"), path);
        assertError(
          await cluster.post(path, { name: "other", image, replicas: 7 }, { "idempotency-key": key }),
          422,
          "idempotency_key_reused",
        );
      };
    };
    const repeats = [
      await again("/v1/apps", "k-app", { name: "once" }, 201),
      await again("/v1/apps/once/deployments", "k-deployment", { image, env: { A: "1" } }, 202),
      await again("/v1/apps/once/scale", "k-scale", { replicas: 2 }, 202),
    ];
    const ids = async (): Promise<string[]> =>
      idsOf(listAt((await cluster.get("/v1/apps/once/deployments")).json, "deployments"));
    const [deployment = ""] = await ids();
    await cluster.deploymentIs("once", deployment, "completed");
    const [machine = null] = await cluster.machines("app_id=once");
    const stop = await again(`/v1/machines/${textAt(machine, "id")}/stop`, "k-stop", {}, 202);
    await cluster.machineIs(textAt(machine, "id"), "stopped");
    for (const repeat of [...repeats, stop]) await repeat();
    await daemon.restart();
    for (const repeat of [...repeats, stop]) await repeat();
    assert.deepEqual(await ids(), [deployment]);
    assert.equal((await cluster.machines("app_id=once")).length, 2);
    // The keys of an org are its own.
    must(await cluster.post("/v1/apps", { name: "other" }, { "idempotency-key": "k-app", ...ELSEWHERE }), 201);
    assertError(
      await cluster.post("/v1/apps", { name: "x" }, { "idempotency-key": "k".repeat(256) }),
      400,
      "invalid_field",
      "Idempotency-Key",
    );
  },
);

test(
  "Idempotency-Key: two at the same time are carried out once, and the deployment that a scale was of is " +
    "given again also when there is a newer one",
  async () => {
    const both = await Promise.all(
      [1, 2].map(() => cluster.post("/v1/apps", { name: "twins" }, { "idempotency-key": "k-twins" })),
    );
    assert.deepEqual(
      both.map(({ status }) => status),
      [201, 201],
    );
    assert.equal(both[0]?.text, both[1]?.text);
    const old = await cluster.deployed("twins", image);
    const scale = (): ReturnType<Cluster["post"]> =>
      cluster.post("/v1/apps/twins/scale", { replicas: 2 }, { "idempotency-key": "k-twins-scale" });
    assert.equal(pick(must(await scale(), 202), "id"), old);
    await cluster.deployed("twins", image, { replicas: 1 });
    assert.equal(pick(must(await scale(), 202), "id"), old);
    assert.equal((await cluster.machines("app_id=twins&state=running")).length, 1, "nothing is scaled again");
  },
);

test(
  "Idempotency-Key: a stop that found its machine stopped and a start that found it running are " + "remembered too",
  async () => {
    const app = await cluster.app("keyed");
    await cluster.deployed(app, image);
    const [machine = null] = await cluster.machines(`app_id=${app}`);
    const id = textAt(machine, "id");
    const act = (action: string, key?: string): ReturnType<Cluster["post"]> =>
      cluster.post(`/v1/machines/${id}/${action}`, {}, key === undefined ? {} : { "idempotency-key": key });
    must(await act("start", "k-start"), 202);
    must(await act("stop"), 202);
    await cluster.machineIs(id, "stopped");
    assert.equal(
      pick(must(await act("start", "k-start"), 202), "desired_state"),
      "stopped",
      "the start was carried out before the stop",
    );
    assert.equal(pick(await cluster.machine(id), "desired_state"), "stopped");
  },
);

test(
  "env values are in no event, dump, log line or answer about apps, machines and deployments, but in the " +
    "heartbeat's answer",
  async () => {
    const secret = "an-env-value-7d1f";
    const env = { TOKEN: secret, ["__proto__"]: secret, NESTED: JSON.stringify({ env: secret }) };
    const app = await cluster.app("secretive");
    const created = await cluster.post(
      "/v1/apps/secretive/deployments",
      { image, env, replicas: 2 },
      { "idempotency-key": "k-secret" },
    );
    const id = textAt(must(created, 202), "id");
    await cluster.deploymentIs(app, id, "completed");
    const [machine = null] = await cluster.machines(`app_id=${app}`);
    conforms(machine, MACHINE);
    const mId = textAt(machine, "id");
    const paths = [
      "/v1/apps",
      `/v1/apps/${app}`,
      `/v1/apps/${app}/deployments`,
      `/v1/apps/${app}/deployments/${id}`,
      "/v1/machines",
      `/v1/machines/${mId}`,
      `/v1/machines/${mId}/placement`,
      "/v1/events?limit=1000",
      "/v1/status",
      "/metrics",
    ];
    const places = new Map([["the deployment's answer", created.text]]);
    for (const path of paths) places.set(path, (await cluster.get(path)).text);
    const refused = await cluster.post("/v1/apps/secretive/deployments", { image, env: { TOKEN: `${secret}\0` } });
    assertError(refused, 400, "invalid_field", "env.TOKEN");
    places.set("a refusal", refused.text);
    const dump = await daemon.command("journal", "dump");
    places.set("the dump", dump.stdout + dump.stderr);
    places.set("the log", daemon.stdoutLines.join("\n") + daemon.stderr);
    assert.match(dump.stdout, new RegExp(id), "the dump shows the deployment");
    assert.match(places.get("/v1/events?limit=1000") ?? "", /TOKEN/, "the events show the names");
    for (const [place, text] of places) assert.ok(!text.includes(secret), `${place}: ${text}`);
    assert.deepEqual(pick(await cluster.deployment(app, id), "env_names"), ["NESTED", "TOKEN", "__proto__"]);
    const agent = cluster.agents.get(textAt(machine, "host_id"));
    assert.equal(
      JSON.stringify(
        pick(
          agent?.wanted.find((row) => pick(row, "id") === mId),
          "env",
        ),
      ),
      JSON.stringify(env),
    );
  },
);

test("status: apps.total and the machines by state are counted in the org", async () => {
  const before = (await cluster.get("/v1/status")).json;
  await cluster.app("counted");
  await cluster.deployed("counted", image, { replicas: 2 });
  const after = (await cluster.get("/v1/status")).json;
  assert.equal(numberAt(after, "apps.total"), listAt((await cluster.get("/v1/apps")).json, "apps").length);
  assert.deepEqual(
    ["apps.total", "machines.total", "machines.running"].map((key) => numberAt(after, key) - numberAt(before, key)),
    [1, 2, 2],
  );
  assert.equal(numberAt((await cluster.get("/v1/status", ELSEWHERE)).json, "machines.total"), 0);
});

test("zwrmd_placements_total counts what was placed and what found no host", async () => {
  const [placed, nowhere] = [await placements("placed"), await placements("no_host")];
  await cluster.app("metered");
  await cluster.deployed("metered", image, { replicas: 2 });
  assert.deepEqual([await placements("placed"), await placements("no_host")], [placed + 2, nowhere]);
  await cluster.app("giant");
  await cluster.deploy("giant", image, { cpus: 64 });
  await cluster.until("the giant to be counted", async () =>
    (await placements("no_host")) === nowhere + 1 ? true : undefined,
  );
  assert.equal(await placements("placed"), placed + 2);
});
