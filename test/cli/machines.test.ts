/** Tests of `zwrm machines`: the list and its filters, one machine, and why it is where it is. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fakeApi } from "./support.ts";
import { DIGEST, machine, refusal, WEB } from "./workloads.ts";

test("lists machines with the names of their apps, and what keeps each from running", async (t) => {
  const list = [
    machine("m-1", "running", { ready: true }),
    machine("m-2", "pending", { app_id: "app-gone", created_at: "2026-03-01T11:59:58.000Z", reason: "needs 4 cpus; the largest free host h-7 has 2\u0007" }),
  ];
  const api = await fakeApi(t, ({ url }) => [200, url === "/v1/apps" ? { apps: [WEB] } : { machines: list }]);
  assert.deepEqual(await api.run("machines"), {
    code: 0,
    out: [
      "ID   APP       HOST  STATE    READY  IMAGE         AGE  REASON",
      "m-1  web       h-2   running  yes    0123456789ab   2m",
      "m-2  app-gone  -     pending  no     0123456789ab   2s  needs 4 cpus; the largest free host h-7 has 2\\x07",
      "",
    ].join("\n"),
    err: "",
  });
  assert.equal(api.seen[0]?.url, "/v1/machines");
});

test("filters by app, whose name becomes its id, by host and by state; an app that is not there is an error", async (t) => {
  const api = await fakeApi(t, ({ url }) => (url === "/v1/apps/web" ? [200, WEB] : url.startsWith("/v1/machines") ? [200, { machines: [] }] : refusal(404, "app_not_found", "There is no app wbe.")));
  assert.deepEqual(await api.run("machines --app web --host h-2 --state failed"), { code: 0, out: "", err: "No machine is like that.\n" });
  assert.equal(api.seen.at(-1)?.url, "/v1/machines?app_id=app-000000000001&host_id=h-2&state=failed");
  assert.match((await api.run("machines")).err, /^There is no machine yet: /);
  assert.deepEqual(await api.run("machines --app wbe"), { code: 1, out: "", err: 'zwrm: There is no app wbe. "zwrm apps" shows your apps.\n' });
  assert.equal((await api.run("machines --state gone")).code, 2);
});

test("shows one machine, and of what it does not have nothing", async (t) => {
  const failed = machine("m/1", "failed", { reason: "exit\u001b", exit_code: 3, replaces: "m-0", replaced_by: "m-2", started_at: "2026-03-01T11:58:30.000Z", ended_at: "2026-03-01T11:59:00.000Z", region: "eu" });
  const api = await fakeApi(t, () => [200, failed]);
  const run = await api.run("machines show m/1");
  assert.equal(api.seen[0]?.url, "/v1/machines/m%2F1");
  const lines = [
    "id           m/1",
    "app          app-000000000001",
    "deployment   d-000000000002",
    "host         h-2",
    "state        failed",
    "ready        no",
    "desired      running",
    "reason       exit\\x1b",
    "exit code    3",
    `image        ${DIGEST}`,
    "cpus         1",
    "memory       256 MiB",
    "region       eu",
    "restart      on-failure",
    "replaces     m-0",
    "replaced by  m-2",
    "created      2m ago",
    "started      1m ago",
    "ended        1m ago",
    "",
  ];
  assert.equal(run.out, lines.join("\n"));
  const pending = await fakeApi(t, () => [200, machine("m-1", "pending")]);
  assert.doesNotMatch((await pending.run("machines show m-1")).out, /reason|exit code|replace|ended/);
});

test("calls the documented route for stop, start and rm, and says what is there now", async (t) => {
  const api = await fakeApi(t, ({ method, url }) => (method === "DELETE" ? [204, null] : [202, url.endsWith("/stop") ? machine("m-1", "stopping") : machine("m-1", "pending", { reason: "no host is free" })]));
  const expected: readonly (readonly [string, string, string])[] = [
    ["machines stop m-1", "POST /v1/machines/m-1/stop", 'm-1 stopping on h-2; it is to stop. "zwrm machines start m-1" brings it back.\n'],
    ["machines start m-1", "POST /v1/machines/m-1/start", "m-1 pending: no host is free; it is to run.\n"],
    ["machines rm m-1", "DELETE /v1/machines/m-1", "m-1 is deleted.\n"],
  ];
  for (const [line, route, out] of expected) {
    assert.deepEqual(await api.run(line), { code: 0, out, err: "" });
    assert.equal(`${api.seen.at(-1)?.method} ${api.seen.at(-1)?.url}`, route);
  }
});

test("explains a placement: the decision, then each host with its reason, the chosen one marked", async (t) => {
  const hosts = [
    { host_id: "h-1", fits: false, chosen: false, reason: "needs 4 cpus, 2 are free" },
    { host_id: "h-2", fits: true, chosen: true, reason: "6 cpus free\u001b[2J" },
    { host_id: "h-3", fits: true, chosen: false, reason: null },
  ];
  const api = await fakeApi(t, () => [200, { machine_id: "m-1", host_id: "h-2", strategy: "spread", decision: "on h-2,\nwhich has most room", as_of: "2026-03-01T11:59:48.000Z", hosts }]);
  const run = await api.run("machines explain m-1");
  assert.equal(api.seen[0]?.url, "/v1/machines/m-1/placement");
  assert.equal(
    run.out,
    [
      "m-1: on h-2,\\x0awhich has most room",
      "(strategy spread, as of 12s ago; * marks the chosen host)",
      "",
      "  HOST  FITS  REASON",
      "  h-1   no    needs 4 cpus, 2 are free",
      "* h-2   yes   6 cpus free\\x1b[2J",
      "  h-3   yes",
      "",
    ].join("\n"),
  );
  const nowhere = await fakeApi(t, () => [200, { machine_id: "m-1", host_id: null, strategy: "pack", decision: "nowhere yet: no host is online", as_of: null, hosts: [] }]);
  assert.equal((await nowhere.run("machines explain m-1")).out, "m-1: nowhere yet: no host is online\n");
});

test("prints the API's answer whole with --json, in one call", async (t) => {
  const answer = { machines: [{ id: "m-1", of_a_newer_daemon: true }] };
  const api = await fakeApi(t, ({ method }) => (method === "DELETE" ? [204, null] : [200, answer]));
  for (const line of ["machines", "machines show m-1", "machines stop m-1", "machines start m-1", "machines explain m-1", "apps", "apps create web"]) {
    const before = api.seen.length;
    const run = await api.run(`${line} --json`);
    assert.deepEqual([run.code, JSON.parse(run.out), run.err, api.seen.length], [0, answer, "", before + 1], line);
  }
  for (const line of ["machines rm m-1", "apps rm web"]) assert.deepEqual(await api.run(`${line} --json`), { code: 0, out: "", err: "" });
});
