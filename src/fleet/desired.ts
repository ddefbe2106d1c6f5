/** What an agent shall run, and the revision that names exactly that list. Derived from the state; cached per host. */
import type { HostId } from "../lib/id-types.ts";
import { sha256Hex } from "../lib/ids.ts";
import type { State } from "../state/state.ts";
import type { Machine } from "../state/types.ts";
import type { DesiredMachine } from "../wire/agents.ts";
import { holdsCapacity } from "../state/workload-reducers.ts";

export interface Desired {
  readonly machines: readonly DesiredMachine[];
  /** Equal exactly for equal lists, also across restarts: a hash of the list. */
  readonly revision: string;
}

/** A machine stays in the list until it ended: what is stopped or given up and reported so leaves it. */
export function isWanted(machine: Machine): boolean {
  return holdsCapacity(machine);
}

function toDesired(state: State, machine: Machine): DesiredMachine {
  const { id, app_id, deployment_id, image, cpus, memory_mb, restart, check, desired_state, starts } = machine;
  // With its app its deployment goes; what is to stop needs no env.
  const env = state.deployments.get(deployment_id)?.env ?? {};
  return {
    id,
    app_id,
    image,
    cpus,
    memory_mb,
    env,
    restart,
    ...(check === null ? {} : { check }),
    desired_state,
    ...(starts === 0 ? {} : { starts }),
  };
}

/** The desired list of one host, sorted by id. */
export function computeDesired(state: State, machines: readonly Machine[]): Desired {
  return withRevision(
    machines
      .filter(isWanted)
      .map((machine) => toDesired(state, machine))
      .sort((a, b) => (a.id < b.id ? -1 : 1)),
  );
}

function withRevision(machines: readonly DesiredMachine[]): Desired {
  return { machines, revision: sha256Hex(JSON.stringify(machines)).slice(0, 32) };
}

const EMPTY = withRevision([]);

/** Remembers each host's list until its machines change. */
export class DesiredLists {
  readonly #cache = new Map<HostId, { version: number; desired: Desired }>();

  of(state: State, hostId: HostId): Desired {
    const version = state.machines.groupVersion(hostId);
    if (version === 0) return EMPTY;
    const cached = this.#cache.get(hostId);
    if (cached?.version === version) return cached.desired;
    const desired = computeDesired(state, state.machines.group(hostId));
    this.#cache.set(hostId, { version, desired });
    return desired;
  }

  forget(hostId: HostId): void {
    this.#cache.delete(hostId);
  }
}
