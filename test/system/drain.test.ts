/** Part B, Drain, for hosts without machines of the control plane: modes, terms, deadlines, refusals. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually, startDaemon } from "../support/daemon.ts";
import type { TestDaemon } from "../support/daemon.ts";
import { beat, register, registerBusy, show, statusOf } from "../support/fleet.ts";
import { assertError } from "../support/http.ts";
import type { Answer } from "../support/http.ts";
import { placeMachine } from "../support/journal.ts";
import { conforms, pick, textAt } from "../support/json.ts";
import type { Json } from "../support/json.ts";
import { DRAIN_STATUS } from "../support/shapes.ts";

const daemon = await startDaemon();

function act(action: string, id: string, body?: Record<string, Json>): Promise<Answer> {
  return daemon.request("POST", `/v1/hosts/${id}/${action}`, body === undefined ? {} : { body });
}

async function drainStatus(id: string, of: TestDaemon = daemon): Promise<Json> {
  const answer = await of.request("GET", `/v1/hosts/${id}/drain-status`);
  assert.equal(answer.status, 200, answer.text);
  conforms(answer.json, DRAIN_STATUS);
  return answer.json;
}

async function drainEnds(id: string, state: string): Promise<Json> {
  return eventually(`the drain of ${id} to be ${state}`, async () => {
    const status = await drainStatus(id);
    return pick(status, "state") === state ? status : undefined;
  });
}

test(
  "drain: -> 202 with the drain's status; a host to which none was ever assigned completes: mode " + "maintenance",
  async () => {
    await register(daemon, "h-1");
    const answer = await act("drain", "h-1", { reason: "new disks" });
    assert.equal(answer.status, 202);
    conforms(answer.json, DRAIN_STATUS);
    const done = await drainEnds("h-1", "completed");
    assert.deepEqual(
      [
        pick(done, "host_id"),
        pick(done, "total"),
        pick(done, "remaining"),
        pick(done, "failed"),
        pick(done, "machines"),
      ],
      ["h-1", 0, 0, 0, []],
    );
    assert.ok(textAt(done, "finished_at") >= textAt(done, "started_at"));
    assert.equal(pick(done, "deadline_at"), null);
    const host = await show(daemon, "h-1");
    assert.deepEqual(
      [pick(host, "status"), pick(host, "mode"), pick(host, "mode_reason")],
      ["maintenance", "maintenance", "new disks"],
    );
  },
);

test("drain: Completed only when the agent has reported a list without machines", async () => {
  await registerBusy(daemon, "h-2");
  assert.equal((await act("drain", "h-2", {})).status, 202);
  assert.equal(pick(await drainStatus("h-2"), "state"), "draining");
  assert.equal(
    textAt((await beat(daemon, "h-2", { machines: [{ id: "m-foreign", state: "stopping" }] })).json, "status"),
    "draining",
  );
  assert.equal((await beat(daemon, "h-2")).status, 200);
  assert.equal(await statusOf(daemon, "h-2"), "draining", "a beat without a list says nothing");
  assert.equal((await beat(daemon, "h-2", { machines: [] })).status, 200);
  await drainEnds("h-2", "completed");
  assert.equal(textAt((await beat(daemon, "h-2")).json, "status"), "maintenance");
});

test("drain: in maintenance: 409", async () => {
  assertError(await act("drain", "h-2", {}), 409, "host_in_maintenance");
  assertError(await act("drain", "h-2"), 409, "host_in_maintenance");
});

test("activate: from maintenance to active, 409 else", async () => {
  const answer = await act("activate", "h-2");
  assert.equal(answer.status, 200);
  assert.equal(await statusOf(daemon, "h-2"), "active");
  assert.equal(pick(await show(daemon, "h-2"), "mode_reason"), null);
  assertError(await act("activate", "h-2"), 409, "host_not_in_maintenance");
  assert.equal(pick(await drainStatus("h-2"), "state"), "completed", "the last drain is still told of");
});

test("drain: draining already: 200, given fields replace the old", async () => {
  await registerBusy(daemon, "h-3");
  const first = await act("drain", "h-3", { deadline_seconds: 3_600, reason: "first" });
  assert.equal(first.status, 202);
  const again = await act("drain", "h-3", { reason: "second" });
  assert.equal(again.status, 200);
  conforms(again.json, DRAIN_STATUS);
  assert.equal(pick(again.json, "started_at"), pick(first.json, "started_at"));
  assert.equal(pick(again.json, "deadline_at"), pick(first.json, "deadline_at"), "what is not given stays");
  assert.equal(pick(await show(daemon, "h-3"), "mode_reason"), "second");
  const longer = await act("drain", "h-3", { deadline_seconds: 7_200 });
  assert.ok(textAt(longer.json, "deadline_at") > textAt(first.json, "deadline_at"));
  assert.equal(pick(await show(daemon, "h-3"), "mode_reason"), "second");
});

test("undrain: back to active, 409 when not draining", async () => {
  const answer = await act("undrain", "h-3");
  assert.equal(answer.status, 200);
  assert.equal(await statusOf(daemon, "h-3"), "active");
  const status = await drainStatus("h-3");
  assert.equal(pick(status, "state"), "cancelled");
  assert.ok(textAt(status, "finished_at") >= textAt(status, "started_at"));
  assertError(await act("undrain", "h-3"), 409, "host_not_draining");
});

test("undrain and activate in the wrong mode are a 409 that changes nothing", async () => {
  await registerBusy(daemon, "h-4");
  await act("drain", "h-4", {});
  assertError(await act("activate", "h-4"), 409, "host_not_in_maintenance");
  assert.equal(await statusOf(daemon, "h-4"), "draining");
  await beat(daemon, "h-4", { machines: [] });
  await drainEnds("h-4", "completed");
  assertError(await act("undrain", "h-4"), 409, "host_not_draining");
  assert.equal(await statusOf(daemon, "h-4"), "maintenance");
});

test("drain: dry_run: 200 and the plan, nothing changed", async () => {
  await registerBusy(daemon, "h-5");
  const answer = await act("drain", "h-5", { dry_run: true, deadline_seconds: 60 });
  assert.equal(answer.status, 200);
  assert.deepEqual([pick(answer.json, "host_id"), pick(answer.json, "machines")], ["h-5", []]);
  assert.equal(await statusOf(daemon, "h-5"), "active");
  assertError(await daemon.request("GET", "/v1/hosts/h-5/drain-status"), 404, "no_drain");
});

test("drain-status: 404 no_drain where there never was one", async () => {
  assertError(await daemon.request("GET", "/v1/hosts/h-5/drain-status"), 404, "no_drain");
  assertError(await daemon.request("GET", "/v1/hosts/nobody/drain-status"), 404, "host_not_found");
  for (const action of ["drain", "undrain", "activate"])
    assertError(await act(action, "nobody"), 404, "host_not_found");
});

test(
  "drain: max_parallel, deadline_seconds, reason, force and dry_run of the wrong type or range are a 400 " +
    "naming them",
  async () => {
    const wrong: [string, Json][] = [
      ["max_parallel", 0],
      ["max_parallel", "2"],
      ["deadline_seconds", -1],
      ["deadline_seconds", "1h"],
      ["reason", 5],
      ["force", "yes"],
      ["dry_run", 1],
    ];
    for (const [field, value] of wrong)
      assertError(await act("drain", "h-5", { [field]: value }), 400, "invalid_field", field);
    assert.equal(await statusOf(daemon, "h-5"), "active");
  },
);

test(
  "drain: The deadline: state failed, the mode stays draining, nothing is stopped. Then drain starts " +
    "anew, undrain activates",
  async () => {
    await registerBusy(daemon, "h-6");
    assert.equal((await act("drain", "h-6", { deadline_seconds: 1 })).status, 202);
    const failed = await drainEnds("h-6", "failed");
    assert.ok(textAt(failed, "finished_at") >= textAt(failed, "deadline_at"));
    assert.equal(await statusOf(daemon, "h-6"), "draining");
    const anew = await act("drain", "h-6", {});
    assert.equal(anew.status, 202, "drain starts anew");
    assert.equal(pick(anew.json, "deadline_at"), null);
    assert.ok(textAt(anew.json, "started_at") > textAt(failed, "started_at"));
    await act("drain", "h-6", { deadline_seconds: 1 });
    await drainEnds("h-6", "failed");
    assert.equal((await act("undrain", "h-6")).status, 200, "undrain activates");
    assert.equal(await statusOf(daemon, "h-6"), "active");
  },
);

test("drain: The daemon may die at any moment of this and goes on where it was", async (t) => {
  const lone = await startDaemon({}, t);
  await register(lone, "h-1");
  await lone.stop();
  placeMachine(lone.dataDir, "m-1", "h-1");
  await lone.start();
  const { json } = await lone.request("POST", "/v1/hosts/h-1/drain", {
    body: { deadline_seconds: 3_600, reason: "before the crash" },
  });
  await lone.kill9();
  await lone.start();
  const status = await drainStatus("h-1", lone);
  for (const key of ["state", "started_at", "deadline_at", "total"])
    assert.equal(pick(status, key), pick(json, key), key);
  assert.deepEqual([pick(status, "total"), pick(status, "remaining"), pick(status, "machines.0.id")], [1, 1, "m-1"]);
  const observed_revision = textAt(
    (await beat(lone, "h-1", { machines: [{ id: "m-1", state: "running" }] })).json,
    "revision",
  );
  assert.equal(await statusOf(lone, "h-1"), "draining");
  await beat(lone, "h-1", { observed_revision, machines: [] });
  await eventually("the drain's end", async () =>
    pick(await drainStatus("h-1", lone), "state") === "completed" ? true : undefined,
  );
  await lone.kill9();
  await lone.start();
  assert.deepEqual(
    [pick(await show(lone, "h-1"), "mode"), pick(await show(lone, "h-1"), "mode_reason")],
    ["maintenance", "before the crash"],
  );
  assert.equal((await lone.request("POST", "/v1/hosts/h-1/activate")).status, 200);
});

test("drain: A host that is offline while draining: its rows are blocked with host offline since ...", async (t) => {
  const lone = await startDaemon({ config: `[hosts]\noffline_after = "1s"\ncheck_interval = "250ms"` }, t);
  await register(lone, "h-1");
  await lone.stop();
  placeMachine(lone.dataDir, "m-1", "h-1");
  await lone.start();
  await lone.request("POST", "/v1/hosts/h-1/drain", { body: {} });
  await eventually("h-1 to be offline", async () => ((await statusOf(lone, "h-1")) === "offline" ? true : undefined));
  const status = await drainStatus("h-1", lone);
  assert.equal(pick(status, "state"), "draining");
  assert.equal(pick(status, "machines.0.state"), "blocked");
  assert.match(textAt(status, "machines.0.reason"), /^host offline since \d{4}-\d\d-\d\dT/);
});

test("drain: a host that deregisters takes its drain with it", async () => {
  await registerBusy(daemon, "h-8");
  await act("drain", "h-8", {});
  await daemon.asAgent("POST", "/v1/internal/hosts/h-8/deregister");
  assertError(await daemon.request("GET", "/v1/hosts/h-8/drain-status"), 404, "host_not_found");
});
