/**
 * An exec check: a command of the deployment's, run by `runtime.check_command` as the machine itself is, in its folder
 * and with its environment. It leaves no process behind (check-processes.ts), and what a failing one wrote last is
 * told.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { Readable } from "node:stream";
import type { Clock } from "../lib/clock.ts";
import { messageOf } from "../lib/errors.ts";
import type { CheckProcesses } from "./check-processes.ts";
import type { Probe } from "./checks.ts";
import { fillInCheck } from "./exec-command.ts";
import { workFolder } from "./machine-folder.ts";
import { firstOutcome } from "./first-outcome.ts";
import { killGroup } from "./signals.ts";
import type { DesiredMachine } from "../wire/agents.ts";

export interface ExecCheckOptions {
  readonly clock: Clock;
  /** `runtime.check_command`; empty where the operator lets no deployment run commands here. */
  readonly checkCommand: readonly string[];
  readonly machinesDir: string;
  readonly path: string;
  /** Whether a machine's environment is given to processes on this host. */
  readonly passEnv: boolean;
  readonly processes: CheckProcesses;
}

type ExecProbe = Probe & { readonly type: "exec" };

/** How much of what a check wrote is held while it runs. */
const HELD_BYTES = 4096;
const LINES = 3;
const CHARACTERS = 500;
/**
 * How long the last words of a check that has ended may take to be read, where something else holds its output open.
 */
const LAST_WORDS_MS = 100;
/** Shorter values stand in many a sentence that has nothing to do with them. */
const SHORTEST_SECRET = 8;

/** Null where the command ends with 0; else why not, and in further lines what it wrote last. */
export function askExec(
  { command, timeoutMs }: ExecProbe,
  machine: DesiredMachine,
  options: ExecCheckOptions,
  signal: AbortSignal,
): Promise<string | null> {
  const { clock, checkCommand, machinesDir, processes } = options;
  if (checkCommand.length === 0) {
    return Promise.resolve("this host runs no exec checks: its [runtime] check_command is empty");
  }
  const dir = workFolder(join(machinesDir, machine.id));
  const [program = "", ...words] = fillInCheck(checkCommand, command, { id: machine.id, app_id: machine.app_id, dir });
  const run = processes.begin(machine.id);
  const env = { ...machineEnvironment(machine, dir, options), ...run.marks };
  return new Promise((resolve) => {
    const child = start(program, words, dir, env);
    if (child instanceof Error) {
      run.end();
      return resolve(messageOf(child));
    }
    const written = new Tail(HELD_BYTES);
    for (const stream of outputsOf(child)) stream.on("data", (bytes: Buffer) => written.add(bytes));
    const letGo = (): void => {
      killGroup(child.pid);
      for (const stream of outputsOf(child)) stream.destroy();
      child.unref();
      run.end();
    };
    const tell = (failure: string | null): void => {
      resolve(failure === null ? null : [failure, ...lastLines(written.text(), machine)].join("\n"));
    };
    const end = firstOutcome({ clock, timeoutMs, signal, letGo, resolve: tell });
    child.on("error", (error) => end(messageOf(error)));
    child.on("exit", (code, ended) => {
      if (code === 0) return end(null);
      const failure = `exit ${code ?? ended ?? "unknown"}`;
      // What it has left would hold its output open.
      killGroup(child.pid);
      child.on("close", () => end(failure));
      clock.after(LAST_WORDS_MS, () => end(failure));
    });
  });
}

/** As the machine's own first process has it. */
function machineEnvironment({ env }: DesiredMachine, dir: string, options: ExecCheckOptions): NodeJS.ProcessEnv {
  return { PATH: options.path, TMPDIR: dir, ...(options.passEnv ? env : {}) };
}

/** An error for what no process can be made of, such as a word with NUL in it or an environment that is too large. */
function start(program: string, words: readonly string[], cwd: string, env: NodeJS.ProcessEnv): ChildProcess | Error {
  try {
    return spawn(program, words, { cwd, env, stdio: ["ignore", "pipe", "pipe"], detached: true });
  } catch (error) {
    return error instanceof Error ? error : new Error(messageOf(error));
  }
}

/** None where the process could not be started. */
function outputsOf({ stdout, stderr }: ChildProcess): Readable[] {
  return [stdout, stderr].filter((stream) => stream instanceof Readable);
}

/** The newest bytes of what comes. */
class Tail {
  readonly #limit: number;
  #bytes: Buffer = Buffer.alloc(0);

  constructor(limit: number) {
    this.#limit = limit;
  }

  add(bytes: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, bytes.subarray(-this.#limit)]).subarray(-this.#limit);
  }

  text(): string {
    return this.#bytes.toString("utf8");
  }
}

/**
 * The last lines that say something, in characters that any terminal shows, without the machine's secrets: reasons are
 * kept in the journal.
 */
export function lastLines(text: string, { env }: Pick<DesiredMachine, "env">): string[] {
  const secrets = Object.values(env).filter((value) => value.length >= SHORTEST_SECRET);
  let shown = text;
  for (const secret of secrets.sort((a, b) => b.length - a.length)) shown = shown.replaceAll(secret, "***");
  const lines = shown
    // Colours and the like.
    .replace(/\x1b\[[0-9;?]*[ -/]*[@-~]/g, "")
    .split(/[\r\n]+/)
    .map((line) => line.replace(/[\p{C}\p{Zl}\p{Zp}]+/gu, " ").trim())
    .filter((line) => line !== "")
    .slice(-LINES);
  const kept: string[] = [];
  let left = CHARACTERS;
  for (const line of lines.reverse()) {
    if (left > 0) kept.unshift(line.slice(-left));
    left -= line.length;
  }
  return kept;
}
