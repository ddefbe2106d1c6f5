/**
 * The real zwrmd under test: the built program in a folder of its own, started, watched, killed and cleaned up whatever
 * happens.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcess, ChildProcessWithoutNullStreams } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import * as http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { undocumented } from "./documented.ts";
import { request, sendRaw } from "./http.ts";
import type { Answer, RawResult, RequestOptions, Target } from "./http.ts";
import { cleanEnv, eventually, run } from "./process.ts";
import type { Exit, RunResult } from "./process.ts";

export { eventually, run };
export type { RunResult };

export const PROGRAM = fileURLToPath(new URL("../../dist/zwrmd.js", import.meta.url));
export const LICENSE_KEY = "a licence key for tests";
export const LICENSE_HASH = createHash("sha256").update(LICENSE_KEY).digest("hex");
const START_MS = 45_000;
const STOP_MS = 40_000;
/** Signals that end a test's process; without a handler nothing would be cleaned up. */
const ENDINGS = ["SIGTERM", "SIGINT", "SIGHUP"] as const;
const SETPRIV = "/usr/bin/setpriv";

/** Who cleans up: a test's context, or the file (the default). */
export interface Owner {
  after(run: () => Promise<void> | void): void;
}

export interface DaemonOptions {
  /** TOML; what it leaves out of host, port, data_dir and key_hashes is put in. */
  readonly config?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
  /** Default: `<folder>/data`. */
  readonly dataDir?: string;
  /** A program with arguments that starts the daemon in its place by exec. */
  readonly wrapper?: readonly string[];
  /** Leaves the daemon's log unread until `readLog()`. */
  readonly stallLog?: boolean;
}

/** A start that ended before the daemon listened. */
export class StartFailed extends Error {
  readonly result: RunResult;
  constructor(result: RunResult) {
    super(`zwrmd did not start: exit ${result.code ?? result.signal}\n${result.stderr}\n${result.stdout}`);
    this.result = result;
  }
}

/**
 * A start by which the kernel ends the daemon with the test's process, also after a SIGKILL of that; only where
 * util-linux is.
 */
function dieWithUs(): string[] {
  return existsSync(SETPRIV) ? [SETPRIV, "--pdeathsig", "KILL", "--"] : [];
}

function requireProgram(): void {
  if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is missing: run "npm run build" first ("npm test" does)`);
}

/** Puts defaults into a TOML text, each under its section, where the text does not set the key itself. */
export function withDefaults(
  config: string,
  defaults: Readonly<Record<string, Readonly<Record<string, string>>>>,
): string {
  const sections = new Map<string, string[]>([["", []]]);
  let current = "";
  for (const line of config.split("\n").map((each) => each.trim())) {
    current = /^\[([a-z]+)\]$/.exec(line)?.[1] ?? current;
    if (!sections.has(current)) sections.set(current, []);
    if (!line.startsWith("[")) sections.get(current)?.push(line);
  }
  for (const [section, keys] of Object.entries(defaults)) {
    const lines = sections.get(section) ?? [];
    for (const [key, value] of Object.entries(keys))
      if (!lines.some((line) => line.startsWith(`${key} `))) lines.push(`${key} = ${value}`);
    sections.set(section, lines);
  }
  return [...sections].map(([name, lines]) => `${name === "" ? "" : `[${name}]\n`}${lines.join("\n")}\n`).join("\n");
}

export class TestDaemon {
  /** The folder that holds everything of this daemon; removed at the end. */
  readonly folder: string;
  readonly dataDir: string;
  readonly configFile: string;
  readonly #owned: Readonly<DaemonOptions>;
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
  #child: ChildProcess | null = null;
  #exit: Promise<Exit> = Promise.resolve({ code: null, signal: null });
  /** Lines of the log since the last start. */
  stdoutLines: string[] = [];
  stderr = "";
  addresses: string[] = [];

  constructor(options: DaemonOptions) {
    this.#owned = options;
    this.folder = mkdtempSync(join(tmpdir(), "zwrmd-system-"));
    this.dataDir = options.dataDir ?? join(this.folder, "data");
    this.configFile = join(this.folder, "zwrmd.toml");
    this.configure(options.config ?? "");
  }

  /** Writes the config file; a running daemon sees it at SIGHUP or the next start. */
  configure(config: string): void {
    const defaults = {
      server: { host: `"127.0.0.1"`, port: "0" },
      state: { data_dir: JSON.stringify(this.dataDir) },
      license: { key_hashes: `["${LICENSE_HASH}"]` },
    };
    writeFileSync(this.configFile, withDefaults(config.replaceAll("FOLDER", this.folder), defaults), { mode: 0o640 });
  }

  async start(): Promise<void> {
    requireProgram();
    const [command = "", ...args] = [
      ...dieWithUs(),
      ...(this.#owned.wrapper ?? []),
      process.execPath,
      PROGRAM,
      "--config",
      this.configFile,
      ...(this.#owned.args ?? []),
    ];
    const child = spawn(command, args, {
      cwd: this.folder,
      env: cleanEnv(this.#owned.env),
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    this.stdoutLines = [];
    this.stderr = "";
    this.addresses = [];
    const leave = (): never => process.exit(1);
    const atExit = (): void => {
      child.kill("SIGKILL");
      rmSync(this.folder, { recursive: true, force: true });
    };
    process.once("exit", atExit);
    for (const signal of ENDINGS) process.once(signal, leave);
    this.#exit = new Promise((resolve) => {
      child.once("close", (code, signal) => {
        process.removeListener("exit", atExit);
        for (const each of ENDINGS) process.removeListener(each, leave);
        this.#child = null;
        resolve({ code, signal });
      });
    });
    child.stderr.on("data", (part: Buffer) => (this.stderr += part.toString("utf8")));
    const wanted = /^\s*socket = "/m.test(this.#owned.config ?? "") ? 2 : 1;
    const ready = this.#readLines(child.stdout, wanted);
    const outcome = await Promise.race([ready, this.#exit, sleep(START_MS, "late" as const, { ref: false })]);
    if (outcome === "ready") {
      if (this.#owned.stallLog === true) child.stdout.pause();
      return;
    }
    await this.kill9();
    const exit = outcome === "late" ? { code: null, signal: null } : outcome;
    throw new StartFailed({ ...exit, stdout: this.stdoutLines.join("\n"), stderr: this.stderr });
  }

  #readLines(stdout: ChildProcessWithoutNullStreams["stdout"], wanted: number): Promise<"ready"> {
    return new Promise((resolve) => {
      let rest = "";
      stdout.setEncoding("utf8").on("data", (part: string) => {
        const lines = (rest + part).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) {
          this.stdoutLines.push(line);
          const address =
            / INFO listening .*?address=(\S+)/.exec(line)?.[1] ??
            /"message":"listening".*"address":"([^"]+)"/.exec(line)?.[1];
          if (address !== undefined && this.addresses.push(address) === wanted) resolve("ready");
        }
      });
    });
  }

  /** Goes on with a log that was left unread. */
  readLog(): void {
    this.#child?.stdout?.resume();
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  get running(): boolean {
    return this.#child !== null;
  }

  get url(): string {
    return this.addresses.find((address) => address.startsWith("http")) ?? "http://not.running";
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  get target(): Target {
    return { port: this.port, host: new URL(this.url).hostname.replace(/^\[|\]$/g, "") };
  }

  /** A request as the localhost caller; its answer is held against the API's document. */
  async request(method: string, path: string, options: RequestOptions = {}): Promise<Answer> {
    const answer = await request(this.target, method, path, { agent: this.#agent, ...options });
    const { status, headers, body } = answer;
    const found = undocumented({ method, target: path, status, contentType: headers["content-type"], body });
    assert.deepEqual(found, [], `${method} ${path} is answered as its document says`);
    return answer;
  }

  /** A request as a host agent: with the licence. */
  asAgent(method: string, path: string, options: RequestOptions = {}): Promise<Answer> {
    return this.request(method, path, {
      ...options,
      headers: { authorization: `Bearer ${LICENSE_HASH}`, ...options.headers },
    });
  }

  /** Exact bytes. */
  raw(bytes: string | Buffer, timeoutMs?: number): Promise<RawResult> {
    return sendRaw(this.target, bytes, timeoutMs);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** How the process ended; waits for it. */
  exited(): Promise<Exit> {
    return this.#exit;
  }

  /** Asks the daemon to stop and waits for it, 40 s at most. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<Exit> {
    this.signal(signal);
    const exit = await Promise.race([this.#exit, sleep(STOP_MS, null, { ref: false })]);
    this.#agent.destroy();
    if (exit !== null) return exit;
    await this.kill9();
    throw new Error(`zwrmd did not stop within ${STOP_MS} ms of ${signal}`);
  }

  async kill9(): Promise<void> {
    this.signal("SIGKILL");
    await this.#exit;
    this.#agent.destroy();
  }

  /** Stops where it runs and starts again on the same folder. */
  async restart(): Promise<void> {
    if (this.running) await this.stop();
    await this.start();
  }

  /** The first line of the log since the start that matches; waits up to `ms` for it. */
  async line(pattern: RegExp, ms = 20_000): Promise<string> {
    return eventually(`a log line ${pattern}`, () => this.stdoutLines.find((line) => pattern.test(line)), ms);
  }

  /** `zwrmd ARGS --config FILE` beside the daemon. */
  command(...args: readonly string[]): Promise<RunResult> {
    return runProgram([...args, "--config", this.configFile]);
  }

  async close(): Promise<void> {
    if (this.running) await this.kill9();
    this.#agent.destroy();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Starts a daemon and waits until it listens; `owner` ends it. */
export async function startDaemon(options: DaemonOptions = {}, owner: Owner = { after }): Promise<TestDaemon> {
  const daemon = new TestDaemon(options);
  owner.after(() => daemon.close());
  await daemon.start();
  return daemon;
}

/** Runs `zwrmd ARGS` to its end, 30 s at most. */
export function runProgram(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<RunResult> {
  requireProgram();
  return run(process.execPath, [PROGRAM, ...args], env);
}
