/**
 * The one interface between the agent and whatever runs a machine. A driver knows no policy: it starts, adopts,
 * signals, and says how a machine ended.
 */
import type { Cancel } from "../lib/clock.ts";
import { messageOf, systemCode } from "../lib/errors.ts";
import type { DesiredMachine } from "../wire/agents.ts";

/**
 * How a machine ended. `code` is null where nobody could see it: the host restarted, or the agent was away and no
 * record was left.
 */
export interface Exit {
  readonly code: number | null;
  /** What to say beyond the code, as the end of a sentence; null where the code says all. */
  readonly detail: string | null;
  /** The signal that ended it, where that is known and no code is. */
  readonly signal?: string;
  /** How long it ran, in milliseconds, where whoever saw its end later knows better; null where nobody knows. */
  readonly ranMs?: number | null;
}

/** A machine that runs. */
export interface RunningMachine {
  /** JSON that `adopt` finds the machine by, after a restart of the agent. */
  readonly handle: unknown;
  /** Wall time in milliseconds. */
  readonly startedAt: number;
  /** Resolves once, when nothing that the machine has started runs any more. Never rejects. */
  readonly exited: Promise<Exit>;
  /** Asks its first process to stop. */
  terminate(): void;
  /** Ends it, with all that it has started. */
  kill(): void;
}

export interface Launch {
  readonly machine: DesiredMachine;
  /** The verified image on this host's disk. */
  readonly imagePath: string;
  /** Names this start among all starts of the machine; known to the record before anything runs. */
  readonly launchId: string;
}

/** What an earlier agent wrote down of a start. */
export interface Launched {
  readonly id: string;
  readonly launchId: string;
  /** Null where that agent ended between starting the machine and writing down what it had started. */
  readonly handle: unknown;
  readonly startedAt: number;
}

export interface Runtime {
  /** Rejects with a LaunchError. */
  launch(launch: Launch): Promise<RunningMachine>;
  /** Takes up a machine that an earlier agent started; says how it ended where it did. */
  adopt(launched: Launched): Promise<RunningMachine | Exit>;
  /**
   * A start of this machine that still runs, for where nothing can be read of what an earlier agent wrote down; null
   * where none does.
   */
  search(id: string): Promise<RunningMachine | null>;
  /** The ids of the machines of which something runs and says so of itself, whatever is written down. */
  marked(): Promise<ReadonlySet<string>>;
}

/**
 * Why a machine could not be started. host: its disk, its programs, its kernel; on another host it may well start.
 * control_plane: it does not answer. deployment: it asks for what no host can give.
 */
export type LaunchFault = "host" | "control_plane" | "deployment";

export interface LaunchErrorOptions extends ErrorOptions {
  /** "deployment" where it is not said. */
  readonly fault?: LaunchFault;
}

/** A machine that could not be started. `message` is a sentence for the control plane. */
export class LaunchError extends Error {
  /** True where trying again on this host cannot help. */
  readonly final: boolean;
  readonly fault: LaunchFault;

  constructor(message: string, final: boolean, { fault = "deployment", ...options }: LaunchErrorOptions = {}) {
    super(message, options);
    this.name = "LaunchError";
    this.final = final;
    this.fault = fault;
  }
}

/** What may be had a moment later: descriptors, memory, processes. */
const PASSING: ReadonlySet<string> = new Set(["EAGAIN", "EMFILE", "ENFILE", "ENOMEM", "EINTR", "EBUSY", "ETXTBSY"]);

/** What the host owes its machines is not there, such as room on its disk. Only what passes is worth another try. */
export function hostFault(what: string, cause: unknown): LaunchError {
  const isPassing = PASSING.has(systemCode(cause) ?? "EAGAIN");
  return new LaunchError(`${what}: ${messageOf(cause)}`, !isPassing, { cause, fault: "host" });
}

/** Where a machine's image comes from. */
export interface Images {
  /**
   * The path of the verified image. Rejects with a LaunchError, or at once with the signal's reason where the machine
   * does not need it any more.
   */
  ensure(digest: string, signal: AbortSignal): Promise<string>;
}

/** Tells when a machine is ready. */
export interface Checks {
  /**
   * Calls back when that changes, until cancelled: with null where it is ready, else with a sentence on why not.
   * `wasReady` is where it begins; what was ready is so until its check has failed as often as it may.
   */
  watch(machine: DesiredMachine, tell: (failure: string | null) => void, wasReady: boolean): Cancel;
}
