/**
 * What becomes of originals and their replacements: who has taken over, who came to nothing, who is not needed any
 * more. Pure.
 */
import type { Since } from "../../lib/elapsed.ts";
import type { Event } from "../../state/events.ts";
import type { State } from "../../state/state.ts";
import type { Machine } from "../../state/types.ts";
import type { AppMachines } from "./app-machines.ts";
import { hasDoneItsWork, mayTakeOver, Places, serves } from "./health.ts";
import type { Failure } from "./replacement.ts";
import { causeOf, failureOf, replacementOf } from "./replacement.ts";

/**
 * Originals whose replacement has taken over go, as far as the app as a whole allows; replacements that fail, or that
 * nobody needs, go.
 */
export function settleTakeovers(state: State, since: Since, machines: AppMachines): Event[] {
  const events: Event[] = [];
  const places = new Places(machines.target.replicas, machines.present, machines.replicas);
  for (const original of machines.present) {
    const replacement = replacementOf(state, original);
    if (replacement === null) continue;
    if (
      !isForeign(machines, original, replacement) &&
      mayTakeOver(replacement, original) &&
      places.release(original) === null
    ) {
      events.push({
        type: "machine.removed",
        data: { machine_ids: [original.id], reason: `replaced by ${replacement.id}` },
      });
      continue;
    }
    const failure = whyGivenUp(state, since, machines, original, replacement);
    if (failure === null) continue;
    const ids = { machine_id: replacement.id, original_id: original.id, host_id: replacement.host_id };
    events.push({ type: "machine.given_up", data: { ...ids, ...failure } });
  }
  return events;
}

/** Why an original whose replacement is healthy is still there, or null. */
export function whyOriginalStays(state: State, machines: AppMachines, original: Machine): string | null {
  const replacement = replacementOf(state, original);
  if (replacement === null || !mayTakeOver(replacement, original)) return null;
  return new Places(machines.target.replicas, machines.present, machines.replicas).release(original);
}

function whyGivenUp(
  state: State,
  since: Since,
  machines: AppMachines,
  original: Machine,
  replacement: Machine,
): Failure | null {
  const failure = failureOf(state, replacement, since) ?? endedInVain(replacement, original);
  if (failure !== null) return failure;
  const reason = whyNotNeeded(state, machines, original, replacement);
  return reason === null ? null : { failed: false, reason };
}

/** A job that is through cannot stand in for a machine that serves. */
function endedInVain(replacement: Machine, original: Machine): Failure | null {
  if (!hasDoneItsWork(replacement) || !serves(original)) return null;
  const how = replacement.reason ?? "exit code 0";
  const on = replacement.host_id ?? "no host";
  return { failed: true, reason: `${replacement.id} on ${on} ended by itself (${how}), while ${original.id} serves` };
}

/** Of a deployment that nobody asks for any more, and that never completed, while the original serves. */
function isForeign({ app, target }: AppMachines, original: Machine, { deployment_id: id }: Machine): boolean {
  return id !== target.id && id !== app.stable_id && serves(original);
}

/**
 * Why a replacement that has not taken over is not wanted any more, or null. While nobody knows how the original is, it
 * goes on.
 */
function whyNotNeeded(state: State, machines: AppMachines, original: Machine, replacement: Machine): string | null {
  const { app, target } = machines;
  // It may never be ready, which may be why there is a newer one. One of the deployment before is known to work.
  const { deployment_id: id } = replacement;
  if (id !== target.id && id !== app.stable_id) return `superseded by ${target.id} before it had taken over`;
  const isUnknown = original.state === "unknown" && original.desired_state === "running";
  return isUnknown || causeOf(state, target.id, original) !== null ? null : `not needed: ${original.id} stays`;
}
