/**
 * What is known of one machine of this host in each of its states, and how that is reported and recorded. Data only:
 * what changes it is transitions.ts's.
 */
import { toRfc3339 } from "../lib/clock.ts";
import type { Due, Time } from "./due.ts";
import type { Actual, Phase } from "./reconcile.ts";
import { isUp } from "./reconcile.ts";
import type { MachineRecord } from "./records.ts";
import type { DesiredMachine, MachineReport } from "../wire/agents.ts";

/** The control plane takes so many characters. */
const LONGEST_REASON = 1_000;

export interface LaunchNote {
  readonly id: string;
  /** Null until the start is through. */
  readonly handle: unknown;
  /** Wall time in milliseconds. */
  readonly startedAt: number;
}

/** What is kept of a machine whatever its state. */
export interface Kept {
  readonly machine: DesiredMachine;
  /** See Actual. */
  readonly asked: boolean;
  /** Restarts in a row. */
  readonly failures: number;
  /** Starts in a row that came to nothing. */
  readonly vain: number;
  /** Whose fault its end is, where it is not its own. */
  readonly fault: "host" | null;
  readonly reason: string | null;
  readonly exitCode: number | null;
  /** What its check said last; null where it has none, or nothing runs. */
  readonly ready: boolean | null;
  /** Its newest start. */
  readonly launch: LaunchNote | null;
}

interface Launched extends Kept {
  readonly launch: LaunchNote;
}

interface Up extends Launched {
  /** Since when it runs, in monotonic milliseconds. */
  readonly upSince: number;
}

/** A machine in each of its states. */
export interface States {
  readonly waiting: Kept & { readonly phase: "waiting"; readonly due: Time };
  readonly pulling: Kept & { readonly phase: "pulling" };
  readonly starting: Launched & { readonly phase: "starting" };
  readonly running: Up & { readonly phase: "running" };
  readonly cancelling: Launched & { readonly phase: "cancelling" };
  readonly stopping: Up & { readonly phase: "stopping"; readonly due: Due };
  readonly stopped: Kept & { readonly phase: "stopped" };
  readonly failed: Kept & { readonly phase: "failed" };
}
export type MachineState = States[Phase];

/** A machine that was not here before. It may start at once. */
export function createMachine(machine: DesiredMachine): States["waiting"] {
  return {
    phase: "waiting",
    due: "now",
    machine,
    asked: false,
    failures: 0,
    vain: 0,
    fault: null,
    reason: null,
    exitCode: null,
    ready: null,
    launch: null,
  };
}

/** What it shares with every other state, without what is its state's own. */
export function keptOf({ machine, asked, failures, vain, fault, reason, exitCode, ready, launch }: Kept): Kept {
  return { machine, asked, failures, vain, fault, reason, exitCode, ready, launch };
}

/** As reconcile sees it. */
export function toActual(state: MachineState): Actual {
  const { phase, asked, machine } = state;
  return {
    id: machine.id,
    phase,
    due: state.phase === "waiting" || state.phase === "stopping" ? state.due : "never",
    asked,
    starts: machine.starts ?? 0,
    cpus: machine.cpus,
    memory_mb: machine.memory_mb,
  };
}

const REPORTED: { readonly [P in Phase]: MachineReport["state"] } = {
  waiting: "starting",
  pulling: "starting",
  starting: "starting",
  running: "running",
  cancelling: "stopping",
  stopping: "stopping",
  stopped: "stopped",
  failed: "failed",
};

/** As the control plane hears of it. */
export function toReport({ machine, phase, launch, reason, fault, exitCode, ready }: MachineState): MachineReport {
  const hasProcess = phase === "running" || phase === "stopping";
  return {
    id: machine.id,
    state: REPORTED[phase],
    ...(hasProcess && launch !== null ? { started_at: toRfc3339(launch.startedAt) } : {}),
    ...(reason === null ? {} : { reason: printable(reason) }),
    ...(fault === null ? {} : { fault }),
    ...(exitCode === null ? {} : { exit_code: exitCode }),
    ...(phase === "running" && ready !== null ? { ready } : {}),
  };
}

const RECORDED: { readonly [P in Phase]: MachineRecord["phase"] } = {
  waiting: "waiting",
  pulling: "starting",
  starting: "starting",
  running: "running",
  cancelling: "stopping",
  stopping: "stopping",
  stopped: "stopped",
  failed: "failed",
};

/** As the next agent reads it. */
export function toRecord({ phase, launch, ...kept }: MachineState): MachineRecord {
  return {
    machine: kept.machine,
    phase: RECORDED[phase],
    asked: kept.asked,
    failures: kept.failures,
    vain: kept.vain === 0 ? undefined : kept.vain,
    fault: kept.fault ?? undefined,
    reason: kept.reason === null ? undefined : printable(kept.reason),
    ready: kept.ready ?? undefined,
    exit_code: kept.exitCode ?? undefined,
    launch:
      launch === null ? undefined : { id: launch.id, handle: launch.handle ?? undefined, started_at: launch.startedAt },
  };
}

/**
 * As an earlier agent left it. What it had started is starting, or cancelling where it had been asked to stop, until
 * somebody has seen whether it runs.
 */
export function fromRecord(record: MachineRecord): MachineState {
  const { phase, launch } = record;
  const kept: Kept = {
    machine: record.machine,
    asked: record.asked,
    failures: record.failures,
    vain: record.vain ?? 0,
    fault: record.fault ?? null,
    reason: record.reason ?? null,
    exitCode: record.exit_code ?? null,
    // An agent that wrote no `ready` did not know; a machine that ran is not called unwell for that.
    ready: record.ready ?? (phase === "running" ? true : null),
    launch:
      launch === undefined ? null : { id: launch.id, handle: launch.handle ?? null, startedAt: launch.started_at },
  };
  switch (phase) {
    case "starting":
    case "running":
      // Without a launch it had not come to a start.
      if (kept.launch === null) return { ...kept, phase: "waiting", due: "now" };
      return { ...kept, launch: kept.launch, phase: "starting" };
    case "stopping":
      if (kept.launch === null) return { ...kept, phase: "stopped", asked: true, reason: null, fault: null };
      return { ...kept, launch: kept.launch, phase: "cancelling" };
    case "waiting":
      return { ...kept, phase, due: "now" };
    case "stopped":
    case "failed":
      return { ...kept, phase };
  }
}

/** Whether an earlier agent had started it, or was about to. */
export function wasUp({ phase }: MachineRecord): boolean {
  return isUp(phase);
}

/** The control plane refuses a beat with control characters in it, and with it all that it says. */
function printable(text: string): string {
  return text.replace(/\p{Cc}+/gu, " ").slice(0, LONGEST_REASON);
}
