/** Tests of advice over all that the API can say: given once, and in the words of a command line. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { adviceOn, inFlags } from "../../src/cli/advice.ts";
import type { Settings } from "../../src/cli/settings-shape.ts";
import { ClientError } from "../../src/client/errors.ts";
import { ERRORS } from "../../src/lib/errors.ts";

const SRC = fileURLToPath(new URL("../../src/", import.meta.url));
const SETTINGS: Settings = {
  apiUrl: "http://127.0.0.1:8080",
  apiUrlFrom: null,
  token: null,
  tokenFrom: null,
  org: null,
  orgFrom: null,
  withheld: null,
  kept: { path: "/nonexistent", apiUrl: "http://127.0.0.1:8080", token: null, isHere: true },
  warnings: [],
};
/** What tells a person to do something. Each may be said by the API's sentence or by the command line, not by both. */
const CALLS = [
  /\bask\b/i,
  /try again/i,
  /push/i,
  /\blog in\b/i,
  /revoke/i,
  /\bdeploy\b/i,
  /scale/i,
  /activate/i,
  /undrain/i,
  /-force|force=/,
  /shows? (?:the ids|them|its state)/,
  /has the details/,
  /make room|needs room/i,
  /new one/i,
];

/**
 * Every `new ApiError("code", text` of the sources, and the texts of fleet/modes.ts, with what is put into them left
 * out.
 */
function sentences(): readonly (readonly [code: string, text: string])[] {
  const files = readdirSync(SRC, { recursive: true, encoding: "utf8" }).filter(
    (name) => name.endsWith(".ts") && !name.startsWith("cli/"),
  );
  const text = files.map((name) => readFileSync(join(SRC, name), "utf8")).join("\n");
  const thrown = [
    ...text.matchAll(
      /ApiError\(\s*"([a-z_]+)",\s*(?:"([^"]*)"|`((?:[^`\\$]|\$\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}|\\.)*)`)/g,
    ),
  ];
  const refusals = [...text.matchAll(/^ {2}([a-z_]+): \(host\) => `([^`]*)`/gm)];
  return [
    ...thrown.map(([, code = "", plain, template]) => [code, plain ?? template ?? ""] as const),
    ...refusals.map(([, code = "", template = ""]) => [code, template] as const),
  ].filter(([code]) => Object.hasOwn(ERRORS, code));
}

test("no sentence of the API is followed by advice that it has given itself", () => {
  const all = sentences();
  assert.ok(all.length > 60, `${all.length} sentences were found`);
  for (const [code, text] of all) {
    const advice =
      adviceOn(asAnswer(code, text), { ...SETTINGS, token: text.startsWith("The token") ? "t" : null }) ?? "";
    const twice = CALLS.filter((call) => call.test(text) && call.test(advice));
    assert.deepEqual(twice, [], `${code}: ${text} | ${advice}`);
  }
});

test("no sentence of the API is shown with the words of its routes, queries and headers", () => {
  for (const [code, text] of sentences()) {
    // Agents' own affairs: no command of zwrm can bring these about.
    if (["host_key_mismatch", "unauthorized"].includes(code) || text.includes("X-Zwrm-Host-Key")) continue;
    assert.doesNotMatch(
      inFlags(text),
      /[?&][a-z_]+=|\bBearer\b|\b(?:GET|POST|PUT|DELETE) \/|\/v1\//,
      `${code}: ${text}`,
    );
  }
  assert.equal(
    inFlags("Scale it to 0 first, or delete it with ?force=true, which stops them."),
    "Scale it to 0 first, or delete it with --force, which stops them.",
  );
  assert.equal(inFlags("expires_at lies in the past."), "--expires lies in the past.");
  assert.equal(
    inFlags("This needs a session token or an API key (Authorization: Bearer …); no bypass."),
    "This needs a session token or an API key; no bypass.",
  );
});

function asAnswer(code: string, text: string): ClientError {
  // The codes are the API's own, as the table of errors has them.
  return new ClientError(code as keyof typeof ERRORS, text, {});
}
