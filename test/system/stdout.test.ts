/**
 * Every command that prints, its standard output a pipe whose reader has left, or a full disk: never a stack trace,
 * never success with output lost.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { USAGE as AGENT_USAGE } from "../../src/agent/arguments.ts";
import { COMMANDS } from "../../src/cli/commands.ts";
import { USAGE as DAEMON_USAGE } from "../../src/daemon/arguments.ts";
import type { Bench } from "../cli/every-command.ts";
import { bench, LINES } from "../cli/every-command.ts";
import { cleanEnv, run } from "../support/process.ts";
import type { RunResult } from "../support/process.ts";

const program = (name: string): string => fileURLToPath(new URL(`../../dist/${name}.js`, import.meta.url));
/**
 * In bash, before the program takes the shell's place: a pipe whose reader is known to be gone, and Linux's full disk.
 */
const READER_LEFT = 'exec 3> >(:); wait $!; exec "$@" >&3';
const FULL_DISK = 'exec "$@" >/dev/full';
/** 128 and SIGPIPE's number. */
const BY_SIGPIPE = 141;

interface Line {
  readonly name: string;
  readonly words: readonly string[];
  readonly stdin: string;
}

const folder = mkdtempSync(join(tmpdir(), "zwrm-stdout-"));
const daemonConfig = join(folder, "zwrmd.toml");
const agentConfig = join(folder, "agent.toml");
const backup = join(folder, "a.backup");
let api: Bench;

before(async () => {
  api = await bench(folder);
  writeFileSync(daemonConfig, `[server]\nhost = "127.0.0.1"\nport = 0\n[state]\ndata_dir = "${folder}/data"\n`, {
    mode: 0o600,
  });
  await makeJournal();
  assert.equal((await run(process.execPath, [program("zwrmd"), "backup", backup, "--config", daemonConfig])).code, 0);
  mkdirSync(join(folder, "agent/machines/m-1"), { recursive: true });
  writeFileSync(join(folder, "agent/machines/m-1/console.log"), "line\n".repeat(100_000));
  writeFileSync(join(folder, "agent/cluster.json"), JSON.stringify({ cluster_id: "c-1" }));
  writeFileSync(
    agentConfig,
    `control_plane_url = "http://127.0.0.1:1"\nlicense_key = "k"\nhost_id = "h-1"\nstate_dir = "${folder}/agent"\n`,
    { mode: 0o600 },
  );
});

after(async () => {
  await api.close();
  rmSync(folder, { recursive: true, force: true });
});

/** A daemon that starts and stops leaves some lines of log. */
async function makeJournal(): Promise<void> {
  const child = spawn(process.execPath, [program("zwrmd"), "--config", daemonConfig], {
    env: cleanEnv(),
    stdio: ["ignore", "pipe", "ignore"],
  });
  let log = "";
  child.stdout.on("data", (part: Buffer) => {
    log += part.toString("utf8");
    if (log.includes("listening")) child.kill("SIGTERM");
  });
  await new Promise((resolve) => child.once("close", resolve));
  assert.match(log, /listening/);
}

function into(script: string, name: string, { words, stdin }: Line): Promise<RunResult> {
  return run("bash", ["-c", script, "bash", process.execPath, program(name), ...words], { HOME: folder }, stdin);
}

/** That a full disk is complained of proves that the line prints at all. */
async function check(name: string, line: Line): Promise<void> {
  const [left, full] = [await into(READER_LEFT, name, line), await into(FULL_DISK, name, line)];
  assert.deepEqual(
    [left.code, left.stderr.includes("EPIPE")],
    [BY_SIGPIPE, false],
    `${line.name} | gone: ${left.stderr}`,
  );
  assert.equal(full.code, 1, `${line.name} >/dev/full: ${full.stderr}`);
  const complaint = full.stderr.trimEnd().split("\n").at(-1) ?? "";
  assert.match(complaint, new RegExp(`^${name}: standard output cannot be written: ENOSPC: no space left on device`));
  for (const { stderr } of [left, full]) assert.doesNotMatch(stderr, /^ {4}at /m, line.name);
}

/** Two at a time: each is a start of Node. */
async function checkAll(name: string, lines: readonly Line[]): Promise<void> {
  const queue = [...lines];
  const work = async (): Promise<void> => {
    for (let line = queue.shift(); line !== undefined; line = queue.shift()) await check(name, line);
  };
  await Promise.all([work(), work()]);
}

test("zwrm: every command of its table, and both helps", async () => {
  const lines = COMMANDS.map(({ name }) => ({ name, words: api.wordsOf(name), stdin: LINES[name]?.stdin ?? "" }));
  const alone = lines.filter(({ name }) => name.startsWith("auth log"));
  const help = ["--help", "host --help", "--version"].map((line) => ({
    name: line,
    words: line.split(" "),
    stdin: "",
  }));
  await checkAll("zwrm", [...lines.filter((line) => !alone.includes(line)), ...help]);
  // These change the kept session, which is put back before each of their runs.
  for (const line of alone) {
    for (const script of [READER_LEFT, FULL_DISK]) {
      const { code, stderr } = await into(script, "zwrm", { ...line, words: api.wordsOf(line.name) });
      assert.equal(code, script === FULL_DISK ? 1 : BY_SIGPIPE, `${line.name}: ${stderr}`);
    }
  }
});

test("zwrmd: every command of its usage but the daemon itself", async () => {
  const head =
    /^head (\S+)$/m.exec(
      (await run(process.execPath, [program("zwrmd"), "journal", "verify", "--config", daemonConfig])).stdout,
    )?.[1] ?? "";
  const lines: Readonly<Record<string, readonly string[]>> = {
    "--check-config": ["--check-config"],
    "--generate-config": ["--generate-config"],
    "--openapi": ["--openapi"],
    "journal verify": ["journal", "verify", "--head", head],
    "journal dump": ["journal", "dump"],
    "journal compact": ["journal", "compact"],
    "images verify": ["images", "verify"],
    "backup FILE": ["backup", join(folder, "b.backup")],
    "restore FILE": ["restore", backup],
    "--version": ["--version"],
    "--help": ["--help"],
  };
  const named = [...DAEMON_USAGE.matchAll(/^ {2}zwrmd ((?:[a-z]+ ?)+[A-Z]*|--[a-z-]+)/gm)].map(([, name]) =>
    (name ?? "").trim(),
  );
  assert.deepEqual(new Set(named), new Set(Object.keys(lines)));
  const { "restore FILE": restore = [], ...others } = lines;
  const withConfig = (words: readonly string[]): Line => ({
    name: words.join(" "),
    words: [...words, "--config", daemonConfig],
    stdin: "",
  });
  await checkAll("zwrmd", [...Object.values(others), ["backup", "-"]].map(withConfig));
  // A restore is done before it prints, and never done twice.
  for (const [index, script] of [READER_LEFT, FULL_DISK].entries()) {
    const words = [...restore, "--config", daemonConfig, "--data-dir", join(folder, `restored-${index}`)];
    assert.equal(
      (await into(script, "zwrmd", { name: "restore", words, stdin: "" })).code,
      script === FULL_DISK ? 1 : BY_SIGPIPE,
    );
    assert.equal((await run(process.execPath, [program("zwrmd"), "journal", "verify", ...words.slice(2)])).code, 0);
  }
});

test("zwrm-agent: every command of its usage but the agent itself", async () => {
  const named = [...AGENT_USAGE.matchAll(/^ {2}zwrm-agent ((?:[a-z-]+ ?)+[A-Z]*|--[a-z-]+)/gm)].map(([, name]) =>
    (name ?? "").trim(),
  );
  const lines: Readonly<Record<string, readonly string[]>> = {
    "logs ID": ["logs", "m-1"],
    "--check-config": ["--check-config"],
    "--generate-config": ["--generate-config"],
    "--version": ["--version"],
    "--help": ["--help"],
  };
  // That one needs a second control plane to print: it is driven by test/agent, and prints by the same road.
  assert.deepEqual(new Set(named), new Set([...Object.keys(lines), "accept-cluster"]));
  const follow = ["logs", "m-1", "--follow"];
  await checkAll(
    "zwrm-agent",
    Object.values(lines).map((words) => ({
      name: words.join(" "),
      words: [...words, "--config", agentConfig],
      stdin: "",
    })),
  );
  for (const script of [READER_LEFT, FULL_DISK]) {
    const { code } = await into(script, "zwrm-agent", {
      name: "follow",
      words: [...follow, "--config", agentConfig],
      stdin: "",
    });
    assert.equal(code, script === FULL_DISK ? 1 : BY_SIGPIPE, "a log that is followed ends with its reader");
  }
});

test("the first line reaches a reader that wants no more, and nobody is told of the rest", async () => {
  const piped = 'set -o pipefail; "$@" | head -1; exit ${PIPESTATUS[0]}';
  const { code, stdout, stderr } = await run("bash", [
    "-c",
    piped,
    "bash",
    process.execPath,
    program("zwrm-agent"),
    "logs",
    "m-1",
    "--config",
    agentConfig,
  ]);
  assert.deepEqual([code, stdout, stderr], [BY_SIGPIPE, "line\n", ""]);
});

test("a stderr that fails ends nothing, and changes no exit code", async () => {
  for (const script of ['exec "$@" 2>/dev/full', 'exec 3> >(:); wait $!; exec "$@" 2>&3']) {
    const wrong = await run("bash", ["-c", script, "bash", process.execPath, program("zwrm"), "hosst"]);
    assert.equal(wrong.code, 2);
    const { code, stdout } = await run("bash", [
      "-c",
      script,
      "bash",
      process.execPath,
      program("zwrm"),
      "-v",
      ...api.wordsOf("status"),
    ]);
    assert.equal(code, 0);
    assert.match(stdout, /^version /);
    assert.equal((await run("bash", ["-c", script, "bash", process.execPath, program("zwrmd"), "nothing"])).code, 2);
    assert.equal(
      (await run("bash", ["-c", script, "bash", process.execPath, program("zwrm-agent"), "nothing"])).code,
      2,
    );
  }
});
