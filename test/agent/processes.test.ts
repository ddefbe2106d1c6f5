/**
 * Which processes are a machine's: told from marks, sessions and descent with real processes, and by the table alone.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after } from "node:test";
import type { TestContext } from "node:test";
import { MachineCgroups, processesIn, removeCgroup } from "../../src/agent/cgroups.ts";
import type { ProcessStat } from "../../src/agent/proc.ts";
import { isAlive, ProcessTable, readStat } from "../../src/agent/proc.ts";
import type { Leader } from "../../src/agent/processes.ts";
import { MachineProcesses, markedDir, markedMachines, marksOf, withDescendants } from "../../src/agent/processes.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { eventually } from "../support/daemon.ts";
import { stayAlive } from "./fakes.ts";

const root = mkdtempSync(join(tmpdir(), "zwrm-processes-"));
after(() => rmSync(root, { recursive: true, force: true }));
stayAlive(after);

const table = new ProcessTable(systemClock);

/** Scripts whose last word is in $1: a file to which each writes the pids of what it leaves. */
const LEFT: Readonly<Record<string, string>> = {
  "a time-out": 'timeout 40011 sh -c \'echo $$ >>"$1"; exec sleep 40011\' sh "$1" &',
  "a session": 'setsid sh -c \'echo $$ >>"$1"; exec sleep 40011\' sh "$1" &',
  "a daemon": '( (setsid sh -c \'echo $$ >>"$1"; exec sleep 40011\' sh "$1" &) & )',
  "a deaf job": 'nohup sh -c \'trap "" TERM HUP; echo $$ >>"$1"; while :; do sleep 1; done\' sh "$1" >/dev/null 2>&1 &',
  "a pipeline": 'sleep 40011 | sh -c \'echo $$ >>"$1"; exec sleep 40011\' sh "$1" &',
  "a job without an environment": 'env -i sh -c \'echo $$ >>"$1"; exec sleep 40011\' sh "$1" &',
  "a forker": 'setsid sh -c \'echo $$ >>"$1"; while :; do (sleep 0.01; :) & sleep 0.003; done\' sh "$1" &',
};

interface Started {
  readonly leader: Leader;
  readonly dir: string;
  readonly left: Leader;
}

async function start(context: TestContext, name: string, script: string, then = "exec sleep 40011"): Promise<Started> {
  const dir = join(root, name.replaceAll(" ", "-"));
  mkdirSync(dir);
  const file = join(dir, "pids");
  const child = spawn("/bin/sh", ["-c", `${script}\n${then}`, "sh", file], {
    cwd: "/",
    detached: true,
    stdio: "ignore",
    env: { PATH: process.env["PATH"] ?? "", ...marksOf(dir, "l-1") },
  });
  const leader = leaderOf(child.pid ?? 0);
  const left = leaderOf(await eventually("its pid", () => Number(readIfThere(file)) || undefined));
  context.after(() => {
    for (const { pid, startTicks } of [leader, left]) if (isAlive(pid, startTicks)) process.kill(pid, "SIGKILL");
  });
  return { leader, dir, left };
}

function processesOf(dir: string, leader: Leader | null = null, cgroups: readonly string[] = []): MachineProcesses {
  return new MachineProcesses({ clock: systemClock, table, dir, leader, cgroups });
}

function leaderOf(pid: number): Leader {
  const stat = readStat(pid);
  assert.ok(stat !== null, `process ${pid}`);
  return stat;
}

function readIfThere(path: string): string {
  return statSync(path, { throwIfNoEntry: false }) === undefined ? "" : readFileSync(path, "utf8");
}

for (const [what, script] of Object.entries(LEFT)) {
  test(`${what} ends with its machine, and its neighbour's does not`, async (context) => {
    const machine = await start(context, what, script);
    const other = await start(context, `${what} beside`, script);
    await processesOf(machine.dir, machine.leader).end();
    for (const { pid, startTicks } of [machine.leader, machine.left]) assert.equal(isAlive(pid, startTicks), false);
    assert.deepEqual(await processesOf(machine.dir).look(), []);
    for (const { pid, startTicks } of [other.leader, other.left]) assert.equal(isAlive(pid, startTicks), true);
    await processesOf(other.dir, other.leader).end();
    assert.equal(isAlive(other.left.pid, other.left.startTicks), false);
  });
}

test("what its first process has left is found by its marks, and the machines that run by theirs", async (context) => {
  const { dir, leader, left } = await start(context, "m-orphan", LEFT["a daemon"] ?? "", "exit 0");
  await eventually("the end of the first", () => (isAlive(leader.pid, leader.startTicks) ? undefined : true));
  assert.deepEqual([...(await markedMachines(table, root))], ["m-orphan"]);
  assert.deepEqual([...(await markedMachines(table, join(root, "elsewhere")))], []);
  await processesOf(dir).end();
  assert.equal(isAlive(left.pid, left.startTicks), false);
  assert.deepEqual([...(await markedMachines(table, root))], []);
});

test("a number that another process has now is nobody's session", async (context) => {
  const { dir, leader, left } = await start(context, "m-reused", LEFT["a session"] ?? "");
  const stranger = spawn("sleep", ["40011"], { detached: true, stdio: "ignore" });
  context.after(() => stranger.kill("SIGKILL"));
  const { pid, startTicks } = leaderOf(stranger.pid ?? 0);
  await processesOf(dir, { pid, startTicks: startTicks - 1 }).end();
  assert.deepEqual(
    [leader, left].map((each) => isAlive(each.pid, each.startTicks)),
    [false, false],
  );
  assert.equal(isAlive(pid, startTicks), true);
});

test("what wipes its environment, its session and its parent is found by its cgroup", async (context) => {
  const dir = join(root, "m-cgroup");
  const cgroups = new MachineCgroups(root);
  const cgroup = cgroups.make("m-cgroup");
  if (cgroup === null) return context.skip("no cgroup can be made here");
  context.after(() => removeCgroup(cgroup));
  const escape = 'env -i /usr/bin/setsid -f sh -c \'echo $$ >>"$1"; exec sleep 40011\' sh "$1"';
  const script = `echo 0 >"${cgroup}/cgroup.procs" || exit 1; ${escape}`;
  const { leader, left } = await start(context, "m-cgroup", script, "exit 0");
  await eventually("the end of the first", () => (isAlive(leader.pid, leader.startTicks) ? undefined : true));
  assert.deepEqual(await processesOf(dir).look(), [], "nothing else names it");
  assert.deepEqual(processesIn(cgroup), [left.pid]);
  assert.deepEqual(cgroups.populated(), ["m-cgroup"]);
  await processesOf(dir, null, cgroups.of("m-cgroup", null, null)).end();
  assert.equal(isAlive(left.pid, left.startTicks), false);
  assert.equal(statSync(cgroup, { throwIfNoEntry: false }), undefined, "it goes with the machine");
});

test("a cgroup that an earlier agent noted is used where it is this machine's, and no other", () => {
  const cgroups = new MachineCgroups("/state/machines", "/sys/fs/cgroup/now");
  const [path = ""] = cgroups.of("m-1", null, null);
  assert.match(path, /^\/sys\/fs\/cgroup\/now\/zwrm-[0-9a-f]{12}-m-1$/);
  const noted = path.replace("/now/", "/before/");
  assert.deepEqual(cgroups.of("m-1", noted, null), [path, noted]);
  for (const other of ["/sys/fs/cgroup", "/sys/fs/cgroup/system.slice", noted.replace("m-1", "m-2"), ""])
    assert.deepEqual(cgroups.of("m-1", other, null), [path]);
  const [elsewhere = ""] = new MachineCgroups("/other/machines", "/sys/fs/cgroup/now").of("m-1", null, null);
  assert.notEqual(elsewhere, path, "two agents on one host");
});

test("marks are whole variables of this machine in this folder, or nothing", () => {
  const dir = "/state/machines/m-1";
  const marks = Object.entries(marksOf(dir, "l-1")).map(([name, value]) => `${name}=${value}`);
  const environment = (...lines: readonly string[]): string => lines.map((line) => `${line}\0`).join("");
  assert.equal(markedDir(environment("PATH=/bin", ...marks)), dir);
  assert.equal(markedDir(environment(...marks.toReversed(), "TMPDIR=/elsewhere/m-1")), dir);
  assert.equal(markedDir(environment("ZWRM_MACHINE_ID=m-1", `TMPDIR=${dir}`)), dir, "as agents before gave it");
  const [id = "", folder = ""] = marks;
  const others = [
    id,
    folder,
    `X=${marks.join(" ")}`,
    `X=\n${marks.join("\n")}\n`,
    `X${id} ${folder}`,
    "ZWRM_MACHINE_ID=\0ZWRM_MACHINE_DIR=/",
    "ZWRM_MACHINE_ID=m-2\0TMPDIR=/x/m-1",
  ];
  for (const other of [
    ...others,
    `ZWRM_MACHINE_ID=m\0${folder}`,
    `${id}0\0${folder}`,
    `ZWRM_MACHINE_ID=../machines/m-1\0${folder}`,
  ]) {
    assert.equal(markedDir(environment(other)), null, other);
  }
  assert.equal(markedDir(`${id}\0${folder}`), null, "a variable that is not closed may be cut");
  assert.equal(markedDir(""), null);
});

test("descent goes through every generation, and never up or beside", () => {
  const stat = (pid: number, parent: number): ProcessStat => ({
    pid,
    parent,
    state: "S",
    session: pid,
    startTicks: pid,
  });
  const table = [stat(2, 1), stat(9, 7), stat(3, 2), stat(7, 3), stat(4, 1), stat(5, 4), stat(8, 7)];
  assert.deepEqual(
    withDescendants(table, ({ pid }) => pid === 3).map(({ pid }) => pid),
    [3, 7, 9, 8],
  );
  assert.deepEqual(
    withDescendants(table, () => false),
    [],
  );
});
