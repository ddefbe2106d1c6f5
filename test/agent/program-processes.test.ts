/**
 * The real agent and images that start processes in every way there is: nothing of a machine outlives it, whatever
 * becomes of the agent meanwhile.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import type { TestContext } from "node:test";
import { newId } from "../../src/lib/ids.ts";
import { eventually } from "../support/daemon.ts";
import { random } from "../support/random.ts";
import { desired } from "./fakes.ts";
import { FakeControlPlane, TestAgent } from "./test-agent.ts";

/** How often the agent is killed while its machines come and go. */
const KILLS = Number(process.env["ZWRM_TEST_AGENT_KILLS"] ?? "6");
const SEED = Number(process.env["ZWRM_SEED"] ?? "20261128");
/** A kill comes so many milliseconds after the list has changed, at most. */
const WITHIN_MS = 700;

const KINDS: Readonly<Record<string, string>> = {
  timeout: "timeout 40001 sleep 40001",
  setsid: "setsid -f sleep 40002; setsid sleep 40002 & sleep 40002",
  "a double fork": "( (setsid sh -c 'sleep 40003 & sleep 40003' &) & ); ( (sleep 40003 &) & ); sleep 40003",
  nohup: "nohup sleep 40004 >/dev/null 2>&1 & nohup sh -c 'sleep 40004; :' >/dev/null 2>&1 & wait",
  "a pipeline": "sleep 40005 | cat | sh -c 'sleep 40005; :'",
  "no ear for SIGTERM":
    "trap '' TERM; setsid sh -c 'trap \"\" TERM; while :; do sleep 1; done' & while :; do sleep 1; done",
};

async function world(context: TestContext): Promise<{ control: FakeControlPlane; agent: TestAgent }> {
  const control = new FakeControlPlane();
  await control.listen();
  const agent = new TestAgent(control.url, context, 'command = ["/bin/sh", "{image}"]\nstop_grace = "500ms"');
  context.after(() => control.close());
  agent.start();
  await control.reported("its first beat", () => control.beats.length > 1);
  return { control, agent };
}

/**
 * Everything that was begun as one of these machines, in whatever group and session it is now: it has inherited their
 * names.
 */
function runningOf(ids: readonly string[]): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const names = readFileSync(join("/proc", pid, "environ"), "utf8").split("\0");
        const state = /^State:\t([A-Z])/m.exec(readFileSync(join("/proc", pid, "status"), "utf8"))?.[1];
        if (state === "Z" || state === "X" || !ids.some((id) => names.includes(`ZWRM_MACHINE_ID=${id}`))) return [];
        return [
          `${pid} ${readFileSync(join("/proc", pid, "cmdline"), "utf8")
            .replaceAll("\0", " ")
            .trim()}`,
        ];
      } catch {
        return [];
      }
    });
}

for (const [kind, script] of Object.entries(KINDS)) {
  test(`nothing of a machine that uses ${kind} runs any more when it is called stopped`, async (context) => {
    const { control } = await world(context);
    const id = newId("m");
    const wanted = desired(id, { image: control.image(script) });
    control.want(wanted);
    await control.reported("it running", (machines) => machines.some(({ state }) => state === "running"));
    await eventually("its processes", () => (runningOf([id]).length >= 3 ? true : undefined));
    control.want({ ...wanted, desired_state: "stopped" });
    await control.reported("its stop", (machines) => machines.some(({ state }) => state === "stopped"));
    assert.deepEqual(runningOf([id]), []);
  });
}

test("a machine that fails again and again leaves none behind", async (context) => {
  const { control } = await world(context);
  const id = newId("m");
  control.want(
    desired(id, { image: control.image("timeout 40007 sleep 40007 & setsid -f sleep 40007; sleep 0.2; exit 1") }),
  );
  await control.reported("its second restart", (machines) =>
    machines.some(({ reason }) => reason?.includes("restart 2") === true),
  );
  assert.deepEqual(runningOf([id]), []);
});

test(
  "an agent that is killed at any moment loses no machine and leaves none",
  { timeout: 600_000 },
  async (context) => {
    const { control, agent } = await world(context);
    const ids: string[] = [];
    const next = random(SEED);
    const images = Object.values(KINDS).map((script) => control.image(script));
    for (let kill = 1; kill <= KILLS; kill += 1) {
      // Some are new, some go on, some end: whatever the agent is about when it dies.
      const list = Array.from({ length: 4 }, (_, at) => {
        const [image, index] = [images[(kill + at) % images.length] ?? "", 2 * kill + at];
        return desired((ids[index] ??= newId("m")), { image, restart: "always" });
      });
      control.want(...list);
      const moment = next(WITHIN_MS);
      await new Promise((resolve) => setTimeout(resolve, moment));
      await agent.stop("SIGKILL");
      const heard = control.beats.length;
      agent.start();
      await control.reported("the next agent", () => control.beats.length > heard + 1);
      const wanted = list.map(({ id }) => id).sort();
      await control.reported("what is wanted and nothing else", (machines) => {
        const running = machines.filter(({ state }) => state === "running").map(({ id }) => id);
        return machines.length === running.length && running.sort().join() === wanted.join();
      });
      assert.deepEqual(runningOf(ids.filter((id) => !wanted.includes(id))), [], `after kill ${kill}`);
      assert.deepEqual(
        agent
          .processes()
          .map(({ id }) => id)
          .sort(),
        wanted,
        "one of each",
      );
    }
    control.want();
    await control.reported("nothing", (machines) => machines.length === 0);
    assert.deepEqual(runningOf(ids), []);
  },
);
