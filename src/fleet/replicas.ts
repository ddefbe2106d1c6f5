/** What an app needs next so that its machines are what its deployment asks for: one pure step at a time, from the state and the time. It carries nothing out. */
import type { Event } from "../state/events.ts";
import type { App, Deployment, Machine } from "../state/types.ts";
import type { Crew } from "./crew.ts";
import { crewOf } from "./crew.ts";
import { DEFAULT_MAX_PARALLEL, runningDrain } from "./drain-terms.ts";
import type { Choice, Need, Scene } from "./placement.ts";
import { Imagined, choose, hasRoom } from "./placement.ts";
import type { Cause } from "./replacement.ts";
import { afterStreak, causeOf, failureOf, isOver, isUp, movingFrom, nextStreak, nextTryAt, nextTryOfAllAt, originalOf, replacementOf, triedHosts } from "./replacement.ts";
import { planRollout } from "./rollout.ts";

export interface PlanScene extends Scene {
  /** Wall time in milliseconds. */
  readonly now: number;
  newMachineId(): string;
}

export interface Step {
  /** What happens now, in this order; none where there is nothing to do. */
  readonly events: readonly Event[];
  /** Whether time or room elsewhere may bring one, so that the app is looked at again. */
  readonly waits: boolean;
}

/** The next step of an app. */
export function nextStep(scene: PlanScene, app: App): Step {
  const target = scene.state.deployments.get(app.deployment_id ?? "");
  if (target === undefined) return { events: [], waits: false };
  const crew = crewOf(scene.state, app, target);
  for (const plan of PLANS) {
    const events = plan(scene, crew);
    if (events.length > 0) return { events, waits: true };
  }
  return { events: [], waits: isWaiting(scene, crew) };
}

/** What may be needed, in this order: the first that has anything to do is the step. */
const PLANS: readonly ((scene: PlanScene, crew: Crew) => readonly Event[])[] = [
  createMissing,
  settlePairs,
  removeSurplus,
  placeWaiting,
  replaceNext,
  (scene, crew) => {
    const moved = planRollout(scene.state, crew, scene.now);
    return moved === null ? [] : [moved];
  },
];

function isWaiting({ state }: PlanScene, { target, members }: Crew): boolean {
  if (target.state === "pending" || target.state === "rolling" || target.state === "failed") return true;
  return members.some((machine) => machine.host_id === null || machine.replaced_by !== null || causeOf(state, target.id, machine) !== null);
}

/** Originals whose replacement is up go; replacements that fail, or that nobody needs any more, go. */
function settlePairs({ state, now }: PlanScene, crew: Crew): Event[] {
  const events: Event[] = [];
  for (const original of crew.members) {
    const replacement = replacementOf(state, original);
    if (replacement === null) continue;
    if (isUp(replacement)) {
      events.push({ type: "machine.removed", data: { machine_ids: [original.id], reason: `replaced by ${replacement.id}` } });
      continue;
    }
    const reason = whyNotNeeded(state, crew, original, replacement);
    const failure = failureOf(state, replacement, now) ?? (reason === null ? null : { failed: false, reason });
    if (failure !== null) events.push({ type: "machine.given_up", data: { machine_id: replacement.id, original_id: original.id, host_id: replacement.host_id, ...failure } });
  }
  return events;
}

/** Why a replacement that is not up yet is not wanted any more, or null. While nobody knows how the original is, it goes on. */
function whyNotNeeded(state: PlanScene["state"], { app, target }: Crew, original: Machine, replacement: Machine): string | null {
  // It may never be ready, which may be why there is a newer one. One of the deployment before is known to work.
  const { deployment_id: id } = replacement;
  if (id !== target.id && id !== app.stable_id) return `superseded by ${target.id} before it was ready`;
  const isUnknown = original.state === "unknown" && original.desired_state === "running";
  return isUnknown || causeOf(state, target.id, original) !== null ? null : `not needed: ${original.id} stays`;
}

/** So many machines are made or placed in one step at most; choosing among a thousand hosts takes about a third of a millisecond each. */
const PLACED_AT_ONCE = 25;

/** Fewer replicas than asked for: the others are made, on a host or waiting for room. */
function createMissing(scene: PlanScene, { app, target, heads }: Crew): Event[] {
  const imagined = new Imagined(scene);
  const need = needOf(app, target);
  return Array.from({ length: Math.min(PLACED_AT_ONCE, target.replicas - heads.length) }, () => {
    const choice = choose(imagined, need, new Map());
    if (choice !== null) imagined.add(need, choice.hostId);
    return create(scene, app, target, choice, null, 0);
  });
}

/** More replicas than asked for: those that are least worth go, the newest of them first. */
function removeSurplus({ state }: PlanScene, { target, members, heads }: Crew): Event[] {
  // What waits for room and is of another deployment has nothing to replace.
  const stale = members.filter((machine) => machine.host_id === null && machine.deployment_id !== target.id && machine.desired_state === "running");
  if (stale.length > 0) return [{ type: "machine.removed", data: { machine_ids: stale.map(({ id }) => id), reason: "superseded before it was placed" } }];
  if (heads.length <= target.replicas) return [];
  const worth = (machine: Machine): number => (isUp(machine) ? 4 : 0) + (machine.host_id === null ? 0 : 2) + (causeOf(state, target.id, machine) === null ? 1 : 0);
  const ranked = heads.map((machine) => ({ machine, worth: worth(machine) })).sort((a, b) => a.worth - b.worth || byAge(b.machine, a.machine));
  const gone = ranked.slice(0, heads.length - target.replicas).map(({ machine }) => machine);
  const ids = gone.flatMap((machine) => [machine.id, ...(replacementOf(state, machine) === null ? [] : [machine.replaced_by ?? ""])]);
  return [{ type: "machine.removed", data: { machine_ids: ids, reason: `scaled to ${target.replicas}` } }];
}

/** Oldest first. */
function byAge(a: Machine, b: Machine): number {
  if (a.created_at !== b.created_at) return a.created_at < b.created_at ? -1 : 1;
  return a.id < b.id ? -1 : 1;
}

/** Machines that had no room may have it now. The choice and the event are one decision, so the room is there when it is taken. */
function placeWaiting(scene: PlanScene, { app, members }: Crew): Event[] {
  const events: Event[] = [];
  const imagined = new Imagined(scene);
  // Where one has no room, no other that needs the same has: thousands that wait cost one look at the hosts, not one each.
  const nowhere = new Set<string>();
  for (const machine of members) {
    if (machine.host_id !== null || machine.state !== "pending" || machine.desired_state === "stopped") continue;
    if (events.length === PLACED_AT_ONCE) break;
    const need = needOf(app, machine);
    const kind = JSON.stringify(need);
    const choice = nowhere.has(kind) ? null : choose(imagined, need, new Map());
    if (choice === null) {
      nowhere.add(kind);
      continue;
    }
    imagined.add(need, choice.hostId);
    events.push({ type: "machine.placed", data: { machine_id: machine.id, host_id: choice.hostId, why: choice.why } });
  }
  return events;
}

const URGENCY: Readonly<Record<Cause, number>> = { lost: 0, failed: 1, draining: 2, outdated: 3 };

/** Starts the most urgent replacements that may start now: all of those that no number of others holds up, else one. */
function replaceNext(scene: PlanScene, { app, target, members }: Crew): Event[] {
  const rolling = members.filter((member) => member.deployment_id !== target.id && replacementOf(scene.state, member) !== null).length;
  const due: { readonly machine: Machine; readonly cause: Cause }[] = [];
  for (const machine of members) {
    const cause = replacementOf(scene.state, machine) === null && originalOf(scene.state, machine) === null ? causeOf(scene.state, target.id, machine) : null;
    if (cause !== null && isOver(nextTryAt(machine, target, cause), scene.now) && mayStart(scene, rolling, target, machine, cause)) due.push({ machine, cause });
  }
  // All of them need the same.
  const need = needOf(app, target);
  if (due.length === 0 || !hasRoom(scene, need)) return [];
  due.sort((a, b) => URGENCY[a.cause] - URGENCY[b.cause] || byAge(a.machine, b.machine));
  const events: Event[] = [];
  const imagined = new Imagined(scene);
  for (const { machine, cause } of due) {
    // Each of these is one more under way, which the next has to count.
    const isCounted = cause === "draining" || cause === "outdated";
    if ((isCounted && events.length > 0) || events.length === PLACED_AT_ONCE) break;
    const choice = chooseReplacement(imagined, scene.now, target, machine, cause);
    if (choice === null) continue;
    imagined.add(need, choice.hostId);
    events.push(create(scene, app, target, choice, machine.id, machine.deployment_id === target.id ? nextStreak(machine, cause) : 0));
    if (isCounted) break;
  }
  return events;
}

/** So many machines of a deployment may be under way to be replaced at once: a quarter, at least one. */
export function surgeOf(replicas: number): number {
  return Math.max(1, Math.ceil(replicas / 4));
}

/** How long it takes at most to know that a lost host was none of a storm: longer than any offline_after that one would set. */
const LONGEST_DOUBT_MS = 3_600_000;

/** `rolling`: machines of other deployments whose replacement is under way. */
function mayStart({ state, now }: PlanScene, rolling: number, target: Deployment, machine: Machine, cause: Cause): boolean {
  if (cause === "lost") return isOver(Date.parse(state.hosts.get(machine.host_id ?? "")?.replace_after ?? "1970-01-01T00:00:00Z"), now, LONGEST_DOUBT_MS);
  // A new deployment may be the remedy: it does not wait for what the old one earned.
  if (cause === "failed") return machine.deployment_id !== target.id || isOver(afterStreak(machine), now);
  if (cause === "outdated") return rolling < surgeOf(target.replicas);
  if (cause === "draining" && machine.host_id !== null) return movingFrom(state, machine.host_id) < (runningDrain(state, machine.host_id)?.max_parallel ?? DEFAULT_MAX_PARALLEL);
  return true;
}

/**
 * Where a replacement goes whose time has come (nextTryAt): hosts that were not tried first. To move what is known to run, other hosts are tried at once, and all of them again when their time has come.
 * What was never ready may be what fails, and not the host: each further try waits longer, so that a broken image does not go through the whole fleet.
 */
export function chooseReplacement(scene: Scene, now: number, target: Deployment, machine: Machine, cause: Cause): Choice | null {
  const need = needOf({ id: machine.app_id }, target);
  const tried = triedHosts(machine, cause);
  const untried = choose(scene, need, tried);
  if (untried !== null || tried.size === 0 || !isOver(nextTryOfAllAt(machine, target, cause), now)) return untried;
  return choose(scene, need, new Map());
}

export function needOf(app: { readonly id: string }, workload: { readonly cpus: number; readonly memory_mb: number; readonly region: string | null }): Need {
  return { app_id: app.id, cpus: workload.cpus, memory_mb: workload.memory_mb, region: workload.region };
}

function create(scene: PlanScene, app: App, target: Deployment, choice: Choice | null, replaces: string | null, streak: number): Event {
  const { image, cpus, memory_mb, region, restart, check, on_host_loss, progress_deadline_seconds } = target;
  const workload = { image, cpus, memory_mb, region, restart, check, on_host_loss, progress_deadline_seconds };
  const machine = { id: scene.newMachineId(), app_id: app.id, org_id: app.org_id, deployment_id: target.id, ...workload, streak };
  return { type: "machine.created", data: { machine, host_id: choice?.hostId ?? null, replaces, why: choice?.why ?? null } };
}
