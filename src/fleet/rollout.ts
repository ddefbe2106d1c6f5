/**
 * How a deployment moves from pending to its end: when it is rolling, completed, out of time, and where a roll-back
 * goes. Pure.
 */
import type { Since } from "../lib/elapsed.ts";
import type { EventOf } from "../state/events.ts";
import type { State } from "../state/state.ts";
import type { Machine } from "../state/types.ts";
import { isForsaken } from "../state/workload-reducers.ts";
import type { Crew } from "./crew.ts";
import { doesItsDuty } from "./health.ts";

/** The deployment's next state, or null where it stays what it is. */
export function planRollout(state: State, crew: Crew, since: Since): EventOf<"deployment.moved"> | null {
  const { app, target } = crew;
  const move = (
    to: EventOf<"deployment.moved">["data"]["state"],
    reason: string | null,
    targetId = target.id,
  ): EventOf<"deployment.moved"> => ({
    type: "deployment.moved",
    data: { deployment_id: target.id, app_id: app.id, state: to, reason, target_id: targetId },
  });
  if (target.state === "superseded" || target.state === "rolled_back" || target.state === "completed") return null;
  // One that came too late has come all the same.
  if (isComplete(state, crew)) return move("completed", null);
  if (target.state === "failed") return null;
  if (sinceProgress(crew, since) >= target.progress_deadline_seconds * 1000) {
    const reason = whyNot(crew);
    const stable = state.deployments.get(app.stable_id ?? "");
    if (stable === undefined || stable.id === target.id) return move("failed", reason);
    return move("rolled_back", `${reason}; rolled back to ${stable.id}`, stable.id);
  }
  return target.state === "pending" && ofTarget(crew).length > 0 ? move("rolling", null) : null;
}

/** Whether every replica is as it should be, and nothing else runs any more. */
function isComplete(state: State, { app, target, members, heads }: Crew): boolean {
  if (heads.length !== target.replicas || members.length !== heads.length) return false;
  if (!members.every((machine) => machine.deployment_id === target.id && doesItsDuty(machine))) return false;
  // What was replaced must be gone, as far as there is someone to ask.
  return !state.presentOf(app.id).some((machine) => machine.removing && !isForsaken(machine));
}

function ofTarget({ target, members }: Crew): Machine[] {
  return members.filter((machine) => machine.deployment_id === target.id);
}

/** How long ago, in milliseconds, a machine of the deployment was healthy for the first time, or it was asked for. */
function sinceProgress(crew: Crew, since: Since): number {
  const moments = ofTarget(crew).flatMap(({ healthy_at: at }) => (at === null ? [] : [at]));
  return Math.min(...[crew.target.asked_at, ...moments].map((at) => since(at)));
}

function whyNot(crew: Crew): string {
  const { target } = crew;
  const up = ofTarget(crew).filter(doesItsDuty).length;
  const lasting = target.min_healthy_seconds === 0 ? "" : ` for ${target.min_healthy_seconds} s`;
  const detail = whatFails(crew);
  return (
    `${up} of ${target.replicas} ready${lasting}, and no more within ` +
    `${target.progress_deadline_seconds} s${detail === null ? "" : `: ${detail}`}`
  );
}

/**
 * What keeps the deployment's machines from being up: the newest evidence, or how one stands that is not. Null where
 * nothing does.
 */
export function whatFails(crew: Crew): string | null {
  const { last_failure: last } = crew.target;
  if (last !== null) return last.reason;
  const failing = ofTarget(crew).find((machine) => !doesItsDuty(machine));
  if (failing === undefined) return null;
  return (
    `${failing.id} on ${failing.host_id ?? "no host"} is ` +
    `${failing.state}${failing.reason === null ? "" : `, ${failing.reason}`}`
  );
}
