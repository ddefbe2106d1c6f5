/**
 * /v1/machines: what runs where and why, and stopping, starting and deleting one. Decisions stand in
 * fleet/workloads.ts.
 */
import { decideMachineDeletion, decideStart, decideStop, findMachine } from "../fleet/workloads.ts";
import { machineView, machineViews, placementView } from "../fleet/workload-view.ts";
import { empty, json } from "../http/respond.ts";
import type { MaybePromise, Reply } from "../http/types.ts";
import { oneOf, readField } from "../lib/schema.ts";
import type { Event, IdempotencyNote } from "../state/events.ts";
import type { State } from "../state/state.ts";
import type { Machine } from "../state/types.ts";
import type { ApiContext, App } from "./app.ts";
import { param, personOf } from "./app.ts";
import { listReply } from "./lists.ts";

const STATE = oneOf("pending", "starting", "running", "stopping", "stopped", "failed", "unknown");

/** The machine of the path, in the caller's org. */
function machineOf(context: ApiContext, state: State): Machine {
  return findMachine(state, personOf(context).org.id, param(context, "id"));
}

export function listMachines(context: ApiContext, app: App): MaybePromise<Reply> {
  const { org } = personOf(context);
  const { query } = context;
  const stateText = query.get("state");
  const wanted = stateText === null ? null : readField(STATE, "state", stateText);
  const [appId, hostId] = [query.get("app_id"), query.get("host_id")];
  return app.store.read((state) => {
    const scene = app.fleet.reconciler.scene(state);
    const among = hostId === null ? state.machines.values() : state.machines.group(hostId);
    const isOfApp = (machine: Machine): boolean =>
      machine.app_id === appId || state.apps.get(machine.app_id)?.name === appId;
    const rows = [...among].filter(
      (machine) =>
        machine.org_id === org.id &&
        (appId === null || isOfApp(machine)) &&
        (wanted === null || machine.state === wanted),
    );
    return listReply(context, "machines", machineViews(scene, rows), (row) => row.id);
  });
}

export function showMachine(context: ApiContext, app: App): MaybePromise<Reply> {
  return app.store.read((state) =>
    json(200, machineView(app.fleet.reconciler.scene(state), machineOf(context, state))),
  );
}

export function showPlacement(context: ApiContext, app: App): MaybePromise<Reply> {
  return app.store.read((state) =>
    json(200, placementView(app.fleet.reconciler.scene(state), machineOf(context, state))),
  );
}

export function deleteMachine(context: ApiContext, app: App): MaybePromise<Reply> {
  return app.door.change(context, (state) => ({
    event: decideMachineDeletion(machineOf(context, state)),
    answer: () => empty(204),
  }));
}

export function stopMachine(context: ApiContext, app: App): MaybePromise<Reply> {
  return changeMachine(context, app, decideStop);
}

export function startMachine(context: ApiContext, app: App): MaybePromise<Reply> {
  return changeMachine(context, app, decideStart);
}

function changeMachine(
  context: ApiContext,
  app: App,
  decide: (state: State, machine: Machine, note: IdempotencyNote | null) => Event | null,
): MaybePromise<Reply> {
  const show = (state: State): Reply =>
    json(202, machineView(app.fleet.reconciler.scene(state), machineOf(context, state)));
  return app.door.once(
    context,
    (state, note) => ({ event: decide(state, machineOf(context, state), note), answer: show }),
    show,
  );
}
