/**
 * Machines that another one is to stand in for: which of them may be replaced now, the most urgent first, and where
 * their replacements go.
 */
import type { Event } from "../../state/events.ts";
import type { Deployment, Host, Machine } from "../../state/types.ts";
import { DEFAULT_MAX_PARALLEL, runningDrain } from "../drain-terms.ts";
import type { Choice, Scene } from "../placement.ts";
import { choose, hasRoom, Imagined } from "../placement.ts";
import type { AppMachines } from "./app-machines.ts";
import { byAge } from "./app-machines.ts";
import { nextStreak, nextTry, nextTryOfAll, nextTryOfFailed } from "./backoff.ts";
import { isHealthy, serves } from "./health.ts";
import { create, needOf, PLACED_AT_ONCE } from "./new-machine.ts";
import type { Cause } from "./replacement.ts";
import { causeOf, movingFrom, originalOf, replacementOf, triedHosts } from "./replacement.ts";
import type { PlanScene } from "./scene.ts";

const URGENCY: Readonly<Record<Cause, number>> = { lost: 0, failed: 1, draining: 2, outdated: 3 };

/** Starts the most urgent replacements that may start now: all of those that no number of others holds up, else one. */
export function replaceNext(scene: PlanScene, { app, target, present }: AppMachines): Event[] {
  // One whose replacement is healthy only waits for the others of the app to be so, and holds up nobody.
  const rolling = present.filter((member) => {
    const replacement = member.deployment_id === target.id ? null : replacementOf(scene.state, member);
    return replacement !== null && !isHealthy(replacement);
  }).length;
  const due: { readonly machine: Machine; readonly cause: Cause }[] = [];
  for (const machine of present) {
    const cause =
      replacementOf(scene.state, machine) === null && originalOf(scene.state, machine) === null
        ? causeOf(scene.state, target.id, machine)
        : null;
    if (cause === null || nextTry(scene.since, machine, target, cause) !== "now") continue;
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
  if (cause === "lost") return isKnownToBeAlone(state.hosts.get(machine.host_id), since);
  // A new deployment may be the remedy: it does not wait for what the old one earned.
  if (cause === "failed") return machine.deployment_id !== target.id || nextTryOfFailed(since, machine) === "now";
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
 * Where a replacement goes whose time has come (nextTry): hosts that were not tried first. To move what is known
 * to run, other hosts are tried at once, and all of them again when their time has come. What was never ready may be
 * what fails, and not the host: each further try waits longer, so that a broken image does not go through the whole
 * fleet.
 */
export function chooseReplacement(scene: Scene, target: Deployment, machine: Machine, cause: Cause): Choice | null {
  const need = needOf({ id: machine.app_id }, target);
  const tried = triedHosts(machine, cause);
  const untried = choose(scene, need, tried);
  if (untried !== null || tried.size === 0 || nextTryOfAll(scene.since, machine, target, cause) !== "now")
    return untried;
  return choose(scene, need, new Map());
}
