/** Tests of `zwrm host`, `zwrm status` and `zwrm auth whoami` against an API that answers as the contract says. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fakeApi, host, Screen } from "./support.ts";

test(
  "lists hosts in aligned columns, with what is allocated of what there is and how long ago each was " + "heard",
  async (t) => {
    const hosts = [
      host("h-1"),
      host("long-host-id", {
        status: "offline",
        region: "us-east",
        ip_address: "10.0.0.123",
        machine_count: 12,
        last_heartbeat_at: "2026-02-27T11:00:00.000Z",
      }),
    ];
    const api = await fakeApi(t, () => [200, { hosts }]);
    assert.deepEqual(await api.run("host list"), {
      code: 0,
      out: [
        "ID            STATUS   REGION   DATACENTER  ADDRESS     CPUS            MEMORY  MACHINES  HEARD",
        "h-1           active   eu       fra1        10.0.0.7     2/8  512 MiB / 16 GiB         2    12s",
        "long-host-id  offline  us-east  fra1        10.0.0.123   2/8  512 MiB / 16 GiB        12     2d",
        "",
      ].join("\n"),
      err: "",
    });
    assert.deepEqual([api.seen[0]?.method, api.seen[0]?.url], ["GET", "/v1/hosts"]);
  },
);

test("a host with trouble says what it is, in the list and alone; a list without any has no such column", async (t) => {
  const trouble = "m_1 could not be started here: ENOSPC";
  const hosts = [host("h-1", { trouble: null }), host("h-2", { trouble })];
  const api = await fakeApi(t, (request) => [200, (request.url ?? "").endsWith("/h-2") ? hosts[1] : { hosts }]);
  const [head = "", first = "", second = ""] = (await api.run("host list")).out.split("\n");
  assert.match(head, /TROUBLE$/);
  assert.doesNotMatch(first, /started here/);
  assert.ok(second.endsWith(trouble), second);
  assert.match((await api.run("host status h-2")).out, /^trouble +m_1 could not be started here: ENOSPC$/m);
});

test("filters hosts, and says on stderr when there is none", async (t) => {
  const api = await fakeApi(t, () => [200, { hosts: [] }]);
  assert.deepEqual(await api.run("host list --status draining --region eu --datacenter fra1"), {
    code: 0,
    out: "",
    err: "No host is like that.\n",
  });
  assert.equal(api.seen[0]?.url, "/v1/hosts?status=draining&region=eu&datacenter=fra1");
  assert.match((await api.run("host list")).err, /^No host is registered yet/);
});

test("shows one host with its capacity; a host's text cannot control the terminal", async (t) => {
  const api = await fakeApi(t, () => [
    200,
    host("h/1", {
      mode: "maintenance",
      status: "maintenance",
      mode_reason: "fan\u001b[2J",
      usage: { cpus: 1.5, memory_mb: 300 },
    }),
  ]);
  const run = await api.run("host status h/1");
  assert.equal(api.seen[0]?.url, "/v1/hosts/h%2F1");
  assert.equal(
    run.out,
    [
      "id          h/1",
      "hostname    h/1.example",
      "status      maintenance",
      "health      online",
      "mode        maintenance",
      "reason      fan\\x1b[2J",
      "region      eu",
      "datacenter  fra1",
      "address     10.0.0.7",
      "agent       1.2.0",
      "labels      rack=r7 disk=nvme",
      "machines    2",
      "heard       12s ago",
      "registered  2d ago",
      "",
      "RESOURCE  CAPACITY  ALLOCATED  AVAILABLE     USED",
      "cpus             8          2          6      1.5",
      "memory      16 GiB    512 MiB   15.5 GiB  300 MiB",
      "disk       500 GiB        0 B    500 GiB        -",
      "",
    ].join("\n"),
  );
});

test("calls the documented route for undrain, activate and unbind-key, and says what it did", async (t) => {
  const api = await fakeApi(t, ({ method }) => (method === "DELETE" ? [204, null] : [200, host("h-1")]));
  const expected: readonly (readonly [string, string, string])[] = [
    ["host undrain h-1", "POST /v1/hosts/h-1/undrain", "The drain of h-1 is cancelled; it is active.\n"],
    ["host activate h-1", "POST /v1/hosts/h-1/activate", "h-1 is active.\n"],
    ["host rm h-1", "DELETE /v1/hosts/h-1", "h-1 is off the list.\n"],
    [
      "host unbind-key h-1",
      "DELETE /v1/hosts/h-1/key",
      "The key of h-1 is unbound; the next one that it sends is bound.\n",
    ],
  ];
  for (const [line, route, out] of expected) {
    assert.deepEqual(await api.run(line), { code: 0, out, err: "" });
    assert.equal(`${api.seen.at(-1)?.method} ${api.seen.at(-1)?.url}`, route);
  }
});

test(
  "prints the API's answer whole with --json, also what zwrm does not know, and " + "nothing for an empty one",
  async (t) => {
    const answer = { hosts: [{ id: "h-1", of_a_newer_daemon: [1, { a: null }] }], next_after: null };
    const api = await fakeApi(t, ({ method }) => (method === "DELETE" ? [204, null] : [200, answer]));
    for (const line of [
      "host list",
      "host status h-1",
      "host undrain h-1",
      "host activate h-1",
      "host drain-status h-1",
      "image list",
      "status",
      "auth whoami",
    ]) {
      const run = await api.run(`${line} --json`);
      assert.deepEqual([run.code, JSON.parse(run.out), run.err], [0, answer, ""], line);
    }
    assert.deepEqual(await api.run("--json host unbind-key h-1"), { code: 0, out: "", err: "" });
  },
);

test("colours a status on a terminal and leaves it plain with NO_COLOR", async (t) => {
  const api = await fakeApi(t, () => [200, { hosts: [host("h-1")] }]);
  assert.match(
    (await api.run("host list", { stdout: new Screen({ isTerminal: true }) })).out,
    /\u001b\[32mactive\u001b\[0m/,
  );
  assert.doesNotMatch(
    (await api.run("host list", { stdout: new Screen({ isTerminal: true }), env: { NO_COLOR: "1" } })).out,
    /\u001b/,
  );
});

test("shows the system's status, hosts only where the API tells them", async (t) => {
  const status = {
    version: "0.1.0",
    cluster_id: "c-1",
    uptime_seconds: 7_300,
    org: { id: "o-1", slug: "default", role: null },
    hosts: { total: 3, online: 2, offline: 1, draining: 0, maintenance: 0 },
    apps: { total: 0 },
    machines: { total: 5, running: 4, failed: 1 },
    images: { total: 2, bytes: 315_621_376 },
  };
  const api = await fakeApi(t, () => [200, status]);
  const lines = [
    "version   0.1.0",
    "cluster   c-1",
    "up for    2h",
    "org       default",
    "hosts     3 (2 online, 1 offline)",
    "apps      0",
    "machines  5 (4 running, 1 failed)",
    "images    2 (301 MiB)",
    "",
  ];
  assert.deepEqual(await api.run("status"), { code: 0, out: lines.join("\n"), err: "" });
  const member = await fakeApi(t, () => [200, { ...status, hosts: undefined }]);
  assert.doesNotMatch((await member.run("status")).out, /hosts/);
});

test("shows who the caller is, by localhost and by key", async (t) => {
  const local = await fakeApi(t, () => [
    200,
    {
      user: null,
      org: { id: "o", slug: "default", role: null },
      access: "host-admin",
      auth_method: "localhost",
      scopes: null,
      expires_at: null,
    },
  ]);
  assert.equal(
    (await local.run("auth whoami")).out,
    "user     -\norg      default\naccess   host-admin\nby       localhost\nscopes   all\nexpires  never\n",
  );
  const answer = {
    user: { id: "u", email: "a@b", name: "A" },
    org: { id: "o", slug: "acme", role: "owner" },
    access: "member",
    auth_method: "api_key",
    scopes: ["hosts:read"],
    expires_at: "2027-01-01T00:00:00.000Z",
  };
  const key = await fakeApi(t, () => [200, answer]);
  assert.equal(
    (await key.run("auth whoami")).out,
    "user     a@b\norg      acme (owner)\naccess   member\nby       api_key\nscopes   hosts:read\nexpires  " +
      "2027-01-01T00:00:00.000Z\n",
  );
});

test("says what happened and what to do, with exit 1, for errors of the API", async (t) => {
  const cases: readonly (readonly [number, string, string, string])[] = [
    [404, "host_not_found", "No host has the id h-9.", 'No host has the id h-9. "zwrm host list" shows the ids.'],
    [
      401,
      "unauthorized",
      "A token is needed.",
      "A token is needed. No token was sent: log in with zwrm auth login, or set ZWRM_TOKEN, or run zwrm on " +
        "the control plane's own host.",
    ],
    [400, "invalid_field", "limit must be a whole number.", "limit must be a whole number."],
    [
      500,
      "internal",
      "It failed.",
      "It failed. (request id r-7) The daemon's log has the details under the request id.",
    ],
    [
      503,
      "shutting_down",
      "The daemon is stopping.",
      "The daemon is stopping. (request id r-7) Try again in a moment.",
    ],
    [418, "a_newer_code", "Something new.", "Something new."],
  ];
  for (const [status, code, error, said] of cases) {
    const api = await fakeApi(t, () => [status, { error, code, request_id: "r-7" }]);
    assert.deepEqual(await api.run("host status h-9"), { code: 1, out: "", err: `zwrm: ${said}\n` });
  }
  const refused = await fakeApi(t, () => [
    401,
    { error: "The token is not valid.", code: "unauthorized", request_id: "r" },
  ]);
  assert.match(
    (await refused.run("status", { env: { ZWRM_TOKEN: "zwrm_key_old" } })).err,
    /That token is from ZWRM_TOKEN, which goes before a login/,
  );
});

test("shows requests and request ids with -v, and errors as JSON on stderr with --json", async (t) => {
  const api = await fakeApi(t, ({ url }) =>
    url === "/v1/status"
      ? [404, { error: "No such path.", code: "route_not_found", request_id: "r-7" }]
      : [200, { hosts: [host("h-1")] }],
  );
  const good = await api.run("host list -v");
  assert.equal(good.err, `GET ${api.url}/v1/hosts 200 0ms request id req-1\n`);
  const bad = await api.run("-v status");
  assert.match(
    bad.err,
    /^GET .*\/v1\/status 404 0ms request id r-7\nzwrm: No such path\. \(request id r-7\) The daemon is older/,
  );
  const json = await api.run("status --json");
  assert.deepEqual(
    [json.code, json.out, JSON.parse(json.err)],
    [1, "", { error: "No such path.", code: "route_not_found", request_id: "r-7" }],
  );
});

test("says when the daemon's answer is not understood, instead of showing half of it", async (t) => {
  const api = await fakeApi(t, () => [200, { hosts: [{ id: "h-1" }] }]);
  const run = await api.run("host list");
  assert.deepEqual([run.code, run.out], [1, ""]);
  assert.match(run.err, /does not understand the daemon's answer: hosts\.0\.hostname is required/);
});

test("says what to do when nothing listens at the default address, and where another address came from", async (t) => {
  const api = await fakeApi(t, () => [200, {}]);
  await api.close();
  const run = await api.run("status", {});
  assert.deepEqual(run, {
    code: 1,
    out: "",
    err: `zwrm: Nothing listens at ${api.url}. Is zwrmd running there, on this port? The address is from --api-url.\n`,
  });
});
