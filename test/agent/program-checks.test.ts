/**
 * Checks by the real agent, with a control plane that the test drives: what a machine's readiness and its reason say,
 * over restarts of the agent too.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import type { TestContext } from "node:test";
import { eventually } from "../support/daemon.ts";
import { desired } from "./fakes.ts";
import { FakeControlPlane, TestAgent } from "./test-agent.ts";

const SERVE = "echo up; trap 'exit 0' TERM; sleep 300 & while :; do wait; done";
const RUNTIME = 'command = ["/bin/sh", "{image}"]\ncheck_command = ["{check}"]';

async function world(context: TestContext): Promise<{ control: FakeControlPlane; agent: TestAgent }> {
  const control = new FakeControlPlane();
  await control.listen();
  const agent = new TestAgent(control.url, context, RUNTIME);
  context.after(() => control.close());
  agent.start();
  await control.reported("its first beat", () => control.beats.length > 1);
  return { control, agent };
}

function exec(script: string, more: Record<string, unknown> = {}): unknown {
  return { type: "exec", command: ["sh", "-c", script], interval_seconds: 0.2, ...more };
}

/** Pids of processes with these words as their whole command line. */
function running(words: string): number[] {
  return readdirSync("/proc").flatMap((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8") === `${words.replaceAll(" ", "\0")}\0` ? [Number(pid)] : [];
    } catch {
      return [];
    }
  });
}

test("a restart of the agent makes no ready machine unready, and what fails meanwhile is told", async (context) => {
  const { control, agent } = await world(context);
  const check = exec(`sleep 0.3; test ! -e ${agent.folder}/broken`);
  control.want(desired("m-1", { image: control.image(SERVE), check }));
  await control.reported("m-1 ready", () => control.report("m-1")?.ready === true);
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    await agent.stop(signal);
    const before = control.beats.length;
    agent.start();
    await control.reported("some beats", () => control.beats.length > before + 4);
    assert.deepEqual(new Set(control.beats.slice(before).map(({ machines }) => machines[0]?.ready)), new Set([true]));
  }
  await agent.stop();
  writeFileSync(join(agent.folder, "broken"), "");
  agent.start();
  await control.reported("m-1 unready", () => control.report("m-1")?.ready === false);
  assert.equal(control.report("m-1")?.reason, "its check fails: exit 1");
});

test(
  "what a failing check wrote is in the machine's reason and in its console, and its environment is the " + "machine's",
  async (context) => {
    const { control, agent } = await world(context);
    const check = exec("echo asking table $TABLE; echo no such table >&2; exit 3");
    control.want(desired("m-1", { image: control.image(SERVE), env: { TABLE: "people" }, check }));
    await control.reported("its failure", () => control.report("m-1")?.reason !== undefined);
    assert.equal(control.report("m-1")?.reason, "its check fails: exit 3: asking table people | no such table");
    const { stdout } = await agent.command("logs", "m-1");
    const noted = ["exit 3", "asking table people", "no such table"].map((line) => `zwrm-agent: check: ${line}\n`);
    assert.equal(stdout, `up\n${noted.join("")}`);
  },
);

test("an agent that was killed leaves a check that the next one ends, and none of another agent's", async (context) => {
  const [one, two] = [await world(context), await world(context)];
  const check = exec("setsid sleep 4321.5 & sleep 4321.5", { timeout_seconds: 60 });
  for (const { control } of [one, two]) control.want(desired("m-1", { image: control.image(SERVE), check }));
  const checks = (): number[] => running("sleep 4321.5");
  await eventually("both checks", () => (checks().length === 4 ? true : undefined));
  await one.agent.stop("SIGKILL");
  assert.equal(checks().length, 4);
  one.control.want();
  const before = one.control.beats.length;
  one.agent.start();
  await one.control.reported("the next agent", () => one.control.beats.length > before);
  await eventually("the end of its checks", () => (checks().length === 2 ? true : undefined));
  await two.agent.stop();
  await eventually("the end of all", () => (checks().length === 0 ? true : undefined));
});
