/** Part B, Host; Register; deregister: what a host is, when it is offline, and who may speak for its id. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { eventually, startDaemon } from "../support/daemon.ts";
import type { TestDaemon } from "../support/daemon.ts";
import { CAPACITY, beat, register, show, statusOf } from "../support/fleet.ts";
import { assertError } from "../support/http.ts";
import { conforms, listAt, pick, textAt } from "../support/json.ts";
import { HOST, REGISTERED } from "../support/shapes.ts";

const daemon = await startDaemon();
const QUICK = `[hosts]\noffline_after = "1s"\ncheck_interval = "250ms"`;

async function waitFor(of: TestDaemon, id: string, status: string): Promise<void> {
  await eventually(
    `${id} to be ${status}`,
    async () => ((await statusOf(of, id)) === status ? true : undefined),
    30_000,
  );
}

test(
  `register: {"host_id"?,"hostname","region"?="default","datacenter"?="default","ip_address"?=the ` +
    `peer's,"grpc_port"?=9090,"capacity",...}`,
  async () => {
    const answer = await daemon.asAgent("POST", "/v1/internal/hosts/register", {
      body: { hostname: "bare", capacity: { cpus: 2, memory_mb: 512 } },
    });
    assert.equal(answer.status, 201);
    conforms(answer.json, REGISTERED);
    const host = pick(answer.json, "host");
    assert.match(textAt(host, "id"), /^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/, "absent, the daemon makes a UUID");
    assert.deepEqual(
      [pick(host, "region"), pick(host, "datacenter"), pick(host, "ip_address"), pick(host, "grpc_port")],
      ["default", "default", "127.0.0.1", 9090],
    );
    assert.deepEqual(pick(host, "labels"), {});
    assert.equal(pick(host, "agent_version"), null);
    assert.equal(pick(host, "capacity.disk_mb"), 0);
    const id = textAt(host, "id");
    assert.equal((await daemon.asAgent("POST", `/v1/internal/hosts/${id}/deregister`)).status, 200);
  },
);

test("register: host_id is 1 to 64 of [A-Za-z0-9._-], not starting with a dot", async () => {
  for (const id of ["a", "A.b_c-9", "-x", "_", "z".repeat(64)]) {
    assert.equal((await register(daemon, id)).status, 201, id);
    assert.equal((await daemon.asAgent("POST", `/v1/internal/hosts/${id}/deregister`)).status, 200, id);
  }
  for (const id of ["", ".", "..", ".a", "a/b", "a b", "ä", "z".repeat(65)])
    assertError(await register(daemon, id), 400, "invalid_field", "host_id");
});

test(
  "register: 201 the first time, 200 after that (facts are updated, mode is kept): the interval is " +
    "max(1, floor(offline_after / 3))",
  async () => {
    const first = await register(daemon, "h-1", {
      region: "eu",
      datacenter: "fra1",
      ip_address: "10.0.0.7",
      grpc_port: 1234,
      agent_version: "0.9",
      labels: { rack: "r1" },
    });
    assert.equal(first.status, 201);
    conforms(first.json, REGISTERED);
    assert.deepEqual(
      [pick(first.json, "heartbeat_interval_seconds"), pick(first.json, "offline_after_seconds")],
      [10, 30],
    );
    const host = pick(first.json, "host");
    assert.deepEqual(
      [
        pick(host, "region"),
        pick(host, "datacenter"),
        pick(host, "ip_address"),
        pick(host, "grpc_port"),
        pick(host, "agent_version"),
        pick(host, "labels.rack"),
      ],
      ["eu", "fra1", "10.0.0.7", 1234, "0.9", "r1"],
    );
    await daemon.request("POST", "/v1/hosts/h-1/drain");
    await waitFor(daemon, "h-1", "maintenance");
    const second = await register(daemon, "h-1", {
      hostname: "renamed",
      capacity: { cpus: 16, memory_mb: 1, disk_mb: 2 },
    });
    assert.equal(second.status, 200);
    assert.deepEqual(
      [pick(second.json, "host.hostname"), pick(second.json, "host.capacity.cpus"), pick(second.json, "host.mode")],
      ["renamed", 16, "maintenance"],
    );
    assert.equal(pick(second.json, "host.registered_at"), pick(first.json, "host.registered_at"));
    await daemon.request("POST", "/v1/hosts/h-1/activate");
  },
);

test(
  "Host: every key of the object, in the list and alone; an empty host has all of its " + "capacity available",
  async () => {
    const host = await show(daemon, "h-1");
    conforms(host, HOST);
    assert.deepEqual(pick(host, "allocated"), { cpus: 0, memory_mb: 0, disk_mb: 0 });
    assert.deepEqual(pick(host, "available"), pick(host, "capacity"));
    assert.equal(pick(host, "machine_count"), 0);
    const { json } = await daemon.request("GET", "/v1/hosts");
    assert.deepEqual(listAt(json, "hosts"), [host]);
  },
);

test("Host: GET /v1/hosts filters by ?status=, ?region=, ?datacenter=", async () => {
  await register(daemon, "h-2", { region: "us", datacenter: "fra1" });
  const ids = async (query: string): Promise<string> =>
    listAt((await daemon.request("GET", `/v1/hosts?${query}`)).json, "hosts")
      .map((host) => textAt(host, "id"))
      .join(" ");
  assert.equal(await ids("status=active"), "h-1 h-2");
  assert.equal(await ids("status=offline"), "");
  assert.equal(await ids("region=us"), "h-2");
  assert.equal(await ids("region=mars"), "");
  assert.equal(await ids("datacenter=default&region=default"), "h-1");
  assert.equal(await ids("datacenter=fra1&region=default"), "");
  assert.equal(await ids("status=active&limit=1"), "h-1");
  assertError(await daemon.request("GET", "/v1/hosts?status=sleeping"), 400, "invalid_field", "status");
});

test(
  "Host: a host is offline when nothing was heard for hosts.offline_after, and a beat brings it back; " +
    "status is the one word for people",
  async (t) => {
    const quick = await startDaemon({ config: QUICK }, t);
    const { json } = await register(quick, "h-1");
    assert.deepEqual([pick(json, "heartbeat_interval_seconds"), pick(json, "offline_after_seconds")], [1, 1]);
    const start = performance.now();
    await waitFor(quick, "h-1", "offline");
    const took = performance.now() - start;
    assert.ok(took > 700 && took < 3_000, `offline after ${took} ms`);
    const host = await show(quick, "h-1");
    assert.deepEqual(
      [pick(host, "health"), pick(host, "mode"), pick(host, "status")],
      ["offline", "active", "offline"],
    );
    assert.equal((await beat(quick, "h-1")).status, 200);
    assert.deepEqual(pick(await show(quick, "h-1"), "health"), "online");
  },
);

test("Host: The two are separate facts: a host in maintenance that drops out comes back in maintenance", async (t) => {
  const quick = await startDaemon({ config: QUICK }, t);
  await register(quick, "h-1");
  await quick.request("POST", "/v1/hosts/h-1/drain", { body: { reason: "new disks" } });
  await eventually("maintenance", async () =>
    pick(await show(quick, "h-1"), "mode") === "maintenance" ? true : undefined,
  );
  await waitFor(quick, "h-1", "offline");
  assert.deepEqual(
    [pick(await show(quick, "h-1"), "mode"), pick(await show(quick, "h-1"), "mode_reason")],
    ["maintenance", "new disks"],
  );
  assert.equal(textAt((await beat(quick, "h-1")).json, "status"), "maintenance");
  assert.equal(await statusOf(quick, "h-1"), "maintenance");
});

test("Host: After a restart of the daemon a host has a full offline_after again", async (t) => {
  const quick = await startDaemon({ config: QUICK }, t);
  await register(quick, "h-1");
  await sleep(700);
  await quick.restart();
  const start = performance.now();
  assert.equal(await statusOf(quick, "h-1"), "active");
  await waitFor(quick, "h-1", "offline");
  assert.ok(performance.now() - start > 600, "not the rest of the old time");
  await quick.restart();
  assert.equal(await statusOf(quick, "h-1"), "offline", "and one that was offline stays so until it is heard");
});

test("Host: A daemon that was itself paused calls nobody offline for it", async (t) => {
  const quick = await startDaemon({ config: QUICK }, t);
  await register(quick, "h-1");
  quick.signal("SIGSTOP");
  await sleep(2_000);
  quick.signal("SIGCONT");
  const end = performance.now() + 500;
  while (performance.now() < end) {
    assert.equal(await statusOf(quick, "h-1"), "active");
    await sleep(40);
  }
  await waitFor(quick, "h-1", "offline");
});

test('deregister: {"reason"?} -> 200; the host leaves the list; a second call is a 404', async () => {
  await register(daemon, "h-3");
  assert.equal(
    (await daemon.asAgent("POST", "/v1/internal/hosts/h-3/deregister", { body: { reason: "sold" } })).status,
    200,
  );
  assertError(await daemon.request("GET", "/v1/hosts/h-3"), 404, "host_not_found");
  const again = await daemon.asAgent("POST", "/v1/internal/hosts/h-3/deregister");
  assert.equal(again.status, 404);
  assertError(await beat(daemon, "h-3"), 404, "host_not_registered");
  assert.equal((await register(daemon, "h-3")).status, 201, "registering again is a first time");
});

test("deregister: An id that leaves while draining or in maintenance comes back in maintenance", async () => {
  await register(daemon, "h-4");
  await daemon.request("POST", "/v1/hosts/h-4/drain");
  await waitFor(daemon, "h-4", "maintenance");
  await daemon.asAgent("POST", "/v1/internal/hosts/h-4/deregister");
  assert.equal(pick((await register(daemon, "h-4")).json, "host.mode"), "maintenance");
  await daemon.request("POST", "/v1/hosts/h-4/activate");
  await beat(daemon, "h-4", { machines: [{ id: "m-foreign", state: "running" }] });
  await daemon.request("POST", "/v1/hosts/h-4/drain");
  assert.equal(await statusOf(daemon, "h-4"), "draining");
  await daemon.asAgent("POST", "/v1/internal/hosts/h-4/deregister");
  await daemon.restart();
  assert.equal(pick((await register(daemon, "h-4")).json, "host.mode"), "maintenance", "also over a restart");
});

test(
  "X-Zwrm-Host-Key: the first one a host sends binds its id; from then on register, heartbeat and " +
    "deregister without it are 403 host_key_mismatch",
  async () => {
    const key = { "x-zwrm-host-key": "k".repeat(32) };
    const other = { "x-zwrm-host-key": "o".repeat(128) };
    await register(daemon, "h-5", {}, key);
    for (const headers of [{}, other]) {
      assertError(await register(daemon, "h-5", {}, headers), 403, "host_key_mismatch");
      assertError(await beat(daemon, "h-5", {}, headers), 403, "host_key_mismatch");
      assertError(
        await daemon.asAgent("POST", "/v1/internal/hosts/h-5/deregister", { headers }),
        403,
        "host_key_mismatch",
      );
    }
    assert.equal((await beat(daemon, "h-5", {}, key)).status, 200);
    await daemon.restart();
    assertError(await beat(daemon, "h-5"), 403, "host_key_mismatch");
    await daemon.asAgent("POST", "/v1/internal/hosts/h-5/deregister", { headers: key });
    assertError(await register(daemon, "h-5"), 403, "host_key_mismatch");
  },
);

test(
  "X-Zwrm-Host-Key: a heartbeat binds too; A host-admin unbinds it with DELETE /v1/hosts/{host_id}/key; " +
    "32 to 128 characters",
  async () => {
    const key = { "x-zwrm-host-key": "k".repeat(40) };
    await register(daemon, "h-6");
    assert.equal((await beat(daemon, "h-6", {}, key)).status, 200);
    assertError(await beat(daemon, "h-6"), 403, "host_key_mismatch");
    assert.equal((await daemon.request("DELETE", "/v1/hosts/h-6/key")).status, 204);
    assert.equal((await beat(daemon, "h-6")).status, 200);
    assertError(await daemon.request("DELETE", "/v1/hosts/nobody/key"), 404, "host_not_found");
    for (const bad of ["k".repeat(31), "k".repeat(129)])
      assert.equal((await beat(daemon, "h-6", {}, { "x-zwrm-host-key": bad })).status, 400, `${bad.length} characters`);
  },
);

test("cluster_id is made at the first start and stays over restarts; another data_dir has another", async (t) => {
  const mine = textAt((await register(daemon, "h-1")).json, "cluster_id");
  await daemon.restart();
  assert.equal(textAt((await beat(daemon, "h-1")).json, "cluster_id"), mine);
  const other = await startDaemon({}, t);
  assert.notEqual(textAt((await register(other, "h-1")).json, "cluster_id"), mine);
  assert.deepEqual(pick((await register(other, "h-1")).json, "host.capacity"), CAPACITY);
});

test("register: a known field of the wrong type or range is a 400 naming it: ip_address is an address", async () => {
  for (const ip_address of ["not an address", "1.2.3", "fra1.example"])
    assertError(await register(daemon, "h-bad", { ip_address }), 400, "invalid_field", "ip_address");
  assert.equal((await register(daemon, "h-six", { ip_address: "2001:db8::7" })).status, 201);
});

test("Lists without limit are whole; a limit out of range is a 400 naming it", async () => {
  for (const limit of ["0", "10001", "x", "-1"])
    assertError(await daemon.request("GET", `/v1/hosts?limit=${limit}`), 400, "invalid_field", "limit");
});
