/** Processes as /proc shows them: who is alive, since when, in which group. It signals nobody. */
import { readdirSync, readFileSync } from "node:fs";

export interface ProcessStat {
  readonly pid: number;
  /** One letter: `Z` is a zombie, which runs no more. */
  readonly state: string;
  readonly group: number;
  readonly session: number;
  /** Clock ticks since the kernel started. With the pid it names a process for as long as the kernel runs. */
  readonly startTicks: number;
}

/** Null where there is no such process. */
export function readStat(pid: number): ProcessStat | null {
  const text = readText(`/proc/${pid}/stat`);
  // The name in parentheses may hold blanks and parentheses of its own; proc(5) numbers the fields from 1, and the third comes right behind it.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [state = "", , group, session] = fields;
  const startTicks = Number(fields[22 - 3] ?? NaN);
  return Number.isSafeInteger(startTicks) ? { pid, state, group: Number(group), session: Number(session), startTicks } : null;
}

/** Whether the process that was started at `startTicks` still runs. */
export function isAlive(pid: number, startTicks: number): boolean {
  const stat = readStat(pid);
  return stat !== null && stat.startTicks === startTicks && stat.state !== "Z" && stat.state !== "X";
}

/** Everything that runs in the session and group that a machine's first process began, other than zombies. */
export function groupMembers(leader: number): ProcessStat[] {
  return pids().flatMap((pid) => {
    const stat = readStat(pid);
    return stat !== null && stat.group === leader && stat.session === leader && stat.state !== "Z" && stat.state !== "X" ? [stat] : [];
  });
}

/** The process whose command line has these words among its own, or null. */
export function findByWords(words: readonly string[]): ProcessStat | null {
  const wanted = `\0${words.join("\0")}\0`;
  for (const pid of pids()) if (`\0${readText(`/proc/${pid}/cmdline`)}`.includes(wanted)) return readStat(pid);
  return null;
}

/** Another one after each start of the kernel. */
export function kernelBootId(): string {
  return readText("/proc/sys/kernel/random/boot_id").trim();
}

function pids(): number[] {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number);
}

/** Empty where it cannot be read: the process has gone meanwhile. */
function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
