/** What the machines of each host take of it. Derived from the state; cached per host until its machines change. */
import type { HostId } from "../lib/id-types.ts";
import type { State } from "../state/state.ts";
import { holdsCapacity } from "../state/workload-reducers.ts";

export interface Allocation {
  readonly cpus: number;
  readonly memory_mb: number;
  /** Machines that hold capacity. */
  readonly machines: number;
}

const NONE: Allocation = { cpus: 0, memory_mb: 0, machines: 0 };

export class Allocations {
  readonly #cache = new Map<HostId, { version: number; allocation: Allocation }>();

  of(state: State, hostId: HostId): Allocation {
    const version = state.machines.groupVersion(hostId);
    if (version === 0) return NONE;
    const cached = this.#cache.get(hostId);
    if (cached?.version === version) return cached.allocation;
    const allocation = allocationOf(state, hostId);
    this.#cache.set(hostId, { version, allocation });
    return allocation;
  }

  forget(hostId: HostId): void {
    this.#cache.delete(hostId);
  }
}

export function allocationOf(state: State, hostId: HostId): Allocation {
  const sum = { cpus: 0, memory_mb: 0, machines: 0 };
  for (const machine of state.machines.group(hostId)) {
    if (!holdsCapacity(machine)) continue;
    sum.cpus += machine.cpus;
    sum.memory_mb += machine.memory_mb;
    sum.machines += 1;
  }
  return sum;
}
