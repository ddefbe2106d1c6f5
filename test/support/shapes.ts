/** The bodies of the contract, key by key. */
import { amount, count, exactly, like, listOf, mapOf, nullOr, oneOf, shape, text, time, uuid } from "./json.ts";
import type { Check } from "./json.ts";

const RESOURCES: Check = shape({ cpus: amount, memory_mb: amount, disk_mb: amount });

export const HOST: Check = shape({
  id: like(/^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$/),
  hostname: text,
  region: text,
  datacenter: text,
  ip_address: text,
  grpc_port: count,
  agent_version: nullOr(text),
  labels: mapOf(text),
  status: oneOf("active", "draining", "maintenance", "offline"),
  health: oneOf("online", "offline"),
  mode: oneOf("active", "draining", "maintenance"),
  mode_reason: nullOr(text),
  capacity: RESOURCES,
  allocated: RESOURCES,
  available: RESOURCES,
  usage: nullOr(RESOURCES),
  trouble: nullOr(text),
  machine_count: count,
  registered_at: time,
  last_heartbeat_at: time,
});

export const REGISTERED: Check = shape({
  host: HOST,
  cluster_id: uuid,
  heartbeat_interval_seconds: count,
  offline_after_seconds: amount,
});

export const DESIRED_MACHINE: Check = shape({
  id: text,
  app_id: text,
  image: text,
  cpus: amount,
  memory_mb: amount,
  env: mapOf(text),
  restart: oneOf("always", "on-failure", "never"),
  "check?": mapOf(() => undefined),
  desired_state: oneOf("running", "stopped"),
});

/** A heartbeat's answer; `machines` is there exactly where the agent's list is not current. */
export function heard(withMachines: boolean): Check {
  const fields = {
    host_id: text,
    cluster_id: uuid,
    status: oneOf("active", "draining", "maintenance"),
    revision: text,
  };
  return shape(withMachines ? { ...fields, machines: listOf(DESIRED_MACHINE) } : fields);
}

export const DRAIN_STATUS: Check = shape({
  host_id: text,
  state: oneOf("draining", "completed", "cancelled", "failed"),
  started_at: time,
  finished_at: nullOr(time),
  deadline_at: nullOr(time),
  total: count,
  migrated: count,
  remaining: count,
  failed: count,
  machines: listOf(
    shape({
      id: text,
      app_id: text,
      app_name: nullOr(text),
      state: oneOf("pending", "starting", "stopping", "migrated", "blocked", "failed"),
      replacement_id: nullOr(text),
      target_host_id: nullOr(text),
      reason: nullOr(text),
    }),
  ),
});

export const DIGEST: Check = like(/^sha256:[0-9a-f]{64}$/);
export const IMAGE: Check = shape({ digest: DIGEST, size_bytes: count, app_ids: listOf(text), created_at: time });
export const IMAGES: Check = shape({ images: listOf(IMAGE) });

export const LOCALHOST_CALLER: Check = shape({
  user: exactly(null),
  org: shape({ id: text, slug: exactly("default"), role: nullOr(oneOf("owner", "member")) }),
  access: exactly("host-admin"),
  auth_method: exactly("localhost"),
  scopes: exactly(null),
  expires_at: exactly(null),
});

export const STATUS: Check = shape({
  version: text,
  cluster_id: uuid,
  uptime_seconds: amount,
  org: (value, path) => mapOf(nullOr(text))(value, path),
  hosts: shape({ total: count, online: count, offline: count, draining: count, maintenance: count }),
  apps: shape({ total: count }),
  machines: (value, path) => mapOf(count)(value, path),
  images: shape({ total: count, bytes: count }),
});

/** An error's body; `field` where a field is at fault. */
export function errorBody(code: string, field: string | null = null): Check {
  const keys = { error: text, code: exactly(code), request_id: like(/^[A-Za-z0-9._-]{1,128}$/) };
  return shape(field === null ? keys : { ...keys, field: exactly(field) });
}
