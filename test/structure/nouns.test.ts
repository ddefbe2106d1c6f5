/**
 * What a new noun of the API cannot be forgotten in: each list below is held against the routes and the calls. All of
 * them are listed, with the rest of what a noun needs, in src/ADD-A-NOUN.md.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { ROUTES } from "../../src/api/routes.ts";
import { COMMANDS } from "../../src/cli/commands.ts";
import { Router } from "../../src/http/router.ts";
import { CATALOGUE } from "../../src/metrics/catalogue.ts";
import { ASKED, LABORATORIES, MADE_AGAIN, NO_NOUN, NOT_SPOILED } from "../support/nouns.ts";
import { TEMPLATES } from "../support/mutate.ts";
import { routeRows } from "../system/identity-matrix-table.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** `hosts` of `/v1/hosts/{host_id}/drain`, and of `/v1/internal/hosts/register`. */
function nounOf(pattern: string): string {
  return pattern.split("/").find((part) => !["", "v1", "internal"].includes(part)) ?? "";
}

const NOUNS = [...new Set(ROUTES.map(({ pattern }) => nounOf(pattern)))].filter((noun) => !NO_NOUN.includes(noun));

/** Every call of wire/, by the name of its table and its own. */
async function calls(): Promise<Map<string, unknown>> {
  const found = new Map<string, unknown>();
  for (const file of readdirSync(`${ROOT}src/wire`).filter((name) => name.endsWith(".ts"))) {
    const module: Readonly<Record<string, unknown>> = await import(`../../src/wire/${file}`);
    for (const [name, table] of Object.entries(module)) {
      if (!/^(?:[A-Z]+_CALLS|RESERVED)$/.test(name) || typeof table !== "object" || table === null) continue;
      for (const [key, call] of Object.entries(table)) found.set(`${name}.${key}`, call);
    }
  }
  return found;
}

const CALLS = await calls();

test("every call that the wire has is a route's, so that none is described and not served", () => {
  assert.ok(CALLS.size > 50);
  const served = new Set<unknown>(ROUTES.map(({ call }) => call));
  assert.deepEqual(
    [...CALLS].filter(([, call]) => !served.has(call)).map(([name]) => name),
    [],
  );
});

test("every call is asked by a command of zwrm, or it is said why none does", () => {
  assert.deepEqual(Object.keys(ASKED).sort(), [...CALLS.keys()].sort());
  const commands = new Set(COMMANDS.map(({ name }) => name));
  const unknown = Object.entries(ASKED).filter(([, by]) => !by.startsWith("no: ") && !commands.has(by));
  assert.deepEqual(unknown, []);
});

test("whose call heeds an Idempotency-Key is changed by request.once, and no other", () => {
  const api = readdirSync(`${ROOT}src/api`).filter((name) => name.endsWith(".ts"));
  const source = api.map((name) => readFileSync(`${ROOT}src/api/${name}`, "utf8")).join("\n");
  const functions = [...source.matchAll(/^(?:export )?(?:async )?function (\w+)\([\s\S]*?^\}$/gm)];
  const direct = functions.filter(([text]) => text.includes("request.once(")).map(([, name = ""]) => name);
  const byWayOf = (text: string): boolean => direct.some((name) => text.includes(` ${name}(request`));
  const once = new Set([...direct, ...functions.filter(([text]) => byWayOf(text)).map(([, name = ""]) => name)]);
  const people = ROUTES.filter(({ access }) => access.kind === "protected");
  assert.ok(once.size >= 5);
  assert.deepEqual(
    people.filter(({ name, call }) => once.has(name) !== (call.idempotencyKey === true)).map(({ name }) => name),
    [],
  );
});

test("what a POST makes heeds an Idempotency-Key, or it is said why not", () => {
  const making = ROUTES.filter(({ method, call }) => method === "POST" && (201 in call.answers || 202 in call.answers));
  const left = making.filter(({ call }) => call.idempotencyKey !== true).map(({ name }) => name);
  assert.deepEqual([...new Set(left)].sort(), Object.keys(MADE_AGAIN).sort());
});

test("every route has its row in the identity matrix", () => {
  assert.deepEqual([...routeRows().keys()].sort(), ROUTES.map(({ method, pattern }) => `${method} ${pattern}`).sort());
});

test("every metric is looked for in the running daemon", () => {
  const looked = readFileSync(`${ROOT}test/system/metrics.test.ts`, "utf8");
  const left = Object.values(CATALOGUE).filter(({ name, type }) => !looked.includes(`  ${name}: ["${type}"`));
  assert.deepEqual(
    left.map(({ name }) => name),
    [],
  );
});

test("every noun's requests are spoiled by the fuzzer, or it is said why not", () => {
  const router = new Router(ROUTES);
  const spoiled = new Set(
    TEMPLATES.flatMap((bytes) => {
      const [method = "", target = ""] = bytes.toString("latin1").split(" ", 2);
      const match = router.match(method, target.split("?", 1)[0] ?? "");
      return match.kind === "found" ? [nounOf(match.route.pattern)] : [];
    }),
  );
  const left = NOUNS.filter((noun) => !spoiled.has(noun)).sort();
  const said = Object.keys(NOT_SPOILED).filter((noun) => !NO_NOUN.includes(noun));
  assert.deepEqual(left, said.sort());
});

test("every noun has its laboratories, or it is said why not", () => {
  assert.deepEqual(Object.keys(LABORATORIES).sort(), [...NOUNS].sort());
  for (const [noun, { simulation, disk }] of Object.entries(LABORATORIES)) {
    for (const path of [simulation, disk].filter((said) => !said.startsWith("no: ") && said !== "journal")) {
      assert.ok(existsSync(ROOT + path), `${noun}: ${path}`);
      assert.ok(readFileSync(ROOT + path, "utf8").includes(noun.replace(/s$/, "")), `${path} says nothing of ${noun}`);
    }
  }
});

test("operators are told of every noun in CHANGELOG.md", () => {
  const told = readFileSync(`${ROOT}CHANGELOG.md`, "utf8");
  const reserved = ["org", "databases"];
  const untold = NOUNS.filter((noun) => !reserved.includes(noun) && !new RegExp(`\\b${noun}\\b`, "i").test(told));
  assert.deepEqual(untold, []);
});
