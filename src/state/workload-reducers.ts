/** What events do to apps, deployments and machines. */
import type { AppId, DeploymentId, HostId, MachineId, OrgId, ResourceId } from "../lib/id-types.ts";
import type { EventType, IdempotencyNote, MachineReport, Recorded } from "./events.ts";
import type { State } from "./state.ts";
import { idempotencyKey } from "./state.ts";
import type { App, Deployment, Machine } from "./types.ts";
import { completeWorkload } from "./upgrade.ts";

type WorkloadEvent = Extract<
  EventType,
  `app.${string}` | `deployment.${string}` | `machine.${string}` | `workload.${string}`
>;

/** Deployments of an app that are kept to be shown, beside those that are needed. */
const KEPT_DEPLOYMENTS = 50;

/** Machines that count against a host: not ended, wherever they stand between pending and stopping. */
export function holdsCapacity(machine: Machine): boolean {
  return machine.state !== "stopped" && machine.state !== "failed";
}

/**
 * It was told to go, and nobody can ask its host: when that is heard again it is told to stop, whatever has become of
 * app and image.
 */
export function isOrphaned(machine: Machine): boolean {
  return machine.removing && machine.state === "unknown";
}

export function patchMachine(state: State, id: MachineId, change: Partial<Machine>): void {
  const machine = state.machines.get(id);
  if (machine !== undefined) state.machines.set(id, { ...machine, ...change });
}

/** What is said of a machine that is not up. */
export const DOWN = { ready: false, up_since: null, healthy: false } as const;

/** Tells a machine to go for good. Where no agent could ever say that it is gone, it is gone now. */
export function removeMachine(state: State, id: MachineId, reason: string, at: string): void {
  const machine = state.machines.get(id);
  if (machine === undefined) return;
  const ended = machine.host_id === null || state.hosts.get(machine.host_id) === undefined;
  const end = holdsCapacity(machine)
    ? { reason, ...(ended ? ({ state: "stopped", ...DOWN, ended_at: at } as const) : {}) }
    : {};
  state.machines.set(id, { ...machine, removing: true, desired_state: "stopped", ...end });
}

/** What an agent reports of a machine. */
export function reportMachine(state: State, { id, fault, ...report }: MachineReport, at: string): void {
  const machine = state.machines.get(id);
  if (machine === undefined) return;
  const ended = report.state === "stopped" || report.state === "failed";
  // Why it was told to go says more than how it went.
  const reason = machine.removing && report.state !== "failed" ? machine.reason : report.reason;
  const readyAt = machine.ready_at ?? (report.ready ? at : null);
  const health = healthAfter(machine, report, at);
  const ending = { ended_at: ended ? at : null, fault: fault ?? null };
  state.machines.set(id, { ...machine, ...report, ...health, reason, ready_at: readyAt, ...ending });
  const why = report.reason ?? (report.state === "failed" ? `exit code ${report.exit_code ?? "unknown"}` : null);
  if (machine.removing || machine.desired_state === "stopped" || why === null) return;
  noteFailure(state, machine, `${machine.id} on ${machine.host_id ?? "no host"}: ${why}`);
  if (fault === "host") noteTrouble(state, machine, why, at);
}

/** A machine that was started again since the last report was down in between, however quick it was. */
function healthAfter(
  machine: Machine,
  report: Omit<MachineReport, "id">,
  at: string,
): Pick<Machine, "up_since" | "healthy"> {
  if (report.state !== "running" || !report.ready) return { up_since: null, healthy: false };
  const goesOn = machine.up_since !== null && report.started_at === machine.started_at;
  return goesOn ? { up_since: machine.up_since, healthy: machine.healthy } : { up_since: at, healthy: false };
}

function noteFailure(state: State, { id, deployment_id }: Machine, reason: string): void {
  patchDeployment(state, deployment_id, { last_failure: { machine_id: id, reason } });
}

/** That a machine was given up says less than how another one ended, and more than how it ended itself. */
function noteVerdict(state: State, machine: Machine, reason: string): void {
  const last = state.deployments.get(machine.deployment_id)?.last_failure ?? null;
  if (last === null || last.machine_id === machine.id) noteFailure(state, machine, reason);
}

function noteTrouble(state: State, { id, host_id }: Machine, reason: string, at: string): void {
  const host = state.hosts.get(host_id);
  if (host !== undefined) state.hosts.set(host.id, { ...host, trouble: { reason, machine_id: id, at } });
}

/** One that was put there since is well: whatever was wrong with its host is over. */
function endTrouble(state: State, machine: Machine): void {
  const host = state.hosts.get(machine.host_id);
  if (host === undefined || host.trouble === null || (machine.placed_at ?? "") < host.trouble.at) return;
  state.hosts.set(host.id, { ...host, trouble: null });
}

function patchApp(state: State, id: AppId, change: Partial<App>): void {
  const app = state.apps.get(id);
  if (app !== undefined) state.apps.set(id, { ...app, ...change });
}

function patchDeployment(state: State, id: DeploymentId, change: Partial<Deployment>): void {
  const deployment = state.deployments.get(id);
  if (deployment !== undefined) state.deployments.set(id, { ...deployment, ...change });
}

function remember(state: State, note: IdempotencyNote | null, orgId: OrgId, resourceId: ResourceId, at: string): void {
  if (note === null) return;
  state.idempotency.set(idempotencyKey(orgId, note.key), { ...note, org_id: orgId, resource_id: resourceId, at });
}

/** Lets go of an app's oldest deployments, but of none that a machine or a roll-back needs. */
function dropOldDeployments(state: State, appId: AppId): void {
  const app = state.apps.get(appId);
  const all = state.deployments.group(appId);
  if (all.length <= KEPT_DEPLOYMENTS) return;
  const needed = new Set<DeploymentId | null>([
    app?.deployment_id ?? null,
    app?.stable_id ?? null,
    ...state.machinesOf(appId).map((machine) => machine.deployment_id),
  ]);
  all.sort((a, b) => (a.created_at === b.created_at ? (a.id < b.id ? -1 : 1) : a.created_at < b.created_at ? -1 : 1));
  for (const { id } of all.slice(0, all.length - KEPT_DEPLOYMENTS)) if (!needed.has(id)) state.deployments.delete(id);
}

export const workloadReducers: { readonly [T in WorkloadEvent]: (state: State, event: Recorded<T>) => void } = {
  "app.created": (state, { data, at }) => {
    const { app_id, org_id, name, idempotency } = data;
    state.apps.set(app_id, { id: app_id, name, org_id, created_at: at, deployment_id: null, stable_id: null });
    remember(state, idempotency, org_id, app_id, at);
  },

  "app.deleted": (state, { data, at }) => {
    state.apps.delete(data.app_id);
    for (const { id } of state.deployments.group(data.app_id)) state.deployments.delete(id);
    for (const { id } of state.machinesOf(data.app_id)) removeMachine(state, id, "its app was deleted", at);
  },

  "deployment.created": (state, { data, at }) => {
    const { deployment, idempotency } = data;
    const before = state.deployments.get(state.apps.get(deployment.app_id)?.deployment_id ?? null);
    if (before?.state === "pending" || before?.state === "rolling")
      patchDeployment(state, before.id, {
        state: "superseded",
        reason: `superseded by ${deployment.id}`,
        finished_at: at,
      });
    const fresh = {
      state: "pending",
      reason: null,
      created_at: at,
      asked_at: at,
      finished_at: null,
      last_failure: null,
    } as const;
    state.deployments.set(deployment.id, { ...completeWorkload(deployment), ...fresh });
    patchApp(state, deployment.app_id, { deployment_id: deployment.id });
    dropOldDeployments(state, deployment.app_id);
    remember(state, idempotency, deployment.org_id, deployment.id, at);
  },

  "deployment.scaled": (state, { data, at }) => {
    const deployment = state.deployments.get(data.deployment_id);
    if (deployment === undefined) return;
    // To what it is already it goes on as it is: only the key is remembered.
    if (data.replicas !== deployment.replicas) {
      const anew = { state: "rolling", reason: null, asked_at: at, finished_at: null, last_failure: null } as const;
      state.deployments.set(deployment.id, { ...deployment, replicas: data.replicas, ...anew });
    }
    remember(state, data.idempotency, deployment.org_id, deployment.id, at);
  },

  "deployment.moved": (state, { data, at }) => {
    patchDeployment(state, data.deployment_id, {
      state: data.state,
      reason: data.reason,
      finished_at: data.state === "rolling" ? null : at,
    });
    // The one that is gone back to may itself have been superseded in the middle of a scale, which goes on now.
    const target = data.target_id === data.deployment_id ? undefined : state.deployments.get(data.target_id);
    if (target?.state === "superseded")
      patchDeployment(state, target.id, { state: "rolling", reason: null, asked_at: at, finished_at: null });
    patchApp(state, data.app_id, {
      deployment_id: data.target_id,
      ...(data.state === "completed" ? { stable_id: data.deployment_id } : {}),
    });
  },

  "machine.created": (state, { data, at }) => {
    const { machine, host_id, replaces, why } = data;
    const fresh = {
      state: "pending",
      ...DOWN,
      desired_state: "running",
      removing: false,
      reason: null,
      exit_code: null,
      fault: null,
    } as const;
    const links = { host_id, replaces, replaced_by: null, retry: null, starts: 0 };
    const placed = { created_at: at, placed_at: host_id === null ? null : at, placed_why: why };
    const times = { started_at: null, ready_at: null, healthy_at: null, ended_at: null };
    state.machines.set(machine.id, { ...completeWorkload(machine), ...fresh, ...links, ...placed, ...times });
    if (replaces !== null) patchMachine(state, replaces, { replaced_by: machine.id });
    if (host_id !== null) assign(state, host_id);
  },

  "machine.placed": (state, { data, at }) => {
    patchMachine(state, data.machine_id, {
      host_id: data.host_id,
      placed_at: at,
      placed_why: data.why,
      state: "pending",
      reason: null,
    });
    assign(state, data.host_id);
  },

  "machine.healthy": (state, { data, at }) => {
    for (const id of data.machine_ids) {
      const machine = state.machines.get(id);
      if (machine === undefined) continue;
      state.machines.set(id, { ...machine, healthy: true, healthy_at: machine.healthy_at ?? at });
      endTrouble(state, machine);
    }
  },

  "machine.given_up": (state, { data, at }) => {
    const { machine_id, original_id, host_id, failed, reason } = data;
    const given = state.machines.get(machine_id);
    if (given !== undefined && failed) noteVerdict(state, given, reason);
    removeMachine(state, machine_id, reason, at);
    const original = state.machines.get(original_id);
    if (original === undefined) return;
    const tried = original.retry?.tried ?? [];
    const rounds = original.retry?.rounds ?? 0;
    const again = host_id === null || tried.includes(host_id);
    const retry = {
      tried: host_id === null ? [] : again ? [host_id] : [...tried, host_id],
      rounds: again ? rounds + 1 : rounds,
      count: (original.retry?.count ?? 0) + 1,
      at,
      reason,
    };
    state.machines.set(original_id, { ...original, replaced_by: null, ...(failed ? { retry } : {}) });
  },

  "machine.removed": (state, { data, at }) => {
    for (const id of data.machine_ids) removeMachine(state, id, data.reason, at);
  },

  "machine.stop_requested": (state, { data, at }) => {
    const machine = state.machines.get(data.machine_id);
    if (machine === undefined) return;
    // Without a host it runs nowhere, so it is stopped already.
    patchMachine(state, machine.id, {
      desired_state: "stopped",
      ...(machine.host_id === null && holdsCapacity(machine) ? { state: "stopped", ended_at: at } : {}),
    });
    remember(state, data.idempotency, machine.org_id, machine.id, at);
  },

  "machine.start_requested": (state, { data, at }) => {
    const machine = state.machines.get(data.machine_id);
    if (machine === undefined) return;
    // It left its host when it stopped, and is placed anew. One that runs, or is about to, goes on: only the key is
    // remembered.
    const nowhere = {
      host_id: null,
      placed_at: null,
      placed_why: null,
      retry: null,
      reason: null,
      exit_code: null,
      fault: null,
    } as const;
    const times = { started_at: null, ready_at: null, healthy_at: null, ended_at: null };
    const anew = { ...nowhere, ...DOWN, state: "pending", ...times } as const;
    if (!holdsCapacity(machine))
      patchMachine(state, machine.id, { desired_state: "running", starts: machine.starts + 1, ...anew });
    remember(state, data.idempotency, machine.org_id, machine.id, at);
  },

  "workload.expired": (state, { data }) => {
    for (const id of data.machine_ids) state.machines.delete(id);
    for (const key of data.idempotency_keys) state.idempotency.delete(key);
  },
};

function assign(state: State, hostId: HostId): void {
  const host = state.hosts.get(hostId);
  if (host !== undefined && !host.ever_assigned) state.hosts.set(hostId, { ...host, ever_assigned: true });
}
