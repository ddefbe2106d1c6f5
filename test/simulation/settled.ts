/**
 * What must hold when nothing has befallen the fleet for a while: everyone is heard, what was asked for runs, and
 * whatever does not says why.
 */
import type { DrainView } from "../../src/wire/hosts.ts";
import type { State } from "../../src/state/state.ts";
import type { Machine } from "../../src/state/types.ts";
import { holdsCapacity } from "../../src/state/workload-reducers.ts";
import { idOf } from "../support/ids.ts";
import type { Commands } from "./commands.ts";
import type { Control } from "./control.ts";
import type { Copies } from "./copies.ts";
import { Violation } from "./copies.ts";
import type { SimHost } from "./host.ts";
import { UNSTEADY } from "./images.ts";

interface Settled {
  readonly control: Control;
  readonly copies: Copies;
  readonly commands: Commands;
  readonly hosts: ReadonlyMap<string, SimHost>;
}

/** Throws a Violation for the first thing that is not as it should be. */
export function checkSettled(settled: Settled): void {
  const { control, commands, hosts } = settled;
  const { state } = control;
  if (state === null || !control.isAtRest) throw new Violation("the daemon is not at rest at the end", ["daemon"]);
  for (const { id, hasLeft } of hosts.values())
    if (!hasLeft && state.hosts.get(idOf(id))?.health !== "online")
      throw new Violation(`${id} is not online at the end`, [id]);
  const [lost] = commands.lost(state);
  if (lost !== undefined) throw new Violation(`at the end: ${lost}`, ["operator", "daemon"]);
  checkReplay(control, state);
  for (const { id } of commands.apps.values()) checkApp(settled, state, id);
  for (const drain of state.drains.values()) if (drain.state === "draining") checkDrain(control, drain.host_id);
  for (const host of hosts.values()) checkHost(state, host);
}

/** A start now would find the very state. */
function checkReplay(control: Control, state: State): void {
  const live = [...state.lines()];
  const replayed = [...control.replay().lines()];
  const at = live.findIndex((line, index) => line !== replayed[index]);
  if (at !== -1 || live.length !== replayed.length)
    throw new Violation(
      `a replay of the log gives another state: ${live[at] ?? "(nothing)"} is ${replayed[at] ?? "(nothing)"}`,
      ["daemon"],
    );
}

/** Each replica runs and is ready, or waits because there is no room. */
function checkApp({ copies }: Settled, state: State, appId: string): void {
  const app = state.apps.get(idOf(appId));
  const deployment = state.deployments.get(app?.deployment_id ?? null);
  if (deployment === undefined) return;
  const replicas = state.machinesOf(idOf(appId)).filter((machine) => !machine.removing && machine.replaced_by === null);
  const stands = replicas.filter((machine) => !isExcused(state, copies, machine));
  if (stands.length > 0) {
    const [machine] = stands;
    throw new Violation(
      `app ${appId}: ${stands.length} of ${deployment.replicas} replicas are not there at the end: ` +
        `${machine?.id ?? ""} is ${machine?.state ?? ""} on ${machine?.host_id ?? "no host"}`,
      [appId, machine?.id ?? "", machine?.host_id ?? ""],
    );
  }
  if (replicas.length !== deployment.replicas)
    throw new Violation(
      `app ${appId} has ${replicas.length} machines at the end, ${deployment.replicas} were asked for`,
      [appId, deployment.id],
    );
}

/**
 * It runs and is ready; or it was stopped, or ended and shall not be started again; or it waits and nowhere is room for
 * it; or it is one that fails by itself.
 */
function isExcused(state: State, copies: Copies, machine: Machine): boolean {
  if (machine.desired_state === "stopped" || UNSTEADY.includes(machine.image)) return true;
  if (machine.restart === "never" && !holdsCapacity(machine)) return true;
  // It waits for a host that left and may come back.
  if (
    (machine.restart === "never" || machine.on_host_loss === "wait") &&
    machine.state === "unknown" &&
    state.hosts.get(machine.host_id) === undefined
  )
    return true;
  if (machine.host_id !== null) return copies.isReady(machine.id) && machine.state === "running" && machine.ready;
  return ![...state.hosts.values()].some((host) => {
    const held = state.machines.group(host.id).filter(holdsCapacity);
    const cpus = held.reduce((sum, other) => sum + other.cpus, machine.cpus);
    const memory = held.reduce((sum, other) => sum + other.memory_mb, machine.memory_mb);
    return (
      host.mode === "active" &&
      host.health === "online" &&
      cpus <= host.capacity.cpus &&
      memory <= host.capacity.memory_mb &&
      (machine.region === null || machine.region === host.region)
    );
  });
}

/** A drain that has not ended says for each machine why. */
function checkDrain(control: Control, hostId: string): void {
  control.serve(
    { method: "GET", path: `/v1/hosts/${hostId}/drain-status`, body: "", headers: {}, hostId: null },
    (answer) => {
      if (answer.kind !== "answer") return;
      const drain = JSON.parse(answer.text) as DrainView;
      const left = drain.machines.filter(({ state }) => state !== "migrated" && state !== "failed");
      const silent = left.filter(({ state, reason }) => reason === null || reason === "" || state !== "blocked");
      if (left.length === 0 || silent.length > 0)
        throw new Violation(
          `the drain of ${hostId} has not ended at the end and does not say why: ${JSON.stringify(silent)}`,
          [hostId, ...silent.map(({ id }) => id)],
        );
    },
  );
}

/** What runs on a host is what the daemon thinks runs there. */
function checkHost(state: State, { id, runtime }: SimHost): void {
  const thought = new Set(
    state.machines
      .group(idOf(id))
      .filter(({ state: now }) => now === "running")
      .map((machine) => machine.id),
  );
  for (const copy of runtime.alive())
    if (!thought.has(idOf(copy.id)) && !UNSTEADY.includes(copy.machine.image))
      throw new Violation(`${copy.id} runs on ${id} at the end, where the daemon has no such machine running`, [
        id,
        copy.id,
      ]);
  for (const machineId of thought) {
    if (runtime.find(machineId) === undefined && !UNSTEADY.includes(state.machines.get(machineId)?.image ?? ""))
      throw new Violation(`${machineId} does not run on ${id} at the end, where the daemon thinks that it does`, [
        id,
        machineId,
      ]);
  }
}
