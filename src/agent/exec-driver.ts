/**
 * The exec driver: a machine is a command line of the operator's, in a session of its own, which outlives the agent. Nothing of it goes through
 * the agent: its output goes to a file, its exit code is written down by the small shell that waits for it, and its pid with the time of its
 * start finds it again. Which processes are a machine's, processes.ts says.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { accessSync, closeSync, constants, readSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../lib/clock.ts";
import type { TypeOf } from "../lib/schema.ts";
import { number, object, pattern } from "../lib/schema.ts";
import { environmentFile, fillIn, forShell } from "./exec-command.ts";
import type { Command, Values } from "./exec-command.ts";
import { CONSOLE_NAME, createOwn, ENV_NAME, EXIT_NAME, makeWorkFolder, openConsole, openOwn, statOwn, WORK_NAME } from "./machine-folder.ts";
import { isAlive, kernelBootId, readStat } from "./proc.ts";
import { findWaiter, MachineProcesses, markedMachines, marksOf, WAITER_NAME } from "./processes.ts";
import type { Exit, Launch, Launched, RunningMachine, Runtime } from "./runtime.ts";
import { hostFault, LaunchError } from "./runtime.ts";

/** How often a machine that is not this process's child is looked at: an exit is known within a second. */
const LOOK_MS = 250;
/** How long the start of an agent waits for the end of what a machine has left behind. */
const LEFT_BEHIND_MS = 5_000;

/** What the waiter writes down is shorter than this. */
const EXIT_BYTES = 256;

/**
 * Waits for the machine and writes down how it ended, also while no agent is there. `trap` keeps it waiting when others ask its group to stop. It has
 * no variable of its own, since the machine's are in the same place.
 */
const WAITER = `trap : TERM INT HUP
run() {
  shift 2
  "$@"
}
note() {
  set -C
  command -p rm -rf "$1/${EXIT_NAME}.new"
  printf '%s %s\\n' "$2" "$3" >"$1/${EXIT_NAME}.new" && command -p mv -f "$1/${EXIT_NAME}.new" "$1/${EXIT_NAME}"
  exit "$3"
}
run "$@"
note "$1" "$2" "$?"`;

const UNSEEN = "nobody saw its exit code; it was killed, or the host ran out of memory or disk";

const HANDLE = object({
  pid: number({ min: 2, max: 2 ** 31 }),
  start_ticks: number({ min: 0, max: Number.MAX_SAFE_INTEGER }),
  kernel: pattern(/^[0-9a-f-]{36}$/, "a kernel's boot id"),
});
type Handle = TypeOf<typeof HANDLE>;

export interface ExecOptions {
  readonly clock: Clock;
  /** Where each machine has its folder. */
  readonly machinesDir: string;
  /** `runtime.command`, with placeholders. */
  readonly command: readonly string[];
  /** Whether a machine's environment is put into its process too, not only into the file. */
  readonly passEnv: boolean;
  /** PATH, and nothing else of the agent's own environment, which may hold the licence. */
  readonly path: string;
  /** What waits for a machine's command. */
  readonly shell?: string;
}

export class ExecDriver implements Runtime {
  readonly #options: ExecOptions;
  readonly #kernel = kernelBootId();

  constructor(options: ExecOptions) {
    this.#options = options;
  }

  async launch(launch: Launch): Promise<RunningMachine> {
    const { clock, command, path, shell = "/bin/sh" } = this.#options;
    const { id } = launch.machine;
    const dir = this.#dirOf(id);
    const words = fillIn(command, this.#values(launch, dir));
    requireProgram(words[0] ?? "", path);
    const env = environmentFile(launch.machine);
    await this.#endLeftBehind(dir);
    const { work, console } = prepare(dir, env);
    try {
      const child = await start(shell, [dir, launch.launchId], work, console, forShell(words, this.#environment(launch, dir, work)));
      const startedAt = clock.wall();
      const exit = new Promise<Exit>((resolve) => child.once("exit", (code, signal) => resolve(signal === null ? { code, detail: null } : { code, detail: null, signal })));
      child.unref();
      const pid = child.pid ?? 0;
      // A process that has ended already is a zombie until Node has seen its end, so it is still there to be read.
      const startTicks = readStat(pid)?.startTicks ?? 0;
      // Where the shell itself was ended, it may have written down the code before.
      const end = exit.then((seen) => (seen.code === null ? (this.#exitOf(id, launch.launchId) ?? seen) : seen));
      return this.#running(dir, { pid, start_ticks: startTicks, kernel: this.#kernel }, startedAt, end);
    } catch (error) {
      // It may have begun all the same.
      void this.#endLeftBehind(dir).catch(() => undefined);
      throw error instanceof LaunchError ? error : hostFault("it cannot be started on this host", error);
    } finally {
      closeSync(console);
    }
  }

  async adopt({ id, launchId, handle, startedAt }: Launched): Promise<RunningMachine | Exit> {
    const dir = this.#dirOf(id);
    const known = readHandle(handle) ?? this.#find(dir, launchId);
    if (known !== null && known.kernel !== this.#kernel) return { code: null, detail: "the host was restarted", ranMs: null };
    if (known !== null && isAlive(known.pid, known.start_ticks)) {
      return this.#running(dir, known, startedAt, this.#gone(known).then(() => this.#exitOf(id, launchId) ?? { code: null, detail: UNSEEN }));
    }
    const unseen = { code: null, detail: handle === null ? "the agent ended before it was started" : UNSEEN, ranMs: null };
    const exit = this.#exitOf(id, launchId, startedAt) ?? unseen;
    // Its first process has ended; what that had started may not have.
    const ended = new MachineProcesses(this.#options.clock, dir, null).end().then(() => exit);
    const late = new Promise<null>((resolve) => void this.#options.clock.after(LEFT_BEHIND_MS, () => resolve(null)));
    return (await Promise.race([ended, late])) ?? { handle, startedAt, exited: ended, terminate: () => undefined, kill: () => undefined };
  }

  async search(id: string): Promise<RunningMachine | null> {
    const dir = this.#dirOf(id);
    const found = this.#find(dir);
    // Of which start it is does not matter: with nothing written down there is none that its exit code could be told of.
    const unseen = { code: null, detail: UNSEEN };
    if (found !== null) return this.#running(dir, found, 0, this.#gone(found).then(() => unseen));
    const left = new MachineProcesses(this.#options.clock, dir, null);
    if (left.look().length === 0) return null;
    return { handle: null, startedAt: 0, exited: left.end().then(() => unseen), terminate: () => undefined, kill: () => undefined };
  }

  async marked(): Promise<ReadonlySet<string>> {
    return markedMachines(this.#options.machinesDir);
  }

  /** A start whose pid nobody could write down, or read. Without a launch id, any start of the machine. */
  #find(dir: string, ...launchId: readonly string[]): Handle | null {
    const leader = findWaiter(dir, ...launchId);
    return leader === null ? null : { pid: leader.pid, start_ticks: leader.startTicks, kernel: this.#kernel };
  }

  /** `end` says how its first process ended; the machine has ended when all that it had started has. */
  #running(dir: string, handle: Handle, startedAt: number, end: Promise<Exit>): RunningMachine {
    const processes = new MachineProcesses(this.#options.clock, dir, { pid: handle.pid, startTicks: handle.start_ticks });
    const exited = end.then(async (exit) => {
      await processes.end();
      return exit;
    });
    return { handle, startedAt, exited, terminate: () => processes.terminate(), kill: () => void processes.end() };
  }

  /** Two starts of a machine never run side by side, also where an earlier agent knew of one process of the first only. */
  async #endLeftBehind(dir: string): Promise<void> {
    const left = new MachineProcesses(this.#options.clock, dir, null);
    if (left.look().length > 0) await left.end();
  }

  /** For a machine that is no child of this process: resolves when its first process has ended. */
  #gone({ pid, start_ticks: startTicks }: Handle): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!hasGone(pid, startTicks)) this.#options.clock.after(LOOK_MS, look);
        else resolve();
      };
      look();
    });
  }

  /**
   * What the waiter wrote down; null where that cannot be read. With the wall time of its start in milliseconds, the file also says how long it ran.
   */
  #exitOf(id: string, launchId: string, startedAt?: number): Exit | null {
    const path = join(this.#dirOf(id), EXIT_NAME);
    const [launch, code] = readBeginning(path).trim().split(" ");
    if (launch !== launchId || code === undefined || !/^\d{1,3}$/.test(code)) return null;
    const exit = { code: Number(code), detail: null };
    return startedAt === undefined ? exit : { ...exit, ranMs: Math.max(0, (statOwn(path)?.mtimeMs ?? startedAt) - startedAt) };
  }

  #values({ machine, imagePath }: Launch, dir: string): Values {
    return {
      image: imagePath,
      id: machine.id,
      app_id: machine.app_id,
      cpus: String(machine.cpus),
      memory_mb: String(machine.memory_mb),
      env_file: join(dir, ENV_NAME),
      console: join(dir, CONSOLE_NAME),
      dir: join(dir, WORK_NAME),
    };
  }

  /** What a machine's command writes as temporary goes with the machine. */
  #environment({ machine, launchId }: Launch, dir: string, work: string): Readonly<Record<string, string>> {
    return { PATH: this.#options.path, TMPDIR: work, ...(this.#options.passEnv ? machine.env : {}), ...marksOf(dir, launchId) };
  }

  #dirOf(id: string): string {
    return join(this.#options.machinesDir, id);
  }
}

/** Starts the waiter; resolves when it runs. Rejects with a LaunchError. */
async function start(shell: string, name: readonly string[], cwd: string, console: number, { words, env }: Command): Promise<ChildProcess> {
  const child = spawn(shell, ["-c", WAITER, WAITER_NAME, ...name, ...words], { cwd, env, detached: true, stdio: ["ignore", console, console] });
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", (error) => reject(hostFault("it cannot be started on this host", error)));
  });
  return child;
}

/** Makes ready its folder; gives where it works, and its open console. Throws a LaunchError. */
function prepare(dir: string, env: string): { readonly work: string; readonly console: number } {
  try {
    const work = makeWorkFolder(dir);
    rmSync(join(dir, EXIT_NAME), { recursive: true, force: true });
    const file = createOwn(join(dir, ENV_NAME));
    try {
      writeFileSync(file, env);
    } finally {
      closeSync(file);
    }
    return { work, console: openConsole(dir) };
  } catch (error) {
    throw hostFault("its folder cannot be written on this host", error);
  }
}

/** Null where it says nothing usable. */
function readHandle(value: unknown): Handle | null {
  try {
    return HANDLE(value);
  } catch {
    return null;
  }
}

/** False also where that cannot be seen. */
function hasGone(pid: number, startTicks: number): boolean {
  try {
    return !isAlive(pid, startTicks);
  } catch {
    return false;
  }
}

/** The first bytes of a file in a machine's folder; empty where there is none, or it is no plain file. */
function readBeginning(path: string): string {
  try {
    const fd = openOwn(path, constants.O_RDONLY);
    try {
      const buffer = Buffer.alloc(EXIT_BYTES);
      return buffer.toString("utf8", 0, readSync(fd, buffer));
    } finally {
      closeSync(fd);
    }
  } catch {
    return "";
  }
}

/** Throws a final LaunchError: on another host the program may be there. */
function requireProgram(name: string, path: string): void {
  const places = name.includes("/") ? [name] : path.split(":").map((folder) => join(folder, name));
  const found = places.some((place) => {
    try {
      accessSync(place, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
  if (!found) throw new LaunchError(`the command of [runtime] on this host cannot be run: ${name} is not there, or no program`, true, { fault: "host" });
}
