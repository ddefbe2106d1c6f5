/**
 * All that a machine has started: found in /proc by its marks, its session and its descent, whatever group it has
 * moved to, and ended as a whole. It touches no process that none of these names. What wipes its environment, leaves
 * its session and outlives its parent is found by its cgroup only.
 */
import { basename, dirname } from "node:path";
import type { Clock } from "../lib/clock.ts";
import { killCgroup, processesIn, removeCgroup } from "./cgroups.ts";
import type { ProcessStat, ProcessTable } from "./proc.ts";
import { childrenOf, isAlive, readStat, readWords, runs } from "./proc.ts";
import { sendSignal } from "./signals.ts";

/** The name that a machine's first process, the shell that waits for its command, has among its words. */
export const WAITER_NAME = "zwrm-machine";
const SOON_MS = 10;
const LATER_MS = 250;
/** Looks in a row that find nothing: one alone may miss what was forked behind its back. */
const QUIET_LOOKS = 2;
/** One that forks faster than it is stopped is caught by the next look. */
const ROUNDS = 20;

/** A process for as long as the kernel runs. */
export interface Leader {
  readonly pid: number;
  readonly startTicks: number;
}

/** What every process of a machine inherits. `dir` tells the machines of two agents on one host apart. */
export function marksOf(dir: string, launchId: string): Readonly<Record<string, string>> {
  return { ZWRM_MACHINE_ID: basename(dir), ZWRM_MACHINE_DIR: dir, ZWRM_LAUNCH_ID: launchId };
}

/** The folder of the machine whose marks are in this environment; null where there are none. Pure. */
export function markedDir(environment: string): string | null {
  const id = valueIn(environment, "ZWRM_MACHINE_ID");
  // Agents before ZWRM_MACHINE_DIR gave the folder as TMPDIR.
  const dir = valueIn(environment, "ZWRM_MACHINE_DIR") ?? valueIn(environment, "TMPDIR");
  return id !== null && id !== "" && dir !== null && basename(dir) === id ? dir : null;
}

/** NUL closes each variable, so that no value can hold another. */
function valueIn(environment: string, name: string): string | null {
  const start = environment.startsWith(`${name}=`) ? 0 : environment.indexOf(`\0${name}=`) + 1;
  if (start === 0 && !environment.startsWith(`${name}=`)) return null;
  const end = environment.indexOf("\0", start);
  return end === -1 ? null : environment.slice(start + name.length + 1, end);
}

/** The machines, of those with their folders in `machinesDir`, of which a process runs that bears their marks. */
export async function markedMachines(table: ProcessTable, machinesDir: string): Promise<Set<string>> {
  const snapshot = await table.look();
  const dirs = snapshot.processes.map(({ pid }) => markedDir(snapshot.environment(pid))).filter((dir) => dir !== null);
  return new Set(dirs.filter((dir) => dirname(dir) === machinesDir).map((dir) => basename(dir)));
}

/** Those that `isRoot` names, and all that these have begun, in the order in which they are found. Pure. */
export function withDescendants(
  processes: readonly ProcessStat[],
  isRoot: (process: ProcessStat) => boolean,
): ProcessStat[] {
  const children = new Map<number, ProcessStat[]>();
  for (const process of processes) {
    const siblings = children.get(process.parent);
    if (siblings === undefined) children.set(process.parent, [process]);
    else siblings.push(process);
  }
  const found = new Set(processes.filter(isRoot));
  // A set that grows while it is walked is walked to its end.
  for (const { pid } of found) for (const child of children.get(pid) ?? []) found.add(child);
  return [...found];
}

/**
 * The waiter of a start, whose pid nobody could write down, or read: its words say the folder and the launch, and it
 * leads a session. Without a launch id, that of any start. Words alone prove nothing, since anybody can have them.
 */
export async function findWaiter(
  table: ProcessTable,
  dir: string,
  ...launchId: readonly string[]
): Promise<Leader | null> {
  const words = `\0${[WAITER_NAME, dir, ...launchId].join("\0")}\0`;
  const snapshot = await table.look();
  const isIt = ({ pid, session }: ProcessStat): boolean =>
    session === pid &&
    `\0${readWords(pid)}`.includes(words) &&
    valueIn(snapshot.environment(pid), "ZWRM_MACHINE_ID") === basename(dir);
  return snapshot.processes.find(isIt) ?? null;
}

export interface MachineProcessesOptions {
  readonly clock: Clock;
  readonly table: ProcessTable;
  /** The machine's folder. */
  readonly dir: string;
  /**
   * The first process of a start that was seen alive: its session is the machine's for as long as its number is not
   * another's.
   */
  readonly leader: Leader | null;
  readonly cgroups?: readonly string[];
}

export class MachineProcesses {
  readonly #clock: Clock;
  readonly #table: ProcessTable;
  readonly #dir: string;
  readonly #cgroups: readonly string[];
  #leader: Leader | null;

  constructor({ clock, table, dir, leader, cgroups = [] }: MachineProcessesOptions) {
    this.#clock = clock;
    this.#table = table;
    this.#dir = dir;
    this.#leader = leader;
    this.#cgroups = cgroups;
  }

  /** What runs of it now. Rejects where that cannot be seen. */
  async look(known: ReadonlyMap<number, ProcessStat> = new Map()): Promise<ProcessStat[]> {
    const snapshot = await this.#table.look();
    const session = this.#session();
    const inside = new Set(this.#cgroups.flatMap(processesIn));
    return withDescendants(snapshot.processes, ({ pid, session: its, startTicks }) => {
      if (inside.has(pid) || its === session || known.get(pid)?.startTicks === startTicks) return true;
      return markedDir(snapshot.environment(pid)) === this.#dir;
    });
  }

  /**
   * Asks the command, and nothing else of the machine, to stop: how its children end is its own affair. One that only
   * just begins is asked in a moment.
   */
  terminate(): void {
    const leader = this.#leader;
    if (leader === null) return;
    const again = (): void => void this.#clock.after(SOON_MS, () => this.terminate());
    try {
      if (!isAlive(leader.pid, leader.startTicks)) return;
      // Between its fork and its exec a child has the waiter's words still, and the waiter's deaf ear.
      const commands = childrenOf(leader.pid).filter(({ pid }) => !readWords(pid).includes(`\0${WAITER_NAME}\0`));
      if (commands.length === 0) again();
      for (const command of commands) signal(command, "SIGTERM");
    } catch {
      again();
    }
  }

  /** Ends all of it. Resolves when two looks in a row have found nothing; never rejects. */
  async end(): Promise<void> {
    for (let quiet = 0, pause = SOON_MS; ; pause = Math.min(2 * pause, LATER_MS)) {
      quiet = (await this.#endNow()) ? quiet + 1 : 0;
      if (quiet >= QUIET_LOOKS) return this.#cgroups.forEach(removeCgroup);
      const wait = quiet > 0 ? SOON_MS : pause;
      await new Promise<void>((resolve) => void this.#clock.after(wait, resolve));
    }
  }

  /** True where nothing of it was there. */
  async #endNow(): Promise<boolean> {
    const found = new Map<number, ProcessStat>();
    this.#cgroups.forEach(killCgroup);
    try {
      for (let round = 0; round < ROUNDS; round += 1) {
        const more = (await this.look(found)).filter(({ pid }) => !found.has(pid));
        if (more.length === 0) break;
        for (const process of more) {
          // All are stopped before the first is ended: what had lost its parent could not be told by its descent any
          // more.
          signal(process, "SIGSTOP");
          found.set(process.pid, process);
        }
      }
      for (const process of found.values()) signal(process, "SIGKILL");
      return found.size === 0;
    } catch {
      // It cannot be seen now whether anything is there.
      return false;
    }
  }

  #session(): number | null {
    const leader = this.#leader;
    if (leader === null) return null;
    const now = readStat(leader.pid);
    // While its session has members the kernel gives its number to nobody else.
    if (now !== null && now.startTicks !== leader.startTicks) this.#leader = null;
    return this.#leader?.pid ?? null;
  }
}

/** Of a process that is still the one that was seen. What may not be sent one is found again. */
function signal({ pid, startTicks }: ProcessStat, name: NodeJS.Signals): void {
  const now = readStat(pid);
  if (now !== null && now.startTicks === startTicks && runs(now)) sendSignal(pid, name);
}
