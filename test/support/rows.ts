/** Hosts and machines for tests that work on the state itself. */
import type { Since } from "../../src/lib/elapsed.ts";
import type { Event, EventData, Recorded } from "../../src/state/events.ts";
import { SYSTEM } from "../../src/state/events.ts";
import { reduce } from "../../src/state/reducers.ts";
import { State } from "../../src/state/state.ts";
import type { Capacity, Host, HostFacts, Machine, MachineSpec, Mode, Workload } from "../../src/state/types.ts";
import type { Plain, Told } from "./ids.ts";
import { withIds } from "./ids.ts";

export const CAPACITY: Capacity = { cpus: 8, memory_mb: 16_384, disk_mb: 100_000 };
export const AT = "2026-01-02T03:04:05.678Z";

export function factsOf(hostId: string, more: Partial<HostFacts> = {}): HostFacts {
  return {
    hostname: `${hostId}.example`,
    region: "default",
    datacenter: "default",
    ip_address: "10.0.0.1",
    grpc_port: 9090,
    agent_version: "1.0.0",
    labels: {},
    ...more,
  };
}

export function specOf(id: string, more: Partial<Plain<MachineSpec>> = {}): MachineSpec {
  const { env: _env, ...workload } = workloadOf();
  return withIds({ id, app_id: "web", org_id: "o_1", deployment_id: "dep_1", streak: 0, ...workload, ...more });
}

export function workloadOf(more: Partial<Plain<Workload>> = {}): Workload {
  return withIds({
    image: `sha256:${"a".repeat(64)}`,
    cpus: 1,
    memory_mb: 256,
    env: {},
    restart: "on-failure",
    check: null,
    region: null,
    on_host_loss: "replace",
    progress_deadline_seconds: 600,
    min_healthy_seconds: 0,
    ...more,
  });
}

export function deployed(id: string, more: Partial<Plain<EventData["deployment.created"]["deployment"]>> = {}): Event {
  return withIds({
    type: "deployment.created",
    data: {
      deployment: { id, app_id: "web", org_id: "o_1", replicas: 1, ...workloadOf(), ...more },
      idempotency: null,
    },
  });
}

/** How long ago the moments of a log were at that wall time, where no clock was ever set. */
export function sinceAt(nowWall: number): Since {
  return (at) => Math.max(0, nowWall - Date.parse(at));
}

/** Applies events as a replay does. */
export function apply(state: State, ...events: Told[]): void {
  for (const event of events) reduce(state, { ...event, seq: 0, at: AT, actor: SYSTEM } as Recorded);
}

export function registered(
  hostId: string,
  more: { mode?: Mode; key_hash?: string | null; mode_reason?: string | null } = {},
): Event {
  return withIds({
    type: "host.registered",
    data: {
      host_id: hostId,
      facts: factsOf(hostId),
      capacity: CAPACITY,
      key_hash: null,
      mode: "active",
      mode_reason: null,
      ...more,
    },
  });
}

/** Nobody is quiet: no storm is suspected. */
export const CALM = { isQuiet: (): boolean => false, until: AT };

export function lost(...hostIds: string[]): Event {
  return withIds({ type: "host.lost", data: { host_ids: hostIds, held_host_ids: [], replace_after: null } });
}

export function drainStarted(
  hostId: string,
  more: { deadline_at?: string | null; force?: boolean; machine_ids?: string[] } = {},
): Event {
  return withIds({
    type: "host.drain_started",
    data: { host_id: hostId, max_parallel: 2, deadline_at: null, force: false, reason: null, machine_ids: [], ...more },
  });
}

export function created(machine: Plain<MachineSpec>, hostId: string | null, replaces: string | null = null): Event {
  return withIds({
    type: "machine.created",
    data: { machine, host_id: hostId, replaces, why: hostId === null ? null : "the only one" },
  });
}

export function heard(hostId: string, machines: { id: string; state: Machine["state"] }[], online = false): Event {
  const rest = { ready: false, reason: null, exit_code: null, started_at: null };
  return withIds({
    type: "host.heard",
    data: { host_id: hostId, online, key_hash: null, machines: machines.map((machine) => ({ ...rest, ...machine })) },
  });
}

export const CLUSTER: Event = withIds({
  type: "cluster.created",
  data: { cluster_id: "c_1", org: { id: "o_1", slug: "default", name: "Default" } },
});

/** A state to which these events happened. */
export function stateAfter(...events: Told[]): State {
  const state = new State();
  apply(state, ...events);
  return state;
}

export function hostOf(state: State, id: string): Host {
  const host = state.hosts.find(id);
  if (host === undefined) throw new Error(`no host ${id}`);
  return host;
}

export function machineOf(state: State, id: string): Machine {
  const machine = state.machines.find(id);
  if (machine === undefined) throw new Error(`no machine ${id}`);
  return machine;
}

/** The state as comparable text. */
export function linesOf(state: State): string[] {
  return [...state.lines()];
}
