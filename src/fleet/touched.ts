/**
 * Whom an event concerns: hosts whose list of machines may be another now, and apps that may need a next step. A total
 * table: a new event does not compile until somebody has said so here.
 */
import type { AppId, HostId, MachineId } from "../lib/id-types.ts";
import type { EventData, EventOf, EventType } from "../state/events.ts";
import type { State } from "../state/state.ts";

export interface Touched {
  readonly hosts: readonly HostId[];
  readonly apps: readonly AppId[];
}

type Touches<T extends EventType> = (state: State, data: EventData[T]) => Touched;

const NOBODY: Touched = { hosts: [], apps: [] };
const nobody = (): Touched => NOBODY;
const host = (state: State, { host_id }: { readonly host_id: HostId }): Touched => ofHosts(state, [host_id]);
const hosts = (state: State, { host_ids }: { readonly host_ids: readonly HostId[] }): Touched =>
  ofHosts(state, host_ids);
const machine = (state: State, { machine_id }: { readonly machine_id: MachineId }): Touched =>
  ofMachines(state, [machine_id]);
const app = (_state: State, { app_id }: { readonly app_id: AppId }): Touched => ({ hosts: [], apps: [app_id] });

const TOUCHES: { readonly [T in EventType]: Touches<T> } = {
  "journal.segment": nobody,
  "cluster.created": nobody,
  "cluster.restored": nobody,
  "host.registered": host,
  "host.heard": (state, { host_id, online, machines }) => {
    if (online === true) return ofHosts(state, [host_id]);
    if (machines.length === 0) return NOBODY;
    const ids = machines.map(({ id }) => id);
    return { hosts: [host_id], apps: appsOf(state, ids) };
  },
  "host.lost": hosts,
  "host.replacement_allowed": hosts,
  "host.id_conflict": nobody,
  "host.deregistered": host,
  "host.key_removed": nobody,
  "host.drain_started": host,
  "host.drain_updated": host,
  "host.drain_forced": host,
  "host.drain_finished": host,
  "host.activated": host,
  "app.created": nobody,
  // The app is gone; its machines are told to stop.
  "app.deleted": (state, { app_id }) => {
    const ids = state.machinesOf(app_id).map(({ id }) => id);
    return { hosts: hostsOf(state, ids), apps: [] };
  },
  "deployment.created": (_state, { deployment }) => ({ hosts: [], apps: [deployment.app_id] }),
  "deployment.scaled": (state, { deployment_id }) => ({
    hosts: [],
    apps: distinct([state.deployments.get(deployment_id)?.app_id ?? null]),
  }),
  "deployment.moved": app,
  "machine.created": (_state, { host_id, machine: { app_id } }) => ({
    hosts: host_id === null ? [] : [host_id],
    apps: [app_id],
  }),
  "machine.placed": (state, { host_id, machine_id }) => ({ hosts: [host_id], apps: appsOf(state, [machine_id]) }),
  "machine.healthy": app,
  "machine.given_up": machine,
  "machine.removed": (state, { machine_ids }) => ofMachines(state, machine_ids),
  "machine.stop_requested": machine,
  "machine.start_requested": machine,
  "workload.expired": nobody,
  "image.added": nobody,
  "image.removed": nobody,
  "org.created": nobody,
  "org.quota_set": nobody,
  "member.set": nobody,
  "member.removed": nobody,
  "user.created": nobody,
  "user.password_set": nobody,
  "user.removed": nobody,
  "session.created": nobody,
  "session.renewed": nobody,
  "session.ended": nobody,
  "api_key.created": nobody,
  "api_key.revoked": nobody,
};

/** `state` is the one after the event. */
export function touchedBy<T extends EventType>(state: State, event: EventOf<T>): Touched {
  return TOUCHES[event.type](state, event.data);
}

function ofMachines(state: State, ids: readonly MachineId[]): Touched {
  return { hosts: hostsOf(state, ids), apps: appsOf(state, ids) };
}

function ofHosts(state: State, ids: readonly HostId[]): Touched {
  return {
    hosts: ids,
    apps: [...new Set(ids.flatMap((id) => state.machines.group(id).map(({ app_id }) => app_id)))],
  };
}

function hostsOf(state: State, ids: readonly MachineId[]): HostId[] {
  return distinct(ids.map((id) => state.machines.get(id)?.host_id ?? null));
}

function appsOf(state: State, ids: readonly MachineId[]): AppId[] {
  return distinct(ids.map((id) => state.machines.get(id)?.app_id ?? null));
}

function distinct<I extends string>(values: readonly (I | null)[]): I[] {
  return [...new Set(values)].filter((value) => value !== null);
}
