/** A host as people and agents see it on the wire. */
import { toRfc3339 } from "../lib/clock.ts";
import type { Since } from "../lib/elapsed.ts";
import type { State } from "../state/state.ts";
import type { Capacity, Drain, Host } from "../state/types.ts";
import type { DrainRow, DrainView, HostView } from "../wire/hosts.ts";
import { allocationOf } from "./allocations.ts";
import { statusOf } from "./modes.ts";
import { freshTrouble } from "./placement.ts";
import type { IdConflict, Presence } from "./presence.ts";

export function hostView(state: State, presence: Presence, host: Host, since: Since): HostView {
  const { machines, cpus, memory_mb } = allocationOf(state, host.id);
  const allocated = { cpus, memory_mb, disk_mb: 0 };
  const free = (key: keyof Capacity): number => Math.max(0, host.capacity[key] - allocated[key]);
  const heard = presence.heardWall(host.id);
  return {
    id: host.id,
    hostname: host.hostname,
    region: host.region,
    datacenter: host.datacenter,
    ip_address: host.ip_address,
    grpc_port: host.grpc_port,
    agent_version: host.agent_version,
    labels: host.labels,
    status: statusOf(host),
    health: host.health,
    mode: host.mode,
    mode_reason: host.mode_reason,
    capacity: host.capacity,
    allocated,
    available: { cpus: free("cpus"), memory_mb: free("memory_mb"), disk_mb: free("disk_mb") },
    usage: presence.usageOf(host.id),
    trouble: troubleOf(presence, host, since),
    machine_count: machines,
    registered_at: host.registered_at,
    last_heartbeat_at: heard === null ? host.heard_at : toRfc3339(heard),
  };
}

/** So long a conflict that is not seen any more is still told of. */
const CONFLICT_MS = 600_000;

function troubleOf(presence: Presence, host: Host, since: Since): string | null {
  const machines = freshTrouble(host, since);
  const told =
    machines === null || host.trouble === null
      ? []
      : [`${host.trouble.machine_id} could not be started here: ${machines}`];
  const conflict = presence.conflictOf(host.id);
  if (conflict !== null && since(conflict.at) < CONFLICT_MS) {
    const [one, other] = conflict.bootIds;
    told.push(
      `two agents beat under this id (boot ids ${one} and ${other}), last at ${conflict.at}: give one of ` +
        "them another host_id",
    );
  }
  return told.length === 0 ? null : told.join("; ");
}

/** Whether a conflict seen now begins another spell, or goes on with the one that was told of. */
export function isNewConflict(before: IdConflict | null, since: Since): boolean {
  return before === null || since(before.at) >= CONFLICT_MS;
}

export function drainView(host: Host, drain: Drain, machines: readonly DrainRow[]): DrainView {
  const count = (wanted: DrainRow["state"]): number => machines.filter((row) => row.state === wanted).length;
  return {
    host_id: host.id,
    state: drain.state,
    started_at: drain.started_at,
    finished_at: drain.finished_at,
    deadline_at: drain.deadline_at,
    total: machines.length,
    migrated: count("migrated"),
    remaining: machines.length - count("migrated") - count("failed"),
    failed: count("failed"),
    machines,
  };
}
