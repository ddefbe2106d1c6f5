/** How a host joins and leaves: pure decisions on register, deregister and the key that binds an id. */
import { ApiError } from "../lib/errors.ts";
import type { HostId } from "../lib/id-types.ts";
import { equalSecrets, sha256Hex } from "../lib/ids.ts";
import type { State } from "../state/state.ts";
import type { EventOf } from "../state/events.ts";
import type { Capacity, Host, HostFacts } from "../state/types.ts";
import { nextMode } from "./modes.ts";

export interface Registration {
  readonly host_id: HostId;
  readonly facts: HostFacts;
  readonly capacity: Capacity;
  /** X-Zwrm-Host-Key as sent, or null. */
  readonly key: string | null;
}

/** Whether `key` may speak for `hostId`: any may while no key is bound. */
export function fitsHostKey(state: State, hostId: HostId, key: string | null): boolean {
  const bound = state.hosts.get(hostId)?.key_hash ?? state.departedHosts.get(hostId)?.key_hash ?? null;
  return bound === null || (key !== null && equalSecrets(sha256Hex(key), bound));
}

/**
 * Throws `host_key_mismatch` where `hostId` is bound to another key. A host without a key is bound by the first one
 * that it sends when registering or beating.
 */
export function checkHostKey(state: State, hostId: HostId, key: string | null): void {
  if (fitsHostKey(state, hostId, key)) return;
  const what = key === null ? "no X-Zwrm-Host-Key was sent" : "another X-Zwrm-Host-Key was sent";
  throw new ApiError(
    "host_key_mismatch",
    `Host id ${hostId} is bound to a key and ${what}. If the host lost its key, unbind it: zwrm host ` +
      `unbind-key ${hostId}`,
  );
}

/** Null where the registration says nothing new. */
export function decideRegister(state: State, registration: Registration): EventOf<"host.registered"> | null {
  const { host_id, facts, capacity, key } = registration;
  checkHostKey(state, host_id, key);
  const host = state.hosts.get(host_id);
  const departed = state.departedHosts.get(host_id);
  const keyHash = host?.key_hash ?? departed?.key_hash ?? (key === null ? null : sha256Hex(key));
  if (host !== undefined && host.health === "online" && host.key_hash === keyHash && sameFacts(host, facts, capacity))
    return null;
  const mode = host === undefined ? (departed?.mode ?? "active") : nextMode(host, "register");
  const modeReason = (host ?? departed)?.mode_reason ?? null;
  return {
    type: "host.registered",
    data: { host_id, facts, capacity, key_hash: keyHash, mode, mode_reason: modeReason },
  };
}

function sameFacts(host: Host, facts: HostFacts, capacity: Capacity): boolean {
  const now = [
    facts.hostname,
    facts.region,
    facts.datacenter,
    facts.ip_address,
    facts.grpc_port,
    facts.agent_version,
    capacity.cpus,
    capacity.memory_mb,
    capacity.disk_mb,
  ];
  const before = [
    host.hostname,
    host.region,
    host.datacenter,
    host.ip_address,
    host.grpc_port,
    host.agent_version,
    host.capacity.cpus,
    host.capacity.memory_mb,
    host.capacity.disk_mb,
  ];
  return now.every((value, index) => value === before[index]) && sameLabels(facts.labels, host.labels);
}

function sameLabels(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => Object.hasOwn(b, name) && a[name] === b[name]);
}

/** Throws `host_not_registered` for an id that is not in the list. */
export function decideDeregister(
  state: State,
  hostId: HostId,
  key: string | null,
  reason: string | null,
): EventOf<"host.deregistered"> {
  checkHostKey(state, hostId, key);
  if (state.hosts.get(hostId) === undefined) throw hostNotRegistered(hostId);
  return { type: "host.deregistered", data: { host_id: hostId, reason } };
}

/**
 * An operator gives up a host that will not come back. Throws `host_not_found`, and `host_online` where its agent is
 * heard.
 */
export function decideRemove(state: State, hostId: HostId): EventOf<"host.deregistered"> {
  nextMode(getHost(state, hostId), "remove");
  return { type: "host.deregistered", data: { host_id: hostId, reason: "removed by an operator" } };
}

/** Null where no key is bound. Throws `host_not_found` for an id that was never here. */
export function decideUnbindKey(state: State, hostId: HostId): EventOf<"host.key_removed"> | null {
  const known = state.hosts.get(hostId) ?? state.departedHosts.get(hostId);
  if (known === undefined) throw hostNotFound(hostId);
  return known.key_hash === null ? null : { type: "host.key_removed", data: { host_id: hostId } };
}

export function hostNotRegistered(hostId: HostId): ApiError {
  return new ApiError("host_not_registered", `Host ${hostId} is not registered here. Register it, then beat again.`);
}

export function hostNotFound(hostId: HostId): ApiError {
  return new ApiError("host_not_found", `There is no host ${hostId}.`);
}

/** The row of a host, or `host_not_found`. */
export function getHost(state: State, hostId: HostId): Host {
  const host = state.hosts.get(hostId);
  if (host === undefined) throw hostNotFound(hostId);
  return host;
}
