/** Apps and their deployments: what is asked for and what is shown. Env values never leave; their names do. */
import type { Calls } from "./call.ts";
import { added, list, map, named, nullable, object, optional } from "./compound.ts";
import { CHECK } from "./check.ts";
import { DIGEST, FLAG, LABEL, ON_HOST_LOSS, page, RESTART, time, PAGE_QUERY } from "./common.ts";
import type { Received, TypeOf } from "./schema.ts";
import { about, amount, anything, count, integer, number, oneOf, pattern, text } from "./schema.ts";

export const APP_BODY = object({ name: LABEL });

const REPLICAS = integer({ min: 0, max: 10_000 });
export const SCALE_BODY = object({ replicas: REPLICAS });

/** Names that a shell and an env file can hold, so that every runtime can hand them over. */
const ENV = map(
  /^[A-Za-z_][A-Za-z0-9_]{0,255}$/,
  pattern(/^[^\0]{0,65536}$/s, "a text without NUL, up to 65536 characters"),
  1000,
);

export const DEPLOYMENT_BODY = object({
  image: DIGEST,
  replicas: optional(about(REPLICAS, { default: 1 })),
  cpus: optional(about(integer({ min: 1, max: 1024 }), { default: 1 })),
  memory_mb: optional(about(integer({ min: 1, max: 2 ** 30 }), { description: "MiB.", default: 256 })),
  env: optional(about(ENV, "At most 64 KiB of names and values.")),
  region: optional(about(pattern(/^[\x21-\x7e]{1,64}$/, "1 to 64 printable characters"), "Only on hosts of this one.")),
  restart: optional(about(RESTART, { default: "on-failure" })),
  check: optional(CHECK),
  on_host_loss: optional(about(ON_HOST_LOSS, { default: "replace" })),
  progress_deadline_seconds: optional(about(integer({ min: 1, max: 7 * 24 * 3600 }), { default: 600 })),
  min_healthy_seconds: optional(
    about(number({ min: 0, max: 24 * 3600 }), {
      description: "A machine counts when it has been ready for so long without a break. Less than the deadline.",
      default: 10,
    }),
  ),
});
export type DeploymentRequest = TypeOf<typeof DEPLOYMENT_BODY>;

export const DEPLOYMENT_STATE = oneOf("pending", "rolling", "completed", "failed", "rolled_back", "superseded");

export const APP = named(
  "App",
  object({
    id: text,
    name: text,
    org_id: text,
    created_at: time,
    deployment_id: nullable(about(text, "The deployment that its machines shall be of; null before the first.")),
    state: nullable(about(DEPLOYMENT_STATE, "Of that deployment.")),
    replicas: added(count),
    ready: added(count),
    image: nullable(text),
    deployed_at: nullable(time),
  }),
);
export type AppView = TypeOf<typeof APP>;
export type ReceivedApp = Received<typeof APP>;
/** Which app is meant. */
export type NamedApp = Pick<AppView, "id" | "name">;
export const APPS = page("apps", APP);
export const FORCE_QUERY = { force: about(FLAG, "true: with its machines, which are stopped.") };

export const DEPLOYMENT = named(
  "Deployment",
  object({
    id: text,
    app_id: text,
    state: DEPLOYMENT_STATE,
    image: text,
    replicas: count,
    running: about(count, "Machines of this deployment that run."),
    ready: about(count, "Those of them that are ready."),
    reason: nullable(about(text, "While it goes on, what keeps it from being completed; afterwards, why it ended so.")),
    cpus: amount,
    memory_mb: amount,
    region: nullable(text),
    restart: RESTART,
    check: nullable(about(anything, "As it was given; see the check of a deployment's request.")),
    env_names: list(text),
    on_host_loss: ON_HOST_LOSS,
    progress_deadline_seconds: amount,
    min_healthy_seconds: added(amount),
    created_at: time,
    finished_at: nullable(time),
  }),
);
export type DeploymentView = TypeOf<typeof DEPLOYMENT>;
export type ReceivedDeployment = Received<typeof DEPLOYMENT>;
export const DEPLOYMENTS = page("deployments", DEPLOYMENT);

/** What is called of apps and deployments. */
export const APP_CALLS = {
  list: { summary: "List the org's apps", query: PAGE_QUERY, answers: { 200: APPS } },
  create: {
    summary: "Create an app",
    idempotencyKey: true,
    body: APP_BODY,
    answers: { 201: APP },
    refusals: ["app_exists", "app_not_found", "quota_exceeded"],
  },
  show: { summary: "Show an app", answers: { 200: APP }, refusals: ["app_not_found"] },
  remove: {
    summary: "Delete an app",
    query: FORCE_QUERY,
    answers: { 204: null },
    refusals: ["app_not_found", "app_has_machines"],
  },
  listDeployments: {
    summary: "List its deployments",
    query: PAGE_QUERY,
    answers: { 200: DEPLOYMENTS },
    refusals: ["app_not_found"],
  },
  deploy: {
    summary: "Deploy an image",
    idempotencyKey: true,
    body: DEPLOYMENT_BODY,
    answers: { 202: DEPLOYMENT },
    refusals: ["app_not_found", "image_unknown", "deployment_not_found", "quota_exceeded"],
  },
  showDeployment: {
    summary: "Show a deployment",
    answers: { 200: DEPLOYMENT },
    refusals: ["app_not_found", "deployment_not_found"],
  },
  scale: {
    summary: "Set how many replicas there shall be",
    idempotencyKey: true,
    body: SCALE_BODY,
    answers: { 202: DEPLOYMENT },
    refusals: ["app_not_found", "no_deployment", "deployment_not_found", "quota_exceeded"],
  },
} as const satisfies Calls;
