/** Tests of `zwrm apps`: what is asked, what is shown, and what an error says to do. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../client/support.ts";
import { fakeApi, finish } from "./support.ts";
import { deployment, DIGEST, machine, refusal, WEB } from "./workloads.ts";

test(
  "lists apps by name with their state, ready replicas, image and age of the last deployment, and says " +
    "on stderr when there is none",
  async (t) => {
    const deployed = {
      state: "completed",
      replicas: 3,
      ready: 2,
      image: DIGEST,
      deployed_at: "2026-03-01T10:00:00.000Z",
    };
    const empty = { state: null, replicas: 0, ready: 0, image: null, deployed_at: null, deployment_id: null };
    const api = await fakeApi(t, () => [
      200,
      {
        apps: [
          { ...WEB, ...deployed },
          { ...WEB, ...empty, id: "app-000000000002", name: "a\u001bb" },
        ],
      },
    ]);
    assert.deepEqual(await api.run("apps"), {
      code: 0,
      out: [
        "NAME    STATE      READY  IMAGE         DEPLOYED  ID",
        "a\\x1bb  empty          -  -             -         app-000000000002",
        "web     completed    2/3  0123456789ab  2h ago    app-000000000001",
        "",
      ].join("\n"),
      err: "",
    });
    assert.deepEqual([api.seen[0]?.method, api.seen[0]?.url], ["GET", "/v1/apps"]);
    const none = await fakeApi(t, () => [200, { apps: [] }]);
    const { code, out, err } = await none.run("apps");
    assert.deepEqual([code, out], [0, ""]);
    assert.match(err, /^There is no app yet: /);
  },
);

test("makes an app under a key of its own", async (t) => {
  const api = await fakeApi(t, () => [201, WEB]);
  assert.deepEqual(await api.run("apps create web"), {
    code: 0,
    out: "The app web (app-000000000001) is made.\n",
    err: "",
  });
  await api.run("apps create web");
  assert.deepEqual(
    api.seen.map(({ method, url, body }) => [method, url, String(body)]),
    Array.from({ length: 2 }, () => ["POST", "/v1/apps", '{"name":"web"}']),
  );
  const keys = api.seen.map(({ headers }) => String(headers["idempotency-key"]));
  assert.match(keys[0] ?? "", /^[0-9a-f-]{36}$/);
  assert.notEqual(keys[0], keys[1]);
  assert.deepEqual([(await api.run("apps create a/b")).code, api.seen.length], [2, 2]);
});

test("deletes an app by name or id, with its machines only by force, and says so when they have stopped", async (t) => {
  const empty = await fakeApi(t, () => [204, null]);
  assert.deepEqual(await empty.run("apps rm a/b"), { code: 0, out: "a/b is deleted.\n", err: "" });
  assert.deepEqual(await empty.run("apps rm a/b --force --detach"), {
    code: 0,
    out: "a/b is deleted; its machines are told to stop.\n",
    err: "",
  });
  const states = ["running", "stopping", "stopped"];
  const api = await fakeApi(t, ({ method, url }) => {
    if (method === "DELETE")
      return url.endsWith("force=true")
        ? [204, null]
        : refusal(
            409,
            "app_has_machines",
            "App web has 2 machines. Scale it to 0 first, or delete it with ?force=true, which stops them.",
          );
    return url.startsWith("/v1/machines")
      ? [
          200,
          {
            machines: [
              machine("m-1", states.shift() ?? "stopped", { removing: true }),
              machine("m-2", "unknown", { removing: true }),
            ],
          },
        ]
      : [200, WEB];
  });
  const refused = await api.run("apps rm web");
  assert.deepEqual(refused, {
    code: 1,
    out: "",
    err: "zwrm: App web has 2 machines. Scale it to 0 first, or delete it with --force, which stops them.\n",
  });
  const clock = new ManualClock();
  const run = await finish(api.run("apps rm web --force", { clock }), clock);
  assert.deepEqual(run, { code: 0, out: "web: 1 machine is still to stop\nweb: deleted after 2.0s\n", err: "" });
  assert.deepEqual(
    api.seen.slice(1, 4).map(({ method, url }) => `${method} ${url}`),
    ["GET /v1/apps/web", `DELETE /v1/apps/${WEB.id}?force=true`, `GET /v1/machines?app_id=${WEB.id}`],
  );
});

test("shows an app with what it runs, and its deployments, the newest first", async (t) => {
  const old = deployment("superseded", {
    id: "d-000000000003",
    created_at: "2026-02-27T12:00:00.000Z",
    image: `sha256:${"f".repeat(64)}`,
    replicas: 1,
  });
  const now = deployment("failed", {
    id: WEB.deployment_id,
    running: 2,
    ready: 1,
    reason: "no\u001bprogress",
    env_names: ["PORT", "TOKEN"],
    check: { type: "http", port: 80, path: "/ok" },
  });
  const api = await fakeApi(t, ({ url }) => [200, url.endsWith("/deployments") ? { deployments: [old, now] } : WEB]);
  const run = await api.run("apps show web");
  assert.deepEqual(
    api.seen.map(({ url }) => url),
    ["/v1/apps/web", "/v1/apps/app-000000000001/deployments"],
  );
  assert.equal(
    run.out,
    [
      "name          web",
      "id            app-000000000001",
      "created       3h ago",
      "deployment    d-000000000001",
      "state         failed",
      "reason        no\\x1bprogress",
      `image         ${DIGEST}`,
      "replicas      2 (2 running, 1 ready)",
      "cpus          1",
      "memory        256 MiB",
      "region        every",
      "restart       on-failure",
      "check         http:80/ok",
      "env           PORT TOKEN",
      "on host loss  replace",
      "",
      "DEPLOYMENT      STATE       IMAGE         REPLICAS  AGE  REASON",
      "d-000000000001  failed      0123456789ab         2   1m  no\\x1bprogress",
      "d-000000000003  superseded  ffffffffffff         1   2d",
      "",
    ].join("\n"),
  );
  assert.deepEqual(JSON.parse((await api.run("apps show web --json")).out), { app: WEB, deployments: [old, now] });
});

test("shows an app that runs nothing, and every kind of check as --check takes it", async (t) => {
  const bare = await fakeApi(t, ({ url }) => [
    200,
    url.endsWith("/deployments") ? { deployments: [] } : { ...WEB, deployment_id: null },
  ]);
  assert.equal(
    (await bare.run("apps show web")).out,
    "name        web\nid          app-000000000001\ncreated     3h ago\ndeployment  -\n",
  );
  const checks: readonly (readonly [unknown, string])[] = [
    [null, "-"],
    [{ type: "tcp", port: 5432 }, "tcp:5432"],
    [{ type: "exec", command: ["pg_isready", "-q"] }, "exec:pg_isready -q"],
    [{ type: "exec", command: ["sh", "-c", "a b"] }, 'exec:["sh","-c","a b"]'],
    [{ type: "tcp", port: 1, failures: 3 }, '{"type":"tcp","port":1,"failures":3}'],
  ];
  for (const [check, shown] of checks) {
    const api = await fakeApi(t, ({ url }) => [
      200,
      url.endsWith("/deployments") ? { deployments: [deployment("completed", { id: WEB.deployment_id, check })] } : WEB,
    ]);
    assert.equal(/^check +(.*)$/m.exec((await api.run("apps show web")).out)?.[1], shown);
  }
});

test("says what to do about every error of apps, deployments and machines", async (t) => {
  const cases: readonly (readonly [string, string, RegExp])[] = [
    ["apps show web", "app_not_found", /"zwrm apps" shows/],
    ["apps create web", "app_exists", /"zwrm apps show NAME" shows it/],
    ["scale web 2", "no_deployment", /"zwrm deploy APP --image DIGEST" makes/],
    [`deploy web --image ${DIGEST}`, "image_unknown", /"zwrm image push FILE", or/],
    [`deploy web --image ${DIGEST}`, "idempotency_key_reused", /Run the command again/],
    [`deploy web --image ${DIGEST}`, "deployment_not_found", /"zwrm apps show NAME"/],
    ["machines show m-1", "machine_not_found", /"zwrm machines" shows/],
    ["machines stop m-1", "machine_state", /"zwrm machines show ID"/],
  ];
  for (const [line, code, advice] of cases) {
    // What each looks at beforehand is there.
    const isAsked = (method: string): boolean => method === "POST" || !/^(?:scale|deploy)/.test(line);
    const api = await fakeApi(t, ({ method, url }) =>
      isAsked(method)
        ? refusal(409, code, "It is refused.")
        : [200, url.startsWith("/v1/machines") ? { machines: [] } : WEB],
    );
    const run = await api.run(line);
    assert.deepEqual([run.code, run.out], [1, ""], line);
    assert.match(run.err, advice, line);
  }
});
