/** The exec driver with real processes. */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after } from "node:test";
import { MachineCgroups } from "../../src/agent/cgroups.ts";
import { fillIn, fillInCheck, unknownPlaceholder } from "../../src/agent/exec-command.ts";
import { ExecDriver } from "../../src/agent/exec-driver.ts";
import { isAlive, ProcessTable, readStat } from "../../src/agent/proc.ts";
import { MachineProcesses } from "../../src/agent/processes.ts";
import type { RunningMachine } from "../../src/agent/runtime.ts";
import { LaunchError } from "../../src/agent/runtime.ts";
import type { DesiredMachine } from "../../src/wire/agents.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { eventually } from "../support/daemon.ts";
import { desired, stayAlive } from "./fakes.ts";

const folder = mkdtempSync(join(tmpdir(), "zwrm-exec-"));
const running: RunningMachine[] = [];
after(async () => {
  for (const machine of running) machine.kill();
  await Promise.all(running.map(({ exited }) => exited));
  rmSync(folder, { recursive: true, force: true });
});
// Behind the hook above, which waits for machines.
stayAlive(after);

const PATH = process.env["PATH"] ?? "";

function driver(command: readonly string[] = ["/bin/sh", "{image}"], passEnv = false): ExecDriver {
  return new ExecDriver({ clock: systemClock, machinesDir: folder, command, passEnv, path: PATH });
}

async function launch(
  id: string,
  script: string,
  changes: Partial<DesiredMachine> = {},
  by: ExecDriver = driver(),
): Promise<RunningMachine> {
  const imagePath = join(folder, `${id}.sh`);
  writeFileSync(imagePath, script);
  const machine = await by.launch({ machine: desired(id, changes), imagePath, launchId: `l-${id}` });
  running.push(machine);
  return machine;
}

/** What runs of a machine, in whatever group. */
async function processesOf(id: string): Promise<number[]> {
  const options = { clock: systemClock, table: new ProcessTable(systemClock), dir: join(folder, id), leader: null };
  return (await new MachineProcesses(options).look()).map(({ pid }) => pid);
}

function consoleOf(id: string): string {
  return readFileSync(join(folder, id, "console.log"), "utf8");
}

test(
  "runs the command with its placeholders and nothing of the agent's environment, and keeps what it " + "writes",
  async () => {
    process.env["ZWRM_AGENT_LICENSE_KEY"] = "secret";
    const by = driver([
      "/bin/sh",
      "-c",
      "echo {id} {app_id} {cpus} {memory_mb} >>{console}; cat {env_file}; env; pwd",
      "sh",
    ]);
    const machine = await launch("m-env", "", { cpus: 2, memory_mb: 512, env: { GREETING: "it's\ntwo lines" } }, by);
    delete process.env["ZWRM_AGENT_LICENSE_KEY"];
    assert.deepEqual(await machine.exited, { code: 0, detail: null });
    const text = consoleOf("m-env");
    assert.match(text, /^m-env app 2 512\nGREETING='it'\\''s\ntwo lines'\n/);
    assert.doesNotMatch(text, /secret|^GREETING=it/m);
    assert.match(text, /^ZWRM_MACHINE_ID=m-env$/m);
    assert.ok(text.endsWith(`${join(folder, "m-env/work")}\n`));
    assert.equal(statSync(join(folder, "m-env", "env")).mode & 0o777, 0o600);
  },
);

test("the environment's file is read back by sh as it was given", async () => {
  const value = `a'b"c $HOME \`id\` \\ \n end`;
  const machine = await launch(
    "m-sh",
    '. "$1"; printf %s "$VALUE"',
    { env: { VALUE: value } },
    driver(["/bin/sh", "{image}", "{env_file}"]),
  );
  await machine.exited;
  assert.equal(consoleOf("m-sh"), value);
});

test("a process gets the machine's environment where the operator says so", async () => {
  const machine = await launch(
    "m-pass",
    "echo $GREETING $ZWRM_MACHINE_ID",
    { env: { GREETING: "hello", ZWRM_MACHINE_ID: "another" } },
    driver(["/bin/sh", "{image}"], true),
  );
  await machine.exited;
  assert.equal(consoleOf("m-pass"), "hello m-pass\n");
});

test("an exit code is seen, and a stop asks the first process", async () => {
  const machine = await launch("m-stop", "trap 'echo bye; exit 7' TERM; sleep 60 & echo up; while :; do wait; done");
  await eventually("its start", () => (consoleOf("m-stop") === "up\n" ? true : undefined));
  machine.terminate();
  assert.deepEqual(await machine.exited, { code: 7, detail: null });
  assert.equal(consoleOf("m-stop"), "up\nbye\n");
  assert.deepEqual(await processesOf("m-stop"), []);
});

test("a first process that wants to finish its child's work can: a stop is its own to pass on", async () => {
  const child = "(trap 'echo killed; exit 1' TERM; while [ ! -e go ]; do sleep 0.02; done; echo work) &";
  const first = "trap 'touch go; wait $!; echo bye; exit 0' TERM; echo up; while :; do wait; done";
  const machine = await launch("m-child", `${child} ${first}`);
  await eventually("its start", () => (consoleOf("m-child") === "up\n" ? true : undefined));
  machine.terminate();
  assert.deepEqual(await machine.exited, { code: 0, detail: null });
  assert.equal(consoleOf("m-child"), "up\nwork\nbye\n");
});

test("a stop that comes before the command has begun is heard all the same", async () => {
  for (let times = 0; times < 5; times += 1) {
    const machine = await launch(`m-soon-${times}`, "exec sleep 60");
    machine.terminate();
    assert.deepEqual(await machine.exited, { code: 143, detail: null });
  }
});

test("what a machine leaves behind ends with it", async () => {
  const machine = await launch("m-orphan", "trap '' TERM; sleep 60 & echo $!");
  await machine.exited;
  const orphan = Number(consoleOf("m-orphan"));
  assert.ok(orphan > 1 && [undefined, "Z"].includes(readStat(orphan)?.state));
});

test("a machine that does not listen is killed with all that it started", async () => {
  const machine = await launch("m-deaf", "trap '' TERM; sleep 60 & echo up; while :; do sleep 1; done");
  await eventually("its start", () => (consoleOf("m-deaf") === "up\n" ? true : undefined));
  machine.terminate();
  machine.kill();
  assert.deepEqual(await machine.exited, { code: null, detail: null, signal: "SIGKILL" });
  assert.deepEqual(await processesOf("m-deaf"), []);
});

test("another agent adopts a machine by pid and start, and sees its exit code within a second", async () => {
  const machine = await launch(
    "m-adopt",
    "read -r line <fifo; exit 5",
    {},
    driver(["/bin/sh", "-c", "mkfifo fifo; echo up; exec /bin/sh {image}"]),
  );
  await eventually("its start", () => (consoleOf("m-adopt") === "up\n" ? true : undefined));
  const adopted = await driver().adopt({ id: "m-adopt", launchId: "l-m-adopt", handle: machine.handle, startedAt: 42 });
  assert.ok("exited" in adopted);
  assert.equal(adopted.startedAt, 42);
  writeFileSync(join(folder, "m-adopt/work/fifo"), "\n");
  await machine.exited;
  const ended = performance.now();
  assert.deepEqual(await adopted.exited, { code: 5, detail: null });
  assert.ok(performance.now() - ended < 1_000);
});

test("a machine that ended while no agent was there still says how", async () => {
  const machine = await launch("m-away", "exit 9");
  await machine.exited;
  const { mtimeMs } = statSync(join(folder, "m-away/exit"));
  const { handle } = machine;
  const found = await driver().adopt({ id: "m-away", launchId: "l-m-away", handle, startedAt: mtimeMs - 5_000 });
  assert.deepEqual(found, { code: 9, detail: null, ranMs: 5_000 });
});

test("the exit code of an earlier start is not taken for that of this one", async () => {
  const machine = await launch("m-again", "exit 9");
  await machine.exited;
  const found = await driver().adopt({ id: "m-again", launchId: "l-later", handle: machine.handle, startedAt: 0 });
  assert.ok(!("exited" in found));
  assert.equal(found.code, null);
});

test("a start that nobody wrote down is found by its name", async () => {
  const machine = await launch("m-lost", "sleep 60");
  const found = await driver().adopt({ id: "m-lost", launchId: "l-m-lost", handle: null, startedAt: 0 });
  assert.ok("exited" in found);
  assert.deepEqual(found.handle, machine.handle);
  const other = await driver().adopt({ id: "m-lost", launchId: "l-another", handle: null, startedAt: 0 });
  assert.ok(!("exited" in other));
});

test("a pid that another process has now is neither adopted nor signalled", async (context) => {
  const machine = await launch("m-reuse", "exit 3");
  await machine.exited;
  const stranger = spawn("sleep", ["60"], { detached: true });
  context.after(() => stranger.kill("SIGKILL"));
  const stat = readStat(stranger.pid ?? 0);
  assert.ok(stat !== null);
  const handle = { ...(machine.handle as object), pid: stat.pid };
  const found = await driver().adopt({ id: "m-reuse", launchId: "l-m-reuse", handle, startedAt: 0 });
  assert.ok(!("exited" in found));
  assert.ok(isAlive(stat.pid, stat.startTicks));
});

test("nothing that ran before the kernel's start is taken for alive", async () => {
  const machine = await launch("m-boot", "sleep 60");
  const handle = { ...(machine.handle as object), kernel: "00000000-0000-0000-0000-000000000000" };
  const found = await driver().adopt({ id: "m-boot", launchId: "l-m-boot", handle, startedAt: 0 });
  assert.deepEqual(found, { code: null, detail: "the host was restarted", ranMs: null });
});

/** Everything but the file that the waiter writes. */
const IN_THE_WAY: Readonly<Record<string, (path: string) => void>> = {
  folder: (path) => mkdirSync(path),
  fifo: (path) => void execFileSync("mkfifo", [path]),
  link: (path) => symlinkSync("/dev/zero", path),
  flood: (path) => writeFileSync(path, "x".repeat(1 << 20)),
};

for (const [kind, put] of Object.entries(IN_THE_WAY)) {
  test(
    `a machine that puts a ${kind} where its exit code belongs ends without one, for the agent that started ` +
      "it and for the next",
    { timeout: 10_000 },
    async () => {
      const id = `m-exit-${kind}`;
      // Killed as a whole, so that what it put there stays: the waiter would write over it.
      const machine = await launch(id, "while :; do sleep 1; done");
      put(join(folder, id, "exit"));
      machine.kill();
      assert.equal((await machine.exited).code, null);
      const found = await driver().adopt({ id, launchId: `l-${id}`, handle: machine.handle, startedAt: 0 });
      assert.ok(!("exited" in found));
      assert.equal(found.code, null);
    },
  );
}

test("the exit code of a machine whose file cannot be written is the one that its process handed over", async () => {
  for (const code of [0, 3]) {
    // A folder in its place: the waiter can put nothing there, as on a full disk.
    const machine = await launch(`m-exit-${code}`, `mkdir -p ../exit/x; exit ${code}`);
    assert.deepEqual(await machine.exited, { code, detail: null });
  }
});

test("what a machine put where its environment or its console belongs is replaced", { timeout: 10_000 }, async () => {
  for (const [id, put] of [
    ["m-env-fifo", (path: string) => execFileSync("mkfifo", [path])],
    ["m-env-folder", (path: string) => mkdirSync(path)],
  ] as const) {
    mkdirSync(join(folder, id));
    put(join(folder, id, "env"));
    const machine = await launch(id, "exit 3");
    assert.deepEqual(await machine.exited, { code: 3, detail: null });
  }
  mkdirSync(join(folder, "m-fifo"));
  execFileSync("mkfifo", [join(folder, "m-fifo", "console.log")]);
  assert.equal((await (await launch("m-fifo", "echo up")).exited).code, 0);
  assert.equal(consoleOf("m-fifo"), "up\n");
});

test("a handle that says nothing usable leads to a search by name, and to an end where nothing runs", async () => {
  const machine = await launch("m-handle", "sleep 60");
  for (const handle of [{ pid: 1 }, "x", 7, [], { ...(machine.handle as object), kernel: "another" }]) {
    const found = await driver().adopt({ id: "m-handle", launchId: "l-m-handle", handle, startedAt: 0 });
    assert.ok("exited" in found, JSON.stringify(handle));
    assert.deepEqual(found.handle, machine.handle);
    const none = await driver().adopt({ id: "m-nowhere", launchId: "l-1", handle, startedAt: 0 });
    assert.ok(!("exited" in none));
    assert.equal(none.code, null);
  }
});

test("a machine of which nothing is written down is found by its folder, and can be stopped", async () => {
  const machine = await launch("m-found", "sleep 60");
  await launch("m-found-too", "sleep 60");
  const found = await driver().search("m-found");
  assert.ok(found !== null);
  assert.deepEqual(found.handle, machine.handle);
  found.kill();
  await found.exited;
  assert.equal(await driver().search("m-found"), null);
  assert.equal(await driver().search("m-foun"), null);
});

test("a program that is not there fails for good, before anything is made", async () => {
  for (const command of [["/nowhere/vmm"], ["no-such-program-anywhere"], ["{image}"], ["/tmp"], [""], []]) {
    const refused = driver(command).launch({
      machine: desired("m-none"),
      imagePath: join(folder, "none"),
      launchId: "l",
    });
    await assert.rejects(refused, (error) => {
      assert.ok(error instanceof LaunchError && error.final && error.fault === "host");
      return /cannot be run|not set/.test(error.message);
    });
  }
  assert.equal(existsSync(join(folder, "m-none")), false);
});

test("what the kernel refuses is the host's fault, and leaves nothing behind", async () => {
  const options = { clock: systemClock, machinesDir: folder, command: ["/bin/true"], passEnv: false, path: PATH };
  const by = new ExecDriver({ ...options, shell: "/nowhere/sh" });
  await assert.rejects(by.launch({ machine: desired("m-noshell"), imagePath: "", launchId: "l" }), (error) => {
    return (
      error instanceof LaunchError && error.fault === "host" && /cannot be started on this host/.test(error.message)
    );
  });
  assert.deepEqual(await processesOf("m-noshell"), []);
  assert.deepEqual(
    new MachineCgroups(folder).of("m-noshell", null, null).filter((path) => existsSync(path)),
    [],
  );
});

test(
  "an environment that nothing would hand over is refused for good, and the sentence " + "names the setting",
  async () => {
    const withEnv = { env: { GREETING: "hello" } };
    await assert.rejects(
      launch("m-noenv", "", withEnv),
      (error) => error instanceof LaunchError && error.final && /pass_env = true in \[runtime\]/.test(error.message),
    );
    for (const by of [driver(["/bin/sh", "-c", "true {env_file}"]), driver(undefined, true)]) {
      assert.deepEqual(await (await launch("m-handed", "", withEnv, by)).exited, { code: 0, detail: null });
    }
    assert.deepEqual(
      await (
        await launch("m-none", "")
      ).exited,
      { code: 0, detail: null },
      "a machine without one misses nothing",
    );
  },
);

test(
  "the environment's file is whole sectors, so that a guest can have it as a disk, and a shell reads it " + "as it is",
  async () => {
    for (const size of [0, 1, 505, 506, 507, 5_000]) {
      const env: Record<string, string> = size === 0 ? {} : { A: "ü" + "x".repeat(size) };
      const by = driver(["/bin/sh", "-c", '. {env_file}; printf %s "$A" | wc -c; stat -c %s {env_file}', "sh"]);
      const id = `m-sectors-${size}`;
      await (
        await launch(id, "", { env }, by)
      ).exited;
      const [length, bytes] = consoleOf(id).split("\n").map(Number);
      assert.equal(length, size === 0 ? 0 : size + 2);
      assert.ok(bytes !== undefined && bytes >= 512 && bytes % 512 === 0, `${bytes}`);
    }
  },
);

test("a name that no environment can hold fails for good", async () => {
  await assert.rejects(
    launch("m-badenv", "", { env: { "a b": "c" } }, driver(undefined, true)),
    (error) => error instanceof LaunchError && error.final && error.fault === "deployment",
  );
});

test("placeholders are filled in once, and unknown ones are named", () => {
  const values = { image: "{id}", id: "m" };
  assert.deepEqual(fillIn(["{image}", "x{id}y", "{constructor}", "{}"], values), [
    "{id}",
    "xmy",
    "{constructor}",
    "{}",
  ]);
  assert.deepEqual(fillInCheck(["in", "{id}", "--", "{check}"], ["a", "{id}"], values), ["in", "m", "--", "a", "{id}"]);
  assert.equal(unknownPlaceholder(["{id}", "a{imag}b"], ["id"]), "imag");
});
