/**
 * Readers for what comes from outside: `unknown` in, a typed value out, or an `invalid_field` error that names the
 * field. Paths are built only on failure.
 */
import { ApiError } from "./errors.ts";

/** Reads a value or throws `Invalid`. */
export type Reader<T> = (value: unknown) => T;
export type TypeOf<R> = R extends Reader<infer T> ? T : never;

/** A failure on its way up; each level puts its own key in front. */
class Invalid extends Error {
  readonly path: string[] = [];
}

function fail(message: string): never {
  throw new Invalid(message);
}

interface Bounds {
  readonly min: number;
  readonly max: number;
}

/** A whole number in [min, max]. */
export function integer({ min, max }: Bounds): Reader<number> {
  const expected = `must be a whole number from ${min} to ${max}`;
  return (value) =>
    typeof value === "number" && Number.isInteger(value) && value >= min && value <= max ? value : fail(expected);
}

/** A finite number in [min, max]. */
export function number({ min, max }: Bounds): Reader<number> {
  const expected = `must be a number from ${min} to ${max}`;
  return (value) => (typeof value === "number" && value >= min && value <= max ? value : fail(expected));
}

export const boolean: Reader<boolean> = (value) => (typeof value === "boolean" ? value : fail("must be true or false"));

/** A text of `min` to `max` UTF-16 units, without control characters. */
export function string({ min, max }: Bounds): Reader<string> {
  const expected = `must be a text of ${min} to ${max} characters`;
  return (value) => {
    if (typeof value !== "string" || value.length < min || value.length > max) return fail(expected);
    return /[\u0000-\u001f\u007f]/.test(value) ? fail("must not contain control characters") : value;
  };
}

/** A text that matches a pattern; `expected` ends the sentence "must be …". */
export function pattern(shape: RegExp, expected: string): Reader<string> {
  return (value) => (typeof value === "string" && shape.test(value) ? value : fail(`must be ${expected}`));
}

export function oneOf<const T extends string>(...values: readonly T[]): Reader<T> {
  const expected = `must be one of ${values.join(", ")}`;
  return (value) => values.find((known) => known === value) ?? fail(expected);
}

const TIME = /^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/;

const NORMAL_LENGTH = "2026-01-02T03:04:05.678Z".length;

/** RFC 3339 as UTC with milliseconds, or null. */
function normaliseTime(text: string): string | null {
  // What this daemon and its agents write is normal already; every heartbeat has a time for each of its machines.
  if (text.length === NORMAL_LENGTH && text.endsWith("Z") && isNormal(text)) return text;
  const [, date = "", time = "", fraction = "", zone = ""] = TIME.exec(text) ?? [];
  const local = new Date(`${date}T${time}Z`);
  // Date takes 30 February and 24:00 for a day later: only a time that comes back as it was written is one.
  if (Number.isNaN(local.getTime()) || !local.toISOString().startsWith(`${date}T${time}`)) return null;
  const ms = Date.parse(`${date}T${time}${fraction}${zone.toUpperCase()}`);
  if (Number.isNaN(ms)) return null;
  const utc = new Date(ms).toISOString();
  // The offset may lead out of the years that RFC 3339 can write.
  return utc.length === NORMAL_LENGTH ? utc : null;
}

function isNormal(text: string): boolean {
  const ms = Date.parse(text);
  return !Number.isNaN(ms) && new Date(ms).toISOString() === text;
}

/** RFC 3339, given back normalised to UTC milliseconds. */
export const timestamp: Reader<string> = (value) =>
  (typeof value === "string" ? normaliseTime(value) : null) ?? fail("must be an RFC 3339 time");

/** A list of at most `max` things. */
export function list<T>(read: Reader<T>, max: number): Reader<T[]> {
  return (value) => {
    if (!Array.isArray(value)) return fail("must be a list");
    if (value.length > max) return fail(`must have at most ${max} entries`);
    return value.map((item: unknown, index) => at(String(index), read, item));
  };
}

/** An object whose keys match `key`, of at most `max` entries. */
export function map<T>(key: RegExp, read: Reader<T>, max: number): Reader<Record<string, T>> {
  return (value) => {
    const entries = Object.entries(plainObject(value));
    if (entries.length > max) return fail(`must have at most ${max} entries`);
    // No prototype: a key such as __proto__ is data like any other.
    const result: Record<string, T> = Object.create(null) as Record<string, T>;
    for (const [name, item] of entries) {
      if (!key.test(name)) at(name, () => fail("is not a valid name here"), item);
      result[name] = at(name, read, item);
    }
    return result;
  };
}

/** A field that may be absent or null; it reads as undefined then. */
export interface Optional<T> {
  readonly optional: Reader<T>;
}
export function optional<T>(read: Reader<T>): Optional<T> {
  return { optional: read };
}

type Shape = Readonly<Record<string, Reader<unknown> | Optional<unknown>>>;
export type Fields<S extends Shape> = {
  readonly [K in keyof S]: S[K] extends Optional<infer T> ? T | undefined : S[K] extends Reader<infer T> ? T : never;
};

/** An object with these fields; unknown ones are ignored, so that newer agents work with older daemons. */
export function object<S extends Shape>(shape: S): Reader<Fields<S>> {
  const fields = Object.entries(shape).map(([name, read]) =>
    typeof read === "function" ? { name, read, required: true } : { name, read: read.optional, required: false },
  );
  return (value) => {
    const source = plainObject(value);
    const result: Record<string, unknown> = {};
    for (const { name, read, required } of fields) {
      const given = Object.hasOwn(source, name) ? source[name] : undefined;
      if (given === undefined || (given === null && !required)) {
        if (required) at(name, () => fail("is required"), given);
        result[name] = undefined;
      } else result[name] = at(name, read, given);
    }
    // The loop above has put exactly the shape's fields there.
    return result as Fields<S>;
  };
}

function plainObject(value: unknown): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return fail("must be an object");
  return value as Record<string, unknown>;
}

function at<T>(key: string, read: Reader<T>, value: unknown): T {
  try {
    return read(value);
  } catch (error) {
    if (error instanceof Invalid) error.path.unshift(key);
    throw error;
  }
}

/** Reads a request body. Throws ApiError `invalid_field` with the field's path. */
export function readBody<T>(read: Reader<T>, body: unknown): T {
  try {
    return read(body);
  } catch (error) {
    throw error instanceof Invalid ? toApiError(error, null) : error;
  }
}

/** Reads one query parameter or path part, named in the error. */
export function readField<T>(read: Reader<T>, field: string, value: unknown): T {
  try {
    return read(value);
  } catch (error) {
    throw error instanceof Invalid ? toApiError(error, field) : error;
  }
}

function toApiError(error: Invalid, field: string | null): ApiError {
  const path = [...(field === null ? [] : [field]), ...error.path].join(".");
  return path === ""
    ? new ApiError("malformed_json", `The body ${error.message}.`)
    : new ApiError("invalid_field", `${path} ${error.message}.`, { field: path });
}
