/** Machines whose records cannot be read: they end before their ids are used again. */
import assert from "node:assert/strict";
import test from "node:test";
import { Machines } from "../../src/agent/machines.ts";
import type { DesiredMachine } from "../../src/wire/agents.ts";
import { FakeClock, turn } from "../support/clock.ts";
import { desired, FakeChecks, FakeImages, FakeLog, FakeRuntime, MemoryStore } from "./fakes.ts";

const GRACE_MS = 10_000;
const STALE_MS = 30_000;

class World {
  readonly clock = new FakeClock();
  readonly log = new FakeLog();
  readonly runtime = new FakeRuntime(this.clock);
  readonly store = new MemoryStore();
  machines = this.#make();
  #launches = 0;

  #make(): Machines {
    const { clock, log, runtime, store } = this;
    return new Machines({
      clock,
      log,
      runtime,
      store,
      images: new FakeImages(),
      checks: new FakeChecks(),
      newLaunchId: () => `l-${(this.#launches += 1)}`,
      room: { cpus: 8, memory_mb: 8_192 },
      stopGraceMs: GRACE_MS,
      staleMs: STALE_MS,
    });
  }

  /** The agent is killed, the records of `lost` are spoilt, and another agent starts. */
  async lose(...lost: readonly string[]): Promise<void> {
    await this.machines.close();
    for (const id of lost) this.store.lose(id);
    this.machines = this.#make();
    await this.machines.load(null);
  }

  async take(...list: readonly DesiredMachine[]): Promise<void> {
    this.machines.take(list);
    await turn();
  }

  get states(): string {
    return this.machines
      .report()
      .map(({ id, state }) => `${id} ${state}`)
      .join(", ");
  }
}

test("a machine whose record is lost is asked to end, and its id is used again only when it has", async () => {
  const world = new World();
  await world.take(desired("m-1"), desired("m-2"));
  const before = world.runtime.last("m-1");
  await world.lose("m-1");
  await world.take(desired("m-1"), desired("m-2"), desired("m-3"));
  assert.equal(world.states, "m-2 running, m-3 running");
  assert.equal(before.terminated, 1);
  await world.clock.run(GRACE_MS - 1_000, 1_000);
  assert.deepEqual(world.runtime.alive("m-1"), [before]);
  before.exit(0);
  await turn();
  assert.equal(world.states, "m-1 running, m-2 running, m-3 running");
  assert.equal(world.runtime.alive("m-1").length, 1);
  assert.equal(before.killed, 0);
  const [line, ...more] = world.log.lines.filter(({ level }) => level === "warn");
  assert.deepEqual(
    [line?.fields["machine"], line?.fields["path"], line?.fields["ended"], more.length],
    ["m-1", "memory/m-1", 1, 0],
  );
  assert.equal(world.store.lost.size, 0);
});

test("what does not end when asked is killed, however many copies there are, also where nobody wants it", async () => {
  const world = new World();
  await world.take(desired("m-1"));
  await world.runtime.launch({ machine: desired("m-1"), imagePath: "", launchId: "l-other" });
  await world.lose("m-1");
  await world.take();
  let isIdle = false;
  void world.machines.stopAll().then(() => (isIdle = true));
  await world.clock.run(GRACE_MS + 1_000, 1_000);
  assert.deepEqual([world.runtime.alive("m-1").length, isIdle], [1, false]);
  await world.clock.run(GRACE_MS + 1_000, 1_000);
  assert.deepEqual([world.runtime.alive("m-1").length, isIdle], [0, true]);
  assert.equal(world.clock.armed, 1, "no more than the wait for a first list");
});

test("a lost record of which nothing runs is said and set aside, and the machine is started at once", async () => {
  const world = new World();
  await world.take(desired("m-1"));
  world.runtime.last("m-1").exit(1);
  await world.lose("m-1");
  await world.take(desired("m-1"));
  assert.equal(world.states, "m-1 running");
  assert.deepEqual(
    world.log.lines.filter(({ level }) => level === "warn").map(({ fields }) => fields["ended"]),
    [0],
  );
});

test("what runs and is written down nowhere, or as ended, is ended before its id is used again", async () => {
  const world = new World();
  await world.take(desired("m-1"), desired("m-2"), desired("m-3"));
  const [one, two] = [world.runtime.last("m-1"), world.runtime.last("m-2")];
  const record = world.store.records.get("m-2");
  assert.ok(record !== undefined);
  world.store.records.delete("m-1");
  world.store.records.set("m-2", { ...record, phase: "stopped", asked: true });
  await world.lose();
  await world.take(desired("m-1"), desired("m-2"), desired("m-3"));
  assert.equal(world.states, "m-2 stopped, m-3 running");
  assert.deepEqual([one.terminated, two.terminated, world.runtime.last("m-3").terminated], [1, 1, 0]);
  one.exit(0);
  two.exit(0);
  await turn();
  assert.equal(world.states, "m-1 running, m-2 running, m-3 running");
  assert.deepEqual(
    ["m-1", "m-2", "m-3"].map((id) => world.runtime.alive(id).length),
    [1, 1, 1],
  );
  const said = world.log.lines.filter(({ level }) => level === "warn");
  assert.deepEqual(
    said.map(({ fields }) => [fields["machine"], fields["path"]]),
    [
      ["m-1", null],
      ["m-2", null],
    ],
  );
});

test("an agent that ends meanwhile leaves the rest to the next one", async () => {
  const world = new World();
  await world.take(desired("m-1"));
  await world.lose("m-1");
  await turn();
  await world.machines.close();
  await world.clock.run(GRACE_MS * 2, 1_000);
  assert.equal(world.runtime.last("m-1").killed, 0);
  world.runtime.last("m-1").exit(0);
  await turn();
  assert.equal(world.store.lost.size, 1, "the next agent is told of it too");
  await world.lose();
  await world.take(desired("m-1"));
  assert.equal(world.states, "m-1 running");
});

test("where it cannot be seen what runs, the id is used again only once it can", async () => {
  const world = new World();
  await world.take(desired("m-1"));
  world.runtime.blind = new Error("EMFILE");
  await world.lose("m-1");
  await world.take(desired("m-1"));
  await world.clock.run(5_000, 1_000);
  assert.deepEqual([world.states, world.runtime.alive("m-1").length], ["", 1]);
  assert.equal(world.log.count("warn"), 1);
  world.runtime.blind = null;
  await world.clock.run(2_000, 1_000);
  assert.equal(world.runtime.last("m-1").terminated, 1);
});
