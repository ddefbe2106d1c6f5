/**
 * What can happen to a machine on this host, and what is to be done for it then: the words of the table in
 * transitions.ts. Types only.
 */
import type { LogFields } from "../lib/log.ts";
import type { MachineState } from "./machine.ts";
import type { Exit } from "./runtime.ts";

/** What can happen to a machine: the steps of reconcile, and what comes of what was to be done. */
export interface Events {
  readonly launch: { readonly type: "launch" };
  readonly stop: { readonly type: "stop" };
  readonly kill: { readonly type: "kill" };
  readonly forget: { readonly type: "forget" };
  /** Its image is on this host's disk, and its start has got a name. */
  readonly pulled: {
    readonly type: "pulled";
    readonly imagePath: string;
    readonly launchId: string;
    readonly wall: number;
  };
  /** Its start is written down. */
  readonly prepared: { readonly type: "prepared"; readonly imagePath: string };
  /** Its process runs, since `upSince` in monotonic milliseconds. */
  readonly started: {
    readonly type: "started";
    readonly handle: unknown;
    readonly startedAt: number;
    readonly upSince: number;
  };
  /** Its start came to nothing: at its image, its record or its process. */
  readonly not_started: { readonly type: "not_started"; readonly error: unknown };
  /** Nothing of it runs any more. */
  readonly exited: { readonly type: "exited"; readonly exit: Exit };
  /** Its check has changed its mind: null where it is ready. */
  readonly checked: { readonly type: "checked"; readonly failure: string | null };
}
export type EventType = keyof Events;
export type MachineEvent = Events[EventType];

/** When it happens, in monotonic milliseconds, and how long a machine may take to stop. */
export interface Moment {
  readonly now: number;
  readonly stopGraceMs: number;
}

/** What is to be done, in this order. */
export type Action =
  /** Fetch its image: pulled, or not_started. */
  | "pull"
  /** Write its record before anything runs: prepared, or not_started. */
  | { readonly do: "prepare"; readonly imagePath: string }
  /** Start its process: started, and later exited; or not_started. */
  | { readonly do: "start"; readonly imagePath: string; readonly launchId: string }
  /** Begin its checks: checked, again and again. */
  | "watch"
  /** Call off its checks and its pull. */
  | "let go"
  | "terminate"
  | "kill"
  /** Its record is written, and its report is another. */
  | "save"
  /** Its record goes, and so does its report. */
  | "remove"
  | LogLine;

export interface LogLine {
  readonly do: "log";
  readonly level: "info" | "warn";
  readonly message: string;
  readonly fields: LogFields;
}

export interface Outcome {
  readonly state: MachineState | "gone";
  readonly actions: readonly Action[];
}
