/** Whom each event concerns, written out: the hosts whose agents have to hear, the apps that have to be looked at. */
import assert from "node:assert/strict";
import test from "node:test";
import { touchedBy } from "../../src/fleet/touched.ts";
import type { Event, EventType } from "../../src/state/events.ts";
import { withIds } from "../support/ids.ts";
import type { Told } from "../support/ids.ts";
import { AT, created, deployed, drainStarted, heard, lost, registered, specOf, stateAfter } from "../support/rows.ts";

/** h-1 has a machine of web and one of api, h-2 one of web; m-4 of web has no host. */
const STATE = stateAfter(
  registered("h-1"),
  registered("h-2"),
  deployed("dep_1"),
  created(specOf("m-1"), "h-1"),
  created(specOf("m-2", { app_id: "api" }), "h-1"),
  created(specOf("m-3"), "h-2"),
  created(specOf("m-4"), null),
);
const ONE = { machine_id: "m-1", idempotency: null };
const ENDED = { original_id: "m-3", host_id: "h-1", failed: true, reason: "r" };
const TERMS = { host_id: "h-1", max_parallel: 2, deadline_at: null, force: false, reason: null };

const TOUCHED: readonly [event: Told, hosts: readonly string[], apps: readonly string[]][] = [
  [registered("h-1"), ["h-1"], ["web", "api"]],
  [heard("h-1", [], true), ["h-1"], ["web", "api"]],
  [heard("h-1", [{ id: "m-2", state: "running" }]), ["h-1"], ["api"]],
  [heard("h-1", []), [], []],
  [lost("h-1", "h-2"), ["h-1", "h-2"], ["web", "api"]],
  [{ type: "host.replacement_allowed", data: { host_ids: ["h-2"] } }, ["h-2"], ["web"]],
  [{ type: "host.id_conflict", data: { host_id: "h-1", boot_ids: ["a", "b"] } }, [], []],
  [{ type: "host.deregistered", data: { host_id: "h-2", reason: null } }, ["h-2"], ["web"]],
  [{ type: "host.key_removed", data: { host_id: "h-1" } }, [], []],
  [drainStarted("h-2"), ["h-2"], ["web"]],
  [{ type: "host.drain_updated", data: TERMS }, ["h-1"], ["web", "api"]],
  [{ type: "host.drain_forced", data: { host_id: "h-1", machine_ids: ["m-1"] } }, ["h-1"], ["web", "api"]],
  [{ type: "host.drain_finished", data: { host_id: "h-2", state: "failed", mode: "draining" } }, ["h-2"], ["web"]],
  [{ type: "host.activated", data: { host_id: "h-2" } }, ["h-2"], ["web"]],
  [{ type: "app.created", data: { app_id: "web", org_id: "o_1", name: "web", idempotency: null } }, [], []],
  [{ type: "app.deleted", data: { app_id: "web" } }, ["h-1", "h-2"], []],
  [deployed("dep_1"), [], ["web"]],
  [{ type: "deployment.scaled", data: { deployment_id: "dep_1", replicas: 2, idempotency: null } }, [], ["web"]],
  [
    {
      type: "deployment.moved",
      data: { deployment_id: "dep_1", app_id: "web", state: "completed", reason: null, target_id: "dep_1" },
    },
    [],
    ["web"],
  ],
  [created(specOf("m-5"), "h-2"), ["h-2"], ["web"]],
  [created(specOf("m-5"), null), [], ["web"]],
  [{ type: "machine.placed", data: { machine_id: "m-4", host_id: "h-2", why: "room" } }, ["h-2"], ["web"]],
  [{ type: "machine.healthy", data: { app_id: "web", machine_ids: ["m-1"] } }, [], ["web"]],
  [{ type: "machine.given_up", data: { machine_id: "m-1", ...ENDED } }, ["h-1"], ["web"]],
  [{ type: "machine.removed", data: { machine_ids: ["m-2", "m-3"], reason: "r" } }, ["h-1", "h-2"], ["api", "web"]],
  [{ type: "machine.removed", data: { machine_ids: ["m-4"], reason: "r" } }, [], ["web"]],
  [{ type: "machine.stop_requested", data: ONE }, ["h-1"], ["web"]],
  [{ type: "machine.start_requested", data: ONE }, ["h-1"], ["web"]],
  [{ type: "workload.expired", data: { machine_ids: ["m-1"], idempotency_keys: [] } }, [], []],
  [{ type: "session.renewed", data: { token_hash: "t", expires_at: AT } }, [], []],
];

for (const [event, hosts, apps] of TOUCHED) {
  const whom = [...hosts, ...apps].join(", ");
  test(`${event.type} ${JSON.stringify(event.data).slice(0, 50)} touches ${whom === "" ? "nobody" : whom}`, () => {
    assert.deepEqual(touchedBy(STATE, withIds<Event>(event)), { hosts, apps });
  });
}

type Concerning = Extract<EventType, `${"host" | "app" | "deployment" | "machine"}.${string}`>;

/** Does not compile while one is missing. */
const CONCERNING: Readonly<Record<Concerning, true>> = {
  "host.registered": true,
  "host.heard": true,
  "host.lost": true,
  "host.replacement_allowed": true,
  "host.id_conflict": true,
  "host.deregistered": true,
  "host.key_removed": true,
  "host.drain_started": true,
  "host.drain_updated": true,
  "host.drain_forced": true,
  "host.drain_finished": true,
  "host.activated": true,
  "app.created": true,
  "app.deleted": true,
  "deployment.created": true,
  "deployment.scaled": true,
  "deployment.moved": true,
  "machine.created": true,
  "machine.placed": true,
  "machine.healthy": true,
  "machine.given_up": true,
  "machine.removed": true,
  "machine.stop_requested": true,
  "machine.start_requested": true,
};

test("every event of hosts, apps, deployments and machines is among them", () => {
  const seen = new Set<string>(TOUCHED.map(([event]) => event.type));
  assert.deepEqual(
    Object.keys(CONCERNING).filter((type) => !seen.has(type)),
    [],
  );
});
