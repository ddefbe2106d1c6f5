/**
 * The cells of the table in transitions.ts: what one event makes of a machine in one state, and what is to be done
 * then. Pure functions, each named for what becomes of the machine.
 */
import { messageOf } from "../lib/errors.ts";
import { afterExit, restartDelay } from "./backoff.ts";
import type { Events, LogLine, Moment, Outcome } from "./machine-events.ts";
import type { Kept, LaunchNote, MachineState, States } from "./machine.ts";
import { keptOf } from "./machine.ts";
import type { Phase } from "./reconcile.ts";
import type { Exit } from "./runtime.ts";
import { LaunchError } from "./runtime.ts";

/** Starts in a row that come to nothing: then another host is to try. */
const VAIN_STARTS = 3;

/**
 * Nothing changes: it comes too late, as when a pull ends after its machine was stopped, or what brings it is not under
 * way in that state.
 */
export function ignored(state: MachineState): Outcome {
  return { state, actions: [] };
}

export function gone(): Outcome {
  return { state: "gone", actions: ["remove"] };
}

/** Its start begins: the image first. */
export function pulling(before: Kept): Outcome {
  return { state: { ...keptOf(before), phase: "pulling", launch: null, fault: null }, actions: ["save", "pull"] };
}

/** Written down before anything runs: whatever happens next, the next agent knows what to look for. */
export function starting(before: Kept, { imagePath, launchId, wall }: Events["pulled"]): Outcome {
  const launch: LaunchNote = { id: launchId, handle: null, startedAt: wall };
  return { state: { ...keptOf(before), phase: "starting", launch }, actions: [{ do: "prepare", imagePath }] };
}

export function launching(state: States["starting"], { imagePath }: Events["prepared"]): Outcome {
  return { state, actions: [{ do: "start", imagePath, launchId: state.launch.id }] };
}

/** It runs; what was unwell before a restart of the agent is so until its check says otherwise. */
export function running(before: States["starting"], event: Events["started"]): Outcome {
  const { machine, ready, reason } = before;
  return {
    state: { ...withProcess(before, event), phase: "running", reason: ready === false ? reason : null },
    actions: machine.check === undefined ? ["save"] : ["watch", "save"],
  };
}

/** It was asked to stop while it was being started: it is asked as soon as there is somebody to ask. */
export function stoppingAtOnce(
  before: States["cancelling"],
  event: Events["started"],
  { now, stopGraceMs }: Moment,
): Outcome {
  return {
    state: { ...withProcess(before, event), ...ASKED, phase: "stopping", due: { at: now + stopGraceMs } },
    actions: ["terminate", "save"],
  };
}

function withProcess(
  before: States["starting" | "cancelling"],
  { handle, startedAt, upSince }: Events["started"],
): Kept & { readonly launch: LaunchNote; readonly upSince: number } {
  const { machine, launch, ready } = before;
  return {
    ...keptOf(before),
    launch: { id: launch.id, handle, startedAt },
    upSince,
    vain: 0,
    fault: null,
    exitCode: null,
    ready: machine.check === undefined ? null : ready === true,
  };
}

const ASKED = { asked: true, reason: null } as const;

/** While it is being started there is nothing to signal; the start comes back to this. */
export function cancelling(before: States["starting"]): Outcome {
  return { state: { ...before, ...ASKED, phase: "cancelling" }, actions: ["save"] };
}

export function stopping(before: States["running"], _stop: Events["stop"], { now, stopGraceMs }: Moment): Outcome {
  return {
    state: { ...before, ...ASKED, phase: "stopping", due: { at: now + stopGraceMs } },
    actions: ["let go", "terminate", "save"],
  };
}

export function killed(before: States["stopping"], _kill: Events["kill"], { stopGraceMs }: Moment): Outcome {
  const message = "a machine did not stop when asked; it is killed";
  const fields = { machine: before.machine.id, grace_ms: stopGraceMs };
  return { state: { ...before, due: "never" }, actions: [{ do: "log", level: "warn", message, fields }, "kill"] };
}

export function checked(before: States["running"], { failure }: Events["checked"]): Outcome {
  return { state: { ...before, ready: failure === null, reason: failure }, actions: ["save"] };
}

/** It runs no more, as it was asked, and will not be started by itself. */
export function stopped(before: Kept): Outcome {
  return {
    state: { ...keptOf(before), ...ASKED, phase: "stopped", fault: null },
    actions: ["let go", "save"],
  };
}

/** It had not come to run when it was asked to stop. */
export function stoppedInTime(before: States["cancelling"]): Outcome {
  return stopped({ ...before, launch: null });
}

export function stoppedAsAsked(before: States["cancelling" | "stopping"], { exit }: Events["exited"]): Outcome {
  return stopped({ ...before, ...over(exit) });
}

export function ended(before: States["running"], { exit }: Events["exited"], { now }: Moment): Outcome {
  return afterEnd(before, exit, exit.ranMs === undefined ? now - before.upSince : exit.ranMs, now);
}

/** It ended while the agent was away: how long it ran knows who tells of its end, or nobody. */
export function endedUnseen(before: States["starting"], { exit }: Events["exited"], { now }: Moment): Outcome {
  return afterEnd(before, exit, exit.ranMs ?? null, now);
}

function afterEnd(before: Kept, exit: Exit, ranMs: number | null, now: number): Outcome {
  const { machine, failures } = before;
  const verdict = afterExit(machine.restart, exit, ranMs, failures);
  const kept = { ...keptOf(before), ...over(exit), reason: verdict.reason };
  const state: MachineState =
    verdict.next === "restart"
      ? { ...kept, phase: "waiting", failures: verdict.failures, due: { at: now + verdict.delayMs } }
      : { ...kept, phase: verdict.next, asked: false, fault: null };
  const fields = { machine: machine.id, exit_code: exit.code, next: verdict.next, reason: verdict.reason };
  return { state, actions: ["let go", "save", { do: "log", level: "info", message: "a machine ended", fields }] };
}

function over(exit: Exit): Pick<Kept, "ready" | "exitCode"> {
  return { ready: null, exitCode: exit.code };
}

/**
 * Its start came to nothing. What no host can give is not tried again; what this host cannot give is left to another
 * one: at once where it is known to be so, else after three starts in a row, for it may be transient. While it is the
 * control plane that does not answer, no other host could do better.
 */
export function notStarted(
  before: States["pulling" | "starting"],
  { error }: Events["not_started"],
  { now }: Moment,
): Outcome {
  const { final, fault } = error instanceof LaunchError ? error : { final: false, fault: "host" as const };
  const reason = messageOf(error);
  const vain = final || fault === "control_plane" ? before.vain : before.vain + 1;
  const kept = { ...keptOf(before), launch: null, vain };
  if (final) return givenUp({ ...kept, reason, fault: fault === "host" ? "host" : null });
  if (vain >= VAIN_STARTS)
    return givenUp({
      ...kept,
      reason: `${reason}; given up after ${vain} starts in a row that came to nothing`,
      fault: "host",
    });
  const failures = before.failures + 1;
  const due = { at: now + restartDelay(failures) };
  return {
    state: { ...kept, phase: "waiting", failures, reason, due },
    actions: ["save", couldNotStart(before, "waiting", reason)],
  };
}

function givenUp(kept: Kept): Outcome {
  return {
    state: { ...kept, phase: "failed", asked: false },
    actions: ["let go", "save", couldNotStart(kept, "failed", kept.reason)],
  };
}

function couldNotStart({ machine }: Kept, next: Phase, reason: string | null): LogLine {
  const fields = { machine: machine.id, next, reason };
  return { do: "log", level: "warn", message: "a machine could not be started", fields };
}
