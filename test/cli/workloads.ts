/**
 * What tests of apps, deployments and machines share: each as the API shows it, and an API that plays a list of
 * deployments' states.
 */
import type { Answering, Seen } from "../client/support.ts";

export type Row = Readonly<Record<string, unknown>>;

export const DIGEST = `sha256:${"0123456789abcdef".repeat(4)}`;
export const WEB = {
  id: "app-000000000001",
  name: "web",
  org_id: "o-1",
  created_at: "2026-03-01T09:00:00.000Z",
  deployment_id: "d-000000000001",
};

export function deployment(state: string, more: Row = {}): Row {
  return {
    id: "d-000000000002",
    app_id: WEB.id,
    state,
    image: DIGEST,
    replicas: 2,
    running: 0,
    ready: 0,
    reason: null,
    cpus: 1,
    memory_mb: 256,
    region: null,
    restart: "on-failure",
    check: null,
    env_names: [],
    on_host_loss: "replace",
    progress_deadline_seconds: 600,
    created_at: "2026-03-01T11:59:00.000Z",
    finished_at: null,
    ...more,
  };
}

export function machine(id: string, state: string, more: Row = {}): Row {
  return {
    id,
    app_id: WEB.id,
    deployment_id: "d-000000000002",
    host_id: state === "pending" ? null : "h-2",
    image: DIGEST,
    state,
    ready: false,
    desired_state: "running",
    removing: false,
    cpus: 1,
    memory_mb: 256,
    region: null,
    restart: "on-failure",
    reason: null,
    exit_code: null,
    replaces: null,
    replaced_by: null,
    created_at: "2026-03-01T11:58:00.000Z",
    started_at: null,
    ended_at: null,
    ...more,
  };
}

export function refusal(status: number, code: string, error: string, more: Row = {}): readonly [number, Row] {
  return [status, { error, code, request_id: "r", ...more }];
}

/** One look: what the deployment says, and the machines with it. */
export interface Step {
  readonly deployment: Row;
  readonly machines?: readonly Row[];
}

/**
 * What plays the daemon: `before` are the machines before the POST, which gives the first step; each further look at
 * the deployment gives the next.
 */
export function playing(
  before: readonly Row[],
  steps: readonly Step[],
  other: (seen: Seen) => readonly [number, unknown] | null = () => null,
): Answering {
  let at = -1;
  return (seen) => {
    const told = other(seen);
    if (told !== null) return told;
    const { method, url } = seen;
    const step = steps[at];
    if (method === "GET" && url.startsWith("/v1/machines"))
      return [200, { machines: at < 0 ? before : (step?.machines ?? []) }];
    if (method === "GET" && /^\/v1\/apps\/[^/]+$/.test(url)) return [200, WEB];
    at += 1;
    const next = steps[at];
    if (next === undefined) return refusal(500, "internal", "asked too often");
    return [method === "POST" ? 202 : 200, next.deployment];
  };
}
