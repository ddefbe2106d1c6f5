/** Fewer replicas than asked for: they are made, on a host or waiting for room; and those that wait are placed. */
import type { Event } from "../../state/events.ts";
import { choose, Imagined } from "../placement.ts";
import type { AppMachines } from "./app-machines.ts";
import { create, needOf, PLACED_AT_ONCE } from "./new-machine.ts";
import type { PlanScene } from "./scene.ts";

/** Those that are missing are made. */
export function createMissing(scene: PlanScene, { app, target, replicas }: AppMachines): Event[] {
  const imagined = new Imagined(scene);
  const need = needOf(app, target);
  return Array.from({ length: Math.min(PLACED_AT_ONCE, target.replicas - replicas.length) }, () => {
    const choice = choose(imagined, need, new Map());
    if (choice !== null) imagined.add(need, choice.hostId);
    return create(scene, app, target, choice, null, 0);
  });
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
    if (machine.host_id !== null || machine.state !== "pending" || machine.desired_state === "stopped") continue;
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
