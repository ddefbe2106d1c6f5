/** The API's document: every route is in it, nothing in it leads nowhere, and it is checked as strictly as it reads. */
import assert from "node:assert/strict";
import test from "node:test";
import { openApi } from "../../src/api/openapi.ts";
import { ANY_REFUSALS, refusalsOf } from "../../src/api/refusals.ts";
import { ROUTES } from "../../src/api/routes.ts";
import { ERRORS } from "../../src/lib/errors.ts";
import { SCOPES } from "../../src/wire/people.ts";
import { undocumented } from "../support/documented.ts";
import { findings, lookUp } from "../support/json-schema.ts";

type Operation = Readonly<Record<string, unknown>>;

const text = JSON.stringify(openApi(ROUTES, "1.2.3"));
const document = JSON.parse(text) as { readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>> };
const served = ROUTES.filter(({ call }) => Object.keys(call.answers).length > 0);

test("every route is an operation with a summary, its names in the path and what it answers; no other is there", () => {
  const said = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.keys(item).map((method) => `${method} ${path}`),
  );
  assert.deepEqual(said.sort(), served.map(({ method, pattern }) => `${method.toLowerCase()} ${pattern}`).sort());
  for (const { method, pattern, call } of served) {
    const operation = document.paths[pattern]?.[method.toLowerCase()] ?? {};
    assert.equal(operation["summary"], call.summary);
    const parameters = (operation["parameters"] ?? []) as readonly { readonly name: string; readonly in: string }[];
    const names = parameters.filter((parameter) => parameter.in === "path").map(({ name }) => `{${name}}`);
    assert.deepEqual(names, pattern.match(/\{[a-z_]+\}/g) ?? []);
    const answers = Object.keys(operation["responses"] ?? {});
    assert.deepEqual(answers, [...Object.keys(call.answers), "4XX", "5XX"]);
    assert.equal("requestBody" in operation, call.body !== undefined, `${method} ${pattern}`);
  }
});

test("only what is kept for later is left out", () => {
  const left = ROUTES.filter((route) => !served.includes(route)).map(({ pattern }) => pattern);
  assert.deepEqual(
    [...new Set(left)],
    ["/v1/apps/{id}/volumes", "/v1/apps/{id}/secrets", "/v1/org/secrets", "/v1/databases"],
  );
});

test("every operation has an id of its own, and says who may call it", () => {
  const operations = Object.values(document.paths).flatMap((item) => Object.values(item));
  const ids = operations.map((operation) => operation["operationId"]);
  assert.equal(new Set(ids).size, operations.length);
  assert.ok(
    ids.every((id) => /^[a-z][A-Za-z0-9_]+$/.test(String(id))),
    ids.join(),
  );
  for (const { method, pattern, access } of served) {
    const { security, description = "" } = document.paths[pattern]?.[method.toLowerCase()] ?? {};
    const scheme = access.kind === "internal" ? "licence" : "token";
    assert.deepEqual(security, access.kind === "public" ? [] : [{ [scheme]: [] }], pattern);
    if (access.kind !== "protected" || access.scope === null) continue;
    assert.ok(SCOPES.includes(access.scope) && String(description).includes(access.scope), pattern);
    assert.equal(String(description).includes("host-admin"), access.hostAdmin, pattern);
  }
});

test("every operation says what it may be refused with, and every error is one of some route's", () => {
  for (const route of served) {
    const codes = document.paths[route.pattern]?.[route.method.toLowerCase()]?.["x-error-codes"];
    assert.deepEqual(codes, refusalsOf(route));
    assert.equal(new Set(refusalsOf(route)).size, refusalsOf(route).length);
  }
  const told = new Set([...ANY_REFUSALS, ...ROUTES.flatMap(refusalsOf)]);
  assert.deepEqual(
    Object.keys(ERRORS).filter((code) => ![...told].some((one) => one === code)),
    [],
  );
});

test("every reference leads somewhere", () => {
  const refs = [...text.matchAll(/"\$ref":"([^"]+)"/g)].map(([, ref = ""]) => ref);
  assert.ok(refs.length > 50);
  for (const ref of refs) assert.notEqual(lookUp(document, ref), undefined);
});

const HOST_ROW = {
  id: "d",
  state: "migrated",
  app_id: "a",
  app_name: null,
  replacement_id: null,
  target_host_id: "h",
  reason: null,
};
const WRONG: readonly [what: string, value: unknown, said: RegExp][] = [
  ["a field that is not there", { ...HOST_ROW, state: undefined }, /\/state is undefined|\/state is not there/],
  ["a word that is none", { ...HOST_ROW, state: "moved" }, /none of \["pending"/],
  ["another type", { ...HOST_ROW, id: 7 }, /\/id is 7, not string/],
  ["null where it may not be", { ...HOST_ROW, app_id: null }, /\/app_id is null, not string/],
  ["a field that the document does not have", { ...HOST_ROW, extra: 1 }, /\/extra is not in the document/],
  ["no object", "x", /is "x", not object/],
];

for (const [what, value, said] of WRONG) {
  test(`the check of answers sees ${what}`, () => {
    const schema = { $ref: "#/components/schemas/DrainRow" };
    assert.deepEqual(findings(document, schema, HOST_ROW), []);
    assert.match(findings(document, schema, JSON.parse(JSON.stringify(value))).join("; "), said);
  });
}

const ORG = { id: "org_1", slug: "acme", name: "Acme" };
const ANSWERS: readonly [what: string, status: number, value: unknown, said: RegExp | null][] = [
  ["as the document says", 201, ORG, null],
  ["with a status that the route has not", 202, ORG, /has no answer 202/],
  ["without a field", 201, { ...ORG, slug: undefined }, /\/slug is not there/],
  ["with a field more", 201, { ...ORG, password: "x" }, /\/password is not in the document/],
  ["as an error", 404, { error: "No.", code: "org_not_found", request_id: "r" }, null],
  ["as an error of another route", 404, { error: "No.", code: "no_drain", request_id: "r" }, /not said to be refused/],
  ["as an error without a code", 404, { error: "No.", request_id: "r" }, /\/code is not there/],
  ["as an error that says more", 404, { error: "No.", code: "x", request_id: "r", stack: "s" }, /\/stack is not in/],
];

for (const [what, status, value, said] of ANSWERS) {
  test(`an answer ${what} is ${said === null ? "let through" : "found out"}`, () => {
    const body = Buffer.from(JSON.stringify(value));
    const found = undocumented({
      method: "POST",
      target: "/v1/orgs?x=1",
      status,
      contentType: "application/json",
      body,
    });
    if (said === null) assert.deepEqual(found, []);
    else assert.match(found.join("; "), said);
  });
}

test("an answer of no route, and of another type than the route's, is found out", () => {
  const answer = { method: "GET", status: 200, contentType: "text/html", body: Buffer.from("x") };
  assert.match(undocumented({ ...answer, target: "/nowhere" }).join(), /no route is there/);
  assert.match(undocumented({ ...answer, target: "/v1/status" }).join(), /text\/html is none of application\/json/);
});
