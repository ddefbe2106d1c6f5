/** The machines of an app, sorted into those that count and those that go: pure facts for the steps of replicas.ts and rollout.ts. */
import type { State } from "../state/state.ts";
import type { App, Deployment, Machine } from "../state/types.ts";
import { isForsaken } from "../state/workload-reducers.ts";
import { isPaused, isUp, originalOf } from "./replacement.ts";

export interface Crew {
  readonly app: App;
  readonly target: Deployment;
  /** Those that are not on their way out. */
  readonly members: readonly Machine[];
  /** Members that count as a replica: a replacement and its original count once. */
  readonly heads: readonly Machine[];
}

export function crewOf(state: State, app: App, target: Deployment): Crew {
  const members = state.presentOf(app.id).filter((machine) => !machine.removing);
  return { app, target, members, heads: members.filter((machine) => originalOf(state, machine) === null) };
}

/** Whether every replica is as it should be, and nothing else runs any more. */
export function isComplete(state: State, { app, target, members, heads }: Crew): boolean {
  if (heads.length !== target.replicas || members.length !== heads.length) return false;
  if (!members.every((machine) => machine.deployment_id === target.id && (isUp(machine) || isPaused(machine)))) return false;
  // What was replaced must be gone, as far as there is someone to ask.
  return !state.presentOf(app.id).some((machine) => machine.removing && !isForsaken(machine));
}
