/** What people ask of apps, deployments and machines: pure decisions, and the lookups behind them. */
import { ApiError } from "../lib/errors.ts";
import type { AppId, DeploymentId, MachineId, OrgId } from "../lib/id-types.ts";
import type { Event, EventOf, IdempotencyNote } from "../state/events.ts";
import type { State } from "../state/state.ts";
import { imageRefKey } from "../state/state.ts";
import type { App, Deployment, Machine, Workload } from "../state/types.ts";
import { holdsCapacity, isOrphaned } from "../state/workload-reducers.ts";
import { originalOf, replacementOf } from "./plan/replacement.ts";

/** An app of the org by its id or its name. Throws `app_not_found`, also where another org has it. */
export function findApp(state: State, orgId: OrgId, idOrName: string): App {
  const byId = state.apps.find(idOrName);
  const app = byId?.org_id === orgId ? byId : state.apps.group(orgId).find(({ name }) => name === idOrName);
  if (app === undefined) throw new ApiError("app_not_found", `There is no app ${idOrName} here.`);
  return app;
}

/** Throws `deployment_not_found`. */
export function findDeployment(state: State, app: App, id: DeploymentId): Deployment {
  const deployment = state.deployments.get(id);
  if (deployment?.app_id !== app.id)
    throw new ApiError("deployment_not_found", `App ${app.name} has no deployment ${id}.`);
  return deployment;
}

/** Throws `machine_not_found`, also where another org has it. */
export function findMachine(state: State, orgId: OrgId, id: MachineId): Machine {
  const machine = state.machines.get(id);
  if (machine?.org_id !== orgId) throw new ApiError("machine_not_found", `There is no machine ${id} here.`);
  return machine;
}

/** Throws `app_exists`. */
export function decideApp(
  state: State,
  orgId: OrgId,
  name: string,
  appId: AppId,
  idempotency: IdempotencyNote | null,
): EventOf<"app.created"> {
  const there = state.apps.group(orgId).find((app) => app.name === name);
  if (there !== undefined)
    throw new ApiError("app_exists", `There is an app ${name} already: ${there.id}.`, { extra: { id: there.id } });
  return { type: "app.created", data: { app_id: appId, org_id: orgId, name, idempotency } };
}

/** Throws `app_has_machines`. */
export function decideAppDeletion(state: State, app: App, force: boolean): EventOf<"app.deleted"> {
  const left = state.presentOf(app.id).filter((machine) => holdsCapacity(machine) && !isOrphaned(machine)).length;
  if (left > 0 && !force)
    throw new ApiError(
      "app_has_machines",
      `App ${app.name} has ${left} machines. Scale it to 0 first, or delete it with ?force=true, which stops them.`,
    );
  return { type: "app.deleted", data: { app_id: app.id } };
}

/** Throws `image_unknown`. */
export function decideDeployment(
  state: State,
  app: App,
  id: DeploymentId,
  replicas: number,
  workload: Workload,
  idempotency: IdempotencyNote | null,
): EventOf<"deployment.created"> {
  if (state.imageRefs.get(imageRefKey(app.org_id, workload.image)) === undefined) {
    throw new ApiError(
      "image_unknown",
      `There is no image ${workload.image} here. Push it first: zwrm image push FILE`,
      { field: "image" },
    );
  }
  return {
    type: "deployment.created",
    data: { deployment: { id, app_id: app.id, org_id: app.org_id, replicas, ...workload }, idempotency },
  };
}

/** Null where the app has so many replicas already and there is no key to remember. Throws `no_deployment`. */
export function decideScale(
  state: State,
  app: App,
  replicas: number,
  idempotency: IdempotencyNote | null,
): EventOf<"deployment.scaled"> | null {
  const deployment = currentDeployment(state, app);
  if (deployment.replicas === replicas && idempotency === null) return null;
  return { type: "deployment.scaled", data: { deployment_id: deployment.id, replicas, idempotency } };
}

/** Throws `no_deployment`. */
export function currentDeployment(state: State, app: App): Deployment {
  const deployment = state.deployments.get(app.deployment_id);
  if (deployment === undefined)
    throw new ApiError(
      "no_deployment",
      `App ${app.name} was never deployed. Deploy it first: zwrm deploy ${app.name} --image FILE`,
    );
  return deployment;
}

/** Null where it goes already. */
export function decideMachineDeletion(machine: Machine): EventOf<"machine.removed"> | null {
  return machine.removing ? null : { type: "machine.removed", data: { machine_ids: [machine.id], reason: "deleted" } };
}

/** Null where it is stopped already and there is no key to remember. Throws `machine_state`. */
export function decideStop(state: State, machine: Machine, idempotency: IdempotencyNote | null): Event | null {
  refuseLeaving(machine);
  const original = originalOf(state, machine);
  if (original !== null)
    throw new ApiError(
      "machine_state",
      `Machine ${machine.id} is about to replace ${original.id}; stop that one, and this one goes.`,
    );
  return machine.desired_state === "stopped" && idempotency === null
    ? null
    : { type: "machine.stop_requested", data: { machine_id: machine.id, idempotency } };
}

/** Null where it runs already, or is about to, and there is no key to remember. Throws `machine_state`. */
export function decideStart(state: State, machine: Machine, idempotency: IdempotencyNote | null): Event | null {
  refuseLeaving(machine);
  if (holdsCapacity(machine)) {
    if (machine.desired_state === "running")
      return idempotency === null
        ? null
        : { type: "machine.start_requested", data: { machine_id: machine.id, idempotency } };
    // Its end, once reported, could not be told from the end of a machine that was to run.
    throw new ApiError(
      "machine_state",
      `Machine ${machine.id} has not stopped yet ` +
        `(${machine.state}${machine.reason === null ? "" : `, ${machine.reason}`}); start it when it has.`,
    );
  }
  const replacement = replacementOf(state, machine);
  if (replacement !== null)
    throw new ApiError("machine_state", `Machine ${machine.id} is being replaced by ${replacement.id}.`);
  return { type: "machine.start_requested", data: { machine_id: machine.id, idempotency } };
}

function refuseLeaving(machine: Machine): void {
  if (machine.removing)
    throw new ApiError(
      "machine_state",
      `Machine ${machine.id} goes for good: ${machine.reason ?? "it is being removed"}.`,
    );
}
