/** /v1/internal/hosts: what host agents say and are told. Field readers stand here, decisions in fleet/. */
import { isIP } from "node:net";
import type { HeartbeatAnswer } from "../fleet/heartbeat.ts";
import { heartbeatIntervalSeconds } from "../fleet/liveness.ts";
import { json } from "../http/respond.ts";
import type { MaybePromise, Reply } from "../http/types.ts";
import { ApiError } from "../lib/errors.ts";
import { NAME_PATTERN, newUuid } from "../lib/ids.ts";
import type { Reader } from "../lib/schema.ts";
import {
  boolean,
  integer,
  list,
  map,
  number,
  object,
  oneOf,
  optional,
  pattern,
  readBody,
  readField,
  string,
  timestamp,
} from "../lib/schema.ts";
import { CLUSTER_KEY } from "../state/state.ts";
import { visibleText } from "../lib/visible.ts";
import type { AgentApp, ApiContext } from "./app.ts";
import { param } from "./app.ts";

const HOST_ID = pattern(NAME_PATTERN, "1 to 64 of A-Z a-z 0-9 . _ -, not starting with a dot");
const NAME = visibleText({ min: 1, max: 255 });
const IP_ADDRESS: Reader<string> = (value) => {
  const text = string({ min: 1, max: 64 })(value);
  return isIP(text) === 0 ? pattern(/^$/, "an IP address")(text) : text;
};
const MEBIBYTES = { min: 0, max: 2 ** 40 };

const REGISTER_BODY = object({
  host_id: optional(HOST_ID),
  hostname: NAME,
  region: optional(NAME),
  datacenter: optional(NAME),
  ip_address: optional(IP_ADDRESS),
  grpc_port: optional(integer({ min: 1, max: 65_535 })),
  capacity: object({
    cpus: integer({ min: 1, max: 65_536 }),
    memory_mb: integer({ min: 1, max: 2 ** 40 }),
    disk_mb: optional(integer(MEBIBYTES)),
  }),
  agent_version: optional(string({ min: 0, max: 128 })),
  labels: optional(map(/^[\x21-\x7e]{1,128}$/, visibleText({ min: 0, max: 1024 }), 64)),
});

/** Whose fault a failure is; a newer agent may know others, which say nothing here. */
const FAULT: Reader<"host" | undefined> = (value) =>
  string({ min: 0, max: 64 })(value) === "host" ? "host" : undefined;

const HEARTBEAT_BODY = object({
  usage: optional(
    object({
      cpus: optional(number({ min: 0, max: 65_536 })),
      memory_mb: optional(number(MEBIBYTES)),
      disk_mb: optional(number(MEBIBYTES)),
    }),
  ),
  machines: optional(
    list(
      object({
        id: string({ min: 1, max: 128 }),
        state: oneOf("starting", "running", "stopping", "stopped", "failed"),
        started_at: optional(timestamp),
        reason: optional(string({ min: 0, max: 1000 })),
        exit_code: optional(integer({ min: -(2 ** 31), max: 2 ** 31 })),
        ready: optional(boolean),
        fault: optional(FAULT),
      }),
      10_000,
    ),
  ),
  observed_revision: optional(string({ min: 0, max: 128 })),
  boot_id: optional(string({ min: 1, max: 128 })),
  beat: optional(integer({ min: 0, max: Number.MAX_SAFE_INTEGER })),
  wait_seconds: optional(number({ min: 0, max: 25 })),
});

const DEREGISTER_BODY = object({ reason: optional(string({ min: 0, max: 1000 })) });

/** X-Zwrm-Host-Key, or null. Throws where its length is wrong. */
function hostKey(context: ApiContext): string | null {
  const key = context.header("x-zwrm-host-key");
  if (key !== null && (key.length < 32 || key.length > 128))
    throw new ApiError("invalid_field", "X-Zwrm-Host-Key must be 32 to 128 characters.", { field: "X-Zwrm-Host-Key" });
  return key;
}

/** An agent that registers over the unix socket is on this machine. */
const OVER_SOCKET = "127.0.0.1";

/**
 * A beat is held at most for two thirds of offline_after: the host has to beat again before its own patience makes it
 * silent.
 */
export function longestWaitMs(offlineAfterMs: number): number {
  return (offlineAfterMs * 2) / 3;
}

export async function registerHost(context: ApiContext, app: AgentApp): Promise<Reply> {
  const body = readBody(REGISTER_BODY, context.body);
  const hostId = body.host_id ?? newUuid();
  const { created, host } = await app.agents.register(context, {
    host_id: hostId,
    facts: {
      hostname: body.hostname,
      region: body.region ?? "default",
      datacenter: body.datacenter ?? "default",
      ip_address: body.ip_address ?? context.peer.remoteAddress ?? OVER_SOCKET,
      grpc_port: body.grpc_port ?? 9090,
      agent_version: body.agent_version ?? null,
      labels: body.labels ?? {},
    },
    capacity: { ...body.capacity, disk_mb: body.capacity.disk_mb ?? 0 },
    key: hostKey(context),
  });
  return json(created ? 201 : 200, {
    host,
    cluster_id: app.store.state.cluster.get(CLUSTER_KEY)?.id ?? null,
    heartbeat_interval_seconds: heartbeatIntervalSeconds(app.offlineAfterMs),
    offline_after_seconds: app.offlineAfterMs / 1000,
  });
}

export function heartbeat(context: ApiContext, app: AgentApp): MaybePromise<Reply> {
  const hostId = readField(HOST_ID, "host_id", param(context, "host_id"));
  const body = readBody(HEARTBEAT_BODY, context.body);
  const key = hostKey(context);
  const wait = body.wait_seconds ?? 0;
  const answer = app.agents.heartbeat(context, hostId, key, body);
  const heard = (value: HeartbeatAnswer): Reply => {
    app.metrics.hostHeartbeats.inc();
    return json(200, value);
  };
  if (wait === 0) return answer instanceof Promise ? answer.then(heard) : heard(answer);
  return holdHeartbeat(context, app, hostId, body.observed_revision, wait, answer);
}

/** The beat was heard on arrival; its answer may wait until there is something to tell. */
async function holdHeartbeat(
  context: ApiContext,
  app: AgentApp,
  hostId: string,
  observed: string | undefined,
  waitSeconds: number,
  answer: ReturnType<AgentApp["agents"]["heartbeat"]>,
): Promise<Reply> {
  const first = await answer;
  app.metrics.hostHeartbeats.inc();
  if (observed === undefined || first.revision !== observed) return json(200, first);
  const longest = Math.min(waitSeconds * 1000, longestWaitMs(app.offlineAfterMs));
  return json(200, await app.agents.answerLater(context, hostId, observed, longest));
}

export async function deregisterHost(context: ApiContext, app: AgentApp): Promise<Reply> {
  const hostId = readField(HOST_ID, "host_id", param(context, "host_id"));
  const { reason } = readBody(DEREGISTER_BODY, context.body);
  await app.agents.deregister(context, hostId, hostKey(context), reason ?? null);
  return json(200, { host_id: hostId, status: "deregistered" });
}
