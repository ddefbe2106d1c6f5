/**
 * Holds a value against a JSON Schema of an OpenAPI 3.1 document, as far as ours use it. Stricter than the standard in
 * one thing: a field that the schema does not name is a finding, since a document that is silent about it is wrong.
 */

type Doc = Readonly<Record<string, unknown>>;

const KNOWN = new Set([
  ..."$ref type enum const anyOf properties required items additionalProperties propertyNames".split(" "),
  ..."minimum maximum minLength maxLength pattern format maxItems maxProperties description examples default".split(
    " ",
  ),
]);

/** What does not fit, each with its place; empty where all does. Throws where the schema says what is unknown here. */
export function findings(document: unknown, schema: unknown, value: unknown, at = ""): string[] {
  const rules = asDoc(schema);
  for (const name of Object.keys(rules)) if (!KNOWN.has(name)) throw new Error(`${at}: ${name} is not known here`);
  if (typeof rules["$ref"] === "string") return findings(document, lookUp(document, rules["$ref"]), value, at);
  if (Array.isArray(rules["anyOf"])) {
    const each = rules["anyOf"].map((one) => findings(document, one, value, at));
    return each.some((found) => found.length === 0) ? [] : each.flat();
  }
  const types = Array.isArray(rules["type"]) ? rules["type"] : rules["type"] === undefined ? [] : [rules["type"]];
  if (types.length > 0 && !types.some((type) => isOf(type, value)))
    return [`${at} is ${shown(value)}, not ${types.join(" or ")}`];
  if (value === null && types.includes("null")) return [];
  if ("const" in rules && rules["const"] !== value) return [`${at} is ${shown(value)}, not ${shown(rules["const"])}`];
  if (Array.isArray(rules["enum"]) && !rules["enum"].includes(value))
    return [`${at} is ${shown(value)}, none of ${shown(rules["enum"])}`];
  if (typeof value === "number") return ofNumber(rules, value, at);
  if (typeof value === "string") return ofText(rules, value, at);
  if (Array.isArray(value)) {
    const many = atMost(rules["maxItems"], value.length, at);
    return [
      ...many,
      ...value.flatMap((item, index) => findings(document, rules["items"] ?? {}, item, `${at}/${index}`)),
    ];
  }
  return typeof value === "object" && value !== null ? ofObject(document, rules, asDoc(value), at) : [];
}

function ofNumber(rules: Doc, value: number, at: string): string[] {
  const [least, most] = [rules["minimum"] ?? -Infinity, rules["maximum"] ?? Infinity];
  return value >= Number(least) && value <= Number(most) ? [] : [`${at} is ${value}, not from ${least} to ${most}`];
}

function ofText(rules: Doc, value: string, at: string): string[] {
  const [least, most] = [Number(rules["minLength"] ?? 0), Number(rules["maxLength"] ?? Infinity)];
  const length = value.length >= least && value.length <= most ? [] : [`${at} has ${value.length} characters`];
  const shape = rules["pattern"];
  const fits = typeof shape !== "string" || new RegExp(shape, "su").test(value);
  const time = rules["format"] !== "date-time" || /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(value);
  return [
    ...length,
    ...(fits ? [] : [`${at} is ${shown(value)}, not ${String(shape)}`]),
    ...(time ? [] : [`${at} is ${value}, no time`]),
  ];
}

function ofObject(document: unknown, rules: Doc, value: Doc, at: string): string[] {
  const properties = asDoc(rules["properties"] ?? {});
  const required = Array.isArray(rules["required"]) ? rules["required"].map(String) : [];
  const missing = required.filter((name) => !Object.hasOwn(value, name)).map((name) => `${at}/${name} is not there`);
  const more = rules["additionalProperties"];
  const anyField = !("properties" in rules) && more === undefined;
  const names = rules["propertyNames"] === undefined ? {} : asDoc(rules["propertyNames"]);
  const each = Object.entries(value).flatMap(([name, item]) => {
    const path = `${at}/${name}`;
    if (Object.hasOwn(properties, name)) return findings(document, properties[name], item, path);
    if (more !== undefined) return [...findings(document, names, name, path), ...findings(document, more, item, path)];
    return anyField ? [] : [`${path} is not in the document`];
  });
  return [...missing, ...each, ...atMost(rules["maxProperties"], Object.keys(value).length, at)];
}

function atMost(most: unknown, count: number, at: string): string[] {
  return typeof most === "number" && count > most ? [`${at} has ${count} entries, more than ${most}`] : [];
}

function isOf(type: unknown, value: unknown): boolean {
  if (type === "integer") return Number.isInteger(value);
  if (type === "array") return Array.isArray(value);
  if (type === "null") return value === null;
  if (type === "object") return typeof value === "object" && value !== null && !Array.isArray(value);
  return typeof value === type;
}

/** What a reference stands for. */
export function lookUp(document: unknown, ref: string): unknown {
  const found = ref
    .slice(2)
    .split("/")
    .reduce<unknown>((part, name) => asDoc(part)[name.replaceAll("~1", "/").replaceAll("~0", "~")], document);
  if (found === undefined) throw new Error(`${ref} leads nowhere`);
  return found;
}

function asDoc(value: unknown): Doc {
  if (typeof value !== "object" || value === null) throw new Error(`${shown(value)} is no object`);
  return value as Doc;
}

function shown(value: unknown): string {
  return JSON.stringify(value) ?? String(value);
}
