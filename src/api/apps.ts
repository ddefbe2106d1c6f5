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
import type { EmptyReply, JsonReply } from "../http/respond.ts";
import { empty, json } from "../http/respond.ts";
import type { MaybePromise } from "../http/types.ts";
import { ApiError } from "../lib/errors.ts";
import type { AppId, DeploymentId } from "../lib/id-types.ts";
import { newId } from "../lib/ids.ts";
import { envBytes } from "../state/env-bytes.ts";
import type { State } from "../state/state.ts";
import type { Deployment, Workload } from "../state/types.ts";
import { DEFAULT_MIN_HEALTHY_SECONDS } from "../state/upgrade.ts";
import type { QueryOf } from "../wire/call.ts";
import type { AppView, DeploymentRequest, DeploymentView, FORCE_QUERY } from "../wire/apps.ts";
import type { Check } from "../wire/check.ts";
import type { Page, PageQuery } from "../wire/common.ts";
import type { App } from "./app.ts";
import { listReply } from "./lists.ts";
import type { PersonRequest } from "./request.ts";

/** Of all names and values: a host's list has the env of each of its machines. */
const MAX_ENV_BYTES = 64 * 1024;

function boundedEnv(env: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const bytes = envBytes(env);
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
function timesOf(body: DeploymentRequest): Times {
  const deadline = body.progress_deadline_seconds ?? 600;
  const healthy =
    body.min_healthy_seconds ?? (deadline > DEFAULT_MIN_HEALTHY_SECONDS ? DEFAULT_MIN_HEALTHY_SECONDS : deadline / 2);
  if (healthy < deadline) return { progress_deadline_seconds: deadline, min_healthy_seconds: healthy };
  const message = `min_healthy_seconds must be less than progress_deadline_seconds (${deadline}); it is ${healthy}.`;
  throw new ApiError("invalid_field", message, { field: "min_healthy_seconds" });
}

/** A request about one app. */
type OfApp<P extends string = never, B = unknown, Q = unknown> = PersonRequest<"id" | P, B, Q>;
type Shown = MaybePromise<JsonReply<202, DeploymentView>>;

/** The app of the path, in the caller's org. */
function appOf({ caller, params }: OfApp, state: State): ReturnType<typeof findApp> {
  return findApp(state, caller.org.id, params.id);
}

function shown(app: App, state: State, deployment: Deployment): DeploymentView {
  return deploymentView(app.fleet.reconciler.scene(state), deployment);
}

export function listApps(
  { caller, query }: PersonRequest<never, unknown, PageQuery>,
  app: App,
): MaybePromise<JsonReply<200, Page<"apps", AppView>>> {
  return app.store.read((state) => {
    const rows = state.apps.group(caller.org.id).map((row) => appView(state, row));
    return listReply(query, "apps", rows, (row) => row.id);
  });
}

export function createApp(
  request: PersonRequest<never, { readonly name: string }>,
): MaybePromise<JsonReply<201, AppView>> {
  const { org } = request.caller;
  const show = (state: State, id: AppId): JsonReply<201, AppView> =>
    json(201, appView(state, findApp(state, org.id, id)));
  return request.once((state, note) => {
    const event = decideApp(state, org.id, request.body.name, newId("app"), note);
    return { event, answer: (after) => show(after, event.data.app_id) };
  }, show);
}

export function showApp(request: OfApp, app: App): MaybePromise<JsonReply<200, AppView>> {
  return app.store.read((state) => json(200, appView(state, appOf(request, state))));
}

export function deleteApp(request: OfApp<never, unknown, QueryOf<typeof FORCE_QUERY>>): MaybePromise<EmptyReply<204>> {
  const forced = request.query.force === "true";
  return request.change((state) => ({
    event: decideAppDeletion(state, appOf(request, state), forced),
    answer: () => empty(204),
  }));
}

export function listDeployments(
  request: OfApp<never, unknown, PageQuery>,
  app: App,
): MaybePromise<JsonReply<200, Page<"deployments", DeploymentView>>> {
  return app.store.read((state) => {
    const rows = state.deployments.group(appOf(request, state).id).map((row) => shown(app, state, row));
    return listReply(request.query, "deployments", rows, (row) => row.id);
  });
}

export function showDeployment(
  request: OfApp<"deployment_id">,
  app: App,
): MaybePromise<JsonReply<200, DeploymentView>> {
  const { deployment_id: id } = request.params;
  return app.store.read((state) => json(200, shown(app, state, findDeployment(state, appOf(request, state), id))));
}

export function createDeployment(request: OfApp<never, DeploymentRequest>, app: App): Shown {
  const { body } = request;
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
  const show = (state: State, id: DeploymentId): JsonReply<202, DeploymentView> =>
    json(202, shown(app, state, findDeployment(state, appOf(request, state), id)));
  return request.once((state, note) => {
    const event = decideDeployment(state, appOf(request, state), newId("dep"), body.replicas ?? 1, workload, note);
    return { event, answer: (after) => show(after, event.data.deployment.id) };
  }, show);
}

export function scaleApp(request: OfApp<never, { readonly replicas: number }>, app: App): Shown {
  const show = (state: State): JsonReply<202, DeploymentView> =>
    json(202, shown(app, state, currentDeployment(state, appOf(request, state))));
  // What was scaled then, also where there is a newer deployment now.
  const again = (state: State, id: DeploymentId): JsonReply<202, DeploymentView> =>
    json(202, shown(app, state, findDeployment(state, appOf(request, state), id)));
  return request.once(
    (state, note) => ({ event: decideScale(state, appOf(request, state), request.body.replicas, note), answer: show }),
    again,
  );
}
