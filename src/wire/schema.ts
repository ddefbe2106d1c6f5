/**
 * What a value on the wire looks like, said once: a schema reads what comes (`unknown` in, a typed value out, or an
 * error that names the field), gives the type, and describes itself as JSON Schema. Scalars here, the rest in
 * compound.ts.
 */
import { ApiError } from "../lib/errors.ts";

export type JsonSchema = { readonly [key: string]: unknown };
/** Puts a named part where it is kept once, and gives the reference to it. */
export type Define = (name: string, describe: () => JsonSchema) => JsonSchema;

/**
 * `T` is what is sent. `R` is what whoever receives an answer may count on: the sender may be newer, and say words that
 * this program does not know, or older, and leave out what it does not know.
 */
export interface Schema<T, R = T> {
  /** Takes what was sent exactly; unknown fields are left out. Throws Invalid. */
  readonly read: (value: unknown) => T;
  /** Takes what a newer or an older program may have sent. Throws Invalid. */
  readonly receive: (value: unknown) => R;
  readonly describe: (define: Define) => JsonSchema;
}

/** The type of what is sent. */
export type TypeOf<S> = S extends Schema<infer T, unknown> ? T : never;
/** The type of what is received. */
export type Received<S> = S extends Schema<unknown, infer R> ? R : never;

/** A failure on its way up; each level puts its own key in front. */
export class Invalid extends Error {
  readonly path: string[] = [];
}

/** Throws Invalid; `message` goes on after the field's name: "must be …". */
export function fail(message: string): never {
  throw new Invalid(message);
}

/** Reads a part of something larger; a failure in it gets `key` in front of its path. */
export function within<T>(key: string, read: (value: unknown) => T, value: unknown): T {
  try {
    return read(value);
  } catch (error) {
    if (error instanceof Invalid) error.path.unshift(key);
    throw error;
  }
}

/** A schema that receives as it reads, and looks as `json` says. */
export function scalar<T>(read: (value: unknown) => T, json: JsonSchema): Schema<T> {
  return { read, receive: read, describe: () => json };
}

/** What people need to know beyond the shape. */
export interface About {
  /** A sentence: what it is, its unit, what null means. */
  readonly description?: string;
  readonly examples?: readonly unknown[];
  /** What is taken where the field is absent. */
  readonly default?: unknown;
}

/** The same schema, told of in words; what a shape says of itself, such as a pattern's characters, stays in front. */
export function about<T, R>(schema: Schema<T, R>, more: About | string): Schema<T, R> {
  const words = typeof more === "string" ? { description: more } : more;
  const describe = (define: Define): JsonSchema => {
    const own = schema.describe(define);
    const description = [own["description"], words.description].filter((part) => part !== undefined).join(" ");
    return { ...own, ...words, ...(description === "" ? {} : { description }) };
  };
  return { ...schema, describe };
}

interface Bounds {
  readonly min: number;
  readonly max: number;
}

/** A whole number in [min, max]. */
export function integer({ min, max }: Bounds): Schema<number> {
  const expected = `must be a whole number from ${min} to ${max}`;
  const read = (value: unknown): number =>
    typeof value === "number" && Number.isInteger(value) && value >= min && value <= max ? value : fail(expected);
  return scalar(read, { type: "integer", minimum: min, maximum: max });
}

/** A finite number in [min, max]. */
export function number({ min, max }: Bounds): Schema<number> {
  const expected = `must be a number from ${min} to ${max}`;
  const read = (value: unknown): number =>
    typeof value === "number" && value >= min && value <= max ? value : fail(expected);
  return scalar(read, { type: "number", minimum: min, maximum: max });
}

export const boolean: Schema<boolean> = scalar(
  (value) => (typeof value === "boolean" ? value : fail("must be true or false")),
  { type: "boolean" },
);

/** A text of `min` to `max` UTF-16 units, without control characters. */
export function string({ min, max }: Bounds): Schema<string> {
  const expected = `must be a text of ${min} to ${max} characters`;
  const read = (value: unknown): string => {
    if (typeof value !== "string" || value.length < min || value.length > max) return fail(expected);
    return /[\u0000-\u001f\u007f]/.test(value) ? fail("must not contain control characters") : value;
  };
  return scalar(read, { type: "string", minLength: min, maxLength: max });
}

/** A text that matches a pattern; `expected` ends the sentence "must be …". */
export function pattern(shape: RegExp, expected: string): Schema<string> {
  const read = (value: unknown): string =>
    typeof value === "string" && shape.test(value) ? value : fail(`must be ${expected}`);
  return scalar(read, { type: "string", pattern: shape.source, description: upperFirst(`${expected}.`) });
}

/** Any text, of any length: in answers, whose sender is trusted with it. */
export const text: Schema<string> = scalar((value) => (typeof value === "string" ? value : fail("must be a text")), {
  type: "string",
});

/** Any number that JSON can hold exactly enough: in answers. */
export const amount: Schema<number> = scalar(
  (value) => (typeof value === "number" && Number.isFinite(value) ? value : fail("must be a number")),
  { type: "number" },
);

/** How many: in answers. */
export const count: Schema<number> = scalar(
  (value) => (typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : fail("must be a count")),
  { type: "integer", minimum: 0 },
);

/** A schema of some words, and the words. */
export interface Words<T extends string> extends Schema<T, string> {
  readonly words: readonly T[];
}

/** One of these words. A newer program may know others: whoever receives takes any word. */
export function oneOf<const T extends string>(...values: readonly T[]): Words<T> {
  const expected = `must be one of ${values.join(", ")}`;
  const read = (value: unknown): T => values.find((known) => known === value) ?? fail(expected);
  return { words: values, read, receive: text.receive, describe: () => ({ type: "string", enum: values }) };
}

/** Exactly this value. */
export function constant<const T extends string | boolean>(only: T): Schema<T> {
  return scalar((value) => (value === only ? only : fail(`must be ${JSON.stringify(only)}`)), { const: only });
}

/** Whatever it is: read by somebody else. */
export const anything: Schema<unknown> = scalar((value) => value, {});

/** What opens with a literal, such as "sha256:", keeps its letters. */
function upperFirst(words: string): string {
  if (!/^[a-z]+ /.test(words)) return words;
  return words.slice(0, 1).toUpperCase() + words.slice(1);
}

/** Reads a request body. Throws ApiError `invalid_field` with the field's path. */
export function readBody<T>(schema: Schema<T, unknown>, body: unknown): T {
  return readAs(schema.read, null, body);
}

/** Reads one query parameter, header or path part, named in the error. Throws ApiError `invalid_field`. */
export function readField<T>(schema: Schema<T, unknown>, field: string, value: unknown): T {
  return readAs(schema.read, field, value);
}

/** Reads an answer. Throws ApiError `invalid_field` with the field's path, or `malformed_json`. */
export function receiveBody<R>(schema: Schema<unknown, R>, body: unknown): R {
  return readAs(schema.receive, null, body);
}

function readAs<T>(read: (value: unknown) => T, field: string | null, value: unknown): T {
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
