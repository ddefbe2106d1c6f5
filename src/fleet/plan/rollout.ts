/**
 * How a deployment moves from pending to its end: when it is rolling, completed, out of time, and where a roll-back
 * goes. Pure.
 */
import type { Since } from "../../lib/elapsed.ts";
import type { EventOf } from "../../state/events.ts";
import type { State } from "../../state/state.ts";
import type { Machine } from "../../state/types.ts";
import { isOrphaned } from "../../state/workload-reducers.ts";
import type { AppMachines } from "./app-machines.ts";
import { doesItsDuty } from "./health.ts";

/** The deployment's next state, or null where it stays what it is. */
export function planRollout(state: State, machines: AppMachines, since: Since): EventOf<"deployment.moved"> | null {
  const { app, target } = machines;
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
  if (isComplete(state, machines)) return move("completed", null);
  if (target.state === "failed") return null;
  if (sinceProgress(machines, since) >= target.progress_deadline_seconds * 1000) {
    const reason = whyNot(machines);
    const stable = state.deployments.get(app.stable_id);
    if (stable === undefined || stable.id === target.id) return move("failed", reason);
    return move("rolled_back", `${reason}; rolled back to ${stable.id}`, stable.id);
  }
  return target.state === "pending" && ofTarget(machines).length > 0 ? move("rolling", null) : null;
}

/** Whether every replica is as it should be, and nothing else runs any more. */
function isComplete(state: State, { app, target, present, replicas }: AppMachines): boolean {
  if (replicas.length !== target.replicas || present.length !== replicas.length) return false;
  if (!present.every((machine) => machine.deployment_id === target.id && doesItsDuty(machine))) return false;
  // What was replaced must be gone, as far as there is someone to ask.
  return !state.presentOf(app.id).some((machine) => machine.removing && !isOrphaned(machine));
}

function ofTarget({ target, present }: AppMachines): Machine[] {
  return present.filter((machine) => machine.deployment_id === target.id);
}

/** How long ago, in milliseconds, a machine of the deployment was healthy for the first time, or it was asked for. */
function sinceProgress(machines: AppMachines, since: Since): number {
  const moments = ofTarget(machines).flatMap(({ healthy_at: at }) => (at === null ? [] : [at]));
  return Math.min(...[machines.target.asked_at, ...moments].map((at) => since(at)));
}

function whyNot(machines: AppMachines): string {
  const { target } = machines;
  const up = ofTarget(machines).filter(doesItsDuty).length;
  const lasting = target.min_healthy_seconds === 0 ? "" : ` for ${target.min_healthy_seconds} s`;
  const detail = whatFails(machines);
  return (
    `${up} of ${target.replicas} ready${lasting}, and no more within ` +
    `${target.progress_deadline_seconds} s${detail === null ? "" : `: ${detail}`}`
  );
}

/**
 * What keeps the deployment's machines from being up: the newest evidence, or how one stands that is not. Null where
 * nothing does.
 */
export function whatFails(machines: AppMachines): string | null {
  const { last_failure: last } = machines.target;
  if (last !== null) return last.reason;
  const failing = ofTarget(machines).find((machine) => !doesItsDuty(machine));
  if (failing === undefined) return null;
  return (
    `${failing.id} on ${failing.host_id ?? "no host"} is ` +
    `${failing.state}${failing.reason === null ? "" : `, ${failing.reason}`}`
  );
}
