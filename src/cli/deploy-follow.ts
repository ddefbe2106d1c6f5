/**
 * Follows a deployment and the machines of its app, and says each change in a line; never changes them. When it is
 * over, its caller judges.
 */
import { DEPLOYMENT } from "../wire/apps.ts";
import type { NamedApp, ReceivedDeployment as Deployment } from "../wire/apps.ts";
import { MACHINES } from "../wire/machines.ts";
import type { ReceivedMachine as Machine } from "../wire/machines.ts";
import { appPath } from "./apps.ts";
import type { Following } from "./follow.ts";
import { newsIn } from "./follow.ts";
import { understand } from "./session.ts";

/** How it ended: the exit code, and the last line. */
export interface Ending {
  readonly code: 0 | 1;
  readonly text: string;
}

export interface Rollout {
  readonly app: NamedApp;
  /** The machines that the app had before. */
  readonly before: readonly Machine[];
  readonly first: Deployment;
  readonly firstBody: unknown;
  /** Null while it goes on. */
  readonly judge: (deployment: Deployment, look: Look) => Ending | null;
}

/** What there is to judge by beside the deployment itself. */
export interface Look {
  /** All of the app's. */
  readonly machines: readonly Machine[];
  /** Since the following began. */
  readonly ms: number;
  /** How long neither more nor fewer machines have been running or ready, or on their way out. */
  readonly stillMs: number;
}

/** The app's machines, ended ones too. */
export async function machinesOf(following: Following, app: NamedApp): Promise<readonly Machine[]> {
  const { body } = await following.ask("GET", "/v1/machines", { query: { app_id: app.id } });
  return understand(MACHINES, body).machines;
}

/** Gives the exit code. With --json the last deployment goes to stdout and the lines to stderr. */
export async function followRollout(following: Following, rollout: Rollout): Promise<number> {
  const more = `, and "zwrm machines --app ${rollout.app.name}"`;
  const { ending, body } = await following.untilInterrupted(more, () => watch(following, rollout));
  following.say(ending.text);
  if (following.session.json) following.session.printJson(body);
  return ending.code;
}

async function watch(
  following: Following,
  { app, before, first, firstBody, judge }: Rollout,
): Promise<{ readonly ending: Ending; readonly body: unknown }> {
  const news = (machine: Machine): string => newsIn(machine.state, machineText(machine));
  const said = new Map(before.map((machine) => [machine.id, news(machine)]));
  const isOld = new Set(before.filter((machine) => machine.deployment_id !== first.id).map(({ id }) => id));
  let [deployment, body, progress] = [first, firstBody, ""];
  const started = following.now;
  let [counts, movedAt] = ["", started];
  for (;;) {
    const machines = await machinesOf(following, app);
    // That a new machine waits for a host is said where there is a reason.
    const changed = machines.filter((machine) => news(machine) !== (said.get(machine.id) ?? "pending"));
    following.sayChanges(
      changed.map((machine) => ({
        id: `${isOld.has(machine.id) ? "old " : ""}${machine.id}`,
        text: machineText(machine),
      })),
    );
    for (const machine of changed) said.set(machine.id, news(machine));
    const goes = machines.filter(isGoing).length;
    const now = `${deployment.running} ${deployment.ready} ${goes}`;
    if (now !== counts) [counts, movedAt] = [now, following.now];
    const ending = judge(deployment, { machines, ms: following.now - started, stillMs: following.now - movedAt });
    if (ending !== null) return { ending, body };
    if (progressOf(deployment, goes) !== progress) following.say((progress = progressOf(deployment, goes)));
    await following.rest();
    ({ body } = await following.ask("GET", appPath(app.id, "deployments", first.id)));
    deployment = understand(DEPLOYMENT, body);
  }
}

/** `running on h-2, ready`, `pending: needs 4 cpus; …`, `failed on h-2: exit code 1`. */
export function machineText({ state, ready, host_id: host, reason, exit_code: exitCode, replaces }: Machine): string {
  const on = host === undefined ? "" : ` on ${host}`;
  const readiness = state === "running" ? (ready ? ", ready" : ", not ready") : "";
  const place = state === "starting" && replaces !== undefined ? ` in place of ${replaces}` : "";
  const code = exitCode === undefined || state === "running" || state === "starting" ? [] : [`exit code ${exitCode}`];
  const why = [...(reason === undefined ? [] : [reason]), ...code].join(", ");
  return `${state}${on}${readiness}${place}${why === "" ? "" : `: ${why}`}`;
}

/** It was told to go for good, and its agent has not said yet that it has. */
export function isGoing({ removing, state }: Machine): boolean {
  return (
    removing === true && (state === "pending" || state === "starting" || state === "running" || state === "stopping")
  );
}

/** With what keeps it from being completed, where the daemon says so. */
function progressOf({ state, running, replicas, ready, reason }: Deployment, going: number): string {
  const why = reason === undefined ? "" : `: ${reason}`;
  const stopping = going === 0 ? "" : `, ${going} still to stop`;
  return `${state}, ${running} of ${replicas} running, ${ready} ready${stopping}${why}`;
}
