/** The real agent with machine folders in which something is not as it left them. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import type { TestContext } from "node:test";
import { eventually } from "../support/process.ts";
import { desired } from "./fakes.ts";
import { FakeControlPlane, TestAgent } from "./test-agent.ts";

const SERVE = "trap 'exit 0' TERM; sleep 300 & while :; do wait; done";
const DEAF = "trap '' TERM; while :; do sleep 1; done";

class World {
  readonly control: FakeControlPlane;
  readonly agent: TestAgent;

  private constructor(control: FakeControlPlane, agent: TestAgent) {
    this.control = control;
    this.agent = agent;
  }

  static async start(context: TestContext): Promise<World> {
    const control = new FakeControlPlane();
    await control.listen();
    const agent = new TestAgent(control.url, context, 'command = ["/bin/sh", "{image}"]\nstop_grace = "1s"');
    context.after(() => control.close());
    agent.start();
    await control.reported("its first beat", () => control.beats.length > 1);
    return new World(control, agent);
  }

  running(id: string): Promise<true> {
    return this.control.reported(`${id} running`, (machines) =>
      machines.some((machine) => machine.id === id && machine.state === "running"),
    );
  }

  /** Kills the agent, changes what it left of a machine, and starts another one. */
  async restart(id: string, change: (folder: string) => void): Promise<void> {
    await this.agent.stop("SIGKILL");
    change(join(this.agent.folder, "state/machines", id));
    const heard = this.control.beats.length;
    this.agent.start();
    await this.control.reported("beats of the next agent", () => this.control.beats.length > heard + 1);
  }

  /** The first processes of its starts. */
  pids(id: string): number[] {
    return this.agent
      .processes()
      .filter((each) => each.id === id)
      .map(({ pid }) => pid);
  }

  /** How often a machine's lost record is told of. */
  get complaints(): number {
    return this.agent.output.split("record cannot be read").length - 1;
  }
}

test(
  "a machine that makes a folder where its exit code belongs crashes no agent, and keeps none from " + "starting",
  async (context) => {
    const { control, agent } = await World.start(context);
    const image = control.image("mkdir -p ../exit; while ! test -e end; do sleep 0.05; done; exit 0");
    control.want(desired("m-1", { image, restart: "never" }), desired("m-2", { image: control.image(SERVE) }));
    await control.reported(
      "both running",
      (machines) => machines.length === 2 && machines.every(({ state }) => state === "running"),
    );
    writeFileSync(join(agent.folder, "state/machines/m-1/work/end"), "");
    await control.reported("its end", () => control.report("m-1")?.state === "stopped");
    assert.equal(control.report("m-1")?.exit_code, 0);
    // The same while no agent is there.
    control.want(desired("m-3", { image, restart: "never" }));
    await control.reported("m-3 running", (machines) =>
      machines.some(({ id, state }) => id === "m-3" && state === "running"),
    );
    await agent.stop("SIGKILL");
    writeFileSync(join(agent.folder, "state/machines/m-3/work/end"), "");
    const heard = control.beats.length;
    agent.start();
    await control.reported("its end", () => control.beats.length > heard && control.report("m-3")?.state === "failed");
    assert.match(control.report("m-3")?.reason ?? "", /^ended: nobody saw its exit code/);
  },
);

for (const [what, change] of [
  ["cut short", (folder: string) => truncateSync(join(folder, "machine.json"), 50)],
  ["removed", (folder: string) => rmSync(join(folder, "machine.json"))],
  ["a folder now", (folder: string) => (rmSync(join(folder, "machine.json")), mkdirSync(join(folder, "machine.json")))],
] as const) {
  test(
    `a wanted machine whose record is ${what} runs once: what ran has gone before it is ` + "started anew",
    async (context) => {
      const world = await World.start(context);
      const { control, agent } = world;
      const wanted = desired("m-1", { image: control.image(DEAF) });
      const other = desired("m-2", { image: control.image(SERVE) });
      control.want(wanted, other);
      await world.running("m-1");
      await world.running("m-2");
      const [before] = world.pids("m-1");
      const [beside] = world.pids("m-2");
      let most = 0;
      const watch = setInterval(() => (most = Math.max(most, world.pids("m-1").length)), 20);
      context.after(() => clearInterval(watch));
      await world.restart("m-1", change);
      await world.running("m-1");
      const after = world.pids("m-1");
      assert.equal(after.length, 1);
      assert.notEqual(after[0], before);
      assert.equal(most, 1);
      assert.deepEqual(world.pids("m-2"), [beside]);
      assert.equal(world.complaints, 1, agent.output);
      assert.match(agent.output, new RegExp(`machines/m-1/machine\\.json`));
      // The next agent finds all as it should be.
      await world.restart("m-1", () => undefined);
      await world.running("m-1");
      assert.deepEqual(world.pids("m-1"), after);
      assert.equal(world.complaints, 1);
    },
  );
}

test(
  "what runs with a lost record ends also where nobody wants it any more, and its file is kept for a " + "look",
  async (context) => {
    const world = await World.start(context);
    const { control, agent } = world;
    control.want(desired("m-1", { image: control.image(SERVE) }));
    await world.running("m-1");
    await world.restart("m-1", (folder) => {
      control.want();
      truncateSync(join(folder, "machine.json"), 50);
    });
    await control.reported("its end", () => world.pids("m-1").length === 0);
    const folder = join(agent.folder, "state/machines/m-1");
    await control.reported("the file set aside", () => existsSync(join(folder, "machine.json.broken")));
    assert.equal(readFileSync(join(folder, "machine.json.broken")).length, 50);
  },
);

test("what nothing is written down of is found by its marks and ended; another agent's goes on", async (context) => {
  const [world, beside] = [await World.start(context), await World.start(context)];
  const script = "setsid -f sleep 40031; (sleep 40031 &) & exec sleep 40031";
  for (const { control } of [world, beside]) control.want(desired("m-1", { image: control.image(script) }));
  for (const each of [world, beside]) {
    await each.running("m-1");
    // It runs before its script has come far: what it is to leave behind has to be there.
    await eventually("the machine's own processes", () => (each.agent.marked().length >= 3 ? true : undefined));
  }
  const others = beside.pids("m-1");
  assert.equal(others.length, 1);
  await world.restart("m-1", (folder) => {
    world.control.want();
    rmSync(folder, { recursive: true });
    // Its first process too: what is left has nothing but its marks.
    for (const pid of world.pids("m-1")) process.kill(pid, "SIGKILL");
  });
  const said = /a machine ran that is written down nowhere, or as ended: what ran of it was ended/;
  await world.control.reported("the end of all of it", () => said.test(world.agent.output));
  assert.deepEqual(world.agent.marked(), []);
  assert.deepEqual(beside.pids("m-1"), others);
  assert.ok(beside.agent.marked().length >= 3);
});

test(
  "a record whose handle says nothing usable, or whose start no time can tell, keeps no agent from " + "starting",
  async (context) => {
    const world = await World.start(context);
    const { control } = world;
    control.want(desired("m-1", { image: control.image(SERVE) }));
    await world.running("m-1");
    const before = world.pids("m-1");
    for (const handle of [{ pid: 1 }, "x"]) {
      await world.restart("m-1", (folder) => rewrite(folder, (launch) => ({ ...launch, handle })));
      await world.running("m-1");
      assert.deepEqual(world.pids("m-1"), before, "found by its name");
    }
    await world.restart("m-1", (folder) => rewrite(folder, (launch) => ({ ...launch, started_at: 9.007e15 })));
    await control.reported(
      "it anew",
      () =>
        control.report("m-1")?.state === "running" &&
        world.pids("m-1").length === 1 &&
        world.pids("m-1")[0] !== before[0],
    );
  },
);

function rewrite(folder: string, change: (launch: Record<string, unknown>) => Record<string, unknown>): void {
  const path = join(folder, "machine.json");
  const record = JSON.parse(readFileSync(path, "utf8")) as { readonly launch: Record<string, unknown> };
  writeFileSync(path, JSON.stringify({ ...record, launch: change(record.launch) }));
}
