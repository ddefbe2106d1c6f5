/**
 * The agent's one decision: what it should run, what there is, and the time go in, steps come out. Pure; machines.ts
 * carries them out.
 */
import type { DesiredMachine } from "../wire/agents.ts";

/**
 * waiting: nothing runs, it is (re)started at `due`. starting: its image is fetched or its start is under way.
 * stopped: ended as it should (or was asked to). failed: ended, and given up.
 */
export type Phase = "waiting" | "starting" | "running" | "stopping" | "stopped" | "failed";

export interface Actual {
  readonly id: string;
  readonly phase: Phase;
  /** waiting: when it may start; stopping: when it is killed. Monotonic milliseconds; Infinity for never. */
  readonly due: number;
  /**
   * It was asked to stop, or never ran, so that a later wish to run it starts it anew. What ended by itself stays
   * ended.
   */
  readonly asked: boolean;
  /** Of the wish that it was created from. */
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
  /** A machine that was not here, or that had been asked to stop, is to run. */
  | { readonly type: "create"; readonly machine: DesiredMachine }
  | { readonly type: "launch"; readonly id: string }
  | { readonly type: "stop"; readonly id: string }
  | { readonly type: "kill"; readonly id: string }
  /** It runs no more, and nobody asks for it. */
  | { readonly type: "forget"; readonly id: string };

export interface Wish {
  /** The last list of the agent's own cluster. Null where it has none: then what runs goes on. */
  readonly machines: readonly DesiredMachine[] | null;
  /** False while the list is an old one that may soon be replaced: what runs is kept, nothing is started or stopped. */
  readonly fresh: boolean;
}

/** The steps due now, at most one a machine. */
export function reconcile(wish: Wish, actual: readonly Actual[], now: number, room: Room): Step[] {
  const steps: Step[] = [];
  const here = new Set<string>();
  const wanted = new Map(wish.machines?.map((machine) => [machine.id, machine]));
  const held = heldBack(wish, actual, room);
  for (const machine of actual) {
    here.add(machine.id);
    const step = nextStep(wish, wanted.get(machine.id), machine, now);
    if (step !== null && !(step.type === "launch" && held.has(machine.id))) steps.push(step);
  }
  if (!wish.fresh) return steps;
  for (const machine of wanted.values()) {
    if (!here.has(machine.id) && machine.desired_state === "running") steps.push({ type: "create", machine });
  }
  return steps;
}

/**
 * Starts that wait for ends. What the list does not have the control plane does not count: it has left this host, or
 * took it for gone. While such a machine still stops, nothing is started that would be more than the host has; the end
 * of that machine brings the next look.
 */
function heldBack({ machines, fresh }: Wish, actual: readonly Actual[], room: Room): ReadonlySet<string> {
  const held = new Set<string>();
  const wanted = new Set(machines?.map(({ id }) => id));
  const up = actual.filter(({ phase }) => isAlive(phase) || phase === "stopping");
  if (machines === null || !fresh || up.every(({ id }) => wanted.has(id))) return held;
  let cpus = up.reduce((sum, machine) => sum + machine.cpus, 0);
  let memory = up.reduce((sum, machine) => sum + machine.memory_mb, 0);
  for (const machine of actual) {
    if (machine.phase !== "waiting") continue;
    if (cpus + machine.cpus > room.cpus || memory + machine.memory_mb > room.memory_mb) held.add(machine.id);
    else [cpus, memory] = [cpus + machine.cpus, memory + machine.memory_mb];
  }
  return held;
}

function nextStep(
  wish: Wish,
  wanted: DesiredMachine | undefined,
  { id, phase, due, asked, starts }: Actual,
  now: number,
): Step | null {
  if (phase === "stopping") return now >= due ? { type: "kill", id } : null;
  // Without a list everything here is wanted as it is.
  const known = wish.machines !== null && wish.fresh;
  if (known && wanted === undefined) return isAlive(phase) ? { type: "stop", id } : { type: "forget", id };
  if (known && wanted?.desired_state === "stopped")
    return isAlive(phase) || phase === "waiting" ? { type: "stop", id } : null;
  if (phase === "waiting") return wish.fresh && now >= due ? { type: "launch", id } : null;
  // The list in which it was gone may never have come here.
  const isAnew = wanted !== undefined && (wanted.starts ?? 0) !== starts && (phase === "stopped" || phase === "failed");
  if (known && wanted !== undefined && (isAnew || (phase === "stopped" && asked)))
    return { type: "create", machine: wanted };
  return null;
}

function isAlive(phase: Phase): boolean {
  return phase === "starting" || phase === "running";
}

/** When the next step comes due by time alone, or Infinity. */
export function nextDue(wish: Wish, actual: readonly Actual[], room: Room): number {
  const held = heldBack(wish, actual, room);
  let earliest = Infinity;
  for (const { id, phase, due } of actual) {
    if (phase === "stopping" || (phase === "waiting" && wish.fresh && !held.has(id)))
      earliest = Math.min(earliest, due);
  }
  return earliest;
}
