/** scripts/fleet driven as a person drives it: real daemon, real agents, and after it nothing, however it ended. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { FakeControlPlane, LICENCE } from "../agent/test-agent.ts";
import { readStat } from "../../src/agent/proc.ts";
import { sha256Hex } from "../../src/lib/ids.ts";
import { eventually, run } from "../support/daemon.ts";
import { cleanEnv } from "../support/process.ts";
import type { Exit, RunResult } from "../support/process.ts";

const FLEET = fileURLToPath(new URL("../../scripts/fleet", import.meta.url));
const ONLINE = / hosts, all online after /;

/** A folder for everything that the fleets of one test make, and what runs out of it. */
class Place {
  readonly folder = realpathSync(mkdtempSync(join(tmpdir(), "zwrm-fleet-test-")));
  readonly dir = join(this.folder, "box");

  constructor(context: TestContext) {
    context.after(() => {
      for (const pid of this.processes()) process.kill(pid, "SIGKILL");
      rmSync(this.folder, { recursive: true, force: true });
    });
  }

  run(...words: readonly string[]): Promise<RunResult> {
    return run(FLEET, words, { TMPDIR: this.folder });
  }

  /** Beside the test, in a process group of its own as a terminal would make it. */
  start(...words: readonly string[]): Running {
    return new Running(
      spawn(FLEET, words, {
        env: cleanEnv({ TMPDIR: this.folder }),
        detached: true,
        stdio: ["ignore", "pipe", "pipe"],
      }),
    );
  }

  /** Whatever says this folder anywhere: in its environment, its words, its working folder. */
  processes(): number[] {
    const says = (pid: string): boolean =>
      ["environ", "cmdline"].some((file) =>
        read(() => readFileSync(`/proc/${pid}/${file}`, "utf8")).includes(this.folder),
      );
    const isThere = (pid: string): boolean => read(() => readlinkSync(`/proc/${pid}/cwd`)).startsWith(this.folder);
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name) && (says(name) || isThere(name)))
      .map(Number);
  }

  /** Those of its hosts' machines. */
  #cgroups(): string[] {
    const folders = Array.from({ length: 9 }, (_, at) => join(this.dir, `h-${at + 1}`, "state/machines"));
    const names = folders.map((folder) => `zwrm-${sha256Hex(folder).slice(0, 12)}-`);
    const mounts = readFileSync("/proc/mounts", "utf8")
      .split("\n")
      .map((line) => line.split(" "));
    const paths = mounts.filter(([, , type]) => type === "cgroup2").map(([, path = ""]) => path);
    const all = paths.flatMap((path) => readdirSync(path, { recursive: true, encoding: "utf8" }));
    return all.filter((path) => names.some((name) => path.includes(name)));
  }

  assertEmpty(): void {
    assert.deepEqual(this.processes(), []);
    assert.deepEqual(this.#cgroups(), []);
    assert.deepEqual(readdirSync(this.folder), []);
  }

  pid(name: string): number {
    return Number(readFileSync(join(this.dir, name, "pid"), "utf8"));
  }

  url(): string {
    return /address=(http\S+)/.exec(readFileSync(join(this.dir, "zwrmd/log"), "utf8"))?.[1] ?? "";
  }
}

class Running {
  readonly #child: ChildProcess;
  #exit: Exit | undefined;
  output = "";

  constructor(child: ChildProcess) {
    this.#child = child;
    for (const stream of [child.stdout, child.stderr])
      stream?.on("data", (part: Buffer) => (this.output += part.toString("utf8")));
    child.once("close", (code, signal) => (this.#exit = { code, signal }));
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  said(pattern: RegExp): Promise<true> {
    return eventually(`${pattern} in: ${this.output}`, () => (pattern.test(this.output) ? true : undefined), 30_000);
  }

  /** How it ended; every end is bounded. */
  ended(): Promise<Exit> {
    return eventually(`the end of: ${this.output}`, () => this.#exit, 30_000);
  }

  /** What a terminal does. */
  interrupt(): void {
    process.kill(-this.pid, "SIGINT");
  }
}

function read(get: () => string): string {
  try {
    return get();
  } catch {
    return "";
  }
}

function wordsOf(pid: number): string {
  return read(() => readFileSync(`/proc/${pid}/cmdline`, "utf8"));
}

function isAlive(pid: number): boolean {
  return /^State:\t[^ZX]/m.test(read(() => readFileSync(`/proc/${pid}/status`, "utf8")));
}

/**
 * One more host of the fleet, h-9, whose control plane is the test, and whose machines therefore run. Gives their first
 * processes.
 */
async function runMachines(place: Place, context: TestContext, script: string, count: number): Promise<number[]> {
  const plane = new FakeControlPlane();
  await plane.listen();
  context.after(() => plane.close());
  const image = plane.image(script);
  plane.want(
    ...Array.from({ length: count }, (_, at) => ({
      id: `m-${at}`,
      app_id: "app",
      image,
      cpus: 1,
      memory_mb: 64,
      env: {},
      check: undefined,
      starts: undefined,
      restart: "always" as const,
      desired_state: "running" as const,
    })),
  );
  const config = readFileSync(join(place.dir, "h-1/config.toml"), "utf8")
    .replaceAll("h-1", "h-9")
    .replace(/(?<=^control_plane_url = ).*/m, `"${plane.url}"`)
    .replace(/(?<=^license_key = ).*/m, `"${LICENCE}"`);
  mkdirSync(join(place.dir, "h-9"));
  writeFileSync(join(place.dir, "h-9/config.toml"), config, { mode: 0o600 });
  const started = await place.run("start", "h-9", "--dir", place.dir);
  assert.equal(started.code, 0, started.stderr);
  await plane.reported(
    "its machines",
    (machines) => machines.length === count && machines.every(({ state }) => state === "running"),
  );
  // Between a fork and its exec what a first process begins has the same words, but leads no session.
  const isWaiter = (pid: number): boolean => wordsOf(pid).includes("\0zwrm-machine\0");
  return place.processes().filter((pid) => isWaiter(pid) && readStat(pid)?.session === pid);
}

test("three hosts come online, the command's exit code comes through, and nothing is left", async (context) => {
  const place = new Place(context);
  const regions = ["--region", "fra", "--region", "ber"];
  const command = 'zwrm host list; sleep 600 & echo "$ZWRM_API_URL $FLEET_DIR"; umask; exit 7';
  const result = await place.run("3", "--port", "0", "--cpus", "8", ...regions, "--", "sh", "-c", command);
  assert.equal(result.code, 7, result.stderr);
  for (const row of [/^h-1 +active +fra .*0\/8/m, /^h-2 +active +ber /m, /^h-3 +active +fra /m])
    assert.match(result.stdout, row);
  assert.match(result.stdout, /^http:\/\/127\.0\.0\.1:\d+ .*\/zwrm-fleet\.\w+\n0022$/m);
  place.assertEmpty();
});

test("a port in use is refused, with the daemon's own words, and nothing is left", async (context) => {
  const place = new Place(context);
  const server = createServer().listen(0, "127.0.0.1");
  context.after(() => void server.close());
  await new Promise((resolve) => server.once("listening", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const result = await place.run("1", "--port", String(port), "--", "true");
  assert.equal(result.code, 1, result.stdout);
  assert.match(
    result.stderr,
    new RegExp(`zwrmd did not start; its log ends:\\n[^]*127.0.0.1:${port}: another program listens there`),
  );
  place.assertEmpty();
});

test("a host that does not start ends them all, with its log's last lines", async (context) => {
  const place = new Place(context);
  assert.equal((await place.run("2", "--port", "0", "--dir", place.dir, "--keep", "--", "true")).code, 0);
  assert.ok(existsSync(join(place.dir, "zwrmd/data/journal")));
  assert.deepEqual(place.processes(), []);
  rmSync(join(place.dir, "h-2/state"), { recursive: true });
  writeFileSync(join(place.dir, "h-2/state"), "");
  const result = await place.run("2", "--port", "0", "--dir", place.dir, "--", "true");
  assert.equal(result.code, 1, result.stdout);
  assert.match(result.stderr, /h-2 did not start; its log ends:\n +zwrm-agent: .*EEXIST|ENOTDIR/);
  place.assertEmpty();
});

test("an earlier fleet's folder is gone on with, a stranger's is not touched", async (context) => {
  const place = new Place(context);
  await place.run("2", "--port", "0", "--dir", place.dir, "--keep", "--", "sh", "-c", "zwrm host drain h-2");
  const again = await place.run("2", "--port", "0", "--dir", place.dir, "--", "zwrm", "host", "list");
  assert.match(again.stdout, /^h-2 +maintenance /m);
  place.assertEmpty();
  mkdirSync(join(place.dir, "zwrmd"), { recursive: true });
  assert.equal((await place.run("1", "--dir", place.dir)).code, 1);
  assert.ok(existsSync(join(place.dir, "zwrmd")));
});

test("Ctrl-C ends it at any moment of the start and after it, and nothing is left", async (context) => {
  const place = new Place(context);
  const moments = [/^/, /^/, ONLINE];
  for (const [at, moment] of moments.entries()) {
    const fleet = place.start("3", "--port", "0", "--dir", place.dir);
    await eventually("a part of it", () => (at === 0 || place.processes().length > at ? true : undefined), 20_000);
    await fleet.said(moment);
    fleet.interrupt();
    const { code, signal } = await fleet.ended();
    assert.ok(
      moment === ONLINE ? code === 0 : code === 130 || signal === "SIGINT" || code === 0,
      `${code} ${signal} ${fleet.output}`,
    );
    place.assertEmpty();
  }
});

test("Ctrl-C goes to the command, and the command's end is the fleet's", async (context) => {
  const place = new Place(context);
  for (const [script, code] of [
    ["echo here; exec sleep 600", 130],
    [
      `exec ${process.execPath} -e 'process.on("SIGINT", () => process.exit(3)); setTimeout(() => 0, ` +
        `600000); console.log("here")'`,
      3,
    ],
  ] as const) {
    const fleet = place.start("1", "--port", "0", "--", "sh", "-c", script);
    await fleet.said(/^here$/m);
    fleet.interrupt();
    assert.equal((await fleet.ended()).code, code, fleet.output);
    place.assertEmpty();
  }
});

test("what a killed fleet left behind, the next one ends and removes", async (context) => {
  const place = new Place(context);
  const killed = place.start("2", "--port", "0", "--dir", place.dir, "--", "sleep", "600");
  await killed.said(ONLINE);
  const left = [
    ...(await runMachines(place, context, "sleep 600", 1)),
    place.pid("h-1"),
    place.pid("h-2"),
    place.pid("zwrmd"),
  ];
  process.kill(killed.pid, "SIGKILL");
  await eventually("its end", () => (isAlive(killed.pid) ? undefined : true));
  // The agent's machine, too, now that there is nobody who would start it again.
  process.kill(place.pid("h-9"), "SIGKILL");
  assert.deepEqual(left.map(isAlive), [true, true, true, true]);
  const next = await place.run("1", "--port", "0", "--", "true");
  assert.equal(next.code, 0, next.stderr);
  assert.match(next.stdout, new RegExp(`cleaning up ${place.dir}: its keeper was killed`));
  assert.deepEqual(left.map(isAlive), [false, false, false, false]);
  place.assertEmpty();
});

test("a running fleet is left alone by others, and its folder is refused", async (context) => {
  const place = new Place(context);
  const first = place.start("1", "--port", "0", "--dir", place.dir);
  await first.said(ONLINE);
  assert.equal((await place.run("1", "--port", "0", "--", "true")).code, 0);
  const second = await place.run("1", "--port", "0", "--dir", place.dir, "--", "true");
  assert.equal(second.code, 1);
  assert.match(second.stderr, /a fleet runs in .*box/);
  assert.ok(isAlive(place.pid("h-1")) && isAlive(place.pid("zwrmd")));
  process.kill(first.pid, "SIGTERM");
  assert.equal((await first.ended()).code, 0);
  place.assertEmpty();
});

test("machines end with it, also those that do not want to, and those of a stopped agent", async (context) => {
  const place = new Place(context);
  const fleet = place.start("2", "--port", "0", "--dir", place.dir);
  await fleet.said(ONLINE);
  // One child leaves its session and its environment behind, as a daemon would.
  const left = await runMachines(
    place,
    context,
    "trap '' TERM; env -i setsid sleep 600 & while :; do sleep 1; done",
    3,
  );
  assert.equal(left.length, 3);
  process.kill(place.pid("h-2"), "SIGSTOP");
  fleet.interrupt();
  assert.equal((await fleet.ended()).code, 0, fleet.output);
  place.assertEmpty();
});

test("nothing that a machine has started outlives the fleet, after its agent was killed too", async (context) => {
  const place = new Place(context);
  const fleet = place.start("1", "--port", "0", "--dir", place.dir);
  await fleet.said(ONLINE);
  const daemon = "( (nohup sleep 40051 >/dev/null 2>&1 &) & )";
  const script = `timeout 40051 sleep 40051 & setsid -f sleep 40051; ${daemon}; cat | sh -c 'sleep 40051; :' & wait`;
  await runMachines(place, context, script, 2);
  const left = (): number => place.processes().filter((pid) => wordsOf(pid).includes("\x0040051\0")).length;
  await eventually("all of it", () => (left() === 2 * 5 ? true : undefined));
  process.kill(place.pid("h-9"), "SIGKILL");
  fleet.interrupt();
  assert.equal((await fleet.ended()).code, 0, fleet.output);
  assert.equal(left(), 0);
  place.assertEmpty();
});

test("a host is killed with its machines and started again; the daemon too", async (context) => {
  const place = new Place(context);
  const fleet = place.start("2", "--port", "0", "--dir", place.dir);
  await fleet.said(ONLINE);
  const left = [...(await runMachines(place, context, "sleep 600", 2)), place.pid("h-9")];
  const [others, url] = [[place.pid("h-1"), place.pid("h-2")], place.url()];
  const says = async (code: number, ...words: readonly string[]): Promise<void> =>
    assert.equal((await place.run(...words, "--dir", place.dir)).code, code, words.join(" "));
  await says(1, "start", "h-9");
  await says(0, "kill", "h-9");
  assert.deepEqual(left.map(isAlive), [false, false, false]);
  await says(1, "kill", "h-9");
  await says(0, "kill", "zwrmd");
  await says(0, "start", "zwrmd");
  assert.equal(place.url(), url);
  await says(0, "start", "h-9");
  assert.ok([...others, place.pid("h-9"), place.pid("zwrmd")].every(isAlive));
  await says(1, "start", "h-3");
  fleet.interrupt();
  assert.equal((await fleet.ended()).code, 0, fleet.output);
  place.assertEmpty();
});

test("it ends when its time is over, and its command with it", async (context) => {
  const place = new Place(context);
  const result = await place.run("1", "--port", "0", "--for", "2s", "--", "sh", "-c", "trap '' TERM; sleep 600");
  assert.equal(result.code, 124, result.stderr);
  assert.equal((await place.run("1", "--port", "0", "--for", "2s")).code, 0);
  place.assertEmpty();
});

test("wrong words are 2 and start nothing", async (context) => {
  const place = new Place(context);
  const wrong = [
    [],
    ["0"],
    ["201"],
    ["x"],
    ["1", "2"],
    ["1", "--port", "65536"],
    ["1", "--for", "12"],
    ["1", "--prot", "1"],
    ["1", "--"],
    ["1", "--region", 'a"b'],
    ["kill"],
    ["kill", "../x"],
  ];
  for (const words of wrong) assert.equal((await place.run(...words)).code, 2, words.join(" "));
  assert.equal((await place.run("--help")).code, 0);
  place.assertEmpty();
});
