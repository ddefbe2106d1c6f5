/** Tests of `zwrm machines`: the list and its filters, one machine, and why it is where it is. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../client/support.ts";
import { fakeApi, finish } from "./support.ts";
import type { Row } from "./workloads.ts";
import { DIGEST, machine, refusal, WEB } from "./workloads.ts";

test("lists machines with the names of their apps, and what keeps each from running", async (t) => {
  const list = [
    machine("m-1", "running", { ready: true }),
    machine("m-2", "pending", {
      app_id: "app-gone",
      created_at: "2026-03-01T11:59:58.000Z",
      reason: "needs 4 cpus; the largest free host h-7 has 2\u0007",
    }),
  ];
  const api = await fakeApi(t, ({ url }) => [200, url === "/v1/apps" ? { apps: [WEB] } : { machines: list }]);
  assert.deepEqual(await api.run("machines"), {
    code: 0,
    out: [
      "ID   APP       HOST  STATE    READY  IMAGE         AGE  REASON",
      "m-2  app-gone  -     pending  no     0123456789ab   2s  needs 4 cpus; the largest free host h-7 has 2\\x07",
      "m-1  web       h-2   running  yes    0123456789ab   2m",
      "",
    ].join("\n"),
    err: "",
  });
  assert.equal(api.seen[0]?.url, "/v1/machines");
});

test(
  "filters by app, whose name becomes its id, by host and by state; an app that is " + "not there is an error",
  async (t) => {
    const api = await fakeApi(t, ({ url }) =>
      url === "/v1/apps/web"
        ? [200, WEB]
        : url.startsWith("/v1/machines")
          ? [200, { machines: [] }]
          : refusal(404, "app_not_found", "There is no app wbe."),
    );
    assert.deepEqual(await api.run("machines --app web --host h-2 --state failed"), {
      code: 0,
      out: "",
      err: "No machine is like that.\n",
    });
    assert.equal(api.seen.at(-1)?.url, "/v1/machines?app_id=app-000000000001&host_id=h-2&state=failed");
    assert.match((await api.run("machines")).err, /^There is no machine yet: /);
    assert.deepEqual(await api.run("machines --app wbe"), {
      code: 1,
      out: "",
      err: 'zwrm: There is no app wbe. "zwrm apps" shows your apps.\n',
    });
    assert.equal((await api.run("machines --state gone")).code, 2);
  },
);

test("shows one machine, and of what it does not have nothing", async (t) => {
  const failed = machine("m/1", "failed", {
    reason: "exit\u001b",
    exit_code: 3,
    replaces: "m-0",
    replaced_by: "m-2",
    started_at: "2026-03-01T11:58:30.000Z",
    ended_at: "2026-03-01T11:59:00.000Z",
    region: "eu",
  });
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

test(
  "shows of what has ended only what is a replica still, in words of its own, and the rest with --all; " +
    "by app, the oldest first",
  async (t) => {
    const at = (second: number): Row => ({ created_at: `2026-03-01T11:59:0${second}.000Z` });
    const list = [
      machine("m-9", "running", { ready: true, ...at(1) }),
      machine("m-1", "running", { ready: true, ...at(2) }),
      machine("m-2", "stopped", { desired_state: "stopped", ...at(3) }),
      machine("m-3", "stopped", { exit_code: 0, restart: "never", ...at(4) }),
      machine("m-4", "stopped", {
        desired_state: "stopped",
        removing: true,
        replaced_by: "m-1",
        reason: "replaced by m-1",
        ...at(5),
      }),
      machine("m-5", "stopped", { desired_state: "stopped", removing: true, reason: "scaled to 2", ...at(6) }),
      machine("m-6", "failed", { desired_state: "stopped", removing: true, exit_code: 1, ...at(7) }),
      machine("m-0", "unknown", {
        desired_state: "stopped",
        removing: true,
        replaced_by: "m-1",
        app_id: "app-a",
        ...at(8),
      }),
    ];
    const api = await fakeApi(t, ({ url }) => [200, url === "/v1/apps" ? { apps: [WEB] } : { machines: list }]);
    const column = (out: string, ...at: number[]): readonly string[][] =>
      out
        .trimEnd()
        .split("\n")
        .slice(1)
        .map((line) => at.map((index) => line.split(/ {2,}/)[index] ?? ""));
    const some = await api.run("machines");
    assert.deepEqual(column(some.out, 0, 3), [
      ["m-0", "unknown"],
      ["m-9", "running"],
      ["m-1", "running"],
      ["m-2", "stopped"],
      ["m-3", "exited 0"],
    ]);
    assert.equal(some.err, "3 machines that have ended are not shown: --all shows them.\n");
    const all = await api.run("machines --all");
    assert.deepEqual(column(all.out, 0, 3).slice(5), [
      ["m-4", "replaced"],
      ["m-5", "ended"],
      ["m-6", "failed"],
    ]);
    assert.equal(all.err, "");
    // Who asks for a state wants all that are in it.
    assert.equal((await api.run("machines --state stopped")).err, "");
    list.splice(0, list.length, machine("m-5", "stopped", { desired_state: "stopped", removing: true }));
    assert.deepEqual(await api.run("machines"), {
      code: 0,
      out: "",
      err: "1 machine that has ended is not shown: --all shows it.\n",
    });
  },
);

test("says stopped, started and deleted only when it has come about, by the documented routes", async (t) => {
  const scenes: readonly (readonly [string, string, readonly (Row | null)[], number, readonly string[]])[] = [
    [
      "stop",
      "POST /v1/machines/m-1/stop",
      [
        machine("m-1", "stopping", { desired_state: "stopped" }),
        machine("m-1", "stopped", { desired_state: "stopped", exit_code: 0 }),
      ],
      0,
      ["stopping on h-2", 'stopped after 1.0s. "zwrm machines start m-1" brings it back'],
    ],
    [
      "stop",
      "POST /v1/machines/m-1/stop",
      [machine("m-1", "running")],
      1,
      ["started again by somebody else after 0.0s"],
    ],
    [
      "stop",
      "POST /v1/machines/m-1/stop",
      [machine("m-1", "unknown", { desired_state: "stopped" })],
      1,
      ["it is to stop; h-2 is not heard, and stops it when it is"],
    ],
    [
      "start",
      "POST /v1/machines/m-1/start",
      [
        machine("m-1", "pending", { reason: "needs 4 cpus" }),
        machine("m-1", "running"),
        machine("m-1", "running", { ready: true }),
      ],
      0,
      ["pending: needs 4 cpus", "running on h-2, not ready", "running on h-2, ready after 2.0s"],
    ],
    [
      "start",
      "POST /v1/machines/m-1/start",
      [machine("m-1", "failed", { exit_code: 3 })],
      1,
      ["failed on h-2: exit code 3 after 0.0s"],
    ],
    [
      "rm",
      "DELETE /v1/machines/m-1",
      [machine("m-1", "stopping", { removing: true, desired_state: "stopped", reason: "deleted" }), null],
      0,
      ["stopping on h-2: deleted", "deleted after 1.0s"],
    ],
    [
      "rm",
      "DELETE /v1/machines/m-1",
      [machine("m-1", "unknown", { removing: true })],
      0,
      ["deleted; h-2 is not heard, and stops what runs of it when it is"],
    ],
  ];
  for (const [verb, route, looks, code, lines] of scenes) {
    const left = [...looks];
    const api = await fakeApi(t, ({ method }) => {
      if (method !== "GET") return method === "POST" ? [202, looks[0]] : [204, null];
      const next = left.shift() ?? null;
      return next === null ? refusal(404, "machine_not_found", "There is no machine m-1 here.") : [200, next];
    });
    const clock = new ManualClock();
    const run = await finish(api.run(`machines ${verb} m-1`, { clock }), clock);
    assert.deepEqual(run, { code, out: lines.map((line) => `m-1: ${line}\n`).join(""), err: "" });
    assert.equal(`${api.seen[0]?.method} ${api.seen[0]?.url}`, route);
  }
});

test("with --detach says what is to happen, and waits for nothing", async (t) => {
  const api = await fakeApi(t, ({ method }) =>
    method === "DELETE" ? [204, null] : [202, machine("m-1", "running", { desired_state: "stopped" })],
  );
  assert.equal(
    (await api.run("machines stop m-1 --detach")).out,
    'm-1 running on h-2, not ready; it is to stop. "zwrm machines start m-1" brings it back.\n',
  );
  assert.equal((await api.run("machines start m-1 --detach")).out, "m-1 running on h-2, not ready; it is to run.\n");
  assert.equal((await api.run("machines rm m-1 --detach")).out, "m-1 is to stop and to go.\n");
  assert.equal(api.seen.length, 3);
});

test("explains a placement: the decision, then each host with its reason, the chosen one marked", async (t) => {
  const hosts = [
    { host_id: "h-1", fits: false, chosen: false, reason: "needs 4 cpus, 2 are free" },
    { host_id: "h-2", fits: true, chosen: true, reason: "6 cpus free\u001b[2J" },
    { host_id: "h-3", fits: true, chosen: false, reason: "" },
  ];
  const api = await fakeApi(t, () => [
    200,
    {
      machine_id: "m-1",
      host_id: "h-2",
      strategy: "spread",
      decision: "on h-2,\nwhich has most room",
      as_of: "2026-03-01T11:59:48.000Z",
      hosts,
    },
  ]);
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
  const nowhere = await fakeApi(t, () => [
    200,
    {
      machine_id: "m-1",
      host_id: null,
      strategy: "pack",
      decision: "nowhere yet: no host is online",
      as_of: "2026-03-01T11:59:48.000Z",
      hosts: [],
    },
  ]);
  assert.equal((await nowhere.run("machines explain m-1")).out, "m-1: nowhere yet: no host is online\n");
});

test("prints the API's answer whole with --json, in one call", async (t) => {
  const answer = { machines: [{ id: "m-1", of_a_newer_daemon: true }] };
  const api = await fakeApi(t, ({ method }) => (method === "DELETE" ? [204, null] : [200, answer]));
  for (const line of [
    "machines",
    "machines show m-1",
    "machines stop m-1 --detach",
    "machines start m-1 --detach",
    "machines explain m-1",
    "apps",
    "apps create web",
  ]) {
    const before = api.seen.length;
    const run = await api.run(`${line} --json`);
    assert.deepEqual([run.code, JSON.parse(run.out), run.err, api.seen.length], [0, answer, "", before + 1], line);
  }
  for (const line of ["machines rm m-1 --detach", "apps rm web"])
    assert.deepEqual(await api.run(`${line} --json`), { code: 0, out: "", err: "" });
});
