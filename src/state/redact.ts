/**
 * What of a record people may see, by an allow-list: a total table of every field of every event. A new field does not
 * compile until somebody has said whether it may be seen, and one that a record has beyond them is hidden.
 */
import type { JournalRecord } from "../journal/types.ts";
import type { EventData, EventType } from "./events.ts";

/** `names`: of a map, its names and not its values. A list is shown as each of its entries. */
type Show<T> = T extends string | number | boolean
  ? boolean
  : T extends readonly (infer E)[]
    ? Show<NonNullable<E>>
    : string extends keyof T
      ? boolean | "names"
      : false | { readonly [K in keyof T]-?: Show<NonNullable<T[K]>> };

const RESOURCES = { cpus: true, memory_mb: true, disk_mb: true };
const QUOTA = {
  apps: true,
  replicas: true,
  cpus: true,
  memory_mb: true,
  env_bytes: true,
  images: true,
  image_bytes: true,
  labels: true,
};
const ONCE = { key: true, body_sum: false };
const WORKLOAD = {
  image: true,
  cpus: true,
  memory_mb: true,
  region: true,
  restart: true,
  check: true,
  on_host_loss: true,
  progress_deadline_seconds: true,
  min_healthy_seconds: true,
};

const SHOWN: { readonly [T in EventType]: Show<EventData[T]> } = {
  "journal.segment": true,
  "cluster.created": { cluster_id: true, org: { id: true, slug: true, name: true } },
  "cluster.restored": { cluster_id: true },
  "host.registered": {
    host_id: true,
    facts: {
      hostname: true,
      region: true,
      datacenter: true,
      ip_address: true,
      grpc_port: true,
      agent_version: true,
      labels: true,
    },
    capacity: RESOURCES,
    key_hash: false,
    mode: true,
    mode_reason: true,
  },
  "host.heard": {
    host_id: true,
    online: true,
    key_hash: false,
    machines: { id: true, state: true, ready: true, reason: true, exit_code: true, started_at: true, fault: true },
  },
  "host.lost": { host_ids: true, held_host_ids: true, replace_after: true },
  "host.replacement_allowed": { host_ids: true },
  "host.id_conflict": { host_id: true, boot_ids: true },
  "host.deregistered": { host_id: true, reason: true },
  "host.key_removed": { host_id: true },
  "host.drain_started": {
    host_id: true,
    max_parallel: true,
    deadline_at: true,
    force: true,
    reason: true,
    machine_ids: true,
  },
  "host.drain_updated": { host_id: true, max_parallel: true, deadline_at: true, force: true, reason: true },
  "host.drain_forced": { host_id: true, machine_ids: true },
  "host.drain_finished": { host_id: true, state: true, mode: true },
  "host.activated": { host_id: true },
  "app.created": { app_id: true, org_id: true, name: true, idempotency: ONCE },
  "app.deleted": { app_id: true },
  "deployment.created": {
    deployment: { ...WORKLOAD, env: "names", id: true, app_id: true, org_id: true, replicas: true },
    idempotency: ONCE,
  },
  "deployment.scaled": { deployment_id: true, replicas: true, idempotency: ONCE },
  "deployment.moved": { deployment_id: true, app_id: true, state: true, reason: true, target_id: true },
  "machine.created": {
    machine: { ...WORKLOAD, id: true, app_id: true, org_id: true, deployment_id: true, streak: true },
    host_id: true,
    replaces: true,
    why: true,
  },
  "machine.placed": { machine_id: true, host_id: true, why: true },
  "machine.healthy": { app_id: true, machine_ids: true },
  "machine.given_up": { machine_id: true, original_id: true, host_id: true, failed: true, reason: true },
  "machine.removed": { machine_ids: true, reason: true },
  "machine.stop_requested": { machine_id: true, idempotency: ONCE },
  "machine.start_requested": { machine_id: true, idempotency: ONCE },
  "workload.expired": { machine_ids: true, idempotency_keys: true },
  "image.added": { digest: true, size_bytes: true, org_id: true, app_id: true },
  "image.removed": { digest: true, org_id: true },
  "org.created": { org: { id: true, slug: true, name: true } },
  "org.quota_set": { org_id: true, limits: QUOTA },
  "member.set": { org_id: true, user_id: true, role: true },
  "member.removed": { org_id: true, user_id: true },
  "user.created": { user: { id: true, email: true, name: true, host_admin: true, password: false }, org_id: true },
  "user.password_set": { user_id: true, password: false, same_password: true },
  "user.removed": { user_id: true },
  "session.created": {
    session: { id: true, token_hash: false, user_id: true, org_id: true, expires_at: true },
    expired: false,
  },
  "session.renewed": { token_hash: false, expires_at: true },
  "session.ended": { id: true, token_hash: false },
  "api_key.created": {
    key: { id: true, token_hash: false, name: true, user_id: true, org_id: true, scopes: true, expires_at: true },
  },
  "api_key.revoked": { id: true, token_hash: false },
};

const HIDDEN = "[redacted]";

/** How a part of a record is shown, whatever its type. */
type Rule = boolean | "names" | { readonly [name: string]: Rule };

/** A copy of the record with what may be seen. The `sum` stays: it is of the whole line. */
export function redactRecord(record: JournalRecord): JournalRecord {
  const known: Readonly<Record<string, Rule>> = SHOWN;
  const rule = Object.hasOwn(known, record.type) ? known[record.type] : undefined;
  return { ...record, data: shown(rule ?? {}, record.data) };
}

function shown(rule: Rule, value: unknown): unknown {
  // What is not there hides nothing.
  if (rule === true || value === null || value === undefined) return value;
  if (Array.isArray(value)) return value.map((item: unknown) => shown(rule, item));
  if (rule === false || typeof value !== "object") return HIDDEN;
  const each = (name: string): Rule => (rule === "names" || !Object.hasOwn(rule, name) ? false : (rule[name] ?? false));
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, shown(each(name), item)]));
}
