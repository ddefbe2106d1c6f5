/** Whom an event concerns: hosts whose list of machines may be another now, and apps that may need a next step. */
import type { Recorded } from "../state/events.ts";
import type { State } from "../state/state.ts";

export interface Touched {
  readonly hosts: readonly string[];
  readonly apps: readonly string[];
}

const NOBODY: Touched = { hosts: [], apps: [] };

/** `state` is the one after the event. */
export function touchedBy(state: State, event: Recorded): Touched {
  switch (event.type) {
    case "app.deleted":
      return {
        hosts: hostsOf(
          state,
          state.machinesOf(event.data.app_id).map(({ id }) => id),
        ),
        apps: [],
      };
    case "deployment.created":
      return { hosts: [], apps: [event.data.deployment.app_id] };
    case "deployment.scaled":
      return { hosts: [], apps: [state.deployments.get(event.data.deployment_id)?.app_id ?? ""] };
    case "machine.healthy":
    case "deployment.moved":
      return { hosts: [], apps: [event.data.app_id] };
    case "machine.created":
      return { hosts: event.data.host_id === null ? [] : [event.data.host_id], apps: [event.data.machine.app_id] };
    case "machine.placed":
      return { hosts: [event.data.host_id], apps: appsOf(state, [event.data.machine_id]) };
    case "machine.given_up":
    case "machine.stop_requested":
    case "machine.start_requested":
      return ofMachines(state, [event.data.machine_id]);
    case "machine.removed":
      return ofMachines(state, event.data.machine_ids);
    case "host.heard": {
      const { host_id, online, machines } = event.data;
      if (online === true) return ofHosts(state, [host_id]);
      return machines.length === 0
        ? NOBODY
        : {
            hosts: [host_id],
            apps: appsOf(
              state,
              machines.map(({ id }) => id),
            ),
          };
    }
    case "host.lost":
    case "host.replacement_allowed":
      return ofHosts(state, event.data.host_ids);
    case "host.registered":
    case "host.deregistered":
    case "host.drain_started":
    case "host.drain_updated":
    case "host.drain_forced":
    case "host.drain_finished":
    case "host.activated":
      return ofHosts(state, [event.data.host_id]);
    default:
      return NOBODY;
  }
}

function ofMachines(state: State, ids: readonly string[]): Touched {
  return { hosts: hostsOf(state, ids), apps: appsOf(state, ids) };
}

function ofHosts(state: State, hosts: readonly string[]): Touched {
  return {
    hosts,
    apps: [...new Set(hosts.flatMap((id) => state.machines.group(id).map((machine) => machine.app_id)))],
  };
}

function hostsOf(state: State, ids: readonly string[]): string[] {
  return distinct(ids.map((id) => state.machines.get(id)?.host_id ?? null));
}

function appsOf(state: State, ids: readonly string[]): string[] {
  return distinct(ids.map((id) => state.machines.get(id)?.app_id ?? null));
}

function distinct(values: readonly (string | null)[]): string[] {
  return [...new Set(values)].filter((value) => value !== null);
}
