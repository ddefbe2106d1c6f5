/**
 * Health that lasts: the one page that says when a machine counts, when it may take another's place, and how many of an
 * app have to serve. Each predicate answers one question, and its name is the question. Pure.
 *
 * The rule over the whole app: what serves is told to go for a deployment or a drain only where, without it, as many of
 * the app's machines are healthy as its replicas ask for, those of all deployments together. Healthy is what has been
 * up without a break for `min_healthy_seconds`; where its deployment has completed before, a fifth of that is enough:
 * the image is known, the host is not.
 */
import type { Since } from "../../lib/elapsed.ts";
import type { State } from "../../state/state.ts";
import type { App, Machine } from "../../state/types.ts";

/** The part of `min_healthy_seconds` that is asked of a machine whose deployment has completed before. */
const KNOWN_SHARE = 5;

/** It serves at this moment: it runs and is ready. */
export function serves(machine: Machine): boolean {
  return machine.desired_state === "running" && machine.state === "running" && machine.ready;
}

/** It serves, and has done so for as long as is asked. */
export function isHealthy(machine: Machine): boolean {
  return serves(machine) && machine.healthy;
}

/** It ended by itself with code 0, and is not started again: a job that is through. */
export function hasDoneItsWork(machine: Machine): boolean {
  return machine.desired_state === "running" && machine.state === "stopped";
}

/** An operator stopped it: a replica that is not to run. */
export function isPaused(machine: Machine): boolean {
  return machine.desired_state === "stopped" && !machine.removing;
}

/** It is what its app needs of it, so that a deployment may be completed with it. */
export function doesItsDuty(machine: Machine): boolean {
  return isHealthy(machine) || hasDoneItsWork(machine) || isPaused(machine);
}

/** Whether `original` is not needed any more. What ended by itself takes the place of nobody who serves. */
export function mayTakeOver(replacement: Machine, original: Machine): boolean {
  return isHealthy(replacement) || (hasDoneItsWork(replacement) && !serves(original));
}

/** For how long, in seconds, a machine has to be up before it counts. */
export function staySeconds(state: State, app: App, machine: Machine): number {
  const deployment = state.deployments.get(machine.deployment_id);
  const isKnown = machine.deployment_id === app.stable_id || deployment?.state === "completed";
  return isKnown ? machine.min_healthy_seconds / KNOWN_SHARE : machine.min_healthy_seconds;
}

/** Machines that have been up for as long as is asked, and of which that was not said yet. */
export function grownHealthy(state: State, app: App, present: readonly Machine[], since: Since): Machine[] {
  return present.filter((machine) => {
    if (machine.healthy || machine.up_since === null || !serves(machine)) return false;
    return since(machine.up_since) >= staySeconds(state, app, machine) * 1000;
  });
}

/**
 * How many machines of the app have to be healthy before one that serves may go: one a replica that is to run and has
 * not done its work.
 */
export function floorOf(wanted: number, replicas: readonly Machine[]): number {
  const excused = replicas.filter((machine) => isPaused(machine) || hasDoneItsWork(machine)).length;
  return Math.max(0, wanted - excused);
}

/** Gives up the places of machines one by one, as the rule allows, and says why one stays. */
export class Places {
  readonly #floor: number;
  #healthy: number;

  /**
   * `wanted`: so many replicas are asked for; `present`: machines of the app that are not on their way out; `replicas`:
   * those of them that count as one.
   */
  constructor(wanted: number, present: readonly Machine[], replicas: readonly Machine[]) {
    this.#floor = floorOf(wanted, replicas);
    this.#healthy = present.filter(isHealthy).length;
  }

  /** Null where `machine` may go, and is counted as gone from here on; else why it has to stay. */
  release(machine: Machine): string | null {
    if (!serves(machine)) return null;
    const without = this.#healthy - (isHealthy(machine) ? 1 : 0);
    if (without < this.#floor) return `stays while ${without} of ${this.#floor} others are healthy`;
    this.#healthy = without;
    return null;
  }
}
