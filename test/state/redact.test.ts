import assert from "node:assert/strict";
import { test } from "node:test";
import { redactRecord } from "../../src/state/redact.ts";

test("secrets are taken out wherever they stand, names and everything else stay", () => {
  const record = {
    sum: "s",
    seq: 1,
    batch: 1,
    at: "t",
    type: "x",
    actor: null,
    data: {
      host_id: "h",
      key_hash: "SECRET1",
      list: [{ env: { PASSWORD: "SECRET2", PORT: "SECRET3" }, token_hash: "SECRET4" }],
      key: { password_hash: "SECRET5" },
      mode: null,
    },
  };
  const text = JSON.stringify(redactRecord(record));
  assert.doesNotMatch(text, /SECRET/);
  assert.match(text, /"host_id":"h"/);
  assert.match(text, /"PASSWORD":"\[redacted\]"/);
});

test("a secret that is not there stays visibly not there", () => {
  const record = { sum: "s", seq: 1, batch: 1, at: "t", type: "x", actor: null, data: { key_hash: null } };
  assert.deepEqual(redactRecord(record).data, { key_hash: null });
});
