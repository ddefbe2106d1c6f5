/** /v1/hosts: what operators see of hosts and do with them. */
import { changesTerms, decideActivate, decideDrain, decideUndrain, getDrain, heldMachines } from "../fleet/drain.ts";
import { drainRows, planRows } from "../fleet/drain-rows.ts";
import { runningDrain } from "../fleet/drain-terms.ts";
import { decideReplaceLost } from "../fleet/liveness.ts";
import { statusOf } from "../fleet/modes.ts";
import { decideRemove, decideUnbindKey, getHost } from "../fleet/registration.ts";
import { drainView } from "../fleet/view.ts";
import type { EmptyReply, JsonReply } from "../http/respond.ts";
import { empty, json } from "../http/respond.ts";
import type { MaybePromise } from "../http/types.ts";
import type { HostId } from "../lib/id-types.ts";
import type { State } from "../state/state.ts";
import type { Drain } from "../state/types.ts";
import type { QueryOf } from "../wire/call.ts";
import type { Page } from "../wire/common.ts";
import type { DrainRequest, DrainView, HOSTS_QUERY, HostView } from "../wire/hosts.ts";
import type { App } from "./app.ts";
import { listReply } from "./lists.ts";
import type { PersonRequest } from "./request.ts";

type OfHost = PersonRequest<"host_id">;
type Filter = QueryOf<typeof HOSTS_QUERY>;
type Shown = MaybePromise<JsonReply<200, HostView>>;

export function listHosts(
  { query }: PersonRequest<never, unknown, Filter>,
  app: App,
): MaybePromise<JsonReply<200, Page<"hosts", HostView>>> {
  const { status, region, datacenter } = query;
  return app.store.read((state) => {
    const rows = [...state.hosts.values()]
      .filter(
        (host) =>
          (status === undefined || statusOf(host) === status) &&
          (region === undefined || host.region === region) &&
          (datacenter === undefined || host.datacenter === datacenter),
      )
      .map((host) => app.fleet.view(state, host));
    return listReply(query, "hosts", rows, (row) => row.id);
  });
}

export function showHost({ params }: OfHost, app: App): Shown {
  return app.store.read((state) => json(200, app.fleet.view(state, getHost(state, params.host_id))));
}

export function drainHost(
  request: PersonRequest<"host_id", DrainRequest>,
  app: App,
): MaybePromise<JsonReply<202, DrainView> | JsonReply<200, DrainView>> {
  const { body, params } = request;
  const { host_id: id } = params;
  if (body.dry_run === true) return request.look((state) => json(200, dryRun(app, state, id, body)));
  return request.change((state) => {
    const event = decideDrain(state, id, body, app.clock.wall());
    const status = event.type === "host.drain_started" ? 202 : 200;
    return {
      event: changesTerms(state, event) ? event : null,
      answer: (after) => json(status, drainStatus(app, after, id)),
    };
  });
}

/** What a drain would do, from the same decisions; nothing is written. */
function dryRun(app: App, state: State, hostId: HostId, body: DrainRequest): DrainView {
  const running = runningDrain(state, hostId);
  const { data } = decideDrain(state, hostId, body, app.clock.wall());
  const host = getHost(state, hostId);
  const rows = planRows(app.fleet.reconciler.scene(state), host, heldMachines(state, hostId));
  const drain: Drain = {
    ...data,
    state: "draining",
    started_at: "",
    finished_at: null,
    deadline_from: null,
    forced: false,
    machine_ids: [],
  };
  return { ...drainView(host, drain, rows), started_at: running?.started_at ?? null, dry_run: true };
}

function drainStatus(app: App, state: State, hostId: HostId): DrainView {
  const host = getHost(state, hostId);
  const drain = getDrain(state, hostId);
  return drainView(host, drain, drainRows(app.fleet.reconciler.scene(state), host, drain));
}

export function showDrainStatus({ params }: OfHost, app: App): MaybePromise<JsonReply<200, DrainView>> {
  return app.store.read((state) => json(200, drainStatus(app, state, params.host_id)));
}

export function undrainHost(request: OfHost, app: App): Shown {
  const { host_id: id } = request.params;
  return request.change((state) => ({
    event: decideUndrain(state, id),
    answer: (after) => json(200, app.fleet.view(after, getHost(after, id))),
  }));
}

export function activateHost(request: OfHost, app: App): Shown {
  const { host_id: id } = request.params;
  return request.change((state) => ({
    event: decideActivate(state, id),
    answer: (after) => json(200, app.fleet.view(after, getHost(after, id))),
  }));
}

/** Takes a host that will not come back off the list; its machines are gone or placed elsewhere. */
export function removeHost(request: OfHost): MaybePromise<EmptyReply<204>> {
  return request.change((state) => ({
    event: decideRemove(state, request.params.host_id),
    answer: () => empty(204),
  }));
}

/** Lets the next key that the host sends bind its id. */
export function unbindHostKey(request: OfHost): MaybePromise<EmptyReply<204>> {
  return request.change((state) => ({
    event: decideUnbindKey(state, request.params.host_id),
    answer: () => empty(204),
  }));
}

/** Says that the hosts of a storm are really lost, so that their machines may be replaced. */
export function replaceLost(
  request: PersonRequest,
): MaybePromise<JsonReply<200, { readonly host_ids: readonly HostId[] }>> {
  return request.change((state) => {
    const event = decideReplaceLost(state);
    return { event, answer: () => json(200, { host_ids: event?.data.host_ids ?? [] }) };
  });
}
