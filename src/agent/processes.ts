/**
 * All that a machine has started: found in /proc by its marks, its session and its descent, whatever group it has moved to, and ended as a whole. It
 * touches no process that none of these names. What wipes its environment, leaves its session and outlives its parent is found by its cgroup only.
 */
import { basename, join } from "node:path";
import type { Clock } from "../lib/clock.ts";
import { systemCode } from "../lib/errors.ts";
import { killCgroup, processesIn, removeCgroup } from "./cgroups.ts";
import type { ProcessStat } from "./proc.ts";
import { allProcesses, isAlive, readEnvironment, readStat, readWords, runs } from "./proc.ts";

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

/** Whether this environment is one of the machine in `dir`; agents before `ZWRM_MACHINE_DIR` gave the folder as TMPDIR. */
export function isMarked(environment: string, dir: string): boolean {
  const all = `\0${environment}`;
  return all.includes(`\0ZWRM_MACHINE_ID=${basename(dir)}\0`) && (all.includes(`\0ZWRM_MACHINE_DIR=${dir}\0`) || all.includes(`\0TMPDIR=${dir}\0`));
}

/** The id of the machine, of those with their folders in `machinesDir`, that this environment is one of; null where it is of none. */
export function machineOf(environment: string, machinesDir: string): string | null {
  const [, id] = /\0ZWRM_MACHINE_ID=([^\0]*)\0/.exec(`\0${environment}`) ?? [];
  return id !== undefined && id !== "" && isMarked(environment, join(machinesDir, id)) ? id : null;
}

/** The machines of which a process runs that bears their marks. */
export function markedMachines(machinesDir: string): Set<string> {
  const ids = allProcesses().map(({ pid }) => machineOf(readEnvironment(pid), machinesDir));
  return new Set(ids.filter((id) => id !== null));
}

/** Those that `isRoot` names, and all that these have begun, in the order in which they are found. Pure. */
export function withDescendants(processes: readonly ProcessStat[], isRoot: (process: ProcessStat) => boolean): ProcessStat[] {
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
 * The waiter of a start, whose pid nobody could write down, or read: its words say the folder and the launch, and it leads a session. Without a
 * launch id, that of any start. Words alone prove nothing, since anybody can have them.
 */
export function findWaiter(dir: string, ...launchId: readonly string[]): Leader | null {
  const words = `\0${[WAITER_NAME, dir, ...launchId].join("\0")}\0`;
  const mark = `\0ZWRM_MACHINE_ID=${basename(dir)}\0`;
  const isIt = ({ pid, session }: ProcessStat): boolean => session === pid && `\0${readWords(pid)}`.includes(words) && `\0${readEnvironment(pid)}`.includes(mark);
  return allProcesses().find(isIt) ?? null;
}

export class MachineProcesses {
  readonly #clock: Clock;
  readonly #dir: string;
  readonly #cgroups: readonly string[];
  #leader: Leader | null;

  /** `leader` is the first process of a start that was seen alive: its session is the machine's for as long as its number is not another's. */
  constructor(clock: Clock, dir: string, leader: Leader | null, cgroups: readonly string[] = []) {
    this.#clock = clock;
    this.#dir = dir;
    this.#leader = leader;
    this.#cgroups = cgroups;
  }

  /** What runs of it now. Throws where that cannot be seen. */
  look(known: ReadonlyMap<number, ProcessStat> = new Map()): ProcessStat[] {
    const session = this.#session();
    const inside = new Set(this.#cgroups.flatMap(processesIn));
    return withDescendants(allProcesses(), ({ pid, session: its, startTicks }) =>
      inside.has(pid) || its === session || known.get(pid)?.startTicks === startTicks || isMarked(readEnvironment(pid), this.#dir));
  }

  /** Asks the command, and nothing else of the machine, to stop: how its children end is its own affair. One that only just begins is asked in a moment. */
  terminate(): void {
    const leader = this.#leader;
    if (leader === null) return;
    const again = (): void => void this.#clock.after(SOON_MS, () => this.terminate());
    try {
      if (!isAlive(leader.pid, leader.startTicks)) return;
      // Between its fork and its exec a child has the waiter's words still, and the waiter's deaf ear.
      const commands = allProcesses().filter(({ pid, parent }) => parent === leader.pid && !readWords(pid).includes(`\0${WAITER_NAME}\0`));
      if (commands.length === 0) again();
      for (const command of commands) signal(command, "SIGTERM");
    } catch {
      again();
    }
  }

  /** Ends all of it. Resolves when two looks in a row have found nothing; never rejects. */
  async end(): Promise<void> {
    for (let quiet = 0, pause = SOON_MS; ; pause = Math.min(2 * pause, LATER_MS)) {
      quiet = this.#endNow() ? quiet + 1 : 0;
      if (quiet >= QUIET_LOOKS) return this.#cgroups.forEach(removeCgroup);
      const wait = quiet > 0 ? SOON_MS : pause;
      await new Promise<void>((resolve) => void this.#clock.after(wait, resolve));
    }
  }

  /** True where nothing of it was there. */
  #endNow(): boolean {
    const found = new Map<number, ProcessStat>();
    this.#cgroups.forEach(killCgroup);
    try {
      for (let round = 0; round < ROUNDS; round += 1) {
        const more = this.look(found).filter(({ pid }) => !found.has(pid));
        if (more.length === 0) break;
        for (const process of more) {
          // All are stopped before the first is ended: what had lost its parent could not be told by its descent any more.
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

/** Of a process that is still the one that was seen. What has gone needs no signal; what may not be sent one is found again. */
function signal({ pid, startTicks }: ProcessStat, name: NodeJS.Signals): void {
  const now = readStat(pid);
  if (now === null || now.startTicks !== startTicks || !runs(now)) return;
  try {
    process.kill(pid, name);
  } catch (error) {
    if (systemCode(error) !== "ESRCH" && systemCode(error) !== "EPERM") throw error;
  }
}
