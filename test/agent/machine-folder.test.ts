/**
 * What a machine lays where the agent's files are leads the agent nowhere; and what is the machine's own is out of
 * the agent's way.
 */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after } from "node:test";
import { readConsole, rotateConsole } from "../../src/agent/console.ts";
import { ExecDriver } from "../../src/agent/exec-driver.ts";
import { makeWorkFolder, workFolder } from "../../src/agent/machine-folder.ts";
import { DiskMachineStore } from "../../src/agent/machine-store.ts";
import { readStat } from "../../src/agent/proc.ts";
import type { RunningMachine } from "../../src/agent/runtime.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { eventually } from "../support/daemon.ts";
import { desired, FakeLog, stayAlive } from "./fakes.ts";

const root = mkdtempSync(join(tmpdir(), "zwrm-folder-"));
after(() => rmSync(root, { recursive: true, force: true }));
stayAlive(after);

const PATH = process.env["PATH"] ?? "";
const RECORD = {
  machine: desired("m-1"),
  phase: "running",
  asked: false,
  failures: 0,
  vain: undefined,
  ready: undefined,
  fault: undefined,
  reason: undefined,
  exit_code: undefined,
  launch: undefined,
} as const;

/** A folder for machines, a machine's in it, and a file of somebody else. */
function place(name: string): {
  readonly machines: string;
  readonly dir: string;
  readonly victim: string;
  readonly content: string;
} {
  const machines = join(root, name, "machines");
  mkdirSync(join(machines, "m-1"), { recursive: true });
  const [victim, content] = [join(root, name, "victim"), "x".repeat(900_000)];
  writeFileSync(victim, content, { mode: 0o600 });
  return { machines, dir: join(machines, "m-1"), victim, content };
}

async function launch(machines: string, script: string, stopped = false): Promise<RunningMachine> {
  const driver = new ExecDriver({
    clock: systemClock,
    machinesDir: machines,
    command: ["/bin/sh", "-c", script],
    passEnv: false,
    path: PATH,
  });
  const machine = await driver.launch({ machine: desired("m-1"), imagePath: "", launchId: "l-1" });
  if (!stopped) await machine.exited;
  return machine;
}

test("a link in place of the console is replaced: nothing is written, cut or shown where it leads", async () => {
  const { machines, dir, victim, content } = place("console");
  symlinkSync(victim, join(dir, "console.log"));
  let shown = "";
  const show = (bytes: Uint8Array): Promise<void> => Promise.resolve(void (shown += Buffer.from(bytes).toString()));
  await readConsole(dir, systemClock, show, () => true);
  assert.equal(shown, "");
  assert.throws(() => rotateConsole(dir, 10), /ELOOP/);
  await launch(machines, "echo mine");
  assert.equal(readFileSync(victim, "utf8"), content);
  assert.equal(lstatSync(join(dir, "console.log")).isFile(), true);
  assert.equal(readFileSync(join(dir, "console.log"), "utf8"), "mine\n");
});

test("a link in place of the console's older half, or of its copy under way, is not followed", async () => {
  const { dir, victim, content } = place("older");
  writeFileSync(join(dir, "console.log"), "y".repeat(1_000));
  symlinkSync(victim, join(dir, "console.log.1.new"));
  assert.equal(rotateConsole(dir, 100), true);
  assert.equal(readFileSync(join(dir, "console.log.1"), "utf8"), "y".repeat(50));
  rmSync(join(dir, "console.log.1"));
  symlinkSync(victim, join(dir, "console.log.1"));
  writeFileSync(join(dir, "console.log"), "z".repeat(1_000));
  assert.throws(() => rotateConsole(dir, 100), /console\.log\.1 is not a file/);
  let shown = "";
  const show = (bytes: Uint8Array): Promise<void> => Promise.resolve(void (shown += Buffer.from(bytes).toString()));
  await readConsole(dir, systemClock, show, () => true);
  assert.equal(shown, "z".repeat(1_000), "nothing is cut either");
  assert.equal(readFileSync(victim, "utf8"), content);
});

test("a link in place of a record, its copy under way, the environment or the exit code leads nowhere", async () => {
  for (const name of ["machine.json", "machine.json.new", "env", "env.new", "exit", "exit.new"]) {
    const { machines, dir, victim, content } = place(`own-${name}`);
    symlinkSync(victim, join(dir, name));
    const store = new DiskMachineStore(machines, systemClock, new FakeLog());
    if (name === "machine.json") assert.match((await store.load()).lost[0]?.reason ?? "", /not a file/);
    await store.save(RECORD);
    await launch(machines, "exit 3");
    assert.equal(readFileSync(victim, "utf8"), content, name);
    assert.match(readFileSync(join(dir, "exit"), "utf8"), /^l-1 3\n$/);
    assert.equal((await store.load()).records.length, 1);
  }
});

test("a machine that empties its folder for temporary files leaves the agent all that it knows", async () => {
  const { machines, dir } = place("emptied");
  const store = new DiskMachineStore(machines, systemClock, new FakeLog());
  await store.save(RECORD);
  await launch(machines, 'echo up; touch a .b; rm -rf "$TMPDIR"/* "$TMPDIR"/.b; ls -A . "$TMPDIR"');
  assert.deepEqual(readdirSync(dir).sort(), ["console.log", "env", "exit", "machine.json", "work"]);
  assert.match(readFileSync(join(dir, "console.log"), "utf8"), /^up\n/);
});

test("what a machine keeps in its folder is there at its next start, and goes with the machine", async () => {
  const { machines, dir } = place("kept");
  await launch(machines, "echo 1 >>disk.img");
  await launch(machines, "echo 2 >>disk.img");
  assert.equal(readFileSync(join(dir, "work/disk.img"), "utf8"), "1\n2\n");
  await new DiskMachineStore(machines, systemClock, new FakeLog()).remove("m-1");
  assert.deepEqual(readdirSync(dir), ["console.log"]);
});

test("a folder of an older agent becomes the new one at the next start, with all that the machine had there", () => {
  const { dir, victim, content } = place("layout");
  const own = ["machine.json", "machine.json.broken", "env", "exit", "console.log", "console.log.1"];
  for (const name of [...own, "disk.img", ".hidden", "exit.never"]) writeFileSync(join(dir, name), name);
  mkdirSync(join(dir, "data"));
  assert.equal(workFolder(dir), dir, "what an older agent started works there still");
  symlinkSync(victim, join(dir, "work"));
  assert.equal(workFolder(dir), dir);
  assert.equal(makeWorkFolder(dir), join(dir, "work"));
  assert.equal(workFolder(dir), join(dir, "work"));
  assert.deepEqual(readdirSync(join(dir, "work")).sort(), [".hidden", "data", "disk.img", "exit.never"]);
  assert.deepEqual(readdirSync(dir).sort(), [...own, "work"].sort());
  assert.equal(readFileSync(victim, "utf8"), content);
});

/** The shell as agents before had it, in the machine's whole folder, with its marks as they were. */
const OLDER_WAITER = `trap : TERM INT HUP
dir=$1 launch=$2
shift 2
"$@"
code=$?
printf '%s %s\\n' "$launch" "$code" >"$dir/exit.new" && command -p mv "$dir/exit.new" "$dir/exit"
exit "$code"`;

test("a machine of an older agent is adopted, and ended with all that it has started", async (context) => {
  const { machines, dir } = place("adopted");
  const script = "setsid -f sleep 40021; trap 'exit 6' TERM; echo up >up; while :; do sleep 0.05; done";
  const env = { PATH, TMPDIR: dir, ZWRM_MACHINE_ID: "m-1" };
  const child = spawn("/bin/sh", ["-c", OLDER_WAITER, "zwrm-machine", dir, "l-old", "/bin/sh", "-c", script], {
    cwd: dir,
    env,
    detached: true,
    stdio: "ignore",
  });
  const pid = child.pid ?? 0;
  context.after(() => child.kill("SIGKILL"));
  await eventually("its start", () => (existsSync(join(dir, "up")) ? true : undefined));
  const driver = new ExecDriver({
    clock: systemClock,
    machinesDir: machines,
    command: ["/bin/true"],
    passEnv: false,
    path: PATH,
  });
  assert.deepEqual([...(await driver.marked())], ["m-1"]);
  const kernel = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  for (const handle of [{ pid, start_ticks: readStat(pid)?.startTicks, kernel }, null]) {
    const found = await driver.adopt({ id: "m-1", launchId: "l-old", handle, startedAt: Date.now() });
    assert.ok("exited" in found);
    if (handle !== null) continue;
    found.terminate();
    assert.deepEqual(await found.exited, { code: 6, detail: null });
  }
  assert.deepEqual([...(await driver.marked())], []);
});

test("a fifo that a machine put in the way is not waited for", { timeout: 10_000 }, async () => {
  const { machines, dir } = place("fifo");
  for (const name of ["console.log", "env", "exit", "exit.new", "work"]) execFileSync("mkfifo", [join(dir, name)]);
  await launch(machines, "echo up; exit 0");
  assert.equal(readFileSync(join(dir, "console.log"), "utf8"), "up\n");
});
