/** Part B, heartbeat: what it answers, what it changes, how control reaches a host through it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startDaemon } from "../support/daemon.ts";
import { beat, register, show } from "../support/fleet.ts";
import { assertError } from "../support/http.ts";
import { placeMachine, readJournal } from "../support/journal.ts";
import { conforms, listAt, pick, textAt } from "../support/json.ts";
import type { Json } from "../support/json.ts";
import { heard } from "../support/shapes.ts";

const daemon = await startDaemon();
assert.equal((await register(daemon, "h-1")).status, 201);

async function revision(hostId = "h-1"): Promise<string> {
  return textAt((await beat(daemon, hostId)).json, "revision");
}

test(`heartbeat: -> 200 {"host_id","cluster_id","status","revision","machines"?}`, async () => {
  const usage = { cpus: 1.5, memory_mb: 100, disk_mb: 5 };
  const answer = await beat(daemon, "h-1", { usage, machines: [], boot_id: "boot", beat: 1 });
  assert.equal(answer.status, 200);
  conforms(answer.json, heard(true));
  assert.equal(pick(answer.json, "host_id"), "h-1");
  assert.equal(pick(answer.json, "status"), "active");
  assert.deepEqual(pick(await show(daemon, "h-1"), "usage"), usage);
});

test("heartbeat: An unknown host gets 404 host_not_registered, upon which the agent registers again", async () => {
  assertError(await beat(daemon, "h-unknown"), 404, "host_not_registered");
});

test(
  "heartbeat: machines is present whenever observed_revision is not the current revision, absent " + "otherwise",
  async () => {
    const current = await revision();
    conforms((await beat(daemon, "h-1", { observed_revision: current })).json, heard(false));
    conforms((await beat(daemon, "h-1", { observed_revision: "old" })).json, heard(true));
    conforms((await beat(daemon, "h-1")).json, heard(true));
  },
);

test(
  "heartbeat: 200 means heard: it is held in memory, and only what it changes reaches the log, in one " + "line",
  async () => {
    await beat(daemon, "h-1", { machines: [] });
    const before = readJournal(daemon.dataDir).length;
    const last = pick(await show(daemon, "h-1"), "last_heartbeat_at");
    for (let number = 0; number < 30; number++)
      await beat(daemon, "h-1", { machines: [], usage: { cpus: number, memory_mb: 1, disk_mb: 1 } });
    assert.equal(readJournal(daemon.dataDir).length, before);
    assert.ok(textAt(await show(daemon, "h-1"), "last_heartbeat_at") > String(last), "heard all the same");
  },
);

test("heartbeat: wait_seconds holds the answer until the revision differs or the time is over", async () => {
  const observed_revision = await revision();
  const start = performance.now();
  const held = await beat(daemon, "h-1", { observed_revision, wait_seconds: 1 });
  const took = performance.now() - start;
  assert.equal(held.status, 200);
  conforms(held.json, heard(false));
  assert.ok(took > 950 && took < 3_000, `held for ${took} ms`);
  const at = performance.now();
  conforms((await beat(daemon, "h-1", { observed_revision: "old", wait_seconds: 20 })).json, heard(true));
  assert.ok(performance.now() - at < 2_000, "what differs already is answered at once");
});

test("heartbeat: wait_seconds 0..25", async () => {
  for (const wait_seconds of [26, -1, "5"])
    assertError(await beat(daemon, "h-1", { wait_seconds }), 400, "invalid_field", "wait_seconds");
});

test("heartbeat: a waiting one counts as heard on arrival", async (t) => {
  const quick = await startDaemon({ config: `[hosts]\noffline_after = "1s"\ncheck_interval = "250ms"` }, t);
  await register(quick, "h-1");
  const observed_revision = textAt((await beat(quick, "h-1")).json, "revision");
  const before = textAt(await show(quick, "h-1"), "last_heartbeat_at");
  const waiting = beat(quick, "h-1", {
    observed_revision,
    wait_seconds: 2,
    usage: { cpus: 3, memory_mb: 1, disk_mb: 1 },
  });
  const other = await register(quick, "h-2");
  assert.equal(other.status, 201, "others are served meanwhile");
  assert.equal(pick(await show(quick, "h-1"), "usage.cpus"), 3);
  assert.ok(textAt(await show(quick, "h-1"), "last_heartbeat_at") >= before);
  assert.equal((await waiting).status, 200);
});

test(
  "heartbeat: beat rises within a boot_id: an older one that arrives late is answered and otherwise " + "ignored",
  async () => {
    const send = (number: number, cpus: number): ReturnType<typeof beat> =>
      beat(daemon, "h-1", { boot_id: "boot", beat: number, usage: { cpus, memory_mb: 1, disk_mb: 1 } });
    assert.equal((await send(10, 5)).status, 200);
    const late = await send(9, 1);
    assert.equal(late.status, 200);
    conforms(late.json, heard(true));
    assert.equal(pick(await show(daemon, "h-1"), "usage.cpus"), 5);
    assert.equal((await send(11, 6)).status, 200);
    assert.equal(pick(await show(daemon, "h-1"), "usage.cpus"), 6);
  },
);

test(
  "heartbeat: two boot ids that alternate within offline_after are two agents under one id: 409 " + "host_id_in_use",
  async () => {
    await register(daemon, "h-twin");
    assert.equal((await beat(daemon, "h-twin", { boot_id: "one", beat: 1 })).status, 200);
    assert.equal((await beat(daemon, "h-twin", { boot_id: "two", beat: 1 })).status, 200, "a reboot is no twin");
    assertError(await beat(daemon, "h-twin", { boot_id: "one", beat: 2 }), 409, "host_id_in_use");
  },
);

test("heartbeat: revision is opaque, equal exactly for equal lists, also across restarts", async () => {
  const before = await revision();
  await register(daemon, "h-2");
  assert.equal(await revision("h-2"), before, "two empty lists are equal");
  await daemon.restart();
  assert.equal(await revision(), before);
  await daemon.stop();
  placeMachine(daemon.dataDir, "m-1", "h-1");
  await daemon.start();
  const now = await revision();
  assert.notEqual(now, before);
  assert.equal(await revision("h-2"), before);
  await daemon.restart();
  assert.equal(await revision(), now);
});

test(
  "heartbeat: What an agent shall run comes back in the answer: the whole desired " + "list of its machines",
  async () => {
    const answer = await beat(daemon, "h-1", { machines: [] });
    conforms(answer.json, heard(true));
    const [machine] = listAt(answer.json, "machines");
    const expected = {
      id: "m-1",
      app_id: "a-1",
      image: `sha256:${"a".repeat(64)}`,
      cpus: 2,
      memory_mb: 512,
      env: { MODE: "test" },
      restart: "on-failure",
      desired_state: "running",
    };
    assert.deepEqual(machine, expected);
    assert.deepEqual(listAt((await beat(daemon, "h-2")).json, "machines"), [], "and nobody else's");
  },
);

test(
  "Host: allocated counts machines that are pending, starting, running, stopping or unknown; available " +
    "is capacity less that",
  async () => {
    const host = await show(daemon, "h-1");
    assert.deepEqual(pick(host, "allocated"), { cpus: 2, memory_mb: 512, disk_mb: 0 });
    assert.deepEqual(pick(host, "available"), { cpus: 6, memory_mb: 15_872, disk_mb: 100_000 });
    assert.equal(pick(host, "machine_count"), 1);
    await register(daemon, "h-1", { capacity: { cpus: 1, memory_mb: 100, disk_mb: 0 } });
    assert.deepEqual(
      pick(await show(daemon, "h-1"), "available"),
      { cpus: 0, memory_mb: 0, disk_mb: 0 },
      "never below 0",
    );
  },
);

test(
  "heartbeat: machines absent says nothing; a machine missing from a list is gone only where " +
    "observed_revision is current",
  async () => {
    const report = async (body: Record<string, Json>): Promise<Json | undefined> => {
      assert.equal((await beat(daemon, "h-1", body)).status, 200);
      return pick(await show(daemon, "h-1"), "machine_count");
    };
    const observed_revision = await revision();
    assert.equal(await report({ observed_revision, machines: [{ id: "m-1", state: "running", ready: true }] }), 1);
    const lines = readJournal(daemon.dataDir).length;
    assert.equal(await report({ observed_revision, machines: [{ id: "m-1", state: "running", ready: true }] }), 1);
    assert.equal(readJournal(daemon.dataDir).length, lines, "what is known already reaches no log");
    assert.equal(await report({ observed_revision }), 1, "absent says nothing");
    assert.equal(await report({ observed_revision: "older", machines: [] }), 1, "the agent may not have seen it yet");
    assert.equal(readJournal(daemon.dataDir).length, lines);
    await report({ observed_revision, machines: [] });
    assert.equal(readJournal(daemon.dataDir).length, lines + 1, "gone, in one line");
    assert.deepEqual(listAt((await beat(daemon, "h-1")).json, "machines"), []);
  },
);

test(
  "heartbeat: a host that beats again as soon as it is answered is never called offline, however long it " +
    "lets its beats be held",
  async () => {
    const quick = await startDaemon({ config: `[hosts]\noffline_after = "1s"\ncheck_interval = "100ms"` });
    assert.equal((await register(quick, "h-1")).status, 201);
    const { json } = await beat(quick, "h-1");
    const observed_revision = textAt(json, "revision");
    for (let round = 0; round < 4; round++) {
      const answer = await beat(quick, "h-1", { observed_revision, wait_seconds: 25 });
      assert.deepEqual([answer.status, pick(answer.json, "status")], [200, "active"]);
    }
    assert.deepEqual(
      readJournal(quick.dataDir).filter((line) => pick(line.value, "type") === "host.lost"),
      [],
    );
  },
);
