/** What of a record people see: what the table allows, and nothing else, wherever it stands. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { JournalRecord } from "../../src/journal/types.ts";
import { redactRecord } from "../../src/state/redact.ts";

function shown(type: string, data: unknown): unknown {
  const record: JournalRecord = {
    sum: "s",
    seq: 1,
    batch: 1,
    at: "t",
    type,
    actor: { kind: "system", id: null, ip: null },
    data,
  };
  return redactRecord(record).data;
}

const SECRET = "a secret";
const PASSWORD = { n: 1, r: 1, p: 1, salt: SECRET, hash: SECRET };
const HIDES: readonly [type: string, data: object, shown: object][] = [
  ["host.registered", { host_id: "h", key_hash: SECRET }, { host_id: "h", key_hash: "[redacted]" }],
  [
    "host.heard",
    { host_id: "h", key_hash: SECRET, machines: [] },
    { host_id: "h", key_hash: "[redacted]", machines: [] },
  ],
  [
    "app.created",
    { app_id: "a", idempotency: { key: "k", body_sum: SECRET } },
    { app_id: "a", idempotency: { key: "k", body_sum: "[redacted]" } },
  ],
  [
    "deployment.created",
    { deployment: { id: "d", env: { PASSWORD: SECRET, PORT: SECRET } }, idempotency: null },
    { deployment: { id: "d", env: { PASSWORD: "[redacted]", PORT: "[redacted]" } }, idempotency: null },
  ],
  ["user.created", { user: { id: "u", password: PASSWORD } }, { user: { id: "u", password: "[redacted]" } }],
  ["user.password_set", { user_id: "u", password: PASSWORD }, { user_id: "u", password: "[redacted]" }],
  [
    "session.created",
    { session: { id: "s", token_hash: SECRET }, expired: [SECRET, SECRET] },
    { session: { id: "s", token_hash: "[redacted]" }, expired: ["[redacted]", "[redacted]"] },
  ],
  ["session.ended", { id: "s", token_hash: SECRET }, { id: "s", token_hash: "[redacted]" }],
  ["api_key.created", { key: { name: "ci", token_hash: SECRET } }, { key: { name: "ci", token_hash: "[redacted]" } }],
];

for (const [type, data, seen] of HIDES) {
  test(`${type} shows what it may, and no secret`, () => {
    assert.deepEqual(shown(type, data), seen);
  });
}

test("a field that the table does not have is hidden, with all that is in it", () => {
  const data = { host_id: "h", new_field: SECRET, more: { deep: SECRET }, list: [{ a: SECRET }], count: 7 };
  assert.deepEqual(shown("host.activated", data), {
    host_id: "h",
    new_field: "[redacted]",
    more: "[redacted]",
    list: ["[redacted]"],
    count: "[redacted]",
  });
});

test("of a type that nobody knows nothing is shown but the names of its fields", () => {
  assert.deepEqual(shown("secret.set", { value: SECRET }), { value: "[redacted]" });
  assert.deepEqual(shown("toString", { value: SECRET }), { value: "[redacted]" });
});

test("what is not there stays visibly not there, and a field of an object's own machinery is none", () => {
  assert.deepEqual(shown("host.registered", { key_hash: null }), { key_hash: null });
  const odd: unknown = JSON.parse('{"host_id":"h","__proto__":"a secret","constructor":"a secret"}');
  assert.doesNotMatch(JSON.stringify(shown("host.activated", odd)), /a secret/);
});
