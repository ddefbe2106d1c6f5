/** Says in words what a JSON Schema of ours takes: a phrase for a value, rows for the fields of an object. */
import type { JsonSchema } from "../../src/wire/schema.ts";
import type { Row } from "./table.ts";

/** Which way it goes: a field of a request may be left out, one of an answer may be absent. */
export type Way = "request" | "answer";

/** What a name's ending says of its unit, where the description has not said it. */
const UNITS: readonly [ending: RegExp, unit: string, said: RegExp][] = [
  [/_mb$/, "MiB.", /MiB/],
  [/_bytes$|^bytes$/, "Bytes.", /[Bb]ytes/],
  [/_seconds$/, "Seconds.", /[Ss]econds/],
];

/** The rows of an object's fields: name, what it takes, what it means. Objects without a name are opened. */
export function fieldRows(schema: JsonSchema, way: Way, before = ""): Row[] {
  const required = listOf(schema["required"]);
  return Object.entries(fieldsOf(schema)).flatMap(([name, field]) => {
    const isRequired = required.includes(name);
    const path = `${before}${name}`;
    const inner = openedOf(field);
    const row = [`\`${path}\``, [presence(field, isRequired, way), phrase(field, way)].join(""), meaning(name, field)];
    return [row, ...(inner === null ? [] : fieldRows(inner.schema, way, `${path}${inner.many ? "[]" : ""}.`))];
  });
}

function presence(field: JsonSchema, isRequired: boolean, way: Way): string {
  if (way === "request") return isRequired ? "required, " : "";
  return `${isRequired ? "" : "may be absent, "}${mayBeNull(field) ? "null or " : ""}`;
}

/** The object whose fields are shown below, where the field is one or a list of them. */
function openedOf(field: JsonSchema): { readonly schema: JsonSchema; readonly many: boolean } | null {
  const schema = withoutNull(field);
  if (isObject(schema["properties"])) return { schema, many: false };
  const items = schema["items"];
  return isObject(items) && isObject(items["properties"]) ? { schema: items, many: true } : null;
}

/** What a value is, such as "whole number from 1 to 1000". */
export function phrase(given: JsonSchema, way: Way = "answer"): string {
  const schema = withoutNull(given);
  const fallback = schema["default"] === undefined ? "" : `, default ${JSON.stringify(schema["default"])}`;
  return `${kindOf(schema, way)}${way === "request" ? fallback : ""}`;
}

function kindOf(schema: JsonSchema, way: Way): string {
  const { $ref: ref, enum: words, const: only, items, additionalProperties: values } = schema;
  if (typeof ref === "string") return link(ref.split("/").at(-1) ?? "");
  if (only !== undefined) return `\`${JSON.stringify(only)}\``;
  if (Array.isArray(words))
    return words
      .filter((word) => word !== null)
      .map((word) => `\`${word}\``)
      .join(", ");
  if (isObject(items)) {
    const most = typeof schema["maxItems"] === "number" ? `, at most ${schema["maxItems"]}` : "";
    return `list of ${isObject(items["properties"]) ? "objects" : phrase(items, way)}${most}`;
  }
  if (isObject(values)) return `object of up to ${schema["maxProperties"]} names, each with: ${phrase(values, way)}`;
  if (isObject(schema["properties"])) return "object";
  return scalarOf(schema);
}

function scalarOf(schema: JsonSchema): string {
  switch (typeOf(schema)) {
    case "integer":
      return `whole number${range(schema)}`;
    case "number":
      return `number${range(schema)}`;
    case "boolean":
      return "true or false";
    case "string":
      return textOf(schema);
    default:
      return "anything";
  }
}

function range({ minimum, maximum }: JsonSchema): string {
  if (minimum === undefined && maximum === undefined) return "";
  return maximum === undefined || maximum === Number.MAX_SAFE_INTEGER
    ? ` from ${minimum}`
    : ` from ${minimum} to ${maximum}`;
}

function textOf({ format, minLength, maxLength }: JsonSchema): string {
  if (format === "date-time") return "time";
  const what = format === "email" ? "email address" : "text";
  if (maxLength === undefined) return what;
  return minLength === undefined || minLength === 0
    ? `${what} of up to ${maxLength} characters`
    : `${what} of ${minLength} to ${maxLength} characters`;
}

function meaning(name: string, field: JsonSchema): string {
  const given = typeof field["description"] === "string" ? field["description"] : "";
  // Said once, of all times, at the top of the page.
  const said = given.replace(/^RFC 3339, UTC, milliseconds\.\s*/, "");
  const unit = UNITS.find(([ending]) => ending.test(name));
  const isAmount = ["integer", "number"].includes(typeOf(withoutNull(field)) ?? "");
  return [unit !== undefined && isAmount && !unit[2].test(said) ? unit[1] : "", said].filter(Boolean).join(" ");
}

/** A named shape, where it is told of on the same page. */
export function link(name: string): string {
  return `[${name}](#${name.toLowerCase()})`;
}

export function fieldsOf(schema: JsonSchema): Readonly<Record<string, JsonSchema>> {
  const properties = schema["properties"];
  return isObject(properties) ? (properties as Readonly<Record<string, JsonSchema>>) : {};
}

function mayBeNull(schema: JsonSchema): boolean {
  return listOf(schema["type"]).includes("null") || withoutNull(schema) !== schema;
}

/** The other one of `anyOf`, where that only adds null. */
function withoutNull(schema: JsonSchema): JsonSchema {
  const any = schema["anyOf"];
  if (!Array.isArray(any)) return schema;
  const other: unknown = any.find((one: unknown) => isObject(one) && one["type"] !== "null");
  return isObject(other) ? other : schema;
}

function typeOf(schema: JsonSchema): string | undefined {
  return typeof schema["type"] === "string" ? schema["type"] : listOf(schema["type"]).find((type) => type !== "null");
}

function listOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

function isObject(value: unknown): value is JsonSchema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
