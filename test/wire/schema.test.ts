/** Readers for what comes from outside: what each lets through, and the field that each refusal names. */
import assert from "node:assert/strict";
import test from "node:test";
import { ApiError } from "../../src/lib/errors.ts";
import { added, list, map, named, nullable, object, optional, whenAsked } from "../../src/wire/compound.ts";
import type { JsonSchema, Schema, TypeOf } from "../../src/wire/schema.ts";
import {
  boolean,
  integer,
  number,
  oneOf,
  pattern,
  readBody,
  readField,
  receiveBody,
  scalar,
  string,
} from "../../src/wire/schema.ts";
import { timestamp } from "../../src/wire/time.ts";

/** Stands for a refusal. */
const REFUSED = Symbol("refused");

function outcome(read: Schema<unknown, unknown>, value: unknown): unknown {
  try {
    return readField(read, "f", value);
  } catch (error) {
    assert.ok(error instanceof ApiError, String(error));
    assert.equal(error.code, "invalid_field");
    assert.equal(error.field?.split(".")[0], "f");
    return REFUSED;
  }
}

/** Values that are no text, no number and no truth to any reader but their own. */
const STRANGERS: readonly unknown[] = [
  undefined,
  null,
  true,
  0,
  1,
  -1,
  1.5,
  NaN,
  Infinity,
  "",
  "1",
  "true",
  [],
  ["a"],
  {},
  { length: 1 },
  () => 1,
  Symbol("s"),
  1n,
];

const CASES: readonly [
  name: string,
  read: Schema<unknown, unknown>,
  taken: readonly unknown[],
  refused: readonly unknown[],
][] = [
  [
    "integer",
    integer({ min: 1, max: 10 }),
    [1, 5, 10],
    [0, 11, 1.5, NaN, Infinity, "5", null, undefined, true, [5], 5n],
  ],
  [
    "number",
    number({ min: 0, max: 2 }),
    [0, 0.5, 2],
    [-0.001, 2.001, NaN, Infinity, -Infinity, "1", null, undefined, [1]],
  ],
  ["boolean", boolean, [true, false], [0, 1, "true", "", null, undefined, []]],
  [
    "string",
    string({ min: 1, max: 5 }),
    ["a", "abcde", "ä–ю", "a b"],
    ["", "abcdef", 1, null, undefined, ["a"], "a\n", "\0", "a\u007f", "\u001f"],
  ],
  ["pattern", pattern(/^[a-z]+$/, "lower case"), ["a", "abc"], ["", "A", "a\n", 1, null, ["a"], {}]],
  ["oneOf", oneOf("on", "off"), ["on", "off"], ["", "On", "toString", null, undefined, 0, ["on"]]],
  [
    "list",
    list(integer({ min: 0, max: 9 }), 3),
    [[], [1], [1, 2, 3]],
    [[1, 2, 3, 4], [10], [null], "123", { length: 1, 0: 1 }, null, undefined],
  ],
  ["object", object({}), [{}], [[], null, undefined, "x", 1, true]],
];

for (const [name, read, taken, refused] of CASES) {
  test(`${name} takes what it names and refuses everything else`, () => {
    for (const value of taken) assert.deepEqual(outcome(read, value), value, JSON.stringify(value));
    for (const value of refused) assert.equal(outcome(read, value), REFUSED, String(value));
    for (const value of STRANGERS) if (!taken.some((known) => Object.is(known, value))) outcome(read, value);
  });
}

const TIMES: readonly [given: string, read: string | typeof REFUSED][] = [
  ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000Z"],
  ["2026-01-02T03:04:05.6Z", "2026-01-02T03:04:05.600Z"],
  ["2026-01-02T03:04:05.678912345Z", "2026-01-02T03:04:05.678Z"],
  ["2026-01-02t03:04:05z", "2026-01-02T03:04:05.000Z"],
  ["2026-01-02 03:04:05Z", "2026-01-02T03:04:05.000Z"],
  ["2026-01-02T03:04:05+01:30", "2026-01-02T01:34:05.000Z"],
  ["2024-02-29T00:00:00-23:59", "2024-02-29T23:59:00.000Z"],
  ["2026-01-02", REFUSED],
  ["2026-01-02T03:04Z", REFUSED],
  ["2026-01-02T03:04:05", REFUSED],
  ["2026-1-2T03:04:05Z", REFUSED],
  ["2026-13-01T00:00:00Z", REFUSED],
  ["2026-01-32T00:00:00Z", REFUSED],
  ["2026-02-30T00:00:00Z", REFUSED],
  ["2025-02-29T00:00:00+01:00", REFUSED],
  ["2026-04-31T00:00:00Z", REFUSED],
  ["2026-01-01T24:00:00Z", REFUSED],
  ["2026-01-01T00:60:00Z", REFUSED],
  ["2026-01-01T00:00:00+24:00", REFUSED],
  ["0000-01-01T00:00:00+23:00", REFUSED],
  ["9999-12-31T23:59:59-23:00", REFUSED],
  ["2026-01-02T03:04:05Z\n", REFUSED],
  ["yesterday", REFUSED],
];

for (const [given, expected] of TIMES) {
  test(`a time ${JSON.stringify(given)} is ${expected === REFUSED ? "refused" : expected}`, () => {
    assert.equal(outcome(timestamp, given), expected);
  });
}

test("a time that is no text is refused", () => {
  for (const value of [0, 1e12, null, undefined, new Date(0), ["2026-01-02T03:04:05Z"]])
    assert.equal(outcome(timestamp, value), REFUSED);
});

const HOST = object({
  name: string({ min: 1, max: 10 }),
  capacity: object({ cpus: integer({ min: 1, max: 64 }), disk_mb: optional(integer({ min: 0, max: 100 })) }),
  machines: optional(list(object({ id: string({ min: 1, max: 10 }) }), 2)),
  labels: optional(map(/^[a-z_]+$/, string({ min: 0, max: 5 }), 2)),
});
const GOOD = { name: "h", capacity: { cpus: 2 } };

const PATHS: readonly [why: string, body: unknown, field: string][] = [
  ["a missing field", { capacity: { cpus: 1 } }, "name"],
  ["null where a field is required", { ...GOOD, name: null }, "name"],
  ["a field within a field", { ...GOOD, capacity: { cpus: "2" } }, "capacity.cpus"],
  ["a missing field within a field", { ...GOOD, capacity: {} }, "capacity.cpus"],
  ["a field that is no object", { ...GOOD, capacity: 1 }, "capacity"],
  ["a field of a list's second entry", { ...GOOD, machines: [{ id: "a" }, {}] }, "machines.1.id"],
  ["a list that is too long", { ...GOOD, machines: [{ id: "a" }, { id: "b" }, { id: "c" }] }, "machines"],
  ["a map's value", { ...GOOD, labels: { a: 1 } }, "labels.a"],
  ["a map's key", { ...GOOD, labels: { "A!": "x" } }, "labels.A!"],
  ["a map that is too large", { ...GOOD, labels: { a: "", b: "", c: "" } }, "labels"],
  ["an optional field of the wrong type", { ...GOOD, capacity: { cpus: 1, disk_mb: "0" } }, "capacity.disk_mb"],
  ["the first of two wrong fields", { name: 1, capacity: 1 }, "name"],
];

for (const [why, body, field] of PATHS) {
  test(`names the field: ${why}`, () => {
    assert.throws(
      () => readBody(HOST, body),
      (error) =>
        error instanceof ApiError &&
        error.code === "invalid_field" &&
        error.status === 400 &&
        error.field === field &&
        error.message.startsWith(`${field} `) &&
        error.message.endsWith("."),
    );
  });
}

test("a body that is no object is malformed_json, with no field", () => {
  for (const body of [null, [], "x", 1, true, undefined]) {
    assert.throws(
      () => readBody(HOST, body),
      (error) => error instanceof ApiError && error.code === "malformed_json" && error.field === null,
    );
  }
});

test("a path in a query parameter begins with its name", () => {
  assert.throws(() => readField(integer({ min: 1, max: 2 }), "limit", "x"), {
    field: "limit",
    message: "limit must be a whole number from 1 to 2.",
  });
});

test("unknown fields are ignored and do not reach the value", () => {
  const read = readBody(HOST, { ...GOOD, newer: 1, capacity: { cpus: 2, gpus: "many" } });
  assert.deepEqual(read, {
    name: "h",
    capacity: { cpus: 2, disk_mb: undefined },
    machines: undefined,
    labels: undefined,
  });
});

test("null is the same as absent for an optional field", () => {
  const read: TypeOf<typeof HOST> = readBody(HOST, { ...GOOD, machines: null, labels: null });
  assert.equal(read.machines, undefined);
  assert.equal(read.labels, undefined);
});

test("fields are the body's own: what a prototype has is not read", () => {
  const inherited = Object.create({ name: "inherited", capacity: { cpus: 1 } }) as unknown;
  assert.throws(() => readBody(HOST, inherited), { field: "name" });
  assert.throws(() => readBody(object({ toString: string({ min: 0, max: 1 }) }), {}), { field: "toString" });
});

test("__proto__ is a key like any other and changes no prototype", () => {
  const body: unknown = JSON.parse(
    '{"name":"h","capacity":{"cpus":1},"labels":{"__proto__":"x"},"__proto__":{"machines":[{"id":"evil"}]}}',
  );
  const read = readBody(HOST, body);
  assert.equal(read.machines, undefined);
  assert.deepEqual(Object.keys(read.labels ?? {}), ["__proto__"]);
  assert.equal(read.labels?.["__proto__"], "x");
  assert.equal(JSON.stringify(read.labels), '{"__proto__":"x"}');
  assert.equal(({} as Record<string, unknown>)["machines"], undefined);
  assert.throws(() => readBody(HOST, JSON.parse('{"name":"h","capacity":{"cpus":1},"labels":{"__proto__":{"a":1}}}')), {
    field: "labels.__proto__",
  });
});

test("an error that is none of the reader's passes through as it is", () => {
  const broken: Schema<never> = scalar((): never => {
    throw new TypeError("a bug");
  }, {});
  assert.throws(() => readBody(object({ a: broken }), { a: 1 }), TypeError);
  assert.throws(() => readField(broken, "a", 1), TypeError);
});

const STATE = object({
  id: string({ min: 1, max: 9 }),
  state: oneOf("on", "off"),
  host_id: nullable(string({ min: 1, max: 9 })),
  since: added(string({ min: 1, max: 9 })),
  rest: optional(integer({ min: 0, max: 9 })),
  next: whenAsked(string({ min: 1, max: 9 })),
});

test("what is sent is read to the letter: words of the list only, nothing left out, null where it may be", () => {
  const sent = { id: "a", state: "on", host_id: null, since: "now" };
  assert.deepEqual(readBody(STATE, sent), { ...sent, rest: undefined, next: undefined });
  assert.equal(readBody(STATE, { ...sent, next: null }).next, null);
  assert.throws(() => readBody(STATE, { ...sent, state: "moving" }), { field: "state" });
  for (const field of ["host_id", "since", "state"]) {
    const { [field]: _left, ...less } = sent as Record<string, unknown>;
    assert.throws(() => readBody(STATE, less), { field });
  }
  assert.throws(() => readBody(STATE, { ...sent, since: null }), { field: "since" });
});

test("who receives takes a newer program's words and an older one's gaps, and no wrong types", () => {
  const nothing = { host_id: undefined, since: undefined, rest: undefined, next: undefined };
  assert.deepEqual(receiveBody(STATE, { id: "a", state: "moving", more: 1 }), { id: "a", state: "moving", ...nothing });
  assert.deepEqual(receiveBody(STATE, { id: "a", state: "on", host_id: null, since: null }), {
    id: "a",
    state: "on",
    ...nothing,
  });
  assert.throws(() => receiveBody(STATE, { state: "on" }), { field: "id" });
  assert.throws(() => receiveBody(STATE, { id: "a", state: 7 }), { field: "state" });
  assert.throws(() => receiveBody(STATE, { id: "a", state: "on", since: 7 }), { field: "since" });
});

test("a schema describes itself: what must be there, what may be null, and a named part once", () => {
  const parts = new Map<string, JsonSchema>();
  const define = (name: string, describe: () => JsonSchema): JsonSchema => {
    parts.set(name, describe());
    return { $ref: name };
  };
  const described = object({ of: nullable(named("State", STATE)), all: list(named("State", STATE), 3) });
  const text = { type: "string", minLength: 1, maxLength: 9 };
  assert.deepEqual(described.describe(define), {
    type: "object",
    properties: {
      of: { anyOf: [{ $ref: "State" }, { type: "null" }] },
      all: { type: "array", items: { $ref: "State" }, maxItems: 3 },
    },
    required: ["of", "all"],
  });
  assert.deepEqual(parts.get("State"), {
    type: "object",
    properties: {
      id: text,
      state: { type: "string", enum: ["on", "off"] },
      host_id: { ...text, type: ["string", "null"] },
      since: text,
      rest: { type: ["integer", "null"], minimum: 0, maximum: 9 },
      next: { ...text, type: ["string", "null"] },
    },
    required: ["id", "state", "host_id", "since"],
  });
});
