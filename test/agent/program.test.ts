/** The real agent and real machines against a control plane that the test drives. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import type { TestContext } from "node:test";
import { systemClock } from "../../src/lib/clock.ts";
import { eventually } from "../support/daemon.ts";
import { desired } from "./fakes.ts";
import { FakeControlPlane, TestAgent } from "./test-agent.ts";

const SERVE = "echo up; trap 'exit 0' TERM; sleep 300 & while :; do wait; done";

/** A control plane and an agent that belongs to it. */
async function world(
  context: TestContext,
  runtime?: string,
  ...args: readonly string[]
): Promise<{ control: FakeControlPlane; agent: TestAgent }> {
  const control = new FakeControlPlane();
  await control.listen();
  const agent = new TestAgent(control.url, context, runtime);
  context.after(() => control.close());
  agent.start(...args);
  await control.reported("its first beat", () => control.beats.length > 1);
  return { control, agent };
}

function isRunning(id: string): (machines: readonly { id: string; state: string }[]) => boolean {
  return (machines) => machines.some((machine) => machine.id === id && machine.state === "running");
}

test("runs what it is told, reports an exit within a second, and stops what it is told", async (context) => {
  const { control, agent } = await world(context, 'command = ["/bin/sh", "{image}"]\ncheck_command = ["{check}"]');
  const image = control.image("while ! test -e end; do sleep 0.05; done; exit 4");
  const told = performance.now();
  control.want(
    desired("m-1", { image, restart: "never", check: { type: "exec", command: ["test", "-e", "exit.never"] } }),
    desired("m-2", { image: control.image(SERVE), check: { type: "exec", command: ["true"] } }),
  );
  await control.reported("m-2 ready", (machines) => machines.some(({ id, ready }) => id === "m-2" && ready === true));
  assert.ok(performance.now() - told < 2_000, "control arrives through the held answer, not at the next beat");
  await control.reported("m-1 running, not ready", (machines) =>
    machines.some(({ id, state, ready }) => id === "m-1" && state === "running" && ready === false),
  );
  assert.equal(agent.processes().length, 2);
  writeFileSync(join(agent.folder, "state/machines/m-1/work/end"), "");
  const ended = performance.now();
  await control.reported("the end of m-1", (machines) =>
    machines.some(({ id, state, exit_code }) => id === "m-1" && state === "failed" && exit_code === 4),
  );
  assert.ok(performance.now() - ended < 1_000);
  control.want();
  await control.reported("nothing", (machines) => machines.length === 0);
  assert.deepEqual(agent.processes(), []);
});

test("says who it is: licence, key, facts, a new boot id with each start and beats that rise", async (context) => {
  const { control, agent } = await world(context);
  const [facts] = control.registrations;
  assert.ok(
    facts !== undefined && facts.capacity.cpus >= 1 && facts.capacity.memory_mb > 100 && facts.capacity.disk_mb > 100,
  );
  assert.ok(readFileSync(agent.configFile, "utf8").startsWith(`host_id = "${facts.host_id}"\ncontrol_plane_url`));
  assert.ok((control.beats[0]?.usage?.memory_mb ?? 0) > 10);
  await agent.stop();
  const before = control.beats.length;
  agent.start();
  await control.reported("beats of the new start", () => control.beats.length > before + 1);
  assert.equal(control.registrations[1]?.host_id, facts.host_id);
  assert.equal(control.keys.size, 1);
  assert.equal(new Set(control.beats.map(({ boot_id }) => boot_id)).size, 2);
  assert.equal(control.beats[before]?.beat, 1);
  assert.ok(control.beats.slice(1, before).every(({ beat }, index) => beat > (control.beats[index]?.beat ?? 0)));
  assert.equal(statSync(join(agent.folder, "state/host.key")).mode & 0o777, 0o600);
});

test(
  "a stop of the agent takes no time and no machine; the next one adopts them, killed agents' machines " + "too",
  async (context) => {
    const { control, agent } = await world(context);
    control.want(desired("m-1", { image: control.image(SERVE) }));
    await control.reported("m-1 running", isRunning("m-1"));
    const before = agent.processes();
    const startedAt = control.report("m-1")?.started_at;
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      const asked = performance.now();
      const exit = await agent.stop(signal);
      assert.ok(performance.now() - asked < 1_500, "a held heartbeat holds up no stop");
      assert.equal(exit.code, signal === "SIGTERM" ? 0 : null, agent.output);
      assert.deepEqual(agent.processes(), before);
      const beats = control.beats.length;
      agent.start();
      await control.reported(
        "the adopted machine",
        () => control.beats.length > beats + 1 && control.report("m-1")?.state === "running",
      );
      assert.deepEqual(agent.processes(), before);
      assert.equal(control.report("m-1")?.started_at, startedAt);
    }
    assert.ok(control.beats.every((beat) => beat.machines.length <= 1));
  },
);

test("what ended while no agent was there is reported with its exit code, and follows its policy", async (context) => {
  const { control, agent } = await world(context);
  const image = control.image("while ! test -e end; do sleep 0.05; done; exit 6");
  control.want(desired("m-1", { image, restart: "never" }), desired("m-2", { image }));
  await control.reported("both running", (machines) => isRunning("m-1")(machines) && isRunning("m-2")(machines));
  await agent.stop("SIGKILL");
  for (const id of ["m-1", "m-2"]) writeFileSync(join(agent.folder, `state/machines/${id}/work/end`), "");
  await eventually("their end", () => (agent.processes().length === 0 ? true : undefined));
  agent.start();
  await control.reported(
    "both exits",
    () =>
      control.report("m-1")?.state === "failed" &&
      control.report("m-1")?.exit_code === 6 &&
      control.report("m-2")?.exit_code === 6,
  );
  assert.match(control.report("m-2")?.reason ?? "", /^exit code 6 after \d+\.\d s; restart 1 in 1 s$/);
});

test(
  "without its control plane it goes on, restarts what fails, and tells what happened " + "afterwards",
  async (context) => {
    const { control, agent } = await world(context);
    const image = control.image("echo started; while ! test -e end; do sleep 0.05; done; rm end; exit 1");
    control.want(desired("m-1", { image }), desired("m-2", { image, restart: "never" }));
    await control.reported("both running", (machines) => isRunning("m-1")(machines) && isRunning("m-2")(machines));
    const { pid: before } = agent.processes().find(({ id }) => id === "m-1") ?? { pid: 0 };
    control.close();
    for (const id of ["m-1", "m-2"]) writeFileSync(join(agent.folder, `state/machines/${id}/work/end`), "");
    const other = await eventually(
      "the restart",
      () => agent.processes().find(({ id, pid }) => id === "m-1" && pid !== before),
      30_000,
    );
    const beats = control.beats.length;
    await control.listen();
    await control.reported(
      "what happened",
      () => control.beats.length > beats && control.report("m-2")?.exit_code === 1,
    );
    assert.equal(control.report("m-1")?.state, "running");
    assert.deepEqual(agent.processes(), [other]);
  },
);

test("a wiped control plane stops nothing until an operator says so", async (context) => {
  const { control, agent } = await world(context);
  control.want(desired("m-1", { image: control.image(SERVE) }));
  await control.reported("m-1 running", isRunning("m-1"));
  const before = agent.processes();
  const nothing = await agent.command("accept-cluster");
  assert.equal(nothing.code, 1);
  assert.match(nothing.stderr, /nothing to accept/);
  control.close();
  control.cluster = "c-wiped";
  control.knows = false;
  control.want();
  await control.listen();
  await eventually("its complaint", () => (/another cluster answers/.test(agent.output) ? true : undefined), 30_000);
  const heard = control.beats.length;
  await control.reported("another beat", () => control.beats.length > heard + 1);
  assert.equal(control.beats.at(-1)?.observed_revision, undefined);
  assert.deepEqual(agent.processes(), before);
  // A restart of the agent changes nothing about whom it belongs to.
  await agent.stop();
  agent.start();
  await control.reported("beats of the next agent", () => control.beats.at(-1)?.beat === 2);
  assert.deepEqual(agent.processes(), before);
  const accepted = await agent.command("accept-cluster");
  assert.equal(accepted.code, 0);
  assert.match(accepted.stdout, /^accepted: c-wiped\. .* in place of c-1/);
  await control.reported("obedience", (machines) => machines.length === 0);
  assert.deepEqual(agent.processes(), []);
});

test("leaves only when it is told to, and then takes its machines with it", async (context) => {
  const { control, agent } = await world(context, undefined, "--deregister-on-exit");
  control.want(desired("m-1", { image: control.image(SERVE) }));
  await control.reported("m-1 running", isRunning("m-1"));
  assert.equal((await agent.stop()).code, 0, agent.output);
  assert.equal(control.deregistered.length, 1);
  assert.deepEqual(agent.processes(), []);
  // They run elsewhere now: a start that reaches nobody must not begin with them.
  assert.deepEqual(JSON.parse(readFileSync(join(agent.folder, "state/desired.json"), "utf8")), {
    cluster_id: "c-1",
    machines: [],
  });
});

test("where it cannot leave, its machines go on and it says so", async (context) => {
  const { control, agent } = await world(context, undefined, "--deregister-on-exit");
  control.want(desired("m-1", { image: control.image(SERVE) }));
  await control.reported("m-1 running", isRunning("m-1"));
  control.close();
  assert.equal((await agent.stop()).code, 1);
  assert.match(agent.output, /the host could not be deregistered/);
  assert.equal(agent.processes().length, 1);
});

test("a machine that asks for what is not there fails, and says why", async (context) => {
  const { control } = await world(context);
  control.want(desired("m-1"), desired("m-2", { image: control.image("exit 0"), env: { "a b": "c" } }));
  await control.reported(
    "both failed",
    (machines) => machines.length === 2 && machines.every(({ state }) => state === "failed"),
  );
  assert.match(control.report("m-1")?.reason ?? "", /does not have the image sha256:aaaa/);
  assert.match(control.report("m-2")?.reason ?? "", /"a b" is no name for a variable/);
});

test("an image may be the program itself", async (context) => {
  const { control, agent } = await world(context, 'command = ["{image}"]');
  control.want(desired("m-1", { image: control.image("#!/bin/sh\necho $WORD\n"), env: { WORD: "hello" } }));
  await control.reported("its end", () => control.report("m-1")?.state === "stopped");
  const logs = await agent.command("logs", "m-1");
  assert.deepEqual([logs.code, logs.stdout], [0, "hello\n"]);
});

test("logs are read beside the agent, followed, and kept when the machine has gone", async (context) => {
  const { control, agent } = await world(context);
  control.want(
    desired("m-1", { image: control.image("echo one; while ! test -e end; do sleep 0.05; done; echo two") }),
  );
  await control.reported("m-1 running", isRunning("m-1"));
  const file = join(agent.folder, "state/machines/m-1/console.log");
  await eventually("its output", () => (existsSync(file) && readFileSync(file, "utf8") === "one\n" ? true : undefined));
  assert.equal((await agent.command("logs", "m-1")).stdout, "one\n");
  const follower = new TestAgent(control.url, context);
  writeFileSync(follower.configFile, readFileSync(agent.configFile));
  follower.start("logs", "m-1", "--follow");
  await eventually("the first line", () => (follower.output === "one\n" ? true : undefined));
  writeFileSync(join(agent.folder, "state/machines/m-1/work/end"), "");
  await eventually("the second line", () => (follower.output === "one\ntwo\n" ? true : undefined));
  await follower.stop("SIGINT");
  control.want();
  await control.reported("nothing", (machines) => machines.length === 0);
  assert.equal((await agent.command("logs", "m-1")).stdout, "one\ntwo\n");
  const unknown = await agent.command("logs", "m-9");
  assert.deepEqual([unknown.code, unknown.stdout], [1, ""]);
  assert.equal((await agent.command("logs", "../../x")).code, 2);
});

test("a console is kept within its bound", async (context) => {
  const { control, agent } = await world(context, 'command = ["/bin/sh", "{image}"]\nconsole_max_mb = 1');
  control.want(desired("m-1", { image: control.image("head -c 3000000 /dev/zero | tr '\\0' x; sleep 300") }));
  const path = join(agent.folder, "state/machines/m-1");
  const size = (name: string): number => (existsSync(join(path, name)) ? statSync(join(path, name)).size : 0);
  await eventually(
    "the cut",
    () => (size("console.log.1") === 524_288 && size("console.log") === 0 ? true : undefined),
    30_000,
  );
});

test("a second agent on one state folder says who has it, and ends", async (context) => {
  const { control, agent } = await world(context);
  const second = await agent.command();
  assert.equal(second.code, 1);
  assert.match(second.stderr, new RegExp(`another zwrm-agent uses .*\\(process ${agent.pid}\\)`));
  assert.equal(control.registrations.length, 1);
});

test("the other commands do what they say, with their exit codes", async (context) => {
  const agent = new TestAgent("http://127.0.0.1:1", context);
  assert.match((await agent.command("--version")).stdout, /^zwrm-agent \d+\.\d+\.\d+\n$/);
  assert.match((await agent.command("--help")).stdout, /usage:/);
  assert.match((await agent.command("--generate-config")).stdout, /^#host_id = ""$/m);
  const checked = await agent.command("--check-config");
  assert.deepEqual([checked.code, checked.stdout], [0, `${agent.configFile}: good\n`]);
  assert.equal((await agent.command("--nonsense")).code, 2);
  writeFileSync(agent.configFile, "region = 1\n");
  chmodSync(agent.configFile, 0o600);
  const wrong = await agent.command("--check-config");
  assert.equal(wrong.code, 1);
  assert.match(wrong.stderr, /agent\.toml:1: region: /);
  assert.ok(systemClock.wall() > 0);
});

test(
  "these tests' own look at a machine's processes sees its first one alone, also " + "while that one forks",
  async (context) => {
    const agent = new TestAgent("http://127.0.0.1:1", context);
    // A subshell that never comes to its exec has the words of its parent, as every child has for a moment.
    const words = ["zwrm-machine", join(agent.folder, "state/machines/m-1"), "launch"];
    const first = spawn("/bin/sh", ["-c", "(while :; do sleep 1; done) & echo up; wait", ...words], {
      detached: true,
      stdio: ["ignore", "pipe", "ignore"],
    });
    context.after(() => process.kill(-(first.pid ?? 0), "SIGKILL"));
    await once(first.stdout, "data");
    assert.deepEqual(agent.processes(), [{ pid: first.pid, id: "m-1" }]);
  },
);
