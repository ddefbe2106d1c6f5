/** Exec checks with real processes: what they are given, what is told of them, and that nothing of them is left. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after } from "node:test";
import { spawn } from "node:child_process";
import { CheckProcesses, runOf } from "../../src/agent/check-processes.ts";
import type { MarkedProcess } from "../../src/agent/check-processes.ts";
import { askExec, lastLines } from "../../src/agent/exec-check.ts";
import { noteInConsole } from "../../src/agent/console-note.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { FakeClock } from "../support/clock.ts";
import { eventually } from "../support/daemon.ts";
import { desired, FakeLog, stayAlive } from "./fakes.ts";

stayAlive(after);
const root = mkdtempSync(join(tmpdir(), "zwrm-exec-check-"));
after(() => rmSync(root, { recursive: true, force: true }));

class World {
  readonly machinesDir = mkdtempSync(join(root, "machines-"));
  readonly dir = join(this.machinesDir, "m-1");
  readonly processes = new CheckProcesses({ machinesDir: this.machinesDir, clock: systemClock, log: new FakeLog() });
  readonly machine = desired("m-1", { env: { GREETING: "hello there", ZWRM_MACHINE_ID: "another" } });
  readonly passEnv: boolean;

  constructor(passEnv = true) {
    this.passEnv = passEnv;
    mkdirSync(this.dir);
  }

  ask(script: string, timeoutMs = 10_000, signal = new AbortController().signal): Promise<string | null> {
    const { machinesDir, processes, passEnv } = this;
    const path = process.env["PATH"] ?? "";
    const options = { clock: systemClock, checkCommand: ["{check}"], machinesDir, path, passEnv, processes };
    return askExec({ type: "exec", command: ["sh", "-c", script], timeoutMs }, this.machine, options, signal);
  }

  /** The pids of what bears this folder's marks. */
  left(): number[] {
    const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
    return pids.filter((pid) => runOf(environmentOf(pid), this.machinesDir) !== null).map(Number);
  }

  async nothingIsLeft(): Promise<void> {
    await eventually("the end of all", () => (this.left().length === 0 ? true : undefined));
  }
}

function environmentOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, "utf8");
  } catch {
    return "";
  }
}

test("a check has the machine's environment and folder, and marks that the machine cannot choose", async () => {
  const world = new World();
  const marks = "$TMPDIR $ZWRM_MACHINE_ID $ZWRM_CHECK $ZWRM_MACHINE_DIR";
  const said = await world.ask(`echo "$GREETING"; pwd; echo "${marks}"; exit 1`);
  const expected = ["exit 1", "***", world.dir, `${world.dir} m-1 1 ${world.dir}`];
  assert.deepEqual(said?.split("\n"), expected, "values of env are not told");
  assert.equal(await new World(false).ask('test -z "$GREETING"'), null, "as the machine, which has none then");
});

test("the last lines of a check that fails are told, of both outputs, also where its time is over", async () => {
  const world = new World();
  assert.equal(await world.ask("for n in 1 2 3 4 5; do echo line $n; done; exit 7"), "exit 7\nline 3\nline 4\nline 5");
  assert.equal(await world.ask("echo oh no >&2; kill -9 $$"), "exit SIGKILL\noh no");
  assert.equal(await world.ask("echo connecting; sleep 60", 500), "no answer within 0.5 s\nconnecting");
  assert.equal(await world.ask("echo fine; exit 0"), null);
  const flood = await world.ask("yes 0123456789 | head -c 3000000; exit 1");
  assert.match(flood ?? "", /^exit 1\n0123456789\n0123456789\n\d+$/);
});

test("a check of which no process can be made says so, and is over", async () => {
  const world = new World();
  assert.match((await world.ask("echo \0")) ?? "", /null bytes/);
  assert.match((await world.ask(`: ${"x".repeat(200_000)}`)) ?? "", /E2BIG/);
  rmSync(world.dir, { recursive: true });
  assert.match((await world.ask("true")) ?? "", /ENOENT/);
});

test("what is told of a check is short, printable, and without the machine's secrets", () => {
  const env = { PASSWORD: "correct horse", PORT: "8080" };
  assert.deepEqual(lastLines("\x1b[31mred\x1b[0m\r\n\n  \ntab\tand\0nul\u202e\n", { env }), ["red", "tab and nul"]);
  assert.deepEqual(lastLines("a correct horse on 8080", { env }), ["a *** on 8080"]);
  const long = lastLines(`${"x".repeat(400)}\n${"y".repeat(400)}\nend`, { env });
  assert.deepEqual(
    long.map((line) => line.length),
    [97, 400, 3],
  );
  assert.deepEqual(lastLines("", { env }), []);
});

const FORKS_AWAY = "setsid sh -c \"trap '' TERM HUP; sleep 300; true\" >/dev/null 2>&1 </dev/null &";

test("nothing of a check is left at its end, also of what it forked away", async () => {
  const world = new World();
  assert.equal(await world.ask(`${FORKS_AWAY} sleep 301 & exit 0`), null);
  await world.nothingIsLeft();
  const begun = performance.now();
  const said = await world.ask(`${FORKS_AWAY} sleep 301 & echo bad; exit 1`);
  assert.equal(said, "exit 1\nbad", "what holds its output open holds up nothing");
  assert.ok(performance.now() - begun < 2_000);
  await world.nothingIsLeft();
});

test("nothing of a check is left when its time is over or it is called off", async () => {
  const world = new World();
  assert.equal(await world.ask(`${FORKS_AWAY} trap '' TERM; sleep 302`, 300), "no answer within 0.3 s");
  await world.nothingIsLeft();
  const over = new AbortController();
  const outcome = world.ask(`${FORKS_AWAY} trap '' TERM; sleep 302`, 60_000, over.signal);
  await eventually("the check", () => (world.left().length >= 3 ? true : undefined));
  over.abort();
  assert.equal(await outcome, "it was called off");
  world.processes.close();
  // No sweep comes any more; what was sent its end takes a moment to go where the machine is busy.
  await eventually("the end of what was called off", () => (world.left().length === 0 ? true : undefined));
});

test(
  "the next agent ends what a killed one has left, and nothing of another agent's or of the machine " + "itself",
  async (context) => {
    const [world, other] = [new World(), new World()];
    const start = (env: Record<string, string>) => {
      const child = spawn("sleep", ["303"], { env: { PATH: process.env["PATH"] ?? "", ...env }, stdio: "ignore" });
      context.after(() => child.kill("SIGKILL"));
      return child;
    };
    const old = world.processes.begin("m-1");
    const left = start({ ...old.marks });
    const others = start({ ...other.processes.begin("m-1").marks });
    const machine = start({ ZWRM_MACHINE_ID: "m-1", ZWRM_MACHINE_DIR: world.dir });
    await eventually("all three", () => (world.left().length === 1 && other.left().length === 1 ? true : undefined));
    new CheckProcesses({ machinesDir: world.machinesDir, clock: systemClock, log: new FakeLog() }).sweep();
    await eventually("its end", () => (left.signalCode === "SIGKILL" ? true : undefined));
    for (const each of [others, machine]) assert.deepEqual([each.exitCode, each.signalCode], [null, null]);
    assert.equal(other.left().length, 1);
  },
);

test(
  "a sweep ends what belongs to no run under way, looks at most once a second, and says once where it " + "cannot look",
  () => {
    const clock = new FakeClock();
    const log = new FakeLog();
    let found: MarkedProcess[] = [];
    let looks = 0;
    let blind = false;
    const killed: number[] = [];
    const find = (): readonly MarkedProcess[] => {
      looks += 1;
      if (blind) throw new Error("EMFILE");
      return found;
    };
    const kill = (pid: number): void => {
      killed.push(pid);
      found = found.filter((each) => each.pid !== pid);
    };
    const processes = new CheckProcesses({ machinesDir: "/m", clock, log, find, kill });
    const runs = [1, 2, 3].map((pid) => {
      const run = processes.begin("m-1");
      found.push({ pid, run: run.marks["ZWRM_CHECK_RUN"] ?? "" });
      return run;
    });
    runs[0]?.end();
    clock.advance(0);
    assert.deepEqual([killed, looks], [[1], 2]);
    runs[1]?.end();
    runs[1]?.end();
    clock.advance(900);
    assert.equal(looks, 2);
    clock.advance(200);
    assert.deepEqual(killed, [1, 2]);
    blind = true;
    for (let round = 0; round < 3; round += 1) {
      processes.begin("m-1").end();
      clock.advance(2_000);
    }
    assert.equal(log.count("warn"), 1);
    blind = false;
    processes.close();
    assert.deepEqual(killed, [1, 2, 3]);
    assert.equal(clock.armed, 0);
  },
);

test("a note in the console stands between the machine's own lines, and follows no link", () => {
  const world = new World();
  noteInConsole(world.dir, "check", ["exit 1", "no such table"]);
  noteInConsole(join(world.dir, "gone"), "check", ["exit 1"]);
  const text = readFileSync(join(world.dir, "console.log"), "utf8");
  assert.equal(text, "zwrm-agent: check: exit 1\nzwrm-agent: check: no such table\n");
});
