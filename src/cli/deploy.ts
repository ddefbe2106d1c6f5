/**
 * `zwrm deploy`: brings an image into an app, which it makes where it is missing, and follows until the machines are
 * ready or the daemon gave up.
 */
import { ClientError } from "../client/errors.ts";
import { APP, DEPLOYMENT } from "../wire/apps.ts";
import type { NamedApp, ReceivedDeployment as Deployment } from "../wire/apps.ts";
import { appPath, findApp, idempotencyKey, NEW_APP, shortDigest } from "./apps.ts";
import { choiceFlag, command, secondsFlag, switchFlag, textFlag, timeFlag, wholeFlag } from "./command.ts";
import type { ImageChoice } from "./deploy-flags.ts";
import { CHECK, ENV, IMAGE, readEnvFile } from "./deploy-flags.ts";
import type { Ending } from "./deploy-follow.ts";
import { followRollout, machinesOf } from "./deploy-follow.ts";
import { Following } from "./follow.ts";
import { formatElapsed } from "./format.ts";
import { hashImage, pushedText, pushImage, withImage } from "./image-file.ts";
import { UsageError } from "./io.ts";
import type { Session } from "./session.ts";
import { understand } from "./session.ts";

export const MAX_REPLICAS = 10_000;
const MAX_CPUS = 1_024;
const MAX_MEMORY_MB = 1_073_741_824;
/** No app can be made with a name of this shape by mistake for an id. */
const APP_ID = /^app[_-][0-9a-f]{12,}$/;

export const deploy = command({
  name: "deploy",
  summary: "run an image in an app: its machines are replaced step by step",
  details: [
    "The app is made where it is missing. What runs stays until the new machines have been ready for a " +
      "while (--min-healthy), and as many are as there shall be.",
    "Where they do not get ready, or do not stay so, the daemon rolls back and says why.",
    "A deployment says everything anew: a flag that is left out is the default again, not what the " +
      "deployment before said.",
    "The command follows with a line for each change: exit code 0 where the deployment completed, 1 where " +
      "it failed, was rolled back or superseded.",
    "Ctrl-C ends the following, not the deployment. --env-file has a NAME=VALUE a line, taken as it stands; " +
      "lines with # in front are left out; --env goes before it.",
  ].join("\n"),
  args: { app: { ...NEW_APP, placeholder: "APP", help: "the app's name (or id); it is made where it is missing" } },
  flags: {
    image: IMAGE,
    replicas: wholeFlag("N", "machines (default 1)", { min: 0, max: MAX_REPLICAS }),
    cpus: wholeFlag("N", "of each machine (default 1)", { min: 1, max: MAX_CPUS }),
    memory: wholeFlag("MB", "MiB of each machine (default 256)", { min: 1, max: MAX_MEMORY_MB }),
    env: ENV,
    "env-file": textFlag("FILE", "a file of such variables, which no list of processes shows"),
    region: textFlag("REGION", "only on hosts of this region"),
    restart: choiceFlag("WHEN", "after its exit, a machine is started again: always, on-failure (default) or never", [
      "always",
      "on-failure",
      "never",
    ]),
    check: CHECK,
    "on-host-loss": choiceFlag("WHAT", "machines of a lost host: replace (default) or wait for it", [
      "replace",
      "wait",
    ]),
    "progress-deadline": secondsFlag("TIME", "give up and roll back after so long without progress (default 10m)"),
    "min-healthy": timeFlag(
      "TIME",
      "a machine counts when it has been ready for so long without a break (default 10s; 0s for at once)",
    ),
    detach: switchFlag("start the deployment and do not follow it"),
  },
  run: async (session, { app: name }, flags) => {
    if (flags.image === null) throw new UsageError("--image is missing.", ["deploy"]);
    const env = { ...(flags["env-file"] === null ? {} : readEnvFile(flags["env-file"])), ...flags.env };
    const given = {
      replicas: flags.replicas,
      cpus: flags.cpus,
      memory_mb: flags.memory,
      env: Object.keys(env).length === 0 ? null : env,
      region: flags.region,
      restart: flags.restart,
      check: flags.check,
      on_host_loss: flags["on-host-loss"],
      progress_deadline_seconds: flags["progress-deadline"],
      min_healthy_seconds: flags["min-healthy"],
    };
    const found = await findApp(session, name);
    const following = new Following(session, {
      name: found?.name ?? name,
      what: "deployment",
      look: `see "zwrm apps show ${found?.name ?? name}"`,
    });
    // The image first: where it cannot be had, no empty app is left behind.
    const image = await bringImage(following, flags.image, found?.name ?? name);
    const app = found ?? (await makeApp(following, name));
    const before = flags.detach ? [] : await machinesOf(following, app);
    const body = { image, ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null)) };
    const { body: firstBody } = await following.ask("POST", appPath(app.id, "deployments"), {
      body,
      headers: idempotencyKey(),
    });
    const first = understand(DEPLOYMENT, firstBody);
    following.say(
      `${first.id} is to run ${countOf(first)} of ` +
        `${shortDigest(first.image)}${flags.detach ? `: see "zwrm apps show ${app.name}"` : ""}`,
    );
    if (!flags.detach)
      return followRollout(following, { app, before, first, firstBody, judge: (now, { ms }) => judge(now, ms, app) });
    if (session.json) session.printJson(firstBody);
    return 0;
  },
});

/** The digest, of an image that the org has where it is a file's. */
async function bringImage(following: Following, image: ImageChoice, label: string): Promise<string> {
  if ("digest" in image) return image.digest;
  const { session } = following;
  return withImage(image.file, async (file) => {
    const hashed = await hashImage(session, file);
    if (await hasImage(session, hashed.digest)) following.say(`${hashed.digest} is there already`);
    else following.say(pushedText(hashed, await pushImage(session, file, hashed, label)));
    return hashed.digest;
  });
}

async function hasImage(session: Session, digest: string): Promise<boolean> {
  try {
    await session.call("GET", `/v1/images/${digest}`);
    return true;
  } catch (error) {
    // One that is known and whose bytes were lost is pushed again, too.
    if (error instanceof ClientError && (error.code === "image_not_found" || error.code === "image_missing"))
      return false;
    throw error;
  }
}

async function makeApp(following: Following, name: string): Promise<NamedApp> {
  if (APP_ID.test(name)) throw new ClientError("app_not_found", `There is no app with the id ${name}.`);
  try {
    const { body } = await following.ask("POST", "/v1/apps", { body: { name }, headers: idempotencyKey() });
    const app = understand(APP, body);
    following.say(`the app is made (${app.id})`);
    return app;
  } catch (error) {
    // Somebody else made it in between.
    const id = error instanceof ClientError && error.code === "app_exists" ? error.extra["id"] : null;
    if (typeof id !== "string") throw error;
    return { id, name };
  }
}

function countOf({ replicas }: Deployment): string {
  return replicas === 1 ? "1 replica" : `${replicas} replicas`;
}

function judge({ id, state, replicas, ready, reason }: Deployment, ms: number, { name }: NamedApp): Ending | null {
  const after = `after ${formatElapsed(ms)}`;
  const why = reason === undefined ? "" : `: ${reason}`;
  switch (state) {
    case "pending":
    case "rolling":
      return null;
    case "completed":
      return { code: 0, text: `${id} completed ${after}, ${ready} of ${replicas} ready` };
    case "failed":
      return {
        code: 1,
        text:
          `${id} failed ${after}, ${ready} of ${replicas} ready${why}. "zwrm machines --app ${name}" ` +
          "shows the machines",
      };
    case "rolled_back":
      return { code: 1, text: `${id} was rolled back ${after}${why}. What ran before runs on` };
    case "superseded":
      return { code: 1, text: `${id} was superseded ${after}${reason === undefined ? " by a newer deployment" : why}` };
    default:
      return { code: 1, text: `${id} is ${state} ${after}${why}` };
  }
}
