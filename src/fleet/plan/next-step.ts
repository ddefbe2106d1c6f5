/**
 * What an app needs next so that its machines are what its deployment asks for: one pure step at a time, from the state
 * and the time. It carries nothing out. A file a reason; their order, and why, stands here.
 */
import type { Event } from "../../state/events.ts";
import type { App } from "../../state/types.ts";
import type { AppMachines } from "./app-machines.ts";
import { machinesOfApp } from "./app-machines.ts";
import { grownHealthy, serves } from "./health.ts";
import { createMissing, placeWaiting } from "./missing.ts";
import { causeOf } from "./replacement.ts";
import { replaceNext } from "./replace.ts";
import { planRollout } from "./rollout.ts";
import type { PlanScene } from "./scene.ts";
import { removeSurplus } from "./surplus.ts";
import { settleTakeovers } from "./takeover.ts";

export interface Step {
  /** What happens now, in this order; none where there is nothing to do. */
  readonly events: readonly Event[];
  /** Whether time or room elsewhere may bring one, so that the app is looked at again. */
  readonly waits: boolean;
}

/** The next step of an app. */
export function nextStep(scene: PlanScene, app: App): Step {
  const target = scene.state.deployments.get(app.deployment_id);
  if (target === undefined) return { events: [], waits: false };
  const machines = machinesOfApp(scene.state, app, target);
  for (const plan of PLANS) {
    const events = plan(scene, machines);
    if (events.length > 0) return { events, waits: true };
  }
  return { events: [], waits: isWaiting(scene, machines) };
}

/** The first that has anything to do is the step. */
const PLANS: readonly ((scene: PlanScene, machines: AppMachines) => readonly Event[])[] = [
  // First what is known by now, which the others count with.
  noteHealthy,
  // Too few come before all else: nothing may go while something is missing.
  createMissing,
  // Then who has taken over, so that room comes free, and nobody is replaced who is not needed any more.
  ({ state, since }, machines) => settleTakeovers(state, since, machines),
  removeSurplus,
  // What waits for room gets it before what runs is moved.
  placeWaiting,
  replaceNext,
  // With nothing left to do it is time to say how the deployment stands.
  ({ state, since }, machines) => {
    const moved = planRollout(state, machines, since);
    return moved === null ? [] : [moved];
  },
];

function isWaiting({ state }: PlanScene, { target, present }: AppMachines): boolean {
  if (target.state === "pending" || target.state === "rolling" || target.state === "failed") return true;
  return present.some((machine) => {
    const isNew = serves(machine) && !machine.healthy;
    return (
      isNew || machine.host_id === null || machine.replaced_by !== null || causeOf(state, target.id, machine) !== null
    );
  });
}

/** What has been up for as long as is asked counts from now on, until it is down. */
function noteHealthy({ state, since }: PlanScene, machines: AppMachines): Event[] {
  const grown = grownHealthy(state, machines.app, machines.present, since);
  return grown.length === 0
    ? []
    : [{ type: "machine.healthy", data: { app_id: machines.app.id, machine_ids: grown.map(({ id }) => id) } }];
}
