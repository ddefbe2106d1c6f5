/**
 * The processes of exec checks: each bears the marks of its machine and its run in its environment, and what bears
 * those of a run that is over is ended, whatever session or group it went to and whichever agent began it. It ends
 * nothing but what a check of this agent's own machines started.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Cancel, Clock } from "../lib/clock.ts";
import { messageOf } from "../lib/errors.ts";
import { newId } from "../lib/ids.ts";
import type { Log } from "../lib/log.ts";
import type { Time } from "./due.ts";
import { msUntil } from "./due.ts";
import { sendSignal } from "./signals.ts";

export interface CheckRun {
  /** What goes into the environment of its command, and with that into everything that it starts. */
  readonly marks: Readonly<Record<string, string>>;
  /** Ends what is left of it; calling it twice does nothing. */
  readonly end: () => void;
}

export interface MarkedProcess {
  readonly pid: number;
  readonly run: string;
}

export interface CheckProcessesOptions {
  /** Its whole path tells this agent's machines from those of another agent on the same box. */
  readonly machinesDir: string;
  readonly clock: Clock;
  readonly log: Log;
  /** What runs as an exec check of machines below this folder. */
  readonly find?: (machinesDir: string) => readonly MarkedProcess[];
  readonly kill?: (pid: number) => void;
}

/**
 * Every process of the box is looked at, so that is done at most so often, for all checks that have ended meanwhile.
 */
const SWEEP_MS = 1_000;
/** A process may fork while it is looked for. */
const MOST_ROUNDS = 10;

export class CheckProcesses {
  readonly #options: CheckProcessesOptions;
  readonly #running = new Set<string>();
  /** When the next sweep may be. */
  #sweepDue: Time = "now";
  #cancelSweep: Cancel | null = null;
  #complained = "";

  constructor(options: CheckProcessesOptions) {
    this.#options = options;
  }

  begin(machineId: string): CheckRun {
    const run = newId("k");
    this.#running.add(run);
    const marks = {
      ZWRM_MACHINE_ID: machineId,
      ZWRM_MACHINE_DIR: join(this.#options.machinesDir, machineId),
      ZWRM_CHECK: "1",
      ZWRM_CHECK_RUN: run,
    };
    const end = (): void => {
      if (this.#running.delete(run)) this.#sweepSoon();
    };
    return { marks, end };
  }

  /** Ends what is left of checks that are over, those of an earlier agent too. */
  sweep(): void {
    const { clock, log, machinesDir, find = findMarked, kill = (pid) => sendSignal(pid, "SIGKILL") } = this.#options;
    this.#cancelSweep?.();
    this.#cancelSweep = null;
    try {
      for (let round = 0; round < MOST_ROUNDS; round += 1) {
        const left = find(machinesDir).filter(({ run }) => !this.#running.has(run));
        if (left.length === 0) break;
        for (const { pid } of left) kill(pid);
      }
      this.#complained = "";
    } catch (error) {
      const reason = messageOf(error);
      if (reason !== this.#complained) log.warn("it cannot be seen what checks have left behind", { reason });
      this.#complained = reason;
    }
    this.#sweepDue = { at: clock.mono() + SWEEP_MS };
  }

  /** The agent ends, and with it all checks. */
  close(): void {
    const isIdle = this.#running.size === 0 && this.#cancelSweep === null;
    this.#running.clear();
    if (!isIdle) this.sweep();
  }

  #sweepSoon(): void {
    const { clock } = this.#options;
    this.#cancelSweep ??= clock.after(msUntil(this.#sweepDue, clock.mono()), () => this.sweep());
  }
}

function findMarked(machinesDir: string): MarkedProcess[] {
  const found: MarkedProcess[] = [];
  for (const name of readdirSync("/proc")) {
    const pid = /^\d+$/.test(name) ? Number(name) : process.pid;
    if (pid === process.pid) continue;
    const run = runOf(readEnvironment(pid), machinesDir);
    if (run !== null) found.push({ pid, run });
  }
  return found;
}

/** The run that this environment is marked with; null where it is no check of machines below `machinesDir`. */
export function runOf(environment: string, machinesDir: string): string | null {
  const marked = `\0${environment}`;
  if (!marked.includes("\0ZWRM_CHECK=1\0") || !marked.includes(`\0ZWRM_MACHINE_DIR=${machinesDir}/`)) return null;
  return /\0ZWRM_CHECK_RUN=([^\0]*)\0/.exec(marked)?.[1] ?? null;
}

/** Empty where it cannot be read: the process has gone, or is another user's. */
function readEnvironment(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, "utf8");
  } catch {
    return "";
  }
}
