/** The state as lines: what a snapshot is made of, and what is refused when one is read. */
import assert from "node:assert/strict";
import test from "node:test";
import type { JournalRecord } from "../../src/journal/types.ts";
import { UnknownEvent, toRecorded } from "../../src/state/events.ts";
import { State } from "../../src/state/state.ts";
import { Replay } from "../../src/state/store.ts";
import { idOf } from "../support/ids.ts";
import {
  CLUSTER,
  created,
  deployed,
  drainStarted,
  hostOf,
  linesOf,
  lost,
  registered,
  specOf,
  stateAfter,
} from "../support/rows.ts";

const FULL = [
  CLUSTER,
  registered("h-2", { key_hash: "k" }),
  registered("h-1"),
  registered("h-3", { mode: "maintenance", mode_reason: "disk" }),
  deployed("dep_1", { env: { B: "2", A: "1", "1": "x", __proto__x: "y" } }),
  created(specOf("m-1", { check: { type: "http", port: 80 } }), "h-1"),
  created(specOf("m-2"), null),
  lost("h-2"),
  drainStarted("h-1", { machine_ids: ["m-1"] }),
  { type: "host.deregistered", data: { host_id: "h-3", reason: null } },
  { type: "image.added", data: { digest: "sha256:aa", size_bytes: 5, org_id: "o_1", app_id: "web" } },
  { type: "image.added", data: { digest: "sha256:aa", size_bytes: 5, org_id: "o_2", app_id: null } },
] as const;

function reload(lines: readonly string[]): State {
  const state = new State();
  const replay = new Replay(state);
  for (const line of lines) replay.snapshotLine(JSON.parse(line));
  return state;
}

test("a state read back from its lines has the same lines and the same groups", () => {
  const state = stateAfter(...FULL);
  const again = reload(linesOf(state));
  assert.deepEqual(linesOf(again), linesOf(state));
  assert.deepEqual(
    again.machines.group(idOf("h-1")).map((machine) => machine.id),
    ["m-1"],
  );
  assert.equal(again.imageRefs.group(idOf("sha256:aa")).length, 2);
  assert.deepEqual(hostOf(again, "h-2"), hostOf(state, "h-2"));
});

test("the order of the lines depends on the content only, not on the order of arrival", () => {
  const one = linesOf(
    stateAfter(registered("h-1"), registered("h-2"), created(specOf("m-1"), "h-1"), created(specOf("m-2"), "h-2")),
  );
  const other = linesOf(
    stateAfter(registered("h-2"), registered("h-1"), created(specOf("m-2"), "h-2"), created(specOf("m-1"), "h-1")),
  );
  assert.deepEqual(one, other);
});

test("every table is in the snapshot under a name of its own", () => {
  const state = new State();
  const fields = Object.values(state).filter((value) => value instanceof Object && "groupVersion" in value);
  assert.equal(state.tables.length, fields.length);
  assert.equal(new Set(state.tables.map((table) => table.name)).size, fields.length);
});

test("a key such as __proto__ survives a snapshot", () => {
  const state = stateAfter(registered("__proto__"));
  const host = hostOf(state, "__proto__");
  const labels = JSON.parse('{"__proto__":"x"}') as Record<string, string>;
  state.hosts.set(idOf("__proto__"), { ...host, labels });
  const again = reload(linesOf(state));
  assert.deepEqual(linesOf(again), linesOf(state));
  assert.deepEqual(Object.keys(hostOf(again, "__proto__").labels), ["__proto__"]);
});

test("refuses a line that no snapshot has", () => {
  const noRow = [
    null,
    {},
    "x",
    1,
    [],
    ["hosts"],
    ["hosts", "h"],
    ["hosts", "h", null],
    ["hosts", "h", 1],
    ["hosts", "h", []],
    ["hosts", "h", {}, 1],
  ];
  const noPlace = [
    ["hosts", 1, {}],
    ["volumes", "v", {}],
    ["__proto__", "v", {}],
    [null, "v", {}],
  ];
  for (const line of [...noRow, ...noPlace])
    assert.throws(() => new State().load(line), /^Error: snapshot: /, JSON.stringify(line));
});

test("a table of another version is named in the refusal", () => {
  assert.throws(() => new State().load(["volumes", "v", {}]), /"volumes".*another version of zwrmd/);
});

test("reset forgets every row of a snapshot that turned out bad", () => {
  const state = reload(linesOf(stateAfter(...FULL)));
  new Replay(state).reset();
  assert.deepEqual(linesOf(state), []);
  assert.deepEqual(state.machines.group(idOf("h-1")), []);
});

function recordOf(type: string): JournalRecord {
  return { sum: "", seq: 7, batch: 7, at: "2026-01-02T03:04:05.678Z", type, actor: null, data: {} };
}

test("a replay refuses an event of a type that it does not know, and says where it stands and what to do", () => {
  for (const type of ["volume.created", "", "toString", "__proto__", "constructor", "Host.registered"]) {
    assert.throws(
      () => new Replay(new State()).record(recordOf(type)),
      (error) =>
        error instanceof UnknownEvent &&
        error.message.includes("seq 7") &&
        error.message.includes(JSON.stringify(type)) &&
        error.message.includes("newer zwrmd"),
      type,
    );
  }
});

test("the first line of a segment is read and changes nothing", () => {
  const state = stateAfter(...FULL);
  const before = linesOf(state);
  new Replay(state).record(recordOf("journal.segment"));
  assert.deepEqual(linesOf(state), before);
  assert.equal(toRecorded(recordOf("journal.segment")).type, "journal.segment");
});
