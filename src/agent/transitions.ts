/**
 * What each event makes of a machine on this host: a table of pure functions, beside reconcile.ts, which says what is
 * to be done next. machines.ts applies them.
 */
import { messageOf } from "../lib/errors.ts";
import { afterExit, restartDelay } from "./backoff.ts";
import type { HostMachine, LaunchNote } from "./machine.ts";
import type { Exit, RunningMachine } from "./runtime.ts";
import { LaunchError } from "./runtime.ts";

/** Starts in a row that come to nothing: then another host is to try. */
const VAIN_STARTS = 3;

/** What an event reads of a machine. Times are monotonic milliseconds. */
export type Before = Pick<HostMachine, "machine" | "phase" | "failures" | "vain" | "launch" | "upSince">;
type Fields =
  | "phase"
  | "due"
  | "asked"
  | "failures"
  | "vain"
  | "fault"
  | "reason"
  | "exitCode"
  | "launch"
  | "running"
  | "ready"
  | "upSince";
/** The fields that the event changes. */
export type Change = Partial<Pick<HostMachine, Fields>>;

/** Its start begins: the image first. */
export function beginning(): Change {
  return { phase: "starting", due: Infinity, launch: null, fault: null };
}

/** Its process is about to be started under this name. */
export function launching(id: string, wall: number): Change {
  return { launch: { id, handle: null, startedAt: wall } };
}

/** It runs, and has done so since `upSince`. */
export function running(
  { launch, ready, reason }: Pick<HostMachine, "launch" | "ready" | "reason">,
  process: RunningMachine,
  upSince: number,
): Change {
  const isUnwell = ready === false;
  const note: LaunchNote = { id: launch?.id ?? "", handle: process.handle, startedAt: process.startedAt };
  return {
    phase: "running",
    due: Infinity,
    running: process,
    upSince,
    vain: 0,
    fault: null,
    reason: isUnwell ? reason : null,
    exitCode: null,
    launch: note,
  };
}

/** It was asked to stop, and is killed at `due`. */
export function stopping(due: number): Change {
  return { phase: "stopping", due, asked: true, reason: null };
}

/** It runs no more and will not be started by itself. Without a reason it was asked to. */
export function settled(phase: "stopped" | "failed", reason: string | null, fault: "host" | null = null): Change {
  return { phase, due: Infinity, asked: reason === null, reason, fault };
}

/** Nothing of it runs any more. */
export function ended(before: Before, exit: Exit, now: number): Change {
  const over: Change = { running: null, ready: null, exitCode: exit.code };
  if (before.phase === "stopping") return { ...over, ...settled("stopped", null) };
  const ranMs = exit.ranMs === undefined ? now - before.upSince : exit.ranMs;
  const verdict = afterExit(before.machine.restart, exit, ranMs, before.failures);
  if (verdict.next !== "restart") return { ...over, ...settled(verdict.next, verdict.reason) };
  return { ...over, failures: verdict.failures, ...waiting(now + verdict.delayMs, verdict.reason) };
}

/**
 * Its start came to nothing. What no host can give is not tried again; what this host cannot give is left to another
 * one: at once where it is known to be so, else after three starts in a row. While it is the control plane that does
 * not answer, no other host could do better.
 */
export function notStarted(before: Before, error: unknown, now: number): Change {
  const { final, fault } = error instanceof LaunchError ? error : { final: false, fault: "host" as const };
  const reason = messageOf(error);
  const none: Change = { launch: null };
  if (final) return { ...none, ...settled("failed", reason, fault === "host" ? "host" : null) };
  const vain = fault === "control_plane" ? before.vain : before.vain + 1;
  if (vain >= VAIN_STARTS)
    return {
      ...none,
      vain,
      ...settled("failed", `${reason}; given up after ${vain} starts in a row that came to nothing`, "host"),
    };
  const failures = before.failures + 1;
  return { ...none, vain, failures, ...waiting(now + restartDelay(failures), reason) };
}

function waiting(due: number, reason: string): Change {
  return { phase: "waiting", due, reason };
}
