/**
 * The machines of an app, sorted into those that count and those that go: pure facts for the steps of replicas.ts and
 * rollout.ts.
 */
import type { State } from "../state/state.ts";
import type { App, Deployment, Machine } from "../state/types.ts";
import { originalOf } from "./replacement.ts";

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
