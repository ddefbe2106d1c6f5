/** /v1/apps: apps, their deployments and how many machines they have. Decisions stand in fleet/workloads.ts. */
import {
  currentDeployment,
  decideApp,
  decideAppDeletion,
  decideDeployment,
  decideScale,
  findApp,
  findDeployment,
} from "../fleet/workloads.ts";
import { appView, deploymentView } from "../fleet/workload-view.ts";
import { empty, json } from "../http/respond.ts";
import type { MaybePromise, Reply } from "../http/types.ts";
import type { Check } from "../lib/check.ts";
import { CHECK } from "../lib/check.ts";
import { ApiError } from "../lib/errors.ts";
import { DIGEST_PATTERN, LABEL_PATTERN, newId } from "../lib/ids.ts";
import type { TypeOf } from "../lib/schema.ts";
import { integer, map, number, object, oneOf, optional, pattern, readBody, readField } from "../lib/schema.ts";
import type { State } from "../state/state.ts";
import type { Workload } from "../state/types.ts";
import { DEFAULT_MIN_HEALTHY_SECONDS } from "../state/upgrade.ts";
import type { ApiContext, App } from "./app.ts";
import { param, personOf } from "./app.ts";
import { listReply } from "./lists.ts";

const APP_BODY = object({ name: pattern(LABEL_PATTERN, "1 to 64 of A-Z a-z 0-9 . _ -") });
const REPLICAS = integer({ min: 0, max: 10_000 });
const SCALE_BODY = object({ replicas: REPLICAS });
const FORCE = oneOf("true", "false");

const DEPLOYMENT_BODY = object({
  image: pattern(DIGEST_PATTERN, "sha256: and 64 lower-case hex characters"),
  replicas: optional(REPLICAS),
  cpus: optional(integer({ min: 1, max: 1024 })),
  memory_mb: optional(integer({ min: 1, max: 2 ** 30 })),
  // Names that a shell and an env file can hold, so that every runtime can hand them over.
  env: optional(
    map(
      /^[A-Za-z_][A-Za-z0-9_]{0,255}$/,
      pattern(/^[^\0]{0,65536}$/s, "a text without NUL, up to 65536 characters"),
      1000,
    ),
  ),
  region: optional(pattern(/^[\x21-\x7e]{1,64}$/, "1 to 64 printable characters")),
  restart: optional(oneOf("always", "on-failure", "never")),
  check: optional(CHECK),
  on_host_loss: optional(oneOf("replace", "wait")),
  progress_deadline_seconds: optional(integer({ min: 1, max: 7 * 24 * 3600 })),
  min_healthy_seconds: optional(number({ min: 0, max: 24 * 3600 })),
});

/** Of all names and values: a host's list has the env of each of its machines. */
const MAX_ENV_BYTES = 64 * 1024;

function boundedEnv(env: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const bytes = Object.entries(env).reduce(
    (sum, [name, value]) => sum + Buffer.byteLength(name) + Buffer.byteLength(value),
    0,
  );
  if (bytes > MAX_ENV_BYTES)
    throw new ApiError(
      "invalid_field",
      `env must be at most ${MAX_ENV_BYTES} bytes of names and values; these are ${bytes}.`,
      { field: "env" },
    );
  return env;
}

/** What its type needs, so that a check which can never pass is refused here and not found out by a deadline. */
function completeCheck(check: Check | undefined): Readonly<Record<string, unknown>> | null {
  if (check === undefined) return null;
  if (check.type === "exec" && (check.command ?? []).length === 0)
    throw new ApiError("invalid_field", "check.command is required where check.type is exec.", {
      field: "check.command",
    });
  if (check.type !== "exec" && check.port === undefined)
    throw new ApiError("invalid_field", `check.port is required where check.type is ${check.type}.`, {
      field: "check.port",
    });
  return Object.fromEntries(Object.entries(check).filter(([, value]) => value !== undefined));
}

type Times = Pick<Workload, "progress_deadline_seconds" | "min_healthy_seconds">;

/**
 * What has to last longer than the time for it would never be reached. A deadline too short for the default halves it.
 */
function timesOf(body: TypeOf<typeof DEPLOYMENT_BODY>): Times {
  const deadline = body.progress_deadline_seconds ?? 600;
  const healthy =
    body.min_healthy_seconds ?? (deadline > DEFAULT_MIN_HEALTHY_SECONDS ? DEFAULT_MIN_HEALTHY_SECONDS : deadline / 2);
  if (healthy < deadline) return { progress_deadline_seconds: deadline, min_healthy_seconds: healthy };
  const message = `min_healthy_seconds must be less than progress_deadline_seconds (${deadline}); it is ${healthy}.`;
  throw new ApiError("invalid_field", message, { field: "min_healthy_seconds" });
}

/** The app of the path, in the caller's org. */
function appOf(context: ApiContext, state: State): ReturnType<typeof findApp> {
  return findApp(state, personOf(context).org.id, param(context, "id"));
}

export function listApps(context: ApiContext, app: App): MaybePromise<Reply> {
  const { org } = personOf(context);
  return app.store.read((state) =>
    listReply(
      context,
      "apps",
      state.apps.group(org.id).map((row) => appView(state, row)),
      (row) => row.id,
    ),
  );
}

export function createApp(context: ApiContext, app: App): MaybePromise<Reply> {
  const { org } = personOf(context);
  const { name } = readBody(APP_BODY, context.body);
  const show = (state: State, id: string): Reply => json(201, appView(state, findApp(state, org.id, id)));
  return app.door.once(
    context,
    (state, note) => {
      const event = decideApp(state, org.id, name, newId("app"), note);
      return { event, answer: (after) => show(after, event.data.app_id) };
    },
    show,
  );
}

export function showApp(context: ApiContext, app: App): MaybePromise<Reply> {
  return app.store.read((state) => json(200, appView(state, appOf(context, state))));
}

export function deleteApp(context: ApiContext, app: App): MaybePromise<Reply> {
  const force = context.query.get("force");
  const forced = force !== null && readField(FORCE, "force", force) === "true";
  return app.door.change(context, (state) => ({
    event: decideAppDeletion(state, appOf(context, state), forced),
    answer: () => empty(204),
  }));
}

export function listDeployments(context: ApiContext, app: App): MaybePromise<Reply> {
  return app.store.read((state) => {
    const rows = state.deployments
      .group(appOf(context, state).id)
      .map((deployment) => deploymentView(app.fleet.reconciler.scene(state), deployment));
    return listReply(context, "deployments", rows, (row) => row.id);
  });
}

export function showDeployment(context: ApiContext, app: App): MaybePromise<Reply> {
  return app.store.read((state) =>
    json(
      200,
      deploymentView(
        app.fleet.reconciler.scene(state),
        findDeployment(state, appOf(context, state), param(context, "deployment_id")),
      ),
    ),
  );
}

export function createDeployment(context: ApiContext, app: App): MaybePromise<Reply> {
  const body = readBody(DEPLOYMENT_BODY, context.body);
  const workload = {
    image: body.image,
    cpus: body.cpus ?? 1,
    memory_mb: body.memory_mb ?? 256,
    env: boundedEnv(body.env ?? {}),
    region: body.region ?? null,
    restart: body.restart ?? "on-failure",
    check: completeCheck(body.check),
    on_host_loss: body.on_host_loss ?? "replace",
    ...timesOf(body),
  };
  const show = (state: State, id: string): Reply =>
    json(202, deploymentView(app.fleet.reconciler.scene(state), findDeployment(state, appOf(context, state), id)));
  return app.door.once(
    context,
    (state, note) => {
      const event = decideDeployment(state, appOf(context, state), newId("dep"), body.replicas ?? 1, workload, note);
      return { event, answer: (after) => show(after, event.data.deployment.id) };
    },
    show,
  );
}

export function scaleApp(context: ApiContext, app: App): MaybePromise<Reply> {
  const { replicas } = readBody(SCALE_BODY, context.body);
  const show = (state: State): Reply =>
    json(202, deploymentView(app.fleet.reconciler.scene(state), currentDeployment(state, appOf(context, state))));
  // What was scaled then, also where there is a newer deployment now.
  const again = (state: State, id: string): Reply =>
    json(202, deploymentView(app.fleet.reconciler.scene(state), findDeployment(state, appOf(context, state), id)));
  return app.door.once(
    context,
    (state, note) => ({ event: decideScale(state, appOf(context, state), replicas, note), answer: show }),
    again,
  );
}
