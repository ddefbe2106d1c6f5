/** The table of errors and the class that carries a row of it. */
import assert from "node:assert/strict";
import test from "node:test";
import { ApiError, ERRORS, messageOf, systemCode } from "../../src/lib/errors.ts";

test("every error is a snake_case code with a client or server status and a sentence", () => {
  for (const [code, [status, meaning]] of Object.entries(ERRORS)) {
    assert.match(code, /^[a-z]+(_[a-z]+)*$/);
    assert.ok(Number.isInteger(status) && status >= 400 && status < 600, `${code} is a ${status}`);
    assert.match(meaning, /^\S.+\S\.$/, code);
  }
});

test("an error carries its row's status, its field, headers and cause", () => {
  const cause = new Error("beneath");
  const error = new ApiError("invalid_field", "capacity.cpus must be a whole number.", {
    field: "capacity.cpus",
    headers: { Allow: "GET" },
    cause,
  });
  assert.ok(error instanceof Error);
  assert.equal(error.name, "ApiError");
  assert.equal(error.code, "invalid_field");
  assert.equal(error.status, 400);
  assert.equal(error.field, "capacity.cpus");
  assert.deepEqual(error.headers, { Allow: "GET" });
  assert.equal(error.cause, cause);
  assert.equal(error.message, "capacity.cpus must be a whole number.");
});

test("an error without details has no field, no headers and no cause", () => {
  const error = new ApiError("storage_full", "No room.");
  assert.equal(error.status, 507);
  assert.equal(error.field, null);
  assert.deepEqual(error.headers, {});
  assert.ok(!Object.hasOwn(error, "cause"));
});

test("tells the code of a system error and of nothing else", () => {
  assert.equal(systemCode(Object.assign(new Error("full"), { code: "ENOSPC" })), "ENOSPC");
  assert.equal(systemCode(Object.assign(new Error("odd"), { code: 28 })), null);
  for (const other of [new Error("plain"), { code: "ENOSPC" }, "ENOSPC", null, undefined])
    assert.equal(systemCode(other), null);
});

test("says something of whatever was thrown", () => {
  assert.equal(messageOf(new Error("why")), "why");
  assert.equal(messageOf("why"), "why");
  assert.equal(messageOf(null), "null");
  assert.equal(messageOf(undefined), "undefined");
});
