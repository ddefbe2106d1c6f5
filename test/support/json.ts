/** Reading and checking JSON answers in tests: exact keys, exact types, one line of code a field. */
import assert from "node:assert/strict";

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
/** Passes silently or throws an AssertionError that names the path. */
export type Check = (value: Json | undefined, path: string) => void;

/** The value at `a.b.0.c`; undefined where a step leads nowhere. */
export function pick(value: Json | undefined, path: string): Json | undefined {
  let at: Json | undefined = value;
  for (const key of path.split(".")) {
    if (typeof at !== "object" || at === null) return undefined;
    at = Array.isArray(at) ? at[Number(key)] : at[key];
  }
  return at;
}

/** The list at `path`, which must be one. */
export function listAt(value: Json | undefined, path: string): Json[] {
  const found = pick(value, path);
  assert.ok(Array.isArray(found), `${path} is a list, got ${JSON.stringify(value)}`);
  return found;
}

/** The text at `path`, which must be one. */
export function textAt(value: Json | undefined, path: string): string {
  const found = pick(value, path);
  assert.equal(typeof found, "string", `${path} is a text, got ${JSON.stringify(value)}`);
  return String(found);
}

/** The number at `path`, which must be one. */
export function numberAt(value: Json | undefined, path: string): number {
  const found = pick(value, path);
  assert.equal(typeof found, "number", `${path} is a number, got ${JSON.stringify(value)}`);
  return Number(found);
}

export const text: Check = (value, path) =>
  assert.ok(typeof value === "string" && value !== "", `${path} is a text: ${JSON.stringify(value)}`);
export const flag: Check = (value, path) =>
  assert.equal(typeof value, "boolean", `${path} is true or false: ${JSON.stringify(value)}`);
export const amount: Check = (value, path) =>
  assert.ok(typeof value === "number" && value >= 0, `${path} is a number from 0: ${JSON.stringify(value)}`);
export const count: Check = (value, path) =>
  assert.ok(
    Number.isInteger(value) && Number(value) >= 0,
    `${path} is a whole number from 0: ${JSON.stringify(value)}`,
  );
/** RFC 3339, UTC, milliseconds. */
export const time: Check = (value, path) => like(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)(value, path);
export const uuid: Check = (value, path) => like(/^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/)(value, path);

export function like(pattern: RegExp): Check {
  return (value, path) =>
    assert.match(typeof value === "string" ? value : `not a text: ${JSON.stringify(value)}`, pattern, path);
}

export function exactly(expected: Json): Check {
  return (value, path) => assert.deepEqual(value, expected, path);
}

export function oneOf(...values: readonly Json[]): Check {
  return (value, path) =>
    assert.ok(
      value !== undefined && values.includes(value),
      `${path} is one of ${values.join(", ")}: ${JSON.stringify(value)}`,
    );
}

export function nullOr(check: Check): Check {
  return (value, path) => {
    if (value !== null) check(value, path);
  };
}

export function listOf(check: Check): Check {
  return (value, path) => {
    assert.ok(Array.isArray(value), `${path} is a list: ${JSON.stringify(value)}`);
    value.forEach((item, index) => check(item, `${path}.${index}`));
  };
}

/** An object whose keys are free and whose values all pass. */
export function mapOf(check: Check): Check {
  return (value, path) => {
    assert.ok(
      typeof value === "object" && value !== null && !Array.isArray(value),
      `${path} is an object: ${JSON.stringify(value)}`,
    );
    for (const [key, item] of Object.entries(value)) check(item, `${path}.${key}`);
  };
}

/** Exactly these keys, no more and no fewer; a key that ends in `?` may be absent. */
export function shape(fields: Readonly<Record<string, Check>>): Check {
  return (value, path) => {
    assert.ok(
      typeof value === "object" && value !== null && !Array.isArray(value),
      `${path} is an object: ${JSON.stringify(value)}`,
    );
    const known = new Set<string>();
    for (const [name, check] of Object.entries(fields)) {
      const key = name.replace(/\?$/, "");
      known.add(key);
      if (Object.hasOwn(value, key)) check(value[key], `${path}.${key}`);
      else assert.ok(name.endsWith("?"), `${path} has ${key}: ${JSON.stringify(value)}`);
    }
    const strangers = Object.keys(value).filter((key) => !known.has(key));
    assert.deepEqual(strangers, [], `${path} has no other keys`);
  };
}

/** Checks a whole body. */
export function conforms(value: Json | undefined, check: Check): void {
  check(value, "body");
}
