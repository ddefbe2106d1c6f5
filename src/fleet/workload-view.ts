/** Apps, deployments and machines as people see them on the wire. Env values never leave; their names do. */
import { toRfc3339 } from "../lib/clock.ts";
import type { State } from "../state/state.ts";
import type { App, Deployment, Machine } from "../state/types.ts";
import { holdsCapacity } from "../state/workload-reducers.ts";
import type { AppView, DeploymentView } from "../wire/apps.ts";
import type { MachineView, PlacementView } from "../wire/machines.ts";
import type { Need } from "./placement.ts";
import { explain, whyNowhere } from "./placement.ts";
import type { PlanScene } from "./plan/scene.ts";
import { needOf } from "./plan/new-machine.ts";
import { serves } from "./plan/health.ts";
import { causeOf, replacementOf } from "./plan/replacement.ts";
import { whyNotYet } from "./plan/why-not-yet.ts";

export function appView(state: State, { id, name, org_id, created_at, deployment_id }: App): AppView {
  const app = { id, name, org_id, created_at, deployment_id };
  const current = state.deployments.get(deployment_id);
  if (current === undefined) return { ...app, state: null, replicas: 0, ready: 0, image: null, deployed_at: null };
  const { ready } = countsOf(state, current);
  return {
    ...app,
    state: current.state,
    replicas: current.replicas,
    ready,
    image: current.image,
    deployed_at: current.created_at,
  };
}

/** While it goes on, `reason` says what keeps it from being completed, as things stand now. */
export function deploymentView(scene: PlanScene, deployment: Deployment): DeploymentView {
  const { state } = scene;
  const { env, asked_at: _asked, org_id: _org, last_failure: _last, ...shown } = deployment;
  const reason = deployment.reason ?? whyNotYet(scene, deployment);
  return { ...shown, reason, ...countsOf(state, deployment), env_names: Object.keys(env).sort() };
}

/** Its machines that run, and those of them that are ready. */
function countsOf(state: State, { id, app_id }: Deployment): { readonly running: number; readonly ready: number } {
  const running = state
    .presentOf(app_id)
    .filter((machine) => machine.deployment_id === id && !machine.removing && machine.state === "running");
  return { running: running.length, ready: running.filter(serves).length };
}

/**
 * Of many: those that wait for the same room share one look at the hosts, so that a thousand of them hold up no
 * heartbeat.
 */
export function machineViews(scene: PlanScene, machines: readonly Machine[]): MachineView[] {
  const known = new Map<string, string | null>();
  const whyNot = (need: Need): string | null => {
    const kind = JSON.stringify([need.cpus, need.memory_mb, need.region]);
    const before = known.get(kind);
    const why = before === undefined ? whyNowhere(scene, need) : before;
    known.set(kind, why);
    return why;
  };
  return machines.map((machine) => viewOf(scene, machine, whyNot));
}

export function machineView(scene: PlanScene, machine: Machine): MachineView {
  return viewOf(scene, machine, (need) => whyNowhere(scene, need));
}

function viewOf({ state: fleet }: PlanScene, machine: Machine, whyNot: (need: Need) => string | null): MachineView {
  const {
    id,
    app_id,
    deployment_id,
    host_id,
    image,
    state,
    ready,
    desired_state,
    removing,
    cpus,
    memory_mb,
    region,
    restart,
    exit_code,
    replaces,
    replaced_by,
    created_at,
    started_at,
    ended_at,
  } = machine;
  // What waits for room says what room, as the hosts are now.
  const reason = isUnplaced(machine) ? whyNot(needOf({ id: app_id }, machine)) : reasonOf(fleet, machine, whyNot);
  return {
    id,
    app_id,
    deployment_id,
    host_id,
    image,
    state,
    ready,
    desired_state,
    removing,
    cpus,
    memory_mb,
    region,
    restart,
    reason,
    exit_code,
    replaces,
    replaced_by,
    created_at,
    started_at,
    ended_at,
  };
}

/** What is said of it, and why nothing else runs in its stead where it is down and there is no room. */
function reasonOf(state: State, machine: Machine, whyNot: (need: Need) => string | null): string | null {
  const target = state.deployments.get(state.apps.get(machine.app_id)?.deployment_id ?? null);
  if (target === undefined || replacementOf(state, machine) !== null) return machine.reason;
  const cause = causeOf(state, target.id, machine);
  const why = cause === "lost" || cause === "failed" ? whyNot(needOf({ id: machine.app_id }, target)) : null;
  return why === null ? machine.reason : `${machine.reason ?? machine.state}; no replacement yet: ${why}`;
}

function isUnplaced(machine: Machine): boolean {
  return machine.host_id === null && machine.state === "pending";
}

/** The decision as it was made, and every host as it would be judged now. */
export function placementView(scene: PlanScene, machine: Machine): PlacementView {
  const { id, host_id } = machine;
  // The machine's own share is no obstacle to itself.
  const own = holdsCapacity(machine) ? machine : { cpus: 0, memory_mb: 0 };
  const allocated: PlanScene["allocated"] = (hostId) => {
    const taken = scene.allocated(hostId);
    return hostId === host_id
      ? { cpus: taken.cpus - own.cpus, memory_mb: taken.memory_mb - own.memory_mb, machines: taken.machines }
      : taken;
  };
  const imagined = { ...scene, allocated };
  const need = { ...needOf({ id: machine.app_id }, machine), machine_id: id };
  const hosts = explain(imagined, need, new Map(), host_id);
  return {
    machine_id: id,
    host_id,
    strategy: scene.strategy,
    decision: decisionOf(imagined, machine),
    as_of: toRfc3339(scene.now),
    hosts,
  };
}

function decisionOf(scene: PlanScene, machine: Machine): string {
  if (machine.host_id !== null)
    return (
      `on ${machine.host_id} since ${machine.placed_at ?? machine.created_at}: ` +
      `${machine.placed_why ?? "placed before reasons were kept"}`
    );
  if (machine.state !== "pending")
    return `nowhere: it is ${machine.state}${machine.reason === null ? "" : `, ${machine.reason}`}`;
  return `nowhere yet: ${whyNowhere(scene, needOf({ id: machine.app_id }, machine)) ?? "it is about to be placed"}`;
}
