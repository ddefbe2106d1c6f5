/**
 * /v1/machines: what runs where and why, and stopping, starting and deleting one. Decisions stand in
 * fleet/workloads.ts.
 */
import { decideMachineDeletion, decideStart, decideStop, findMachine } from "../fleet/workloads.ts";
import { machineView, machineViews, placementView } from "../fleet/workload-view.ts";
import type { EmptyReply, JsonReply } from "../http/respond.ts";
import { empty, json } from "../http/respond.ts";
import type { MaybePromise } from "../http/types.ts";
import type { Event, IdempotencyNote } from "../state/events.ts";
import type { State } from "../state/state.ts";
import type { Machine } from "../state/types.ts";
import type { QueryOf } from "../wire/call.ts";
import type { Page } from "../wire/common.ts";
import type { MachineView, MACHINES_QUERY, PlacementView } from "../wire/machines.ts";
import type { App } from "./app.ts";
import { listReply } from "./lists.ts";
import type { PersonRequest } from "./request.ts";

type OfMachine = PersonRequest<"machines/{id}">;
type Filter = QueryOf<typeof MACHINES_QUERY>;

/** The machine of the path, in the caller's org. */
function machineOf({ caller, params }: OfMachine, state: State): Machine {
  return findMachine(state, caller.org.id, params.id);
}

export function listMachines(
  { caller, query }: PersonRequest<never, unknown, Filter>,
  app: App,
): MaybePromise<JsonReply<200, Page<"machines", MachineView>>> {
  const { app_id: appId, host_id: hostId, state: wanted } = query;
  return app.store.read((state) => {
    const scene = app.fleet.reconciler.scene(state);
    const among = hostId === undefined ? state.machines.values() : state.machines.group(hostId);
    const isOfApp = (machine: Machine): boolean =>
      machine.app_id === appId || state.apps.get(machine.app_id)?.name === appId;
    const rows = [...among].filter(
      (machine) =>
        machine.org_id === caller.org.id &&
        (appId === undefined || isOfApp(machine)) &&
        (wanted === undefined || machine.state === wanted),
    );
    return listReply(query, "machines", machineViews(scene, rows), (row) => row.id);
  });
}

export function showMachine(request: OfMachine, app: App): MaybePromise<JsonReply<200, MachineView>> {
  return app.store.read((state) =>
    json(200, machineView(app.fleet.reconciler.scene(state), machineOf(request, state))),
  );
}

export function showPlacement(request: OfMachine, app: App): MaybePromise<JsonReply<200, PlacementView>> {
  return app.store.read((state) =>
    json(200, placementView(app.fleet.reconciler.scene(state), machineOf(request, state))),
  );
}

export function deleteMachine(request: OfMachine): MaybePromise<EmptyReply<204>> {
  return request.change((state) => ({
    event: decideMachineDeletion(machineOf(request, state)),
    answer: () => empty(204),
  }));
}

export function stopMachine(request: OfMachine, app: App): MaybePromise<JsonReply<202, MachineView>> {
  return changeMachine(request, app, decideStop);
}

export function startMachine(request: OfMachine, app: App): MaybePromise<JsonReply<202, MachineView>> {
  return changeMachine(request, app, decideStart);
}

function changeMachine(
  request: OfMachine,
  app: App,
  decide: (state: State, machine: Machine, note: IdempotencyNote | null) => Event | null,
): MaybePromise<JsonReply<202, MachineView>> {
  const show = (state: State): JsonReply<202, MachineView> =>
    json(202, machineView(app.fleet.reconciler.scene(state), machineOf(request, state)));
  return request.once((state, note) => ({ event: decide(state, machineOf(request, state), note), answer: show }), show);
}
