/**
 * What a machine on this host needs next: desired and actual state and the time go in, steps come out. Pure; what each
 * step makes of a machine is transitions.ts's, and machines.ts has both carried out.
 */
import type { DesiredMachine } from "../wire/agents.ts";
import type { Due } from "./due.ts";
import { earliest, isDue } from "./due.ts";

/**
 * waiting: nothing runs, it is (re)started when it is due. pulling: its image is fetched. starting: its process is
 * being started. cancelling: it was asked to stop while it was being started. stopping: it was asked to stop, and is
 * killed when that is due. stopped: ended as it should, or was asked to. failed: ended, and given up.
 */
export type Phase = "waiting" | "pulling" | "starting" | "running" | "cancelling" | "stopping" | "stopped" | "failed";

export interface Actual {
  readonly id: string;
  readonly phase: Phase;
  /** waiting: when it may start; stopping: when it is killed. */
  readonly due: Due;
  /** It was asked to stop, so that it is started anew where it is to run again. What ended by itself stays ended. */
  readonly asked: boolean;
  /** Of the desired machine that it was created from. */
  readonly starts: number;
  readonly cpus: number;
  readonly memory_mb: number;
}

/** What this host has for machines. */
export interface Room {
  readonly cpus: number;
  readonly memory_mb: number;
}

export type Step =
  /** A machine that was not here, or that is to be started anew. */
  | { readonly type: "create"; readonly machine: DesiredMachine }
  | { readonly type: "launch"; readonly id: string }
  | { readonly type: "stop"; readonly id: string }
  | { readonly type: "kill"; readonly id: string }
  /** It runs no more, and is orphaned: nobody asks for it. */
  | { readonly type: "forget"; readonly id: string };

export interface DesiredState {
  /** The last list of the agent's own cluster. Null where it has none: then what runs goes on. */
  readonly machines: readonly DesiredMachine[] | null;
  /** False while the list is an old one that may soon be replaced: what runs is kept, nothing is started or stopped. */
  readonly fresh: boolean;
}

/** What is desired of one machine that is here. */
export type Desire =
  /** Nobody knows yet: the list may be an old one. */
  | "unknown"
  /** There is no list: it goes on as it is. */
  | "unlisted"
  | "run"
  /** To run, under another count of starts than its own: the list in which it was gone may never have come here. */
  | "run anew"
  | "stop"
  /** It is not in the list. */
  | "orphaned";

type Rule = "launch when due" | "kill when due" | "create" | "create if asked to stop" | "stop" | "forget" | null;

/** A row a phase, a column a desire: there is no other case. */
export const NEXT: { readonly [P in Phase]: { readonly [D in Desire]: Rule } } = {
  waiting: row(null, "launch when due", "launch when due", "launch when due", "stop", "forget"),
  pulling: row(null, null, null, null, "stop", "stop"),
  starting: row(null, null, null, null, "stop", "stop"),
  running: row(null, null, null, null, "stop", "stop"),
  cancelling: row(null, null, null, null, null, null),
  stopping: row("kill when due", "kill when due", "kill when due", "kill when due", "kill when due", "kill when due"),
  stopped: row(null, null, "create if asked to stop", "create", null, "forget"),
  failed: row(null, null, null, "create", null, "forget"),
};

function row(unknown: Rule, unlisted: Rule, run: Rule, anew: Rule, stop: Rule, orphaned: Rule) {
  return { unknown, unlisted, run, "run anew": anew, stop, orphaned };
}

/** The steps due now, at most one a machine. */
export function reconcile(desired: DesiredState, actual: readonly Actual[], now: number, room: Room): Step[] {
  const steps: Step[] = [];
  const here = new Set<string>();
  const listed = new Map(desired.machines?.map((machine) => [machine.id, machine]));
  const held = heldBack(desired, actual, room);
  for (const machine of actual) {
    here.add(machine.id);
    const step = nextStep(desired, listed.get(machine.id), machine, now);
    if (step !== null && !(step.type === "launch" && held.has(machine.id))) steps.push(step);
  }
  if (!desired.fresh) return steps;
  for (const machine of listed.values()) {
    if (!here.has(machine.id) && machine.desired_state === "running") steps.push({ type: "create", machine });
  }
  return steps;
}

function nextStep(
  desired: DesiredState,
  listed: DesiredMachine | undefined,
  { id, phase, due, asked, starts }: Actual,
  now: number,
): Step | null {
  switch (NEXT[phase][desireFor(desired, listed, starts)]) {
    case "launch when due":
      return isDue(due, now) ? { type: "launch", id } : null;
    case "kill when due":
      return isDue(due, now) ? { type: "kill", id } : null;
    case "create":
      return listed === undefined ? null : { type: "create", machine: listed };
    case "create if asked to stop":
      return listed === undefined || !asked ? null : { type: "create", machine: listed };
    case "stop":
      return { type: "stop", id };
    case "forget":
      return { type: "forget", id };
    case null:
      return null;
  }
}

function desireFor({ machines, fresh }: DesiredState, listed: DesiredMachine | undefined, starts: number): Desire {
  if (!fresh) return "unknown";
  if (machines === null) return "unlisted";
  if (listed === undefined) return "orphaned";
  if (listed.desired_state === "stopped") return "stop";
  return (listed.starts ?? 0) === starts ? "run" : "run anew";
}

/**
 * Starts that wait for ends. An orphaned machine the control plane does not count: it has left this host, or took it
 * for gone. While such a machine still runs, nothing is started that would be more than the host has; the end of that
 * machine brings the next look.
 */
function heldBack({ machines, fresh }: DesiredState, actual: readonly Actual[], room: Room): ReadonlySet<string> {
  const held = new Set<string>();
  const listed = new Set(machines?.map(({ id }) => id));
  const up = actual.filter(({ phase }) => isUp(phase));
  if (machines === null || !fresh || up.every(({ id }) => listed.has(id))) return held;
  let cpus = up.reduce((sum, machine) => sum + machine.cpus, 0);
  let memory = up.reduce((sum, machine) => sum + machine.memory_mb, 0);
  for (const machine of actual) {
    if (machine.phase !== "waiting") continue;
    if (cpus + machine.cpus > room.cpus || memory + machine.memory_mb > room.memory_mb) held.add(machine.id);
    else [cpus, memory] = [cpus + machine.cpus, memory + machine.memory_mb];
  }
  return held;
}

const UP: { readonly [P in Phase]: boolean } = {
  waiting: false,
  pulling: true,
  starting: true,
  running: true,
  cancelling: true,
  stopping: true,
  stopped: false,
  failed: false,
};

/** Something of it runs, or is about to. */
export function isUp(phase: Phase): boolean {
  return UP[phase];
}

/** When the next step comes due by time alone. */
export function nextDue(desired: DesiredState, actual: readonly Actual[], room: Room): Due {
  const held = heldBack(desired, actual, room);
  return earliest(
    actual
      .filter(({ id, phase }) => phase === "stopping" || (phase === "waiting" && desired.fresh && !held.has(id)))
      .map(({ due }) => due),
  );
}
