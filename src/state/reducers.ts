/**
 * What each event does to the state. No clock, no randomness, no I/O, no refusal: whatever was decided is simply so.
 */
import type { HostId } from "../lib/id-types.ts";
import type { EventType, Recorded } from "./events.ts";
import type { Drain, Host } from "./types.ts";
import { identityReducers } from "./identity-reducers.ts";
import {
  DOWN,
  holdsCapacity,
  patchMachine,
  removeMachine,
  reportMachine,
  workloadReducers,
} from "./workload-reducers.ts";
import { CLUSTER_KEY, imageRefKey } from "./state.ts";
import type { State } from "./state.ts";

type Reducers = { readonly [T in EventType]: (state: State, event: Recorded<T>) => void };

/** Put where it belongs: older logs have thousands a ref, and to sort them all at each is quadratic. */
function withLabel(labels: readonly string[], label: string): readonly string[] {
  let low = 0;
  for (let high = labels.length; low < high;) {
    const middle = (low + high) >>> 1;
    if ((labels[middle] ?? "") < label) low = middle + 1;
    else high = middle;
  }
  return labels[low] === label ? labels : labels.toSpliced(low, 0, label);
}

function patchHost(state: State, id: HostId, change: Partial<Host>): void {
  const host = state.hosts.get(id);
  if (host !== undefined) state.hosts.set(id, { ...host, ...change });
}

function patchDrain(state: State, hostId: HostId, change: Partial<Drain>): void {
  const drain = state.drains.get(hostId);
  if (drain !== undefined) state.drains.set(hostId, { ...drain, ...change });
}

export const reducers: Reducers = {
  "journal.segment": () => undefined,

  "cluster.created": (state, { data }) => {
    state.cluster.set(CLUSTER_KEY, { id: data.cluster_id, default_org_id: data.org.id });
    state.orgs.set(data.org.id, { ...data.org });
  },

  "cluster.restored": (state, { data }) => {
    const cluster = state.cluster.get(CLUSTER_KEY);
    if (cluster !== undefined) state.cluster.set(CLUSTER_KEY, { ...cluster, id: data.cluster_id });
  },

  "host.registered": (state, { data, at }) => {
    const before = state.hosts.get(data.host_id);
    state.hosts.set(data.host_id, {
      id: data.host_id,
      ...data.facts,
      capacity: data.capacity,
      health: "online",
      mode: data.mode,
      mode_reason: data.mode_reason,
      key_hash: data.key_hash,
      registered_at: before?.registered_at ?? at,
      heard_at: at,
      offline_since: null,
      replacement_held: false,
      replace_after: null,
      ever_assigned: before?.ever_assigned ?? state.departedHosts.get(data.host_id)?.ever_assigned ?? false,
      trouble: before?.trouble ?? null,
    });
    state.departedHosts.delete(data.host_id);
  },

  "host.heard": (state, { data, at }) => {
    if (data.key_hash !== null) patchHost(state, data.host_id, { key_hash: data.key_hash });
    if (data.online === true)
      patchHost(state, data.host_id, {
        health: "online",
        offline_since: null,
        replacement_held: false,
        replace_after: null,
        heard_at: at,
      });
    for (const report of data.machines) reportMachine(state, report, at);
  },

  "host.lost": (state, { data, at }) => {
    const held = new Set(data.held_host_ids);
    for (const id of data.host_ids) {
      patchHost(state, id, { health: "offline", offline_since: at, replace_after: data.replace_after });
      for (const machine of state.machines.group(id)) {
        // Why it was told to go says more than that nobody hears how it went.
        if (holdsCapacity(machine))
          patchMachine(state, machine.id, {
            state: "unknown",
            ...DOWN,
            ...(machine.removing ? {} : { reason: "host_offline" }),
          });
      }
    }
    for (const id of held) patchHost(state, id, { replacement_held: true });
  },

  "host.replacement_allowed": (state, { data }) => {
    for (const id of data.host_ids) patchHost(state, id, { replacement_held: false });
  },

  "host.id_conflict": () => undefined,

  "host.deregistered": (state, { data, at }) => {
    const host = state.hosts.get(data.host_id);
    if (host === undefined) return;
    const mode = host.mode === "active" ? "active" : "maintenance";
    // Only what its id must find again is kept, so that hosts that come and go leave nothing behind.
    const remembered = mode !== "active" || host.key_hash !== null || host.ever_assigned;
    if (remembered)
      state.departedHosts.set(host.id, {
        id: host.id,
        mode,
        mode_reason: host.mode_reason,
        key_hash: host.key_hash,
        ever_assigned: host.ever_assigned,
      });
    state.hosts.delete(host.id);
    if (mode === "active") state.drains.delete(host.id);
    else if (state.drains.get(host.id)?.state === "draining")
      patchDrain(state, host.id, { state: "cancelled", finished_at: at });
    for (const machine of state.machines.group(host.id)) {
      if (!holdsCapacity(machine)) continue;
      // What was to stop has nobody left to say that it did; the host, if it comes back, is told to run nothing that is
      // not in its list.
      if (machine.desired_state === "stopped")
        patchMachine(state, machine.id, { state: "stopped", ...DOWN, reason: "host_deregistered", ended_at: at });
      else patchMachine(state, machine.id, { state: "unknown", ...DOWN, reason: "host_deregistered" });
    }
  },

  "host.key_removed": (state, { data }) => {
    patchHost(state, data.host_id, { key_hash: null });
    const departed = state.departedHosts.get(data.host_id);
    if (departed !== undefined) state.departedHosts.set(data.host_id, { ...departed, key_hash: null });
  },

  "host.drain_started": (state, { data, at }) => {
    const { host_id, max_parallel, deadline_at, force, reason, machine_ids } = data;
    patchHost(state, host_id, { mode: "draining", mode_reason: reason });
    const deadline = { deadline_at, deadline_from: deadline_at === null ? null : at };
    const terms = { max_parallel, force, forced: false, reason, machine_ids };
    state.drains.set(host_id, { host_id, state: "draining", started_at: at, finished_at: null, ...deadline, ...terms });
  },

  "host.drain_updated": (state, { data, at }) => {
    const { host_id, max_parallel, deadline_at, force, reason } = data;
    patchHost(state, host_id, { mode_reason: reason });
    // A deadline that was not given anew counts from where it did.
    const isSame = state.drains.get(host_id)?.deadline_at === deadline_at;
    patchDrain(state, host_id, {
      max_parallel,
      deadline_at,
      force,
      reason,
      ...(isSame ? {} : { deadline_from: deadline_at === null ? null : at }),
    });
  },

  "host.drain_forced": (state, { data, at }) => {
    patchDrain(state, data.host_id, { forced: true });
    for (const id of data.machine_ids) removeMachine(state, id, "stopped at the deadline of a drain with force", at);
  },

  "host.drain_finished": (state, { data, at }) => {
    patchDrain(state, data.host_id, { state: data.state, finished_at: at });
    const host = state.hosts.get(data.host_id);
    patchHost(state, data.host_id, {
      mode: data.mode,
      mode_reason: data.mode === "active" ? null : (host?.mode_reason ?? null),
    });
  },

  "host.activated": (state, { data }) => patchHost(state, data.host_id, { mode: "active", mode_reason: null }),

  "image.added": (state, { data, at }) => {
    const { digest, size_bytes, org_id, app_id } = data;
    if (state.images.get(digest) === undefined) state.images.set(digest, { digest, size_bytes, created_at: at });
    const key = imageRefKey(org_id, digest);
    const ref = state.imageRefs.get(key) ?? { org_id, digest, app_ids: [], created_at: at };
    const appIds = app_id === null ? ref.app_ids : withLabel(ref.app_ids, app_id);
    state.imageRefs.set(key, { ...ref, app_ids: appIds });
  },

  "image.removed": (state, { data }) => {
    state.imageRefs.delete(imageRefKey(data.org_id, data.digest));
    if (state.imageRefs.group(data.digest).length === 0) state.images.delete(data.digest);
  },

  ...identityReducers,
  ...workloadReducers,
};

/**
 * Applies one event. The mapped type pairs each type with its data, which an index by a union cannot express; hence the
 * one cast.
 */
export function reduce(state: State, event: Recorded): void {
  (reducers[event.type] as (state: State, event: Recorded) => void)(state, event);
}
