/** Where each machine of a drained host stands, and why it waits: what drain-status and a dry run show. Pure. */
import { toRfc3339 } from "../lib/clock.ts";
import type { MachineId } from "../lib/id-types.ts";
import type { State } from "../state/state.ts";
import type { Drain, Host, Machine } from "../state/types.ts";
import type { DrainRow } from "../wire/hosts.ts";
import { holdsCapacity } from "../state/workload-reducers.ts";
import { Imagined, choose, hasRoom, whyNowhere } from "./placement.ts";
import { chooseReplacement } from "./plan/replace.ts";
import { needOf } from "./plan/new-machine.ts";
import type { PlanScene } from "./plan/scene.ts";
import { nextTry, nextTryOfAll } from "./plan/backoff.ts";
import { machinesOfApp } from "./plan/app-machines.ts";
import { isHealthy, serves, staySeconds } from "./plan/health.ts";
import { whyOriginalStays } from "./plan/takeover.ts";
import { movingFrom, replacementOf } from "./plan/replacement.ts";

/**
 * A row for every machine that the drain has or had to move: those it began with, and those that came back to the host
 * since.
 */
export function drainRows(scene: PlanScene, host: Host, drain: Drain): DrainRow[] {
  const { state } = scene;
  const since =
    drain.state === "draining"
      ? state.machines
          .group(host.id)
          .filter(holdsCapacity)
          .map(({ id }) => id)
      : [];
  return [...new Set([...drain.machine_ids, ...since])]
    .sort()
    .map((id) => drainRow(scene, host, drain, id, state.machines.get(id)));
}

function appOf(state: State, machine: Machine | undefined): Pick<DrainRow, "app_id" | "app_name"> {
  const appId = machine?.app_id ?? null;
  return { app_id: appId ?? "", app_name: state.apps.get(appId)?.name ?? null };
}

function drainRow(scene: PlanScene, host: Host, drain: Drain, id: MachineId, machine: Machine | undefined): DrainRow {
  const { state } = scene;
  const replacement = state.machines.get(machine?.replaced_by ?? null) ?? null;
  const row = {
    id,
    ...appOf(state, machine),
    replacement_id: machine?.replaced_by ?? null,
    target_host_id: replacement?.host_id ?? null,
  };
  if (machine === undefined || machine.host_id !== host.id) return { ...row, state: "migrated", reason: null };
  if (!holdsCapacity(machine)) {
    // Only a deadline with force takes a machine off its host with nothing in its stead.
    if (drain.forced && replacement === null) return { ...row, state: "failed", reason: machine.reason };
    return { ...row, state: "migrated", reason: replacement === null ? machine.reason : null };
  }
  if (host.health === "offline")
    return { ...row, state: "blocked", reason: `host offline since ${host.offline_since ?? host.heard_at}` };
  if (machine.desired_state === "stopped") return { ...row, state: "stopping", reason: machine.reason };
  if (drain.state !== "draining") return { ...row, state: "pending", reason: `stays: the drain is ${drain.state}` };
  if (replacement !== null && replacementOf(state, machine) !== null) {
    const stays = whyStays(state, machine);
    return {
      ...row,
      state: stays === null ? "starting" : "blocked",
      reason: stays ?? whyNotHealthy(state, replacement),
    };
  }
  return { ...row, replacement_id: null, target_host_id: null, ...whyItWaits(scene, host, drain, machine) };
}

/** Its replacement is well, and the app as a whole is not. */
function whyStays(state: State, machine: Machine): string | null {
  const app = state.apps.get(machine.app_id);
  const target = state.deployments.get(app?.deployment_id ?? null);
  return app === undefined || target === undefined
    ? null
    : whyOriginalStays(state, machinesOfApp(state, app, target), machine);
}

/** What its original waits for, or null where it has waited long enough. */
function whyNotHealthy(state: State, replacement: Machine): string | null {
  if (isHealthy(replacement)) return null;
  const app = state.apps.get(replacement.app_id);
  if (serves(replacement) && app !== undefined)
    return `it is ready, and has to stay so for ${staySeconds(state, app, replacement)} s`;
  return replacement.reason ?? `${replacement.state}${replacement.state === "running" ? ", not ready yet" : ""}`;
}

const RUNS_ONCE = "it runs once (restart is never), and is waited for; set a deadline with force to stop it";

/** What keeps the replacement of a machine from being started now. */
function whyItWaits(scene: PlanScene, host: Host, drain: Drain, machine: Machine): Pick<DrainRow, "state" | "reason"> {
  const { state } = scene;
  const deployment = state.deployments.get(state.apps.get(machine.app_id)?.deployment_id ?? null);
  if (deployment === undefined)
    return {
      state: "pending",
      reason: "it belongs to no app that could make a replacement; stop it, or set a deadline with force",
    };
  if (machine.restart === "never" && machine.deployment_id === deployment.id)
    return { state: "blocked", reason: RUNS_ONCE };
  const need = needOf({ id: machine.app_id }, deployment);
  const isTooEarly = nextTry(scene.since, machine, deployment, "draining") !== "now";
  if (isTooEarly || chooseReplacement(scene, deployment, machine, "draining") === null) {
    if (!hasRoom(scene, need)) return { state: "blocked", reason: whyNowhere(scene, need) };
    const next = nextTryOfAll(scene.since, machine, deployment, "draining");
    const again = toRfc3339(scene.now + (next === "now" ? 0 : next.inMs));
    return { state: "blocked", reason: `its replacement failed (${machine.retry?.reason ?? ""}); again at ${again}` };
  }
  const moving = movingFrom(state, host.id);
  const most = drain.max_parallel;
  return {
    state: "pending",
    reason: moving >= most ? `${moving} of at most ${most} are being moved` : (machine.retry?.reason ?? null),
  };
}

/**
 * Where each machine would go if the host were drained now: the same choice, one after the other, each with the ones
 * before it in place.
 */
export function planRows(scene: PlanScene, host: Host, machines: readonly Machine[]): DrainRow[] {
  const { state } = scene;
  const imagined = new Imagined(scene);
  const leaving = new Map([[host.id, "it is the one to be drained"]]);
  return machines.map((machine) => {
    const row = { id: machine.id, ...appOf(state, machine), replacement_id: null, target_host_id: null };
    if (host.health === "offline")
      return { ...row, state: "blocked", reason: `host offline since ${host.offline_since ?? host.heard_at}` };
    if (machine.desired_state === "stopped") return { ...row, state: "stopping", reason: machine.reason };
    const deployment = state.deployments.get(state.apps.get(machine.app_id)?.deployment_id ?? null);
    if (deployment === undefined)
      return { ...row, state: "pending", reason: "it belongs to no app that could make a replacement" };
    if (machine.restart === "never" && machine.deployment_id === deployment.id)
      return { ...row, state: "blocked", reason: RUNS_ONCE };
    const need = needOf({ id: machine.app_id }, deployment);
    const target = choose(imagined, need, leaving);
    if (target === null) return { ...row, state: "blocked", reason: whyNowhere(imagined, need, leaving) };
    imagined.add(need, target.hostId);
    return { ...row, target_host_id: target.hostId, state: "pending", reason: null };
  });
}
