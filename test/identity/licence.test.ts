/** The licence: hashes let agents in, and nothing else does. */
import assert from "node:assert/strict";
import test from "node:test";
import { bearerToken } from "../../src/identity/authenticate.ts";
import { checkLicence } from "../../src/identity/licence.ts";
import { ApiError } from "../../src/lib/errors.ts";
import { sha256Hex } from "../../src/lib/ids.ts";

const OLD = sha256Hex("the old key");
const NEW = sha256Hex("the new key");
const OTHER = sha256Hex("another key");

function codeOf(run: () => void): string {
  try {
    run();
    return "let in";
  } catch (error) {
    assert.ok(error instanceof ApiError, String(error));
    return error.code;
  }
}

const ROWS: readonly [why: string, hashes: readonly string[], token: string | null, outcome: string][] = [
  ["lets the right hash in", [NEW], NEW, "let in"],
  ["lets either hash in while two are configured: the first", [OLD, NEW], OLD, "let in"],
  ["lets either hash in while two are configured: the last", [OLD, NEW], NEW, "let in"],
  ["refuses the old hash after the rotation", [NEW], OLD, "unauthorized"],
  ["refuses an unknown hash", [OLD, NEW], OTHER, "unauthorized"],
  ["refuses no token", [NEW], null, "unauthorized"],
  ["refuses an empty token", [NEW], "", "unauthorized"],
  ["refuses the key itself", [NEW], "the new key", "unauthorized"],
  ["refuses the hash in upper case", [NEW], NEW.toUpperCase(), "unauthorized"],
  ["refuses a hash cut short", [NEW], NEW.slice(0, 63), "unauthorized"],
  ["refuses a hash with more behind it", [NEW], `${NEW}0`, "unauthorized"],
  ["refuses two hashes at once", [OLD, NEW], `${OLD}${NEW}`, "unauthorized"],
  ["says that none is configured, whatever is sent", [], NEW, "license_not_configured"],
  ["says that none is configured, when nothing is sent", [], null, "license_not_configured"],
  ["refuses no token where an empty hash is configured", [""], null, "unauthorized"],
];

for (const [why, hashes, token, outcome] of ROWS) {
  test(why, () =>
    assert.equal(
      codeOf(() => checkLicence(hashes, token)),
      outcome,
    ),
  );
}

test("no licence configured is a 503 that says when to come back and what to set", () => {
  assert.throws(
    () => checkLicence([], NEW),
    (error) =>
      error instanceof ApiError &&
      error.status === 503 &&
      error.headers["Retry-After"] === "30" &&
      error.message.includes("license.key_hashes"),
  );
});

test("a refusal repeats neither the hash that came nor one that is known", () => {
  for (const token of [OTHER, NEW.slice(0, 63)]) {
    assert.throws(
      () => checkLicence([NEW], token),
      (error) =>
        error instanceof ApiError &&
        error.status === 401 &&
        !error.message.includes(token) &&
        !error.message.includes(NEW),
    );
  }
});

const TOKENS: readonly [header: string | null, token: string | null][] = [
  [null, null],
  ["", null],
  [`Bearer ${NEW}`, NEW],
  [`bearer ${NEW}`, NEW],
  [`BEARER   ${NEW}  `, NEW],
  ["Bearer zwrm_key_abc-DEF_0", "zwrm_key_abc-DEF_0"],
  ["Bearer", null],
  ["Bearer ", null],
  [NEW, null],
  [`Basic ${NEW}`, null],
  [`Bearer ${NEW} ${OLD}`, null],
  [`Bearer ${NEW}, Bearer ${OLD}`, null],
  [`Bearer\t${NEW}`, null],
  [` Bearer ${NEW}`, null],
  [`Bearer${NEW}`, null],
  ["Bearer a\nb", null],
];

for (const [header, token] of TOKENS) {
  test(
    `the bearer token of ${JSON.stringify(header)?.replaceAll(NEW, "NEW").replaceAll(OLD, "OLD")} is ` +
      `${token === null ? "none" : "what stands there"}`,
    () => {
      assert.equal(bearerToken(header), token);
    },
  );
}
