/**
 * What an app needs next so that its machines are what its deployment asks for: one pure step at a time, from the state
 * and the time. It carries nothing out.
 */
import type { Event } from "../state/events.ts";
import type { App, Deployment, Host, Machine } from "../state/types.ts";
import type { Crew } from "./crew.ts";
import { crewOf } from "./crew.ts";
import { DEFAULT_MAX_PARALLEL, runningDrain } from "./drain-terms.ts";
import type { Choice, Need, Scene } from "./placement.ts";
import { Imagined, choose, hasRoom } from "./placement.ts";
import { nextStreak, untilNextTry, untilNextTryOfAll, untilStreakIsOver } from "./backoff.ts";
import { grownHealthy, isHealthy, serves } from "./health.ts";
import { settlePairs } from "./pairs.ts";
import type { Cause } from "./replacement.ts";
import { causeOf, movingFrom, originalOf, replacementOf, triedHosts } from "./replacement.ts";
import { planRollout } from "./rollout.ts";

export interface PlanScene extends Scene {
  /** Wall time in milliseconds, to be shown; how long ago something was, `since` says. */
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
  noteHealthy,
  createMissing,
  ({ state, since }, crew) => settlePairs(state, since, crew),
  removeSurplus,
  placeWaiting,
  replaceNext,
  (scene, crew) => {
    const moved = planRollout(scene.state, crew, scene.since);
    return moved === null ? [] : [moved];
  },
];

function isWaiting({ state }: PlanScene, { target, members }: Crew): boolean {
  if (target.state === "pending" || target.state === "rolling" || target.state === "failed") return true;
  return members.some((machine) => {
    const isNew = serves(machine) && !machine.healthy;
    return (
      isNew || machine.host_id === null || machine.replaced_by !== null || causeOf(state, target.id, machine) !== null
    );
  });
}

/** What has been up for as long as is asked counts from now on, until it is down. */
function noteHealthy({ state, since }: PlanScene, crew: Crew): Event[] {
  const grown = grownHealthy(state, crew.app, crew.members, since);
  return grown.length === 0
    ? []
    : [{ type: "machine.healthy", data: { app_id: crew.app.id, machine_ids: grown.map(({ id }) => id) } }];
}

/**
 * So many machines are made or placed in one step at most; choosing among a thousand hosts takes about a third of a
 * millisecond each.
 */
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
  const stale = members.filter(
    (machine) => machine.host_id === null && machine.deployment_id !== target.id && machine.desired_state === "running",
  );
  if (stale.length > 0)
    return [
      {
        type: "machine.removed",
        data: { machine_ids: stale.map(({ id }) => id), reason: "superseded before it was placed" },
      },
    ];
  if (heads.length <= target.replicas) return [];
  const worth = (machine: Machine): number => {
    const pair = [machine, replacementOf(state, machine)].filter((one) => one !== null);
    const service = pair.some(isHealthy) ? 16 : pair.some(serves) ? 8 : machine.state === "stopped" ? 4 : 0;
    return service + (machine.host_id === null ? 0 : 2) + (causeOf(state, target.id, machine) === null ? 1 : 0);
  };
  const ranked = heads
    .map((machine) => ({ machine, worth: worth(machine) }))
    .sort((a, b) => a.worth - b.worth || byAge(b.machine, a.machine));
  const gone = ranked.slice(0, heads.length - target.replicas).map(({ machine }) => machine);
  const ids = gone.flatMap((machine) => [
    machine.id,
    ...(replacementOf(state, machine) === null ? [] : [machine.replaced_by ?? ""]),
  ]);
  return [{ type: "machine.removed", data: { machine_ids: ids, reason: `scaled to ${target.replicas}` } }];
}

/** Oldest first. */
function byAge(a: Machine, b: Machine): number {
  if (a.created_at !== b.created_at) return a.created_at < b.created_at ? -1 : 1;
  return a.id < b.id ? -1 : 1;
}

/**
 * Machines that had no room may have it now. The choice and the event are one decision, so the room is there when it is
 * taken.
 */
function placeWaiting(scene: PlanScene, { app, members }: Crew): Event[] {
  const events: Event[] = [];
  const imagined = new Imagined(scene);
  // Where one has no room, no other that needs the same has: thousands that wait cost one look at the hosts, not one
  // each.
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
  // One whose replacement is healthy only waits for the others of the app to be so, and holds up nobody.
  const rolling = members.filter((member) => {
    const replacement = member.deployment_id === target.id ? null : replacementOf(scene.state, member);
    return replacement !== null && !isHealthy(replacement);
  }).length;
  const due: { readonly machine: Machine; readonly cause: Cause }[] = [];
  for (const machine of members) {
    const cause =
      replacementOf(scene.state, machine) === null && originalOf(scene.state, machine) === null
        ? causeOf(scene.state, target.id, machine)
        : null;
    if (cause === null || untilNextTry(scene.since, machine, target, cause) > 0) continue;
    if (mayStart(scene, rolling, target, machine, cause)) due.push({ machine, cause });
  }
  // All of them need the same.
  const need = needOf(app, target);
  if (due.length === 0 || !hasRoom(scene, need)) return [];
  // What does not serve first: its replacement adds to those that do, which others wait for before they may go.
  const rank = ({ machine, cause }: (typeof due)[number]): number => 2 * URGENCY[cause] + (serves(machine) ? 1 : 0);
  due.sort((a, b) => rank(a) - rank(b) || byAge(a.machine, b.machine));
  const events: Event[] = [];
  const imagined = new Imagined(scene);
  for (const { machine, cause } of due) {
    // Each of these is one more under way, which the next has to count.
    const isCounted = cause === "draining" || cause === "outdated";
    if ((isCounted && events.length > 0) || events.length === PLACED_AT_ONCE) break;
    const choice = chooseReplacement(imagined, target, machine, cause);
    if (choice === null) continue;
    imagined.add(need, choice.hostId);
    const streak = machine.deployment_id === target.id ? nextStreak(scene.since, machine, cause) : 0;
    events.push(create(scene, app, target, choice, machine.id, streak));
    if (isCounted) break;
  }
  return events;
}

/** So many machines of a deployment may be under way to be replaced at once: a quarter, at least one. */
export function surgeOf(replicas: number): number {
  return Math.max(1, Math.ceil(replicas / 4));
}

/** `rolling`: machines of other deployments whose replacement is under way. */
function mayStart(
  { state, since }: PlanScene,
  rolling: number,
  target: Deployment,
  machine: Machine,
  cause: Cause,
): boolean {
  if (cause === "lost") return isKnownToBeAlone(state.hosts.get(machine.host_id ?? ""), since);
  // A new deployment may be the remedy: it does not wait for what the old one earned.
  if (cause === "failed") return machine.deployment_id !== target.id || untilStreakIsOver(since, machine) === 0;
  if (cause === "outdated") return rolling < surgeOf(target.replicas);
  if (cause === "draining" && machine.host_id !== null)
    return (
      movingFrom(state, machine.host_id) < (runningDrain(state, machine.host_id)?.max_parallel ?? DEFAULT_MAX_PARALLEL)
    );
  return true;
}

/** Whether a lost host is known by now to be none of a storm. */
function isKnownToBeAlone(host: Host | undefined, since: PlanScene["since"]): boolean {
  if (host === undefined || host.replace_after === null || host.offline_since === null) return true;
  return since(host.offline_since) >= Date.parse(host.replace_after) - Date.parse(host.offline_since);
}

/**
 * Where a replacement goes whose time has come (untilNextTry): hosts that were not tried first. To move what is known
 * to run, other hosts are tried at once, and all of them again when their time has come. What was never ready may be
 * what fails, and not the host: each further try waits longer, so that a broken image does not go through the whole
 * fleet.
 */
export function chooseReplacement(scene: Scene, target: Deployment, machine: Machine, cause: Cause): Choice | null {
  const need = needOf({ id: machine.app_id }, target);
  const tried = triedHosts(machine, cause);
  const untried = choose(scene, need, tried);
  if (untried !== null || tried.size === 0 || untilNextTryOfAll(scene.since, machine, target, cause) > 0)
    return untried;
  return choose(scene, need, new Map());
}

export function needOf(
  app: { readonly id: string },
  workload: { readonly cpus: number; readonly memory_mb: number; readonly region: string | null },
): Need {
  return { app_id: app.id, cpus: workload.cpus, memory_mb: workload.memory_mb, region: workload.region };
}

function create(
  scene: PlanScene,
  app: App,
  target: Deployment,
  choice: Choice | null,
  replaces: string | null,
  streak: number,
): Event {
  const {
    image,
    cpus,
    memory_mb,
    region,
    restart,
    check,
    on_host_loss,
    progress_deadline_seconds,
    min_healthy_seconds,
  } = target;
  const terms = { restart, check, on_host_loss, progress_deadline_seconds, min_healthy_seconds };
  const workload = { image, cpus, memory_mb, region, ...terms };
  const machine = {
    id: scene.newMachineId(),
    app_id: app.id,
    org_id: app.org_id,
    deployment_id: target.id,
    ...workload,
    streak,
  };
  return {
    type: "machine.created",
    data: { machine, host_id: choice?.hostId ?? null, replaces, why: choice?.why ?? null },
  };
}
