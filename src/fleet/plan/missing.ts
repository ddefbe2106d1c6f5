/** Fewer replicas than asked for: they are made, on a host or waiting for room; and those that wait are placed. */
import type { Event } from "../../state/events.ts";
import type { Machine } from "../../state/types.ts";
import { choose, Imagined } from "../placement.ts";
import type { AppMachines } from "./app-machines.ts";
import { create, needOf, PLACED_AT_ONCE } from "./new-machine.ts";
import type { PlanScene } from "./scene.ts";

/**
 * So many machines of an app wait for a host by name, so that one can ask why (`/placement`). The other replicas for
 * which there is no room are a number and a reason of the deployment: ten thousand of them cost what one does.
 */
export const WAITING_AT_MOST = 25;

/** Those that are missing are made, as long as not too many wait for a host already; these get the next room. */
export function createMissing(scene: PlanScene, { app, target, present, replicas }: AppMachines): Event[] {
  const imagined = new Imagined(scene);
  const need = needOf(app, target);
  const events: Event[] = [];
  const waitingBefore = present.filter(isWaitingForHost).length;
  let waiting = waitingBefore;
  const missing = Math.min(PLACED_AT_ONCE, target.replicas - replicas.length);
  while (events.length < missing && waiting < WAITING_AT_MOST) {
    // Where there was no room for one, there is none for the next.
    const choice = waiting > waitingBefore ? null : choose(imagined, need, new Map());
    if (choice === null) waiting += 1;
    else imagined.add(need, choice.hostId);
    events.push(create(scene, app, target, choice, null, 0));
  }
  return events;
}

/** It is to run, and there is no host for it yet. */
export function isWaitingForHost({ host_id: hostId, state, desired_state: desired }: Machine): boolean {
  return hostId === null && state === "pending" && desired === "running";
}

/**
 * Machines that had no room may have it now. The choice and the event are one decision, so the room is there when it is
 * taken.
 */
export function placeWaiting(scene: PlanScene, { app, present }: AppMachines): Event[] {
  const events: Event[] = [];
  const imagined = new Imagined(scene);
  // Where one has no room, no other that needs the same has: thousands that wait cost one look at the hosts, not one
  // each.
  const nowhere = new Set<string>();
  for (const machine of present) {
    if (!isWaitingForHost(machine)) continue;
    if (events.length === PLACED_AT_ONCE) break;
    const need = needOf(app, machine);
    const kind = JSON.stringify(need);
    const choice = nowhere.has(kind) ? null : choose(imagined, need, new Map());
    if (choice === null) {
      nowhere.add(kind);
      continue;
    }
    imagined.add(need, choice.hostId);
    events.push({ type: "machine.placed", data: { machine_id: machine.id, host_id: choice.hostId, why: choice.why } });
  }
  return events;
}
