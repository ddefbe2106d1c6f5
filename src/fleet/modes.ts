/**
 * What every action that asks for it does in every mode and health: a total table, so that no combination is left to
 * chance. A heartbeat, a loss and a leave ask for nothing: they change no mode. Decides nothing about machines.
 */
import { ApiError } from "../lib/errors.ts";
import type { Health, Host, HostStatus, Mode } from "../state/types.ts";

export type Action = "register" | "remove" | "drain" | "undrain" | "activate" | "complete";

type Refusal = "host_in_maintenance" | "host_not_draining" | "host_not_in_maintenance" | "host_online";

/**
 * `to`: the mode afterwards (where it is the same mode, the action still does its work). `refuse`: the error's code.
 * `nothing`: no effect.
 */
export type Effect = { readonly to: Mode } | { readonly refuse: Refusal } | "nothing";

type Row = Readonly<Record<Action, Effect>>;

const ACTIVE = { to: "active" } as const;
const DRAINING = { to: "draining" } as const;
const MAINTENANCE = { to: "maintenance" } as const;

const active: Row = {
  register: ACTIVE,
  remove: { refuse: "host_online" },
  drain: DRAINING,
  undrain: { refuse: "host_not_draining" },
  activate: { refuse: "host_not_in_maintenance" },
  complete: "nothing",
};

const draining: Row = {
  register: DRAINING,
  remove: { refuse: "host_online" },
  drain: DRAINING,
  undrain: ACTIVE,
  activate: { refuse: "host_not_in_maintenance" },
  complete: MAINTENANCE,
};

const maintenance: Row = {
  register: MAINTENANCE,
  remove: { refuse: "host_online" },
  drain: { refuse: "host_in_maintenance" },
  undrain: { refuse: "host_not_draining" },
  activate: ACTIVE,
  complete: "nothing",
};

/**
 * Health and mode are separate facts: an offline host is drained and activated like any other; only one that is offline
 * can be removed, and then the mode is that of its id (state/reducers.ts), as after it has left by itself.
 */
export const MODES: Readonly<Record<Mode, Readonly<Record<Health, Row>>>> = {
  active: { online: active, offline: { ...active, remove: ACTIVE } },
  draining: { online: draining, offline: { ...draining, remove: MAINTENANCE } },
  maintenance: { online: maintenance, offline: { ...maintenance, remove: MAINTENANCE } },
};

const MESSAGES: Readonly<Record<Refusal, (host: Host) => string>> = {
  host_in_maintenance: (host) =>
    `Host ${host.id} is in maintenance already; there is nothing to drain. Activate it first.`,
  host_not_draining: (host) => `Host ${host.id} is ${host.mode}, not draining.`,
  host_not_in_maintenance: (host) =>
    `Host ${host.id} is ${host.mode}, not in maintenance${host.mode === "draining" ? "; undrain it instead" : ""}.`,
  host_online: (host) =>
    `Host ${host.id} is online. End its agent first: with --deregister-on-exit it leaves the list by itself.`,
};

/** The mode that `action` leads to. Throws the table's refusal as ApiError. */
export function nextMode(host: Host, action: Action): Mode {
  const effect = MODES[host.mode][host.health][action];
  if (effect === "nothing") return host.mode;
  if ("to" in effect) return effect.to;
  throw new ApiError(effect.refuse, MESSAGES[effect.refuse](host));
}

export function statusOf(host: Host): HostStatus {
  return host.health === "offline" ? "offline" : host.mode;
}
