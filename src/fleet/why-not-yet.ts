/**
 * Why a deployment is not completed yet, in words and numbers: asked exactly where nothing else says so. Pure; it
 * shows, and decides nothing.
 */
import type { Deployment, Machine } from "../state/types.ts";
import type { Crew } from "./crew.ts";
import { crewOf } from "./crew.ts";
import { serves } from "./health.ts";
import { whyOriginalStays } from "./pairs.ts";
import { whyNowhere } from "./placement.ts";
import type { PlanScene } from "./replicas.ts";
import { needOf } from "./replicas.ts";
import { causeOf, replacementOf } from "./replacement.ts";
import { whatFails } from "./rollout.ts";

/** Null where it is over, or nothing is in its way. */
export function whyNotYet(scene: PlanScene, deployment: Deployment): string | null {
  const { state } = scene;
  const app = state.apps.get(deployment.app_id);
  if (app === undefined || app.deployment_id !== deployment.id) return null;
  if (deployment.state !== "pending" && deployment.state !== "rolling") return null;
  const crew = crewOf(state, app, deployment);
  return noRoom(scene, crew) ?? failing(crew) ?? staying(scene, crew) ?? lasting(crew);
}

/** Machines that wait for a host, or that could only be replaced where there is none. */
function noRoom(scene: PlanScene, crew: Crew): string | null {
  const { state } = scene;
  const waiting = crew.members.filter((machine) => isUnplaced(machine));
  const [first] = waiting;
  if (first !== undefined) {
    const why = whyNowhere(scene, needOf(crew.app, first));
    return why === null ? null : `${waiting.length} of ${crew.target.replicas} wait for room: ${why}`;
  }
  const due = crew.members.filter(
    (machine) => causeOf(state, crew.target.id, machine) !== null && replacementOf(state, machine) === null,
  );
  if (due.length === 0 || crew.members.some((machine) => replacementOf(state, machine) !== null)) return null;
  const why = whyNowhere(scene, needOf(crew.app, crew.target));
  return why === null ? null : `no room for a further one beside what runs: ${why}`;
}

function isUnplaced({ host_id: hostId, state, desired_state: desired }: Machine): boolean {
  return hostId === null && state === "pending" && desired === "running";
}

/** A failure that is over, since its machine is well or gone and nothing else is down, is none. */
function failing(crew: Crew): string | null {
  return crew.target.last_failure === null ? null : whatFails(crew);
}

/** Machines that are ready, and not yet for as long as is asked. */
function lasting({ target, members }: Crew): string | null {
  const young = members.filter((machine) => serves(machine) && !machine.healthy).length;
  if (young === 0 || target.min_healthy_seconds === 0) return null;
  return `${young} of ${target.replicas} ready, and to stay so for ${target.min_healthy_seconds} s`;
}

function staying({ state }: PlanScene, crew: Crew): string | null {
  for (const machine of crew.members) {
    const why = whyOriginalStays(state, crew, machine);
    if (why !== null) return `${machine.id} ${why}`;
  }
  return null;
}
