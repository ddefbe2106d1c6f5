/** A machine that is to be: what it needs of a host, and the event that makes it. */
import type { AppId, MachineId } from "../../lib/id-types.ts";
import type { Event } from "../../state/events.ts";
import type { App, Deployment } from "../../state/types.ts";
import type { Choice, Need } from "../placement.ts";
import type { PlanScene } from "./scene.ts";

/**
 * So many machines are made or placed in one step at most; choosing among a thousand hosts takes about a third of a
 * millisecond each.
 */
export const PLACED_AT_ONCE = 25;

export function needOf(
  app: { readonly id: AppId },
  workload: { readonly cpus: number; readonly memory_mb: number; readonly region: string | null },
): Need {
  return { app_id: app.id, cpus: workload.cpus, memory_mb: workload.memory_mb, region: workload.region };
}

/** `replaces`: the machine in whose stead it is; `streak`: how often in a row such a one gave up. */
export function create(
  scene: PlanScene,
  app: App,
  target: Deployment,
  choice: Choice | null,
  replaces: MachineId | null,
  streak: number,
): Event {
  const {
    image,
    cpus,
    memory_mb,
    region,
    restart,
    check,
    on_host_loss,
    progress_deadline_seconds,
    min_healthy_seconds,
  } = target;
  const terms = { restart, check, on_host_loss, progress_deadline_seconds, min_healthy_seconds };
  const workload = { image, cpus, memory_mb, region, ...terms };
  const machine = {
    id: scene.newMachineId(),
    app_id: app.id,
    org_id: app.org_id,
    deployment_id: target.id,
    ...workload,
    streak,
  };
  return {
    type: "machine.created",
    data: { machine, host_id: choice?.hostId ?? null, replaces, why: choice?.why ?? null },
  };
}
