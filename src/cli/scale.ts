/**
 * `zwrm scale`: changes how many machines of an app there are, and follows until there are as many, ready, and what was
 * too much is gone.
 */
import { DEPLOYMENT } from "../wire/apps.ts";
import type { ReceivedDeployment as Deployment } from "../wire/apps.ts";
import type { ReceivedMachine as Machine } from "../wire/machines.ts";
import { APP_ARGUMENT, appPath, getApp, idempotencyKey } from "./apps.ts";
import type { Argument } from "./command.ts";
import { command, switchFlag, wholeFlag } from "./command.ts";
import { MAX_REPLICAS } from "./deploy.ts";
import type { Ending, Look } from "./deploy-follow.ts";
import { followRollout, isGoing, machinesOf } from "./deploy-follow.ts";
import { Following } from "./follow.ts";
import { formatElapsed } from "./format.ts";
import { understand } from "./session.ts";

/** Where a daemon does not say; the API's default. */
const PROGRESS_DEADLINE_SECONDS = 600;

const REPLICAS: Argument<number> = {
  placeholder: "N",
  help: "how many machines there shall be",
  read: wholeFlag("N", "", { min: 0, max: MAX_REPLICAS }).read,
};

export const scale = command({
  name: "scale",
  summary: "change how many machines of an app there are",
  details: [
    "The command follows with a line for each change until all N machines are as they should be and no further one is",
    "left, exit code 0. It exits 1 where nothing has changed for as long as the deployment's progress " +
      "deadline, or where another",
    "deployment or scale took its place. Ctrl-C ends the following, not the scaling.",
  ].join("\n"),
  args: { app: { ...APP_ARGUMENT, placeholder: "APP" }, replicas: REPLICAS },
  flags: { detach: switchFlag("do not follow it") },
  run: async (session, { app: nameOrId, replicas }, { detach }) => {
    const app = await getApp(session, nameOrId);
    const following = new Following(session, {
      name: app.name,
      what: "scaling",
      look: `see "zwrm apps show ${app.name}"`,
    });
    const before = detach ? [] : await machinesOf(following, app);
    const { body: firstBody } = await following.ask("POST", appPath(app.id, "scale"), {
      body: { replicas },
      headers: idempotencyKey(),
    });
    const first = understand(DEPLOYMENT, firstBody);
    following.say(
      `${first.id} is to have ${replicas} ` +
        `${replicas === 1 ? "replica" : "replicas"}${detach ? `: see "zwrm apps show ${app.name}"` : ""}`,
    );
    if (!detach)
      return followRollout(following, {
        app,
        before,
        first,
        firstBody,
        judge: (now, look) => judge(first, now, replicas, look),
      });
    if (session.json) session.printJson(firstBody);
    return 0;
  },
});

function judge(first: Deployment, now: Deployment, replicas: number, { machines, ms, stillMs }: Look): Ending | null {
  const { id, state, ready, reason } = now;
  const counts = `${ready} of ${replicas} ready`;
  const why = reason === undefined ? "" : `: ${reason}`;
  if (now.replicas !== replicas)
    return { code: 1, text: `${id} was scaled to ${now.replicas} by somebody else after ${formatElapsed(ms)}` };
  if (state === "completed" && isAsAsked(id, replicas, machines))
    return { code: 0, text: `scaled after ${formatElapsed(ms)}, ${counts}` };
  // One that had failed before may be scaled all the same.
  const isGoingOn = state === "pending" || state === "rolling" || state === "completed" || state === first.state;
  if (!isGoingOn) return { code: 1, text: `${id} is ${state} after ${formatElapsed(ms)}, ${counts}${why}` };
  const deadlineMs = (now.progress_deadline_seconds ?? PROGRESS_DEADLINE_SECONDS) * 1000;
  return stillMs < deadlineMs
    ? null
    : { code: 1, text: `no progress for ${formatElapsed(stillMs)}, ${counts}; the rest is still wanted${why}` };
}

/**
 * Whether there are N machines that do what they are there for, and nothing on its way out. A deployment that had
 * completed before and is scaled to what it was says `completed` whatever has become of its machines since. One that
 * was stopped, or has done its work, is a replica that is never ready.
 */
function isAsAsked(deploymentId: string, replicas: number, machines: readonly Machine[]): boolean {
  const good = machines.filter((machine) => {
    const { removing, state, ready, desired_state: desired, deployment_id: of } = machine;
    return (
      removing !== true &&
      of === deploymentId &&
      (desired === "stopped" || state === "stopped" || (state === "running" && ready))
    );
  });
  return good.length >= replicas && !machines.some(isGoing);
}
