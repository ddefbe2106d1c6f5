/** More replicas than asked for: those that are least worth go, the newest of them first. */
import type { Event } from "../../state/events.ts";
import type { Machine } from "../../state/types.ts";
import type { AppMachines } from "./app-machines.ts";
import { byAge } from "./app-machines.ts";
import { isHealthy, serves } from "./health.ts";
import { causeOf, replacementOf } from "./replacement.ts";
import type { PlanScene } from "./scene.ts";

export function removeSurplus({ state }: PlanScene, { target, present, replicas }: AppMachines): Event[] {
  // What waits for room and is of another deployment has nothing to replace.
  const stale = present.filter(
    (machine) => machine.host_id === null && machine.deployment_id !== target.id && machine.desired_state === "running",
  );
  if (stale.length > 0)
    return [
      {
        type: "machine.removed",
        data: { machine_ids: stale.map(({ id }) => id), reason: "superseded before it was placed" },
      },
    ];
  if (replicas.length <= target.replicas) return [];
  const worth = (machine: Machine): number => {
    const pair = [machine, replacementOf(state, machine)].filter((one) => one !== null);
    const service = pair.some(isHealthy) ? 16 : pair.some(serves) ? 8 : machine.state === "stopped" ? 4 : 0;
    return service + (machine.host_id === null ? 0 : 2) + (causeOf(state, target.id, machine) === null ? 1 : 0);
  };
  const ranked = replicas
    .map((machine) => ({ machine, worth: worth(machine) }))
    .sort((a, b) => a.worth - b.worth || byAge(b.machine, a.machine));
  const gone = ranked.slice(0, replicas.length - target.replicas).map(({ machine }) => machine);
  const ids = gone.flatMap((machine) => [
    machine.id,
    ...[replacementOf(state, machine)].flatMap((one) => (one === null ? [] : [one.id])),
  ]);
  return [{ type: "machine.removed", data: { machine_ids: ids, reason: `scaled to ${target.replicas}` } }];
}
