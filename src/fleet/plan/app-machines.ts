/**
 * The machines of an app, sorted into those that count and those that go: pure facts for the files beside this one.
 */
import type { State } from "../../state/state.ts";
import type { App, Deployment, Machine } from "../../state/types.ts";
import { originalOf } from "./replacement.ts";

export interface AppMachines {
  readonly app: App;
  readonly target: Deployment;
  /** Those that are not on their way out. */
  readonly present: readonly Machine[];
  /** Those of them that count as a replica: a replacement and its original count once. */
  readonly replicas: readonly Machine[];
}

export function machinesOfApp(state: State, app: App, target: Deployment): AppMachines {
  const present = state.presentOf(app.id).filter((machine) => !machine.removing);
  return { app, target, present, replicas: present.filter((machine) => originalOf(state, machine) === null) };
}

/** Oldest first. */
export function byAge(a: Machine, b: Machine): number {
  if (a.created_at !== b.created_at) return a.created_at < b.created_at ? -1 : 1;
  return a.id < b.id ? -1 : 1;
}
