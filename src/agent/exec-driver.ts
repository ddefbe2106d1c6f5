/**
 * The exec driver: a machine is a command line of the operator's, in a session of its own, which outlives the agent.
 * Nothing of it goes through the agent: its output goes to a file, its exit code is written down by the shell that
 * waits for it (waiter.ts), and its pid with the time of its start finds it again. Which processes are a machine's,
 * processes.ts says.
 */
import { accessSync, closeSync, constants, existsSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../lib/clock.ts";
import type { TypeOf } from "../wire/schema.ts";
import { object, optional } from "../wire/compound.ts";
import { number, pattern, string } from "../wire/schema.ts";
import { MachineCgroups, removeCgroup } from "./cgroups.ts";
import { environmentFile, fillIn, forShell, requireHandover } from "./exec-command.ts";
import type { Values } from "./exec-command.ts";
import {
  CONSOLE_NAME,
  createOwn,
  ENV_NAME,
  EXIT_NAME,
  makeWorkFolder,
  openConsole,
  WORK_NAME,
} from "./machine-folder.ts";
import { isAlive, kernelBootId, ProcessTable, readStat } from "./proc.ts";
import type { Leader } from "./processes.ts";
import { findWaiter, MachineProcesses, markedMachines, marksOf } from "./processes.ts";
import type { Exit, Launch, Launched, RunningMachine, Runtime } from "./runtime.ts";
import { hostFault, LaunchError } from "./runtime.ts";
import { exitOf, readExit, startWaiter } from "./waiter.ts";

/** How often a machine that is not this process's child is looked at: an exit is known within a second. */
const LOOK_MS = 250;
/** How long the start of an agent waits for the end of what a machine has left behind. */
const LEFT_BEHIND_MS = 5_000;

const UNSEEN = "nobody saw its exit code; it was killed, or the host ran out of memory or disk";

const HANDLE = object({
  pid: number({ min: 2, max: 2 ** 31 }),
  start_ticks: number({ min: 0, max: Number.MAX_SAFE_INTEGER }),
  kernel: pattern(/^[0-9a-f-]{36}$/, "a kernel's boot id"),
  /** Absent where the machine has none, and in records of older agents. */
  cgroup: optional(string({ min: 1, max: 4_096 })),
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
  readonly #cgroups: MachineCgroups;
  readonly #table: ProcessTable;
  /** Of which something may run that this agent has not started; null while that is not known. */
  #left: Set<string> | null = null;
  readonly #kernel = kernelBootId();

  constructor(options: ExecOptions) {
    this.#options = options;
    this.#cgroups = new MachineCgroups(options.machinesDir);
    this.#table = new ProcessTable(options.clock);
  }

  async launch(launch: Launch): Promise<RunningMachine> {
    const { clock, command, path, passEnv, shell = "/bin/sh" } = this.#options;
    const { machine, launchId } = launch;
    const dir = this.#dirOf(machine.id);
    requireHandover(machine, command, passEnv);
    const words = fillIn(command, this.#values(launch, dir));
    requireProgram(words[0] ?? "", path);
    const env = environmentFile(machine);
    if (this.#left?.has(machine.id) !== false) await this.#endLeftBehind(machine.id);
    const { work, console } = prepare(dir, env);
    const cgroup = this.#cgroups.make(machine.id);
    try {
      const filled = forShell(words, this.#environment(launch, dir, work));
      const child = await startWaiter({ shell, dir, launchId, cgroup, work, console, command: filled });
      const startedAt = clock.wall();
      // Where the shell itself was ended, it may have written down the code before.
      const end = exitOf(child).then((seen) => (seen.code === null ? (readExit(dir, launchId) ?? seen) : seen));
      child.unref();
      const pid = child.pid ?? 0;
      // A process that has ended already is a zombie until Node has seen its end, so it is still there to be read.
      const startTicks = readStat(pid)?.startTicks ?? 0;
      const handle = { pid, start_ticks: startTicks, kernel: this.#kernel, cgroup: cgroup ?? undefined };
      return this.#running(machine.id, handle, startedAt, end);
    } catch (error) {
      // It may have begun all the same.
      await this.#endLeftBehind(machine.id).catch(() => undefined);
      if (cgroup !== null) removeCgroup(cgroup);
      throw error instanceof LaunchError ? error : hostFault("it cannot be started on this host", error);
    } finally {
      closeSync(console);
    }
  }

  async adopt({ id, launchId, handle, startedAt }: Launched): Promise<RunningMachine | Exit> {
    const dir = this.#dirOf(id);
    const known = readHandle(handle) ?? (await this.#find(id, launchId));
    if (known !== null && known.kernel !== this.#kernel)
      return { code: null, detail: "the host was restarted", ranMs: null };
    if (known !== null && isAlive(known.pid, known.start_ticks)) {
      const end = this.#gone(known).then(() => readExit(dir, launchId) ?? { code: null, detail: UNSEEN });
      return this.#running(id, known, startedAt, end);
    }
    const detail = handle === null ? "the agent ended before it was started" : UNSEEN;
    const exit = readExit(dir, launchId, startedAt) ?? { code: null, detail, ranMs: null };
    // Its first process has ended; what that had started may not have.
    const exited = this.#leftBehind(id, known?.cgroup)
      .end()
      .then(() => exit);
    const late = new Promise<null>((resolve) => void this.#options.clock.after(LEFT_BEHIND_MS, () => resolve(null)));
    return (await Promise.race([exited, late])) ?? leaderless(startedAt, exited);
  }

  async search(id: string): Promise<RunningMachine | null> {
    const found = await this.#find(id);
    // Of which start it is does not matter: with nothing written down there is none that its exit code could be told
    // of.
    const unseen = { code: null, detail: UNSEEN };
    if (found !== null)
      return this.#running(
        id,
        found,
        0,
        this.#gone(found).then(() => unseen),
      );
    const left = this.#leftBehind(id);
    return (await left.look()).length === 0
      ? null
      : leaderless(
          0,
          left.end().then(() => unseen),
        );
  }

  async marked(): Promise<ReadonlySet<string>> {
    const inside = this.#cgroups.populated();
    const marked = await markedMachines(this.#table, this.#options.machinesDir);
    this.#left = new Set([...inside, ...marked]);
    return new Set(this.#left);
  }

  /** A start whose pid nobody could write down, or read. Without a launch id, any start of the machine. */
  async #find(id: string, ...launchId: readonly string[]): Promise<Handle | null> {
    const leader = await findWaiter(this.#table, this.#dirOf(id), ...launchId);
    if (leader === null) return null;
    const { pid, startTicks } = leader;
    const cgroup = this.#cgroups.of(id, null, pid).find((path) => existsSync(path));
    return { pid, start_ticks: startTicks, kernel: this.#kernel, cgroup };
  }

  /** `end` says how its first process ended; the machine has ended when all that it had started has. */
  #running(id: string, handle: Handle, startedAt: number, end: Promise<Exit>): RunningMachine {
    const { pid, start_ticks: startTicks, cgroup } = handle;
    const cgroups = this.#cgroups.of(id, cgroup ?? null, pid);
    const processes = this.#processes(id, { pid, startTicks }, cgroups);
    const exited = end.then(async (exit) => {
      await processes.end();
      return exit;
    });
    return { handle, startedAt, exited, terminate: () => processes.terminate(), kill: () => void processes.end() };
  }

  /**
   * Two starts of a machine never run side by side, also where an earlier agent knew of one process of the first
   * only.
   */
  async #endLeftBehind(id: string): Promise<void> {
    const left = this.#leftBehind(id);
    if ((await left.look()).length > 0) await left.end();
    this.#left?.delete(id);
  }

  /** What runs of a machine without its first process. */
  #leftBehind(id: string, cgroup?: string): MachineProcesses {
    return this.#processes(id, null, this.#cgroups.of(id, cgroup ?? null, null));
  }

  #processes(id: string, leader: Leader | null, cgroups: readonly string[]): MachineProcesses {
    return new MachineProcesses({
      clock: this.#options.clock,
      table: this.#table,
      dir: this.#dirOf(id),
      leader,
      cgroups,
    });
  }

  /** For a machine that is no child of this process: resolves when its first process has ended. */
  #gone({ pid, start_ticks: startTicks }: Handle): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (hasGone(pid, startTicks)) resolve();
        else this.#options.clock.after(LOOK_MS, look);
      };
      look();
    });
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
    const { path, passEnv } = this.#options;
    return { PATH: path, TMPDIR: work, ...(passEnv ? machine.env : {}), ...marksOf(dir, launchId) };
  }

  #dirOf(id: string): string {
    return join(this.#options.machinesDir, id);
  }
}

/** What is left of a machine whose first process has ended: it is being ended, and hears nobody. */
function leaderless(startedAt: number, exited: Promise<Exit>): RunningMachine {
  return { handle: null, startedAt, exited, terminate: () => undefined, kill: () => undefined };
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
    return HANDLE.read(value);
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

/** Throws a final LaunchError: on another host the program may be there. */
function requireProgram(name: string, path: string): void {
  const none = "[runtime] command is not set on this host: it can run no machines";
  if (name === "") throw new LaunchError(none, true, { fault: "host" });
  const places = name.includes("/") ? [name] : path.split(":").map((folder) => join(folder, name));
  const found = places.some((place) => {
    try {
      accessSync(place, constants.X_OK);
      return statSync(place).isFile();
    } catch {
      return false;
    }
  });
  if (found) return;
  const message = `the command of [runtime] on this host cannot be run: ${name} is not there, or no program`;
  throw new LaunchError(message, true, { fault: "host" });
}
