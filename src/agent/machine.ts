/**
 * One machine of this host in memory: how far it is, how that is reported and recorded. It starts and stops nothing.
 */
import { toRfc3339 } from "../lib/clock.ts";
import type { Cancel } from "../lib/clock.ts";
import type { Actual, Phase } from "./reconcile.ts";
import type { MachineRecord } from "./records.ts";
import type { RunningMachine } from "./runtime.ts";
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

export class HostMachine implements Actual {
  readonly machine: DesiredMachine;
  phase: Phase = "waiting";
  due: number;
  asked = false;
  failures = 0;
  vain = 0;
  fault: "host" | null = null;
  reason: string | null = null;
  exitCode: number | null = null;
  launch: LaunchNote | null = null;
  running: RunningMachine | null = null;
  /** Null where the machine has no check. */
  ready: boolean | null = null;
  stopChecks: Cancel = () => undefined;
  /** Since when it runs, in monotonic milliseconds. */
  upSince: number;
  #pull: AbortController | null = null;

  constructor(machine: DesiredMachine, due: number) {
    this.machine = machine;
    this.due = due;
    this.upSince = due;
  }

  get id(): string {
    return this.machine.id;
  }

  get cpus(): number {
    return this.machine.cpus;
  }

  get memory_mb(): number {
    return this.machine.memory_mb;
  }

  get starts(): number {
    return this.machine.starts ?? 0;
  }

  /** Something of it runs, or is about to. */
  get isUp(): boolean {
    return this.phase === "starting" || this.phase === "running" || this.phase === "stopping";
  }

  /** For the pull of its image, which is called off with the machine. */
  beginPull(): AbortSignal {
    this.#pull = new AbortController();
    return this.#pull.signal;
  }

  /** Calls off what is under way for it: its checks and the pull of its image. */
  letGo(): void {
    this.stopChecks();
    this.#pull?.abort();
    this.#pull = null;
  }

  toRecord(): MachineRecord {
    const { machine, phase, asked, failures, vain, fault, launch } = this;
    return {
      machine,
      phase,
      asked,
      failures,
      vain: vain === 0 ? undefined : vain,
      fault: fault ?? undefined,
      reason: this.reason === null ? undefined : printable(this.reason),
      ready: this.ready ?? undefined,
      exit_code: this.exitCode ?? undefined,
      launch:
        launch === null
          ? undefined
          : { id: launch.id, handle: launch.handle ?? undefined, started_at: launch.startedAt },
    };
  }

  static fromRecord(record: MachineRecord, now: number): HostMachine {
    const machine = new HostMachine(record.machine, now);
    const { launch } = record;
    machine.phase = record.phase;
    machine.asked = record.asked;
    machine.failures = record.failures;
    machine.vain = record.vain ?? 0;
    machine.fault = record.fault ?? null;
    machine.reason = record.reason ?? null;
    machine.exitCode = record.exit_code ?? null;
    // An agent that wrote no `ready` did not know; a machine that ran is not called unwell for that.
    machine.ready = record.ready ?? (record.phase === "running" ? true : null);
    machine.launch =
      launch === undefined ? null : { id: launch.id, handle: launch.handle ?? null, startedAt: launch.started_at };
    return machine;
  }

  toReport(): MachineReport {
    return {
      id: this.id,
      state: this.phase === "waiting" ? "starting" : this.phase,
      ...(this.running !== null && this.launch !== null ? { started_at: toRfc3339(this.launch.startedAt) } : {}),
      ...(this.reason === null ? {} : { reason: printable(this.reason) }),
      ...(this.fault === null ? {} : { fault: this.fault }),
      ...(this.exitCode === null ? {} : { exit_code: this.exitCode }),
      ...(this.phase === "running" && this.ready !== null ? { ready: this.ready } : {}),
    };
  }
}

/** The control plane refuses a beat with control characters in it, and with it all that it says. */
function printable(text: string): string {
  return text.replace(/\p{Cc}+/gu, " ").slice(0, LONGEST_REASON);
}
