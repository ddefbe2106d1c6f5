/**
 * Prints the API's reference from the route table and the schemas of wire/: a section a noun, a heading a call, the
 * shapes at the end.
 */
import { ANY_REFUSALS, KINDS, ownRefusals } from "../../src/api/refusals.ts";
import type { ApiRoute } from "../../src/api/route.ts";
import type { Access } from "../../src/identity/access.ts";
import type { ErrorCode } from "../../src/lib/errors.ts";
import { ERRORS } from "../../src/lib/errors.ts";
import type { Media } from "../../src/wire/call.ts";
import { STREAM } from "../../src/wire/call.ts";
import type { Define, JsonSchema, Schema } from "../../src/wire/schema.ts";
import { fieldRows, fieldsOf, phrase } from "./shape.ts";
import { table } from "./table.ts";

type Answer = ApiRoute["call"]["answers"][number];

/**
 * What a section is called, by the first words of its paths; in this order, and before those that have their noun's own
 * name.
 */
const TITLES: Readonly<Record<string, readonly string[]>> = {
  Service: ["", "metrics", "health", "ready", "openapi.json", "status", "events"],
  Hosts: ["hosts"],
  Images: ["images"],
  Apps: ["apps"],
  Machines: ["machines"],
  "Logins and API keys": ["auth"],
  "Orgs and users": ["org", "orgs", "users"],
  "Host agents": ["internal"],
};

/** Every route in one table. */
export function routesTable(routes: readonly ApiRoute[]): string {
  const rows = routes.map(({ method, pattern, access, call }) => [
    method,
    `\`${pattern}\``,
    whoMay(access),
    call.summary,
  ]);
  return table(["method", "path", "who may", "what it does"], rows);
}

/** What any call of a kind may be refused with. */
export function refusalsTable(): string {
  const rows = KINDS.map(({ of, refusals }) => [of, codes(refusals)]);
  return table(["a call", "may be refused with"], [["of any kind", codes(ANY_REFUSALS)], ...rows]);
}

/** Links to the sections. */
export function nounsList(routes: readonly ApiRoute[]): string {
  return [...sectionsOf(routes).keys()]
    .map((title) => `- [${title}](#${title.toLowerCase().replaceAll(" ", "-")})`)
    .join("\n");
}

/** Every route that does something, with its query, body, answers and refusals; then every shape that has a name. */
export function callsText(routes: readonly ApiRoute[]): string {
  const shapes = new Shapes();
  const sections = [...sectionsOf(routes)].map(
    ([title, own]) => `## ${title}\n\n${own.map((route) => callText(route, shapes)).join("\n\n")}`,
  );
  return [...sections, `## Shapes\n\n${shapes.text()}`].join("\n\n");
}

/** The routes by their section's title; none that is only reserved. */
function sectionsOf(routes: readonly ApiRoute[]): ReadonlyMap<string, readonly ApiRoute[]> {
  const sections = new Map<string, ApiRoute[]>(Object.keys(TITLES).map((title) => [title, []]));
  for (const route of routes.filter(({ call }) => Object.keys(call.answers).length > 0)) {
    const noun = nounOf(route.pattern);
    const title =
      Object.keys(TITLES).find((one) => TITLES[one]?.includes(noun)) ?? noun.slice(0, 1).toUpperCase() + noun.slice(1);
    sections.set(title, [...(sections.get(title) ?? []), route]);
  }
  return sections;
}

function whoMay(access: Access): string {
  if (access.kind !== "protected") return access.kind;
  const who = access.hostAdmin ? "host-admin" : "anyone logged in";
  return access.scope === null ? who : `${who}, \`${access.scope}\``;
}

function codes(list: readonly ErrorCode[]): string {
  return list.map((code) => `${ERRORS[code][0]} \`${code}\``).join(", ");
}

function byStatus(list: readonly ErrorCode[]): readonly ErrorCode[] {
  return [...list].sort((a, b) => ERRORS[a][0] - ERRORS[b][0]);
}

/** `hosts` of `/v1/hosts/{host_id}`. */
function nounOf(pattern: string): string {
  const [, first = "", second = ""] = pattern.split("/");
  return first === "v1" ? second : first;
}

function callText(route: ApiRoute, shapes: Shapes): string {
  const { method, pattern, access, call } = route;
  const answers = Object.entries(call.answers);
  const refusals = ownRefusals(route);
  const head = [
    `${call.summary}.`,
    `- who may: ${whoMay(access)}`,
    `- answers: ${answers.map(([status, answer]) => answerText(status, answer, shapes)).join("; ")}`,
    ...(refusals.length === 0 ? [] : [`- refuses with: ${codes(byStatus(refusals))}`]),
    ...(call.idempotencyKey === true ? ["- heeds an Idempotency-Key"] : []),
    ...(call.body === STREAM ? ["- body: the bytes themselves"] : []),
  ];
  const tables = [
    fieldTable("query", { properties: queryOf(route, shapes) }, "request"),
    call.body === undefined || call.body === STREAM ? "" : fieldTable("body", shapes.opened(call.body), "request"),
    ...answers.map(([status, answer]) => answerTable(status, answer, shapes)),
  ];
  const [summary = "", ...facts] = head;
  return [`### ${method} ${pattern}`, summary, facts.join("\n"), ...tables].filter((part) => part !== "").join("\n\n");
}

function queryOf({ call }: ApiRoute, shapes: Shapes): JsonSchema {
  const described = Object.entries(call.query ?? {}).map(([name, schema]) => [name, schema.describe(shapes.define)]);
  return Object.fromEntries(described) as JsonSchema;
}

/** Nothing where there are no fields. */
function fieldTable(name: string, schema: JsonSchema, way: "request" | "answer"): string {
  const rows = fieldRows(schema, way);
  return rows.length === 0 ? "" : table([name, way === "request" ? "takes" : "is", "meaning"], rows);
}

function answerText(status: string, answer: Answer, shapes: Shapes): string {
  const schema = schemaOf(answer, shapes);
  if (answer === null) return `${status} without a body`;
  if (schema === null) return `${status} as \`${(answer as Media).media}\``;
  if (schema["$ref"] !== undefined) return `${status} ${phrase(schema)}`;
  const page = pageOf(schema);
  return page === null ? `${status}, see below` : `${status} \`${page.key}\`: ${phrase(page.of)}, and \`next_after\``;
}

/** The fields of an answer that is neither a named shape nor a page. */
function answerTable(status: string, answer: Answer, shapes: Shapes): string {
  const schema = schemaOf(answer, shapes);
  if (schema === null || schema["$ref"] !== undefined || pageOf(schema) !== null) return "";
  return fieldTable(status, schema, "answer");
}

/** Null where it has no body, or one that is no JSON. */
function schemaOf(answer: Answer, shapes: Shapes): JsonSchema | null {
  const schema: Schema<unknown, unknown> | null | undefined =
    answer !== null && "media" in answer ? answer.schema : answer;
  return schema?.describe(shapes.define) ?? null;
}

/** What a list's page has, where it is nothing but one. */
function pageOf(schema: JsonSchema): { readonly key: string; readonly of: JsonSchema } | null {
  const [first, second, ...more] = Object.entries(fieldsOf(schema));
  if (first === undefined || second?.[0] !== "next_after" || more.length > 0) return null;
  return { key: first[0], of: first[1] };
}

/** The named shapes that were met. */
class Shapes {
  readonly #met = new Map<string, JsonSchema>();
  /** Keeps the shape for later, and refers to it. */
  readonly define: Define = (name, describe) => {
    if (!this.#met.has(name)) {
      // In place before it is described: a part may refer to itself.
      this.#met.set(name, {});
      this.#met.set(name, describe());
    }
    return { $ref: name };
  };

  /** The shape itself; one that has a name is told of here, and not once more at the end. */
  opened(schema: Schema<unknown, unknown>): JsonSchema {
    const described = schema.describe(this.define);
    const name = described["$ref"];
    if (typeof name !== "string") return described;
    const shape = this.#met.get(name) ?? {};
    this.#met.delete(name);
    return shape;
  }

  text(): string {
    return [...this.#met]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, schema]) => `### ${name}\n\n${fieldTable("field", schema, "answer")}`)
      .join("\n\n");
  }
}
