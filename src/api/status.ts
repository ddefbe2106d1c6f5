/** GET /v1/status: how much there is of everything, counted in the caller's org; hosts for a host-admin only. */
import { statusOf } from "../fleet/modes.ts";
import type { JsonReply } from "../http/respond.ts";
import { json } from "../http/respond.ts";
import type { MaybePromise } from "../http/types.ts";
import type { PersonCaller } from "../identity/access.ts";
import { CLUSTER_KEY } from "../state/state.ts";
import type { State } from "../state/state.ts";
import type { StatusView } from "../wire/service.ts";
import type { App } from "./app.ts";
import type { PersonRequest } from "./request.ts";

export function showStatus({ caller }: PersonRequest, app: App): MaybePromise<JsonReply<200, StatusView>> {
  const uptimeSeconds = Math.floor((app.clock.mono() - app.startedAt) / 1000);
  return app.store.read((state) =>
    json(200, {
      version: app.version,
      cluster_id: state.cluster.get(CLUSTER_KEY)?.id ?? "",
      uptime_seconds: uptimeSeconds,
      org: caller.org,
      ...(caller.access === "host-admin" ? { hosts: countHosts(state) } : {}),
      apps: { total: state.apps.group(caller.org.id).length },
      machines: countMachines(state, caller),
      images: countImages(state, caller),
    }),
  );
}

function countHosts(state: State): Record<string, number> {
  const counts = { total: 0, online: 0, offline: 0, draining: 0, maintenance: 0 };
  for (const host of state.hosts.values()) {
    counts.total++;
    counts[host.health]++;
    const status = statusOf(host);
    if (status === "draining" || status === "maintenance") counts[status]++;
  }
  return counts;
}

function countMachines(state: State, caller: PersonCaller): Record<string, number> {
  const counts = { total: 0, pending: 0, starting: 0, running: 0, stopping: 0, stopped: 0, failed: 0, unknown: 0 };
  for (const machine of state.machines.values()) {
    if (machine.org_id !== caller.org.id) continue;
    counts.total++;
    counts[machine.state]++;
  }
  return counts;
}

function countImages(state: State, caller: PersonCaller): { total: number; bytes: number } {
  const counts = { total: 0, bytes: 0 };
  for (const ref of state.imageRefs.values()) {
    if (ref.org_id !== caller.org.id) continue;
    counts.total++;
    counts.bytes += state.images.get(ref.digest)?.size_bytes ?? 0;
  }
  return counts;
}
