/** How a deployment moves from pending to its end: when it is rolling, completed, out of time, and where a roll-back goes. Pure. */
import type { EventOf } from "../state/events.ts";
import type { State } from "../state/state.ts";
import type { Machine } from "../state/types.ts";
import type { Crew } from "./crew.ts";
import { isComplete } from "./crew.ts";
import { isUp } from "./replacement.ts";

/** The deployment's next state, or null where it stays what it is. `now`: wall time. */
export function planRollout(state: State, crew: Crew, now: number): EventOf<"deployment.moved"> | null {
  const { app, target } = crew;
  const move = (to: EventOf<"deployment.moved">["data"]["state"], reason: string | null, targetId = target.id): EventOf<"deployment.moved"> => ({
    type: "deployment.moved",
    data: { deployment_id: target.id, app_id: app.id, state: to, reason, target_id: targetId },
  });
  if (target.state === "superseded" || target.state === "rolled_back" || target.state === "completed") return null;
  // One that came too late has come all the same.
  if (isComplete(state, crew)) return move("completed", null);
  if (target.state === "failed") return null;
  if (now - lastProgress(crew) >= target.progress_deadline_seconds * 1000) {
    const reason = whyNot(crew);
    const stable = state.deployments.get(app.stable_id ?? "");
    return stable === undefined || stable.id === target.id ? move("failed", reason) : move("rolled_back", `${reason}; rolled back to ${stable.id}`, stable.id);
  }
  return target.state === "pending" && ofTarget(crew).length > 0 ? move("rolling", null) : null;
}

function ofTarget({ target, members }: Crew): Machine[] {
  return members.filter((machine) => machine.deployment_id === target.id);
}

/** When a machine of the deployment was ready for the first time, or it was asked for. Wall time. */
function lastProgress(crew: Crew): number {
  const times = ofTarget(crew).flatMap((machine) => (machine.ready_at === null ? [] : [Date.parse(machine.ready_at)]));
  return Math.max(Date.parse(crew.target.asked_at), ...times);
}

function whyNot(crew: Crew): string {
  const { target } = crew;
  const own = ofTarget(crew);
  const up = own.filter(isUp).length;
  const failing = own.find((machine) => !isUp(machine));
  const detail = failing === undefined ? "" : `: ${failing.id} on ${failing.host_id ?? "no host"} is ${failing.state}${failing.reason === null ? "" : `, ${failing.reason}`}`;
  return `${up} of ${target.replicas} ready, and no more within ${target.progress_deadline_seconds} s${detail}`;
}
