/**
 * The API's answers as the command line reads them: only the fields that it shows, so that a newer daemon's additions
 * do no harm.
 */
import type { TypeOf } from "../lib/schema.ts";
import { boolean, list, map, number, object, optional, pattern } from "../lib/schema.ts";

const MANY = 10_000_000;
const text = pattern(/^/, "a text");
const amount = number({ min: -Number.MAX_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER });
const resources = object({ cpus: amount, memory_mb: amount, disk_mb: optional(amount) });

export const HOST = object({
  id: text,
  hostname: text,
  region: text,
  datacenter: text,
  ip_address: optional(text),
  agent_version: optional(text),
  labels: optional(map(/^/, text, MANY)),
  status: text,
  health: text,
  mode: text,
  mode_reason: optional(text),
  capacity: resources,
  allocated: resources,
  available: resources,
  usage: optional(object({ cpus: optional(amount), memory_mb: optional(amount), disk_mb: optional(amount) })),
  trouble: optional(text),
  machine_count: amount,
  registered_at: optional(text),
  last_heartbeat_at: optional(text),
});
export type Host = TypeOf<typeof HOST>;
export const HOSTS = object({ hosts: list(HOST, MANY) });

const DRAIN_ROW = object({
  id: text,
  app_id: optional(text),
  app_name: optional(text),
  state: text,
  replacement_id: optional(text),
  target_host_id: optional(text),
  reason: optional(text),
});
export type DrainRow = TypeOf<typeof DRAIN_ROW>;
export const DRAIN = object({
  host_id: text,
  state: text,
  started_at: optional(text),
  finished_at: optional(text),
  deadline_at: optional(text),
  reason: optional(text),
  total: amount,
  migrated: amount,
  remaining: amount,
  failed: amount,
  machines: list(DRAIN_ROW, MANY),
});
export type Drain = TypeOf<typeof DRAIN>;

export const APP = object({
  id: text,
  name: text,
  org_id: optional(text),
  created_at: optional(text),
  deployment_id: optional(text),
  state: optional(text),
  replicas: optional(amount),
  ready: optional(amount),
  image: optional(text),
  deployed_at: optional(text),
});
export type App = TypeOf<typeof APP>;
export const APPS = object({ apps: list(APP, MANY) });

export const DEPLOYMENT = object({
  id: text,
  app_id: text,
  state: text,
  image: text,
  replicas: amount,
  running: amount,
  ready: amount,
  reason: optional(text),
  cpus: optional(amount),
  memory_mb: optional(amount),
  region: optional(text),
  restart: optional(text),
  check: optional((value) => value),
  env_names: optional(list(text, MANY)),
  on_host_loss: optional(text),
  progress_deadline_seconds: optional(amount),
  created_at: optional(text),
  finished_at: optional(text),
});
export type Deployment = TypeOf<typeof DEPLOYMENT>;
export const DEPLOYMENTS = object({ deployments: list(DEPLOYMENT, MANY) });

export const MACHINE = object({
  id: text,
  app_id: text,
  deployment_id: optional(text),
  host_id: optional(text),
  image: text,
  state: text,
  ready: boolean,
  desired_state: text,
  removing: optional(boolean),
  cpus: amount,
  memory_mb: amount,
  region: optional(text),
  restart: optional(text),
  reason: optional(text),
  exit_code: optional(amount),
  replaces: optional(text),
  replaced_by: optional(text),
  created_at: optional(text),
  started_at: optional(text),
  ended_at: optional(text),
});
export type Machine = TypeOf<typeof MACHINE>;
export const MACHINES = object({ machines: list(MACHINE, MANY) });

export const PLACEMENT = object({
  machine_id: text,
  host_id: optional(text),
  strategy: optional(text),
  decision: text,
  as_of: optional(text),
  hosts: list(object({ host_id: text, fits: boolean, chosen: boolean, reason: optional(text) }), MANY),
});
export type Placement = TypeOf<typeof PLACEMENT>;

export const IMAGES = object({
  images: list(
    object({ digest: text, size_bytes: amount, app_ids: list(text, MANY), created_at: optional(text) }),
    MANY,
  ),
});

const org = object({ id: text, slug: text, role: optional(text) });
export const STATUS = object({
  version: text,
  cluster_id: optional(text),
  uptime_seconds: amount,
  org: optional(org),
  hosts: optional(map(/^/, amount, 100)),
  apps: map(/^/, amount, 100),
  machines: map(/^/, amount, 100),
  images: object({ total: amount, bytes: amount }),
});

const person = object({ id: text, email: text, name: optional(text) });
export const WHOAMI = object({
  user: optional(person),
  org: optional(org),
  access: text,
  auth_method: text,
  scopes: optional(list(text, 1_000)),
  expires_at: optional(text),
});
export type Whoami = TypeOf<typeof WHOAMI>;

export const LOGIN = object({ token: text, expires_at: optional(text), user: person, org });

const key = { id: text, name: text, scopes: optional(list(text, 1_000)), expires_at: optional(text) };
export const NEW_TOKEN = object({ ...key, token: text });
export const TOKENS = object({ tokens: list(object({ ...key, created_at: optional(text) }), MANY) });

const named = { id: text, slug: text, name: optional(text) };
export const ORG = object(named);
export const ORGS = object({ orgs: list(object(named), MANY) });
const user = { id: text, email: text, name: optional(text), host_admin: optional(boolean) };
export const USER = object(user);
export const USERS = object({ users: list(object(user), MANY) });
export const MEMBERS = object({ members: list(object({ ...user, role: text }), MANY) });

export const REPLACED = object({ host_ids: list(text, MANY) });

export const EVENT = object({
  seq: amount,
  at: text,
  type: text,
  actor: optional(object({ kind: text, id: optional(text), ip: optional(text) })),
  data: (value) => value,
});
export type Event = TypeOf<typeof EVENT>;
/** `events` is read one by one: with --json each is printed as it came. */
export const EVENTS = object({
  events: list((value: unknown) => value, MANY),
  next_after: optional(amount),
  cluster_id: optional(text),
});

/** For answers of which only the arrival is shown. */
export const ANYTHING = (): null => null;
