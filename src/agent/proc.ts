/**
 * Processes as /proc shows them: who is alive, since when, whose child, in which session, under which names. It
 * signals nobody.
 */
import { readdirSync, readFileSync } from "node:fs";
import type { Clock } from "../lib/clock.ts";
import { systemCode } from "../lib/errors.ts";

const NOT_READABLE: ReadonlySet<string> = new Set(["ENOENT", "ESRCH", "EACCES", "EPERM"]);

export interface ProcessStat {
  readonly pid: number;
  /** One letter: `Z` is a zombie, which runs no more. */
  readonly state: string;
  readonly parent: number;
  readonly session: number;
  /** Clock ticks since the kernel started. With the pid it names a process for as long as the kernel runs. */
  readonly startTicks: number;
}

/** Null where there is no such process. Throws as `allProcesses` does. */
export function readStat(pid: number): ProcessStat | null {
  const text = readText(`/proc/${pid}/stat`);
  // The name in parentheses may hold blanks and parentheses of its own; proc(5) numbers the fields from 1, and the
  // third comes right behind it.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [state = "", parent, , session] = fields;
  const startTicks = Number(fields[22 - 3] ?? NaN);
  return Number.isSafeInteger(startTicks)
    ? { pid, state, parent: Number(parent), session: Number(session), startTicks }
    : null;
}

/** Whether it still runs: a zombie does not. */
export function runs({ state }: ProcessStat): boolean {
  return state !== "Z" && state !== "X";
}

/** Whether the process that was started at `startTicks` still runs. */
export function isAlive(pid: number, startTicks: number): boolean {
  const stat = readStat(pid);
  return stat !== null && stat.startTicks === startTicks && runs(stat);
}

/** All processes at one moment. */
export class Snapshot {
  readonly processes: readonly ProcessStat[] = allProcesses();
  readonly #environments = new Map<number, string>();

  /** See readEnvironment; read at most once. */
  environment(pid: number): string {
    const known = this.#environments.get(pid);
    if (known !== undefined) return known;
    const environment = readEnvironment(pid);
    this.#environments.set(pid, environment);
    return environment;
  }
}

/**
 * Looks once for all who ask in one moment: a look costs as much as there are processes, and machines end by the
 * hundred.
 */
export class ProcessTable {
  readonly #clock: Clock;
  #next: Promise<Snapshot> | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** What is there after this call. Rejects where that cannot be seen. */
  look(): Promise<Snapshot> {
    this.#next ??= new Promise((resolve, reject) => {
      this.#clock.after(0, () => {
        this.#next = null;
        try {
          resolve(new Snapshot());
        } catch (error) {
          reject(error);
        }
      });
    });
    return this.#next;
  }
}

/** Those that a process has begun and that still run. Throws as `allProcesses` does. */
export function childrenOf(pid: number): ProcessStat[] {
  const listed = readText(`/proc/${pid}/task/${pid}/children`).trim();
  // A kernel may be without that file.
  if (listed === "") return allProcesses().filter(({ parent }) => parent === pid);
  return listed.split(" ").flatMap((child) => {
    const stat = readStat(Number(child));
    return stat !== null && runs(stat) && stat.parent === pid ? [stat] : [];
  });
}

/** Everything that runs, other than this process. Throws where /proc cannot be read. */
export function allProcesses(): ProcessStat[] {
  return pids().flatMap((pid) => {
    const stat = pid === process.pid ? null : readStat(pid);
    return stat !== null && runs(stat) ? [stat] : [];
  });
}

/** The environment that a process began with, each variable closed by NUL; empty where it may not be read. */
export function readEnvironment(pid: number): string {
  return readText(`/proc/${pid}/environ`);
}

/** The words of its command line, each closed by NUL. */
export function readWords(pid: number): string {
  return readText(`/proc/${pid}/cmdline`);
}

/** Another one after each start of the kernel. */
export function kernelBootId(): string {
  return readText("/proc/sys/kernel/random/boot_id").trim();
}

function pids(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/**
 * Empty where the process has gone, or is none of ours to read. Throws where this process cannot read at all: that
 * says of nobody that it has gone.
 */
function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (NOT_READABLE.has(systemCode(error) ?? "")) return "";
    throw error;
  }
}
