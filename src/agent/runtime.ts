/** The one interface between the agent and whatever runs a machine. A driver knows no policy: it starts, adopts, signals, and says how a machine ended. */
import type { Cancel } from "../lib/clock.ts";
import type { DesiredMachine } from "./wire.ts";

/** How a machine ended. `code` is null where nobody could see it: the host restarted, or the agent was away and no record was left. */
export interface Exit {
  readonly code: number | null;
  /** What to say beyond the code, as the end of a sentence; null where the code says all. */
  readonly detail: string | null;
}

/** A machine that runs. */
export interface RunningMachine {
  /** JSON that `adopt` finds the machine by, after a restart of the agent. */
  readonly handle: unknown;
  /** Wall time in milliseconds. */
  readonly startedAt: number;
  /** Resolves once, when nothing of the machine runs any more. Never rejects. */
  readonly exited: Promise<Exit>;
  /** Asks it to stop. */
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
  /** A start of this machine that still runs, for where nothing can be read of what an earlier agent wrote down; null where none does. */
  search(id: string): Promise<RunningMachine | null>;
}

/** A machine that could not be started. `message` is a sentence for the control plane. */
export class LaunchError extends Error {
  /** True where trying again on this host cannot help. */
  readonly final: boolean;

  constructor(message: string, final: boolean, options?: ErrorOptions) {
    super(message, options);
    this.name = "LaunchError";
    this.final = final;
  }
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
