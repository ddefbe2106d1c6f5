/** /v1/hosts: what operators see of hosts and do with them. */
import { changesTerms, decideActivate, decideDrain, decideUndrain, getDrain, heldMachines } from "../fleet/drain.ts";
import { drainRows, planRows } from "../fleet/drain-rows.ts";
import { runningDrain } from "../fleet/drain-terms.ts";
import { decideReplaceLost } from "../fleet/liveness.ts";
import { statusOf } from "../fleet/modes.ts";
import { decideRemove, decideUnbindKey, getHost } from "../fleet/registration.ts";
import type { DrainView } from "../fleet/view.ts";
import { drainView } from "../fleet/view.ts";
import { empty, json } from "../http/respond.ts";
import type { MaybePromise, Reply } from "../http/types.ts";
import { boolean, integer, object, oneOf, optional, readBody, readField, string } from "../lib/schema.ts";
import type { State } from "../state/state.ts";
import type { Drain } from "../state/types.ts";
import type { ApiContext, App } from "./app.ts";
import { param } from "./app.ts";
import { listReply } from "./lists.ts";

const STATUS = oneOf("offline", "active", "draining", "maintenance");

const DRAIN_BODY = object({
  max_parallel: optional(integer({ min: 1, max: 1000 })),
  deadline_seconds: optional(integer({ min: 1, max: 30 * 24 * 3600 })),
  reason: optional(string({ min: 0, max: 1000 })),
  force: optional(boolean),
  dry_run: optional(boolean),
});

export function listHosts(context: ApiContext, app: App): MaybePromise<Reply> {
  const { query } = context;
  const statusText = query.get("status");
  const status = statusText === null ? null : readField(STATUS, "status", statusText);
  const region = query.get("region");
  const datacenter = query.get("datacenter");
  return app.store.read((state) => {
    const rows = [...state.hosts.values()]
      .filter(
        (host) =>
          (status === null || statusOf(host) === status) &&
          (region === null || host.region === region) &&
          (datacenter === null || host.datacenter === datacenter),
      )
      .map((host) => app.fleet.view(state, host));
    return listReply(context, "hosts", rows, (row) => row.id);
  });
}

export function showHost(context: ApiContext, app: App): MaybePromise<Reply> {
  const id = param(context, "host_id");
  return app.store.read((state) => json(200, app.fleet.view(state, getHost(state, id))));
}

export function drainHost(context: ApiContext, app: App): MaybePromise<Reply> {
  const id = param(context, "host_id");
  const body = readBody(DRAIN_BODY, context.body);
  if (body.dry_run === true) return app.door.look(context, (state) => dryRun(app, state, id, body));
  return app.door.change(context, (state) => {
    const event = decideDrain(state, id, body, app.clock.wall());
    const status = event.type === "host.drain_started" ? 202 : 200;
    return {
      event: changesTerms(state, event) ? event : null,
      answer: (after) => json(status, drainStatus(app, after, id)),
    };
  });
}

/** What a drain would do, from the same decisions; nothing is written. */
function dryRun(app: App, state: State, hostId: string, body: Parameters<typeof decideDrain>[2]): Reply {
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
  return json(200, { ...drainView(host, drain, rows), started_at: running?.started_at ?? null, dry_run: true });
}

function drainStatus(app: App, state: State, hostId: string): DrainView {
  const host = getHost(state, hostId);
  const drain = getDrain(state, hostId);
  return drainView(host, drain, drainRows(app.fleet.reconciler.scene(state), host, drain));
}

export function showDrainStatus(context: ApiContext, app: App): MaybePromise<Reply> {
  const id = param(context, "host_id");
  return app.store.read((state) => json(200, drainStatus(app, state, id)));
}

export function undrainHost(context: ApiContext, app: App): MaybePromise<Reply> {
  const id = param(context, "host_id");
  return app.door.change(context, (state) => ({
    event: decideUndrain(state, id),
    answer: (after) => json(200, app.fleet.view(after, getHost(after, id))),
  }));
}

export function activateHost(context: ApiContext, app: App): MaybePromise<Reply> {
  const id = param(context, "host_id");
  return app.door.change(context, (state) => ({
    event: decideActivate(state, id),
    answer: (after) => json(200, app.fleet.view(after, getHost(after, id))),
  }));
}

/** Takes a host that will not come back off the list; its machines are gone or placed elsewhere. */
export function removeHost(context: ApiContext, app: App): MaybePromise<Reply> {
  const id = param(context, "host_id");
  return app.door.change(context, (state) => ({ event: decideRemove(state, id), answer: () => empty(204) }));
}

/** Lets the next key that the host sends bind its id. */
export function unbindHostKey(context: ApiContext, app: App): MaybePromise<Reply> {
  const id = param(context, "host_id");
  return app.door.change(context, (state) => ({ event: decideUnbindKey(state, id), answer: () => empty(204) }));
}

/** Says that the hosts of a storm are really lost, so that their machines may be replaced. */
export function replaceLost(context: ApiContext, app: App): MaybePromise<Reply> {
  return app.door.change(context, (state) => {
    const event = decideReplaceLost(state);
    return { event, answer: () => json(200, { host_ids: event?.data.host_ids ?? [] }) };
  });
}
