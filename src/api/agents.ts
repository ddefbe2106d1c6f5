/** /v1/internal/hosts: what host agents say and are told. Decisions stand in fleet/. */
import { heartbeatIntervalSeconds } from "../fleet/liveness.ts";
import type { JsonReply } from "../http/respond.ts";
import { json } from "../http/respond.ts";
import type { MaybePromise } from "../http/types.ts";
import { ApiError } from "../lib/errors.ts";
import type { HostId } from "../lib/id-types.ts";
import { newHostId } from "../lib/ids.ts";
import { CLUSTER_KEY } from "../state/state.ts";
import type { Heartbeat, HeartbeatAnswer, RegisterRequest, Registered } from "../wire/agents.ts";
import { HOST_ID } from "../wire/common.ts";
import { readField } from "../wire/schema.ts";
import type { AgentApp } from "./app.ts";
import type { AgentRequest, Transport } from "./request.ts";

type OfHost<B = unknown> = AgentRequest<"host_id", B>;
type Beaten = JsonReply<200, HeartbeatAnswer>;

/** X-Zwrm-Host-Key, or null. Throws where its length is wrong. */
function hostKey(transport: Transport): string | null {
  const key = transport.header("x-zwrm-host-key");
  if (key !== null && (key.length < 32 || key.length > 128))
    throw new ApiError("invalid_field", "X-Zwrm-Host-Key must be 32 to 128 characters.", { field: "X-Zwrm-Host-Key" });
  return key;
}

function hostIdOf({ params }: OfHost): HostId {
  return readField(HOST_ID, "host_id", params.host_id);
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

export async function registerHost(
  request: AgentRequest<never, RegisterRequest>,
  app: AgentApp,
): Promise<JsonReply<201, Registered> | JsonReply<200, Registered>> {
  const { body, transport } = request;
  const hostId = body.host_id ?? newHostId();
  const { created, host } = await request.register({
    host_id: hostId,
    facts: {
      hostname: body.hostname,
      region: body.region ?? "default",
      datacenter: body.datacenter ?? "default",
      ip_address: body.ip_address ?? transport.peer.remoteAddress ?? OVER_SOCKET,
      grpc_port: body.grpc_port ?? 9090,
      agent_version: body.agent_version ?? null,
      labels: body.labels ?? {},
    },
    capacity: { ...body.capacity, disk_mb: body.capacity.disk_mb ?? 0 },
    key: hostKey(transport),
  });
  return json(created ? 201 : 200, {
    host,
    cluster_id: app.store.state.cluster.get(CLUSTER_KEY)?.id ?? "",
    heartbeat_interval_seconds: heartbeatIntervalSeconds(app.offlineAfterMs),
    offline_after_seconds: app.offlineAfterMs / 1000,
  });
}

export function heartbeat(request: OfHost<Heartbeat>, app: AgentApp): MaybePromise<Beaten> {
  const hostId = hostIdOf(request);
  const { body } = request;
  const wait = body.wait_seconds ?? 0;
  const answer = request.heartbeat(hostId, hostKey(request.transport), body);
  const heard = (value: HeartbeatAnswer): Beaten => {
    app.metrics.hostHeartbeats.inc();
    return json(200, value);
  };
  if (wait === 0) return answer instanceof Promise ? answer.then(heard) : heard(answer);
  return holdHeartbeat(request, app, hostId, wait, answer);
}

/** The beat was heard on arrival; its answer may wait until there is something to tell. */
async function holdHeartbeat(
  request: OfHost<Heartbeat>,
  app: AgentApp,
  hostId: HostId,
  waitSeconds: number,
  answer: MaybePromise<HeartbeatAnswer>,
): Promise<Beaten> {
  const { observed_revision: observed } = request.body;
  const first = await answer;
  app.metrics.hostHeartbeats.inc();
  if (observed === undefined || first.revision !== observed) return json(200, first);
  const longest = Math.min(waitSeconds * 1000, longestWaitMs(app.offlineAfterMs));
  return json(200, await request.answerLater(hostId, observed, longest));
}

export async function deregisterHost(
  request: OfHost<{ readonly reason?: string | undefined }>,
): Promise<JsonReply<200, { readonly host_id: HostId; readonly status: string }>> {
  const hostId = hostIdOf(request);
  await request.deregister(hostId, hostKey(request.transport), request.body.reason ?? null);
  return json(200, { host_id: hostId, status: "deregistered" });
}
