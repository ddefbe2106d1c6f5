/** How a host joins, comes back and leaves, and the key that binds its id. */
import assert from "node:assert/strict";
import test from "node:test";
import {
  checkHostKey,
  decideDeregister,
  decideRegister,
  decideUnbindKey,
  getHost,
} from "../../src/fleet/registration.ts";
import type { Registration } from "../../src/fleet/registration.ts";
import { ApiError } from "../../src/lib/errors.ts";
import { sha256Hex } from "../../src/lib/ids.ts";
import type { Event } from "../../src/state/events.ts";
import type { State } from "../../src/state/state.ts";
import type { HostFacts } from "../../src/state/types.ts";
import { idOf } from "../support/ids.ts";
import type { Told } from "../support/ids.ts";
import {
  AT,
  CAPACITY,
  apply,
  created,
  drainStarted,
  factsOf,
  hostOf,
  lost,
  machineOf,
  registered,
  specOf,
  stateAfter,
} from "../support/rows.ts";

const KEY = "k".repeat(32);
const OTHER = "o".repeat(32);

function asks(more: Partial<Registration> & { facts?: HostFacts } = {}): Registration {
  return { host_id: idOf("h-1"), facts: factsOf("h-1"), capacity: CAPACITY, key: null, ...more };
}

function decide(state: State, event: Event | null): State {
  if (event !== null) apply(state, event);
  return state;
}

function codeOf(run: () => unknown): string {
  try {
    run();
    return "done";
  } catch (error) {
    assert.ok(error instanceof ApiError, String(error));
    return error.code;
  }
}

test("a new host is active and online, with what it says of itself", () => {
  const state = stateAfter();
  const facts = factsOf("h-1", { region: "north", labels: { disk: "nvme" } });
  decide(state, decideRegister(state, asks({ facts })));
  const { id, mode, health, region, labels, capacity, key_hash, registered_at } = hostOf(state, "h-1");
  assert.deepEqual([id, mode, health, key_hash, registered_at], ["h-1", "active", "online", null, AT]);
  assert.deepEqual({ region, labels, capacity }, { region: "north", labels: { disk: "nvme" }, capacity: CAPACITY });
});

test("a registration that says nothing new writes nothing", () => {
  const state = stateAfter();
  decide(state, decideRegister(state, asks({ key: KEY, facts: factsOf("h-1", { labels: { a: "1", b: "2" } }) })));
  assert.equal(decideRegister(state, asks({ key: KEY, facts: factsOf("h-1", { labels: { b: "2", a: "1" } }) })), null);
});

const NEWS: readonly [what: string, change: Partial<HostFacts>][] = [
  ["hostname", { hostname: "other" }],
  ["region", { region: "other" }],
  ["datacenter", { datacenter: "other" }],
  ["ip_address", { ip_address: "10.0.0.2" }],
  ["grpc_port", { grpc_port: 9091 }],
  ["agent_version", { agent_version: null }],
  ["a label more", { labels: { a: "1", b: "2" } }],
  ["a label fewer", { labels: {} }],
  ["another label", { labels: { b: "1" } }],
  ["a label's value", { labels: { a: "2" } }],
  ["a label called __proto__", { labels: JSON.parse('{"__proto__":"1"}') as Record<string, string> }],
];

for (const [what, change] of NEWS) {
  test(`a registration that changes ${what} is written, and the rest is kept`, () => {
    const state = stateAfter();
    decide(state, decideRegister(state, asks({ facts: factsOf("h-1", { labels: { a: "1" } }) })));
    decide(state, decideRegister(state, asks({ facts: factsOf("h-1", { labels: { a: "1" }, ...change }) })));
    for (const [name, value] of Object.entries(change))
      assert.equal(JSON.stringify(hostOf(state, "h-1")[name as keyof HostFacts]), JSON.stringify(value));
    assert.equal(decideRegister(state, asks({ facts: factsOf("h-1", { labels: { a: "1" }, ...change }) })), null);
  });
}

for (const name of ["cpus", "memory_mb", "disk_mb"] as const) {
  test(`a registration with another capacity.${name} is written`, () => {
    const state = stateAfter(registered("h-1"));
    decide(state, decideRegister(state, asks({ capacity: { ...CAPACITY, [name]: 7 } })));
    assert.equal(hostOf(state, "h-1").capacity[name], 7);
  });
}

test("an offline host that registers is online again, though it says nothing new", () => {
  const state = stateAfter(registered("h-1", { mode: "maintenance", mode_reason: "disk" }), lost("h-1"));
  decide(state, decideRegister(state, asks()));
  const { health, mode, mode_reason, offline_since } = hostOf(state, "h-1");
  assert.deepEqual(
    { health, mode, mode_reason, offline_since },
    { health: "online", mode: "maintenance", mode_reason: "disk", offline_since: null },
  );
});

test("the first key that a host sends binds its id; only its hash is in the event", () => {
  const state = stateAfter();
  const event = decideRegister(state, asks({ key: KEY }));
  assert.equal(event?.data.key_hash, sha256Hex(KEY));
  assert.ok(!JSON.stringify(event).includes(KEY));
});

test("a host that registered without a key is bound by the first one that it registers with later", () => {
  const state = stateAfter(registered("h-1"));
  decide(state, decideRegister(state, asks({ key: KEY })));
  assert.equal(hostOf(state, "h-1").key_hash, sha256Hex(KEY));
});

for (const [what, bound] of [
  ["a host", stateAfter(registered("h-1", { key_hash: sha256Hex(KEY) }))],
  [
    "a host that left",
    stateAfter(registered("h-1", { key_hash: sha256Hex(KEY) }), {
      type: "host.deregistered",
      data: { host_id: "h-1", reason: null },
    }),
  ],
] as const) {
  test(`the id of ${what} takes its own key only`, () => {
    for (const key of [null, OTHER, "", KEY.slice(1), sha256Hex(KEY)]) {
      assert.equal(
        codeOf(() => checkHostKey(bound, idOf("h-1"), key)),
        "host_key_mismatch",
        String(key),
      );
      assert.equal(
        codeOf(() => decideRegister(bound, asks({ key }))),
        "host_key_mismatch",
      );
      assert.equal(
        codeOf(() => decideDeregister(bound, idOf("h-1"), key, null)),
        "host_key_mismatch",
      );
    }
    assert.equal(
      codeOf(() => checkHostKey(bound, idOf("h-1"), KEY)),
      "done",
    );
    assert.equal(
      codeOf(() => decideRegister(bound, asks({ key: KEY }))),
      "done",
    );
    assert.equal(
      codeOf(() => checkHostKey(bound, idOf("h-2"), null)),
      "done",
    );
  });
}

test("a mismatch is a 403 that says what was sent and how to unbind, and shows no key", () => {
  const state = stateAfter(registered("h-1", { key_hash: sha256Hex(KEY) }));
  assert.throws(
    () => checkHostKey(state, idOf("h-1"), null),
    (error) =>
      error instanceof ApiError &&
      error.status === 403 &&
      /no X-Zwrm-Host-Key.*zwrm host unbind-key h-1/.test(error.message),
  );
  assert.throws(
    () => checkHostKey(state, idOf("h-1"), OTHER),
    (error) =>
      error instanceof ApiError &&
      /another X-Zwrm-Host-Key/.test(error.message) &&
      !error.message.includes(OTHER) &&
      !error.message.includes(sha256Hex(KEY)),
  );
});

test("an unbound id, of a host or of one that left, is bound by the next key", () => {
  for (const left of [false, true]) {
    const state = stateAfter(registered("h-1", { key_hash: sha256Hex(KEY) }));
    if (left) decide(state, decideDeregister(state, idOf("h-1"), KEY, null));
    decide(state, decideUnbindKey(state, idOf("h-1")));
    assert.equal(decideUnbindKey(state, idOf("h-1")), null);
    decide(state, decideRegister(state, asks({ key: OTHER })));
    assert.equal(hostOf(state, "h-1").key_hash, sha256Hex(OTHER));
    assert.equal(
      codeOf(() => checkHostKey(state, idOf("h-1"), KEY)),
      "host_key_mismatch",
    );
  }
});

test("there is no key to unbind of an id that was never here", () => {
  assert.equal(
    codeOf(() => decideUnbindKey(stateAfter(), idOf("h-1"))),
    "host_not_found",
  );
});

test("a host that left is not in the list, and a second leave is a 404", () => {
  const state = stateAfter(registered("h-1"));
  decide(state, decideDeregister(state, idOf("h-1"), null, "rack 4 goes"));
  assert.equal(
    codeOf(() => getHost(state, idOf("h-1"))),
    "host_not_found",
  );
  assert.equal(
    codeOf(() => decideDeregister(state, idOf("h-1"), null, null)),
    "host_not_registered",
  );
  assert.equal(
    codeOf(() => decideDeregister(state, idOf("h-2"), null, null)),
    "host_not_registered",
  );
});

test("an id that leaves while draining or in maintenance comes back in maintenance, with reason, key and past", () => {
  const events: readonly [name: string, event: Told][] = [
    ["draining", drainStarted("h-1")],
    ["maintenance", { type: "host.drain_finished", data: { host_id: "h-1", state: "completed", mode: "maintenance" } }],
  ];
  for (const [name, event] of events) {
    const state = stateAfter(
      registered("h-1", { key_hash: sha256Hex(KEY), mode_reason: "disk" }),
      created(specOf("m-1"), "h-1"),
      event,
    );
    decide(state, decideDeregister(state, idOf("h-1"), KEY, null));
    assert.equal(state.drains.get(idOf("h-1"))?.state, name === "draining" ? "cancelled" : undefined, name);
    decide(state, decideRegister(state, asks({ key: KEY })));
    const { mode, health, key_hash, ever_assigned } = hostOf(state, "h-1");
    assert.deepEqual(
      { mode, health, key_hash, ever_assigned },
      { mode: "maintenance", health: "online", key_hash: sha256Hex(KEY), ever_assigned: true },
      name,
    );
    assert.equal(state.departedHosts.get(idOf("h-1")), undefined);
  }
});

test("an active id that leaves comes back active, as a new host", () => {
  const state = stateAfter(registered("h-1"));
  decide(state, decideDeregister(state, idOf("h-1"), null, null));
  decide(state, decideRegister(state, asks()));
  assert.deepEqual([hostOf(state, "h-1").mode, hostOf(state, "h-1").ever_assigned], ["active", false]);
});

test("the machines of a host that left are unknown, until placed elsewhere", () => {
  const state = stateAfter(registered("h-1"), created(specOf("m-1"), "h-1"));
  decide(state, decideDeregister(state, idOf("h-1"), null, null));
  assert.deepEqual([machineOf(state, "m-1").state, machineOf(state, "m-1").reason], ["unknown", "host_deregistered"]);
});

test("an active id without a key and without a past leaves nothing behind", () => {
  const state = stateAfter(registered("h-1"));
  decide(state, decideDeregister(state, idOf("h-1"), null, null));
  assert.equal(state.departedHosts.size, 0);
  assert.equal(state.drains.size, 0);
});
