import assert from "node:assert/strict";
import test from "node:test";
import { Machines } from "../../src/agent/machines.ts";
import { LaunchError } from "../../src/agent/runtime.ts";
import type { DesiredMachine, MachineReport } from "../../src/wire/agents.ts";
import { FakeClock, turn } from "../support/clock.ts";
import { desired, FakeChecks, FakeImages, FakeLog, FakeRuntime, IMAGE, MemoryStore } from "./fakes.ts";

const GRACE_MS = 10_000;
const STALE_MS = 30_000;

class World {
  readonly clock = new FakeClock();
  readonly log = new FakeLog();
  readonly runtime = new FakeRuntime(this.clock);
  readonly images = new FakeImages();
  readonly checks = new FakeChecks();
  readonly store = new MemoryStore();
  changes = 0;
  #launches = 0;
  machines: Machines = this.#make();

  #make(): Machines {
    const machines = new Machines({
      ...this.#parts(),
      newLaunchId: () => `l-${(this.#launches += 1)}`,
      room: { cpus: 8, memory_mb: 8_192 },
      stopGraceMs: GRACE_MS,
      staleMs: STALE_MS,
    });
    machines.onChange(() => (this.changes += 1));
    return machines;
  }

  #parts() {
    const { clock, log, runtime, images, checks, store } = this;
    return { clock, log, runtime, images, checks, store };
  }

  /** The agent ends, however it ends, and another one starts. */
  async restart(list: readonly DesiredMachine[] | null): Promise<void> {
    await this.machines.close();
    this.machines = this.#make();
    await this.machines.load(list);
    await turn();
  }

  async take(...list: DesiredMachine[]): Promise<void> {
    this.machines.take(list);
    await turn();
  }

  async run(ms: number): Promise<void> {
    await this.clock.run(ms, 100);
  }

  states(): string {
    return this.machines
      .report()
      .map(({ id, state }) => `${id} ${state}`)
      .join(", ");
  }

  report(id: string): MachineReport {
    const found = this.machines.report().find((each) => each.id === id);
    if (found === undefined) throw new Error(`${id} is not reported`);
    return found;
  }
}

test("a wanted machine is fetched, started, and reported on its way", async () => {
  const world = new World();
  let letGo = (): void => undefined;
  world.images.gate = new Promise((resolve) => (letGo = resolve));
  await world.take(desired("m-1"));
  assert.equal(world.states(), "m-1 starting");
  assert.equal(world.runtime.processes.length, 0);
  assert.deepEqual([...world.machines.imagesInUse()], [IMAGE]);
  letGo();
  await turn();
  assert.deepEqual(world.report("m-1"), { id: "m-1", state: "running", started_at: "2026-01-02T03:04:05.678Z" });
});

test("an exit is told at once, and the machine is started again after its backoff", async () => {
  const world = new World();
  await world.take(desired("m-1"));
  const before = world.changes;
  world.runtime.last("m-1").exit(3);
  await turn();
  assert.ok(world.changes > before);
  const reason = "exit code 3 after 0.0 s; restart 1 in 1 s";
  assert.deepEqual(world.report("m-1"), { id: "m-1", state: "starting", reason, exit_code: 3 });
  await world.run(900);
  assert.equal(world.runtime.processes.length, 1);
  await world.run(200);
  assert.equal(world.runtime.alive("m-1").length, 1);
  assert.deepEqual(world.states(), "m-1 running");
  world.runtime.last("m-1").exit(3);
  await turn();
  assert.match(world.report("m-1").reason ?? "", /restart 2 in 2 s/);
});

test("a clean end of a machine that is restarted on failure only is its end", async () => {
  const world = new World();
  await world.take(desired("m-1"));
  await world.run(3_000);
  world.runtime.last("m-1").exit(0);
  await turn();
  await world.run(400_000);
  const reason = "exit code 0 after 3.0 s";
  assert.deepEqual(world.report("m-1"), { id: "m-1", state: "stopped", reason, exit_code: 0 });
  assert.equal(world.runtime.processes.length, 1);
});

test("a machine that is never restarted fails with its exit code, and is given up", async () => {
  const world = new World();
  await world.take(desired("m-1", { restart: "never" }));
  world.runtime.last("m-1").exit(2);
  await world.run(400_000);
  assert.deepEqual([world.report("m-1").state, world.report("m-1").exit_code], ["failed", 2]);
  assert.equal(world.runtime.processes.length, 1);
});

test("what leaves the list is asked to stop, killed after its grace, and only then gone", async () => {
  const world = new World();
  await world.take(desired("m-1"));
  await world.take();
  assert.equal(world.states(), "m-1 stopping");
  assert.equal(world.runtime.last("m-1").terminated, 1);
  await world.run(GRACE_MS - 100);
  assert.equal(world.runtime.last("m-1").killed, 0);
  await world.run(200);
  assert.equal(world.runtime.last("m-1").killed, 1);
  assert.equal(world.states(), "");
  assert.equal(world.store.records.size, 0);
});

test(
  "a listed stop is reported as stopped until it leaves the list, and undone it " + "starts the machine anew",
  async () => {
    const world = new World();
    await world.take(desired("m-1"));
    await world.take(desired("m-1", { desired_state: "stopped" }));
    world.runtime.last("m-1").exit(143);
    await turn();
    assert.deepEqual(world.report("m-1"), { id: "m-1", state: "stopped", exit_code: 143 });
    await world.take(desired("m-1"));
    assert.equal(world.states(), "m-1 running");
    assert.equal(world.runtime.processes.length, 2);
  },
);

test("a stop while the image is fetched ends it at once, and nothing is started later", async () => {
  const world = new World();
  let letGo = (): void => undefined;
  world.images.gate = new Promise((resolve) => (letGo = resolve));
  await world.take(desired("m-1"));
  await world.take(desired("m-1", { desired_state: "stopped" }));
  assert.equal(world.states(), "m-1 stopped");
  letGo();
  await turn();
  assert.equal(world.runtime.processes.length, 0);
});

test("a machine that leaves the list while its image is fetched leaves no record either", async () => {
  const world = new World();
  let letGo = (): void => undefined;
  world.images.gate = new Promise((resolve) => (letGo = resolve));
  await world.take(desired("m-1"));
  await world.take();
  assert.equal(world.states(), "");
  letGo();
  await turn();
  assert.equal(world.store.records.size, 0);
  assert.equal(world.runtime.processes.length, 0);
});

test("a stop while the machine is being started follows the start", async () => {
  const world = new World();
  let letGo = (): void => undefined;
  world.runtime.gate = new Promise((resolve) => (letGo = resolve));
  await world.take(desired("m-1"));
  await world.take();
  assert.equal(world.states(), "m-1 stopping");
  letGo();
  await turn();
  assert.equal(world.runtime.last("m-1").terminated, 1);
  world.runtime.last("m-1").exit(0);
  await turn();
  assert.equal(world.states(), "");
});

test("a start that cannot succeed here is given up; one that may is tried again", async () => {
  const world = new World();
  world.runtime.refusals.push(new LaunchError("no such program", true, { fault: "host" }));
  world.runtime.refusals.push(new LaunchError("env: no name", true));
  await world.take(desired("m-1"));
  assert.deepEqual(world.report("m-1"), { id: "m-1", state: "failed", reason: "no such program", fault: "host" });
  await world.take(desired("m-0"));
  const report = { id: "m-0", state: "failed", reason: "env: no name" };
  assert.deepEqual(world.report("m-0"), report, "no host could start it");
  world.images.refusals.push(new LaunchError("no\nroute", false, { fault: "control_plane" }));
  await world.take(desired("m-2"));
  assert.deepEqual(
    world.report("m-2"),
    { id: "m-2", state: "starting", reason: "no route" },
    "a report holds no control characters",
  );
  await world.run(1_100);
  assert.equal(world.report("m-2").state, "running");
});

test("nothing is started while its record cannot be written: a full disk leaves it to another host", async () => {
  const world = new World();
  world.store.failing = Object.assign(new Error("ENOSPC: no space left"), { code: "ENOSPC" });
  await world.take(desired("m-1"));
  await world.run(60_000);
  assert.equal(world.runtime.processes.length, 0);
  const reason = "its record cannot be written on this host: ENOSPC: no space left";
  assert.deepEqual(world.report("m-1"), { id: "m-1", state: "failed", reason, fault: "host" });
  world.store.failing = null;
  await world.take(desired("m-1", { starts: 1 }));
  assert.equal(world.states(), "m-1 running");
  assert.equal("fault" in world.report("m-1"), false);
});

test("three starts in a row that come to nothing leave it to another host; one that came up begins anew", async () => {
  const world = new World();
  const busy = (): Error => new LaunchError("no process can be made", false, { fault: "host" });
  world.runtime.refusals.push(busy(), busy());
  await world.take(desired("m-1"));
  await world.run(4_000);
  assert.equal(world.states(), "m-1 running");
  world.runtime.refusals.push(busy(), new Error("out of the blue"), busy());
  world.runtime.last("m-1").exit(1);
  await world.run(3 * 16_000);
  const reason = "no process can be made; given up after 3 starts in a row that came to nothing";
  assert.deepEqual(world.report("m-1"), { id: "m-1", state: "failed", reason, fault: "host", exit_code: 1 });
  await world.restart([desired("m-1")]);
  assert.deepEqual(world.report("m-1").fault, "host", "the next agent knows it too");
});

test("starts in a row are counted over a restart of the agent", async () => {
  const world = new World();
  for (let tries = 0; tries < 3; tries += 1) {
    world.runtime.refusals.push(new LaunchError("no process can be made", false, { fault: "host" }));
    await world.take(desired("m-1"));
    assert.equal(world.states(), tries < 2 ? "m-1 starting" : "m-1 failed");
    await world.restart([desired("m-1")]);
  }
});

test("while the control plane hands out no image it is asked again and again, however long", async () => {
  const world = new World();
  const silent = new LaunchError("no answer", false, { fault: "control_plane" });
  for (let tries = 0; tries < 8; tries += 1) world.images.refusals.push(silent);
  await world.take(desired("m-1"));
  for (let minutes = 0; minutes < 10; minutes += 1) {
    await world.run(60_000);
    assert.match(world.states(), /^m-1 (?:starting|running)$/);
  }
  assert.equal(world.states(), "m-1 running");
});

test("a machine with a check is ready when its check says so, and says why when it is not", async () => {
  const world = new World();
  await world.take(desired("m-1", { check: { type: "tcp", port: 1 } }), desired("m-2"));
  assert.equal(world.report("m-1").ready, false);
  assert.equal("ready" in world.report("m-2"), false);
  world.checks.watched.get("m-1")?.(null);
  assert.deepEqual([world.report("m-1").ready, world.report("m-1").reason], [true, undefined]);
  world.checks.watched.get("m-1")?.("its check fails: ECONNREFUSED");
  assert.deepEqual([world.report("m-1").ready, world.report("m-1").reason], [false, "its check fails: ECONNREFUSED"]);
  world.runtime.last("m-1").exit(1);
  await turn();
  assert.equal(world.checks.watched.size, 0);
});

test("another agent adopts what runs and starts no second copy", async () => {
  const world = new World();
  await world.take(desired("m-1"), desired("m-2"));
  const started = world.report("m-1").started_at;
  world.runtime.last("m-2").exit(9);
  // The agent has not seen that end.
  await world.restart([desired("m-1"), desired("m-2")]);
  assert.equal(world.states(), "m-1 running, m-2 starting");
  assert.equal(world.report("m-1").started_at, started);
  await world.take(desired("m-1"), desired("m-2"));
  await world.run(3_000);
  assert.equal(world.states(), "m-1 running, m-2 running");
  assert.deepEqual([world.runtime.alive("m-1").length, world.runtime.alive("m-2").length], [1, 1]);
});

test("an agent that ended in the middle of a start finds what it had started", async () => {
  const world = new World();
  await world.take(desired("m-1"));
  const record = world.store.records.get("m-1");
  assert.ok(record?.launch !== undefined);
  world.store.records.set("m-1", { ...record, phase: "starting", launch: { ...record.launch, handle: undefined } });
  await world.restart([desired("m-1")]);
  assert.equal(world.states(), "m-1 running");
  assert.equal(world.runtime.processes.length, 1);
});

test("another agent goes on with a stop, and keeps in mind what had been given up", async () => {
  const world = new World();
  await world.take(desired("m-1"), desired("m-2", { restart: "never" }));
  world.runtime.last("m-2").exit(1);
  await world.take(desired("m-1", { desired_state: "stopped" }), desired("m-2", { restart: "never" }));
  await world.restart([]);
  assert.equal(world.states(), "m-1 stopping, m-2 failed");
  assert.equal(world.runtime.last("m-1").terminated, 2);
  await world.take(desired("m-2", { restart: "never" }));
  await world.run(GRACE_MS + 1_000);
  assert.equal(world.states(), "m-2 failed");
});

test("another agent starts anew what had been asked to stop and is wanted again", async () => {
  const world = new World();
  await world.take(desired("m-1"));
  await world.take(desired("m-1", { desired_state: "stopped" }));
  world.runtime.last("m-1").exit(0);
  await turn();
  await world.restart([]);
  assert.equal(world.states(), "m-1 stopped");
  await world.take(desired("m-1"));
  assert.equal(world.states(), "m-1 running");
});

test("an old list is acted on only when nothing newer came for a while", async () => {
  const world = new World();
  await world.restart([desired("m-1")]);
  await world.run(STALE_MS - 1_000);
  assert.equal(world.states(), "");
  await world.run(2_000);
  assert.equal(world.states(), "m-1 running");
  const other = new World();
  await other.restart([desired("m-1")]);
  await other.take(desired("m-2"));
  await other.run(STALE_MS * 2);
  assert.equal(other.states(), "m-2 running");
});

test("an hour without the control plane: machines that fail are restarted, the rest goes on", async () => {
  const world = new World();
  await world.take(desired("m-1"), desired("m-2"));
  for (let minutes = 0; minutes < 60; minutes += 20) {
    world.runtime.last("m-2").exit(1);
    await world.clock.run(20 * 60_000, 1_000);
  }
  assert.equal(world.states(), "m-1 running, m-2 running");
  assert.equal(world.runtime.processes.length, 5);
});

test("stopAll resolves when nothing runs any more", async () => {
  const world = new World();
  await world.take(desired("m-1"));
  let isDone = false;
  void world.machines.stopAll().then(() => (isDone = true));
  await turn();
  assert.equal(isDone, false);
  world.runtime.last("m-1").exit(0);
  await turn();
  assert.equal(isDone, true);
});

test(
  "the pull of an image ends when its machine goes, is stopped, or the agent ends, and that is no " + "failure",
  async () => {
    const endings: ((world: World) => Promise<void>)[] = [
      (world) => world.take(),
      (world) => world.take(desired("m-1", { desired_state: "stopped" })),
      (world) => world.machines.close(),
    ];
    for (const end of endings) {
      const world = new World();
      world.images.gate = new Promise(() => undefined);
      await world.take(desired("m-1"));
      assert.deepEqual(
        world.images.signals.map(({ aborted }) => aborted),
        [false],
      );
      await end(world);
      assert.deepEqual(
        world.images.signals.map(({ aborted }) => aborted),
        [true],
      );
      await turn();
      assert.equal(world.log.count("warn"), 0);
    }
  },
);

test("a machine that is wanted again while its pull ends is pulled anew", async () => {
  const world = new World();
  world.images.gate = new Promise(() => undefined);
  await world.take(desired("m-1"));
  world.images.gate = Promise.resolve();
  world.machines.take([]);
  await world.take(desired("m-1"));
  assert.equal(world.states(), "m-1 running");
  assert.deepEqual(
    world.images.signals.map(({ aborted }) => aborted),
    [true, false],
  );
});

const CHECKED = desired("m-1", { check: { type: "tcp", port: 1 } });

test("what was ready before a restart of the agent is ready after it, until its check has failed", async () => {
  const world = new World();
  await world.take(CHECKED);
  world.checks.watched.get("m-1")?.(null);
  await world.restart([CHECKED]);
  assert.deepEqual([world.report("m-1").ready, world.report("m-1").reason], [true, undefined]);
  world.checks.watched.get("m-1")?.("its check fails: x");
  await world.restart([CHECKED]);
  assert.deepEqual([world.report("m-1").ready, world.report("m-1").reason], [false, "its check fails: x"]);
  assert.deepEqual(world.checks.began.get("m-1"), [false, true, false]);
});

test("a machine that was started again begins as not ready, whoever started it", async () => {
  const world = new World();
  await world.take(CHECKED);
  world.checks.watched.get("m-1")?.(null);
  world.runtime.last("m-1").exit(1);
  await turn();
  await world.restart([CHECKED]);
  await world.take(CHECKED);
  await world.run(1_100);
  assert.deepEqual([world.report("m-1").state, world.report("m-1").ready], ["running", false]);
  assert.deepEqual(world.checks.began.get("m-1"), [false, false]);
});

test("a record of an agent that kept no readiness loads, and what it ran is not called unwell for that", async () => {
  const world = new World();
  await world.take(CHECKED, desired("m-2"));
  const record = world.store.records.get("m-1");
  assert.ok(record !== undefined);
  world.store.records.set("m-1", { ...record, ready: undefined });
  await world.restart([CHECKED, desired("m-2")]);
  assert.equal(world.report("m-1").ready, true);
  assert.equal("ready" in world.report("m-2"), false);
});
