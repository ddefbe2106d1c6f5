/**
 * Why a deployment is not completed yet, in words and numbers: asked exactly where nothing else says so. Pure; it
 * shows, and decides nothing.
 */
import type { Deployment } from "../../state/types.ts";
import type { AppMachines } from "./app-machines.ts";
import { machinesOfApp } from "./app-machines.ts";
import { serves } from "./health.ts";
import { isWaitingForHost } from "./missing.ts";
import { whyOriginalStays } from "./takeover.ts";
import { whyNowhere } from "../placement.ts";
import type { PlanScene } from "./scene.ts";
import { needOf } from "./new-machine.ts";
import { causeOf, replacementOf } from "./replacement.ts";
import { whatFails } from "./rollout.ts";

/** Null where it is over, or nothing is in its way. */
export function whyNotYet(scene: PlanScene, deployment: Deployment): string | null {
  const { state } = scene;
  const app = state.apps.get(deployment.app_id);
  if (app === undefined || app.deployment_id !== deployment.id) return null;
  if (deployment.state !== "pending" && deployment.state !== "rolling") return null;
  const machines = machinesOfApp(state, app, deployment);
  return noRoom(scene, machines) ?? failing(machines) ?? staying(scene, machines) ?? lasting(machines);
}

/** Machines that wait for a host, or that could only be replaced where there is none. */
function noRoom(scene: PlanScene, machines: AppMachines): string | null {
  const { state } = scene;
  const waiting = machines.present.filter(isWaitingForHost);
  const [first] = waiting;
  if (first !== undefined) {
    const why = whyNowhere(scene, needOf(machines.app, first));
    const count = waiting.length + Math.max(0, machines.target.replicas - machines.replicas.length);
    return why === null ? null : `${count} of ${machines.target.replicas} wait for room: ${why}`;
  }
  const due = machines.present.filter(
    (machine) => causeOf(state, machines.target.id, machine) !== null && replacementOf(state, machine) === null,
  );
  if (due.length === 0 || machines.present.some((machine) => replacementOf(state, machine) !== null)) return null;
  const why = whyNowhere(scene, needOf(machines.app, machines.target));
  return why === null ? null : `no room for a further one beside what runs: ${why}`;
}

/** A failure that is over, since its machine is well or gone and nothing else is down, is none. */
function failing(machines: AppMachines): string | null {
  return machines.target.last_failure === null ? null : whatFails(machines);
}

/** Machines that are ready, and not yet for as long as is asked. */
function lasting({ target, present }: AppMachines): string | null {
  const young = present.filter((machine) => serves(machine) && !machine.healthy).length;
  if (young === 0 || target.min_healthy_seconds === 0) return null;
  return `${young} of ${target.replicas} ready, and to stay so for ${target.min_healthy_seconds} s`;
}

function staying({ state }: PlanScene, machines: AppMachines): string | null {
  for (const machine of machines.present) {
    const why = whyOriginalStays(state, machines, machine);
    if (why !== null) return `${machine.id} ${why}`;
  }
  return null;
}
