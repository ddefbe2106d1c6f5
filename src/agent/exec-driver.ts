/**
 * The exec driver: a machine is a command line of the operator's, in a session of its own, which outlives the agent. Nothing of it goes through
 * the agent: its output goes to a file, its exit code is written down by the small shell that waits for it, and its pid with the time of its
 * start finds it again.
 */
import { spawn } from "node:child_process";
import { accessSync, closeSync, constants, fstatSync, mkdirSync, openSync, readSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../lib/clock.ts";
import { messageOf, systemCode } from "../lib/errors.ts";
import type { TypeOf } from "../lib/schema.ts";
import { number, object, pattern } from "../lib/schema.ts";
import { CONSOLE_NAME } from "./console.ts";
import { environmentFile, fillIn, requireHandover } from "./exec-command.ts";
import type { Values } from "./exec-command.ts";
import { findByWords, groupMembers, isAlive, kernelBootId, readStat } from "./proc.ts";
import type { Exit, Launch, Launched, RunningMachine, Runtime } from "./runtime.ts";
import { LaunchError } from "./runtime.ts";

const EXIT_NAME = "exit";
const ENV_NAME = "env";
/** How often a machine that is not this process's child is looked at: an exit is known within a second. */
const LOOK_MS = 250;

/** What the waiter writes down is shorter than this. */
const EXIT_BYTES = 256;
/** A machine may have put anything under the agent's own names in its folder. With O_NONBLOCK a fifo is refused, not waited for. */
const { O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } = constants;

/** Waits for the machine and writes down how it ended, also while no agent is there. `trap` keeps it waiting when its group is asked to stop. */
const WAITER = `trap : TERM INT HUP
dir=$1 launch=$2
shift 2
"$@"
code=$?
printf '%s %s\\n' "$launch" "$code" >"$dir/${EXIT_NAME}.new" && command -p mv "$dir/${EXIT_NAME}.new" "$dir/${EXIT_NAME}"
exit "$code"`;

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
}

export class ExecDriver implements Runtime {
  readonly #options: ExecOptions;
  readonly #kernel = kernelBootId();

  constructor(options: ExecOptions) {
    this.#options = options;
  }

  async launch(launch: Launch): Promise<RunningMachine> {
    const { clock, command, path, passEnv } = this.#options;
    requireHandover(launch.machine, command, passEnv);
    const dir = this.#dirOf(launch.machine.id);
    const words = fillIn(command, this.#values(launch, dir));
    requireProgram(words[0] ?? "", path);
    const console = this.#prepare(launch, dir);
    try {
      const child = spawn("/bin/sh", ["-c", WAITER, "zwrm-machine", dir, launch.launchId, ...words], {
        cwd: dir,
        env: this.#environment(launch, dir),
        detached: true,
        stdio: ["ignore", console, console],
      });
      const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
      await new Promise<void>((resolve, reject) => {
        child.once("spawn", resolve);
        child.once("error", (error) => reject(new LaunchError(`it cannot be started on this host: ${error.message}`, false, { cause: error })));
      });
      child.unref();
      const pid = child.pid ?? 0;
      // A process that has ended already is a zombie until Node has seen its end, so it is still there to be read.
      const startTicks = readStat(pid)?.startTicks ?? 0;
      return this.#running(launch.machine.id, launch.launchId, { pid, start_ticks: startTicks, kernel: this.#kernel }, clock.wall(), exited);
    } finally {
      closeSync(console);
    }
  }

  async adopt({ id, launchId, handle, startedAt }: Launched): Promise<RunningMachine | Exit> {
    const known = readHandle(handle) ?? this.#findByName(id, launchId);
    if (known === null) return this.#exitOf(id, launchId) ?? { code: null, detail: handle === null ? "the agent ended before it was started" : UNSEEN };
    if (known.kernel !== this.#kernel) return { code: null, detail: "the host was restarted" };
    if (!isAlive(known.pid, known.start_ticks)) return this.#afterEnd(id, launchId, known.pid);
    return this.#running(id, launchId, known, startedAt, this.#goneAfterLooks(known.pid, known.start_ticks));
  }

  async search(id: string): Promise<RunningMachine | null> {
    const found = this.#findByName(id);
    // Of which start it is does not matter: with nothing written down there is none that its exit code could be told of.
    return found === null ? null : this.#running(id, "", found, 0, this.#goneAfterLooks(found.pid, found.start_ticks));
  }

  /** A start whose pid nobody could write down, or read: the waiter's command line names it. Without a launch id, any start of the machine. */
  #findByName(id: string, ...launchId: readonly string[]): Handle | null {
    const stat = findByWords(["zwrm-machine", this.#dirOf(id), ...launchId]);
    return stat === null ? null : { pid: stat.pid, start_ticks: stat.startTicks, kernel: this.#kernel };
  }

  #running(id: string, launchId: string, handle: Handle, startedAt: number, gone: Promise<void>): RunningMachine {
    const { pid, start_ticks: startTicks } = handle;
    const send = (signal: NodeJS.Signals): void => {
      if (isAlive(pid, startTicks)) signalGroup(pid, signal);
    };
    return {
      handle,
      startedAt,
      exited: gone.then(() => this.#surelyAfterEnd(id, launchId, pid)),
      terminate: () => send("SIGTERM"),
      kill: () => send("SIGKILL"),
    };
  }

  /** Never rejects: where the rest of its group cannot be seen or ended now, it tries again. */
  async #surelyAfterEnd(id: string, launchId: string, pid: number): Promise<Exit> {
    for (;;) {
      try {
        return this.#afterEnd(id, launchId, pid);
      } catch {
        await new Promise<void>((resolve) => void this.#options.clock.after(LOOK_MS, resolve));
      }
    }
  }

  /** The first process has ended: whatever else it started in its group ends with it. */
  #afterEnd(id: string, launchId: string, pid: number): Exit {
    const stat = readStat(pid);
    // While members of its group are left, the kernel gives its number to no other process; one that has it now shows that none are.
    if ((stat === null || stat.state === "Z") && groupMembers(pid).length > 0) signalGroup(pid, "SIGKILL");
    return this.#exitOf(id, launchId) ?? { code: null, detail: UNSEEN };
  }

  /** For a machine that is no child of this process. */
  #goneAfterLooks(pid: number, startTicks: number): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (isAlive(pid, startTicks)) this.#options.clock.after(LOOK_MS, look);
        else resolve();
      };
      look();
    });
  }

  /** Null where the waiter wrote down none that can be read. */
  #exitOf(id: string, launchId: string): Exit | null {
    const [launch, code] = readStart(join(this.#dirOf(id), EXIT_NAME)).trim().split(" ");
    if (launch !== launchId || code === undefined || !/^\d{1,3}$/.test(code)) return null;
    return { code: Number(code), detail: null };
  }

  /** Gives the open console. */
  #prepare({ machine }: Launch, dir: string): number {
    const env = environmentFile(machine);
    try {
      mkdirSync(dir, { recursive: true, mode: 0o700 });
      rmSync(join(dir, ENV_NAME), { recursive: true, force: true });
      writeFileSync(join(dir, ENV_NAME), env, { flag: "wx", mode: 0o600 });
      return openSync(join(dir, CONSOLE_NAME), O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK, 0o600);
    } catch (error) {
      throw new LaunchError(`its folder cannot be written on this host: ${messageOf(error)}`, false, { cause: error });
    }
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
      dir,
    };
  }

  /** What a machine's command writes as temporary goes with the machine. */
  #environment({ machine }: Launch, dir: string): NodeJS.ProcessEnv {
    return { PATH: this.#options.path, TMPDIR: dir, ...(this.#options.passEnv ? machine.env : {}), ZWRM_MACHINE_ID: machine.id };
  }

  #dirOf(id: string): string {
    return join(this.#options.machinesDir, id);
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

/** The first bytes of a file in a machine's folder; empty where there is none, or it is no plain file. */
function readStart(path: string): string {
  try {
    const fd = openSync(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW);
    try {
      const buffer = Buffer.alloc(EXIT_BYTES);
      return fstatSync(fd).isFile() ? buffer.toString("utf8", 0, readSync(fd, buffer)) : "";
    } finally {
      closeSync(fd);
    }
  } catch {
    return "";
  }
}

/** A group that has gone meanwhile needs no signal. */
function signalGroup(leader: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-leader, signal);
  } catch (error) {
    if (systemCode(error) !== "ESRCH") throw error;
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
  if (!found) throw new LaunchError(`the command of [runtime] on this host cannot be run: ${name} is not there, or no program`, true);
}
