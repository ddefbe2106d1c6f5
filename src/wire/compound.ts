/** Schemas made of schemas: lists, maps, objects and their fields, and parts with a name of their own. */
import type { JsonSchema, Schema } from "./schema.ts";
import { fail, within } from "./schema.ts";

/** A list of at most `max` things. */
export function list<T, R>(
  of: Schema<T, R>,
  max: number = Number.MAX_SAFE_INTEGER,
): Schema<readonly T[], readonly R[]> {
  const each =
    <X>(read: (value: unknown) => X) =>
    (value: unknown): X[] => {
      if (!Array.isArray(value)) return fail("must be a list");
      if (value.length > max) return fail(`must have at most ${max} entries`);
      return value.map((item: unknown, index) => within(String(index), read, item));
    };
  const bound = max === Number.MAX_SAFE_INTEGER ? {} : { maxItems: max };
  return {
    read: each(of.read),
    receive: each(of.receive),
    describe: (define) => ({ type: "array", items: of.describe(define), ...bound }),
  };
}

/** An object whose keys match `key`, of at most `max` entries. */
export function map<T, R>(
  key: RegExp,
  of: Schema<T, R>,
  max: number,
): Schema<Readonly<Record<string, T>>, Readonly<Record<string, R>>> {
  const each =
    <X>(read: (value: unknown) => X) =>
    (value: unknown): Record<string, X> => {
      const entries = Object.entries(plainObject(value));
      if (entries.length > max) return fail(`must have at most ${max} entries`);
      // No prototype: a key such as __proto__ is data like any other.
      const result: Record<string, X> = Object.create(null) as Record<string, X>;
      for (const [name, item] of entries) {
        if (!key.test(name)) within(name, () => fail("is not a valid name here"), item);
        result[name] = within(name, read, item);
      }
      return result;
    };
  const names = key.source === "^" ? {} : { propertyNames: { pattern: key.source } };
  const describe: Schema<unknown>["describe"] = (define) => ({
    type: "object",
    additionalProperties: of.describe(define),
    maxProperties: max,
    ...names,
  });
  return { read: each(of.read), receive: each(of.receive), describe };
}

/** What a field of an object is, beyond its schema. */
type Presence = "optional" | "nullable" | "added" | "when_asked";

/** A field that need not be there, or may be null. */
export interface Field<T, R, P extends Presence> {
  readonly presence: P;
  readonly of: Schema<T, R>;
}

/** May be absent or null; it reads as undefined then. For requests, and for what only some answers have. */
export function optional<T, R>(of: Schema<T, R>): Field<T, R, "optional"> {
  return { presence: "optional", of };
}

/** Always there, null where there is nothing to say; received as undefined, as where an older program left it out. */
export function nullable<T, R>(of: Schema<T, R>): Field<T, R, "nullable"> {
  return { presence: "nullable", of };
}

/** Always there since some version; received as undefined from an older program. */
export function added<T, R>(of: Schema<T, R>): Field<T, R, "added"> {
  return { presence: "added", of };
}

/** There only where it was asked for, and null then where there is nothing to say. */
export function whenAsked<T, R>(of: Schema<T, R>): Field<T, R, "when_asked"> {
  return { presence: "when_asked", of };
}

type AnyField = Schema<unknown, unknown> | Field<unknown, unknown, Presence>;
export type Shape = Readonly<Record<string, AnyField>>;

type Simplify<T> = { readonly [K in keyof T]: T[K] };
type Sent<F> =
  F extends Field<infer T, unknown, infer P>
    ? P extends "nullable" | "when_asked"
      ? T | null
      : T
    : F extends Schema<infer T, unknown>
      ? T
      : never;
type Got<F> =
  F extends Field<unknown, infer R, Presence> ? R | undefined : F extends Schema<unknown, infer R> ? R : never;
type OptionalKeys<S> = {
  [K in keyof S]: S[K] extends Field<unknown, unknown, "optional" | "when_asked"> ? K : never;
}[keyof S];

/** The type of an object as it is sent. */
export type Fields<S extends Shape> = Simplify<
  { readonly [K in Exclude<keyof S, OptionalKeys<S>>]: Sent<S[K]> } & {
    readonly [K in OptionalKeys<S>]?: Sent<S[K]> | undefined;
  }
>;
/** The type of an object as it is received. */
export type ReceivedFields<S extends Shape> = { readonly [K in keyof S]: Got<S[K]> };

/** An object with these fields; unknown ones are ignored, so that newer agents work with older daemons. */
export function object<S extends Shape>(shape: S): Schema<Fields<S>, ReceivedFields<S>> {
  const fields = Object.entries(shape).map(([name, field]) => ({ name, ...toField(field) }));
  // The loops below put exactly the shape's fields there.
  const read = (value: unknown): Fields<S> => {
    const source = plainObject(value);
    const result: Record<string, unknown> = {};
    for (const { name, of, mayBeAbsent, mayBeNull, nothing } of fields) {
      const given = Object.hasOwn(source, name) ? source[name] : undefined;
      if (given === undefined) {
        if (!mayBeAbsent) within(name, () => fail("is required"), given);
        result[name] = undefined;
      } else result[name] = given === null && mayBeNull ? nothing : within(name, of.read, given);
    }
    return result as Fields<S>;
  };
  const receive = (value: unknown): ReceivedFields<S> => {
    const source = plainObject(value);
    const result: Record<string, unknown> = {};
    for (const { name, of, isPlain } of fields) {
      const given = Object.hasOwn(source, name) ? source[name] : undefined;
      if (given === undefined || (given === null && !isPlain)) {
        if (isPlain) within(name, () => fail("is required"), given);
        result[name] = undefined;
      } else result[name] = within(name, of.receive, given);
    }
    return result as ReceivedFields<S>;
  };
  const describe: Schema<unknown>["describe"] = (define) => {
    const properties: Record<string, JsonSchema> = {};
    for (const { name, of, mayBeNull } of fields) {
      const json = of.describe(define);
      properties[name] = mayBeNull ? orNull(json) : json;
    }
    const required = fields.filter(({ mayBeAbsent }) => !mayBeAbsent).map(({ name }) => name);
    return { type: "object", properties, ...(required.length === 0 ? {} : { required }) };
  };
  return { read, receive, describe };
}

interface FieldRules {
  readonly of: Schema<unknown, unknown>;
  readonly mayBeAbsent: boolean;
  readonly mayBeNull: boolean;
  /** What null is read as. */
  readonly nothing: null | undefined;
  readonly isPlain: boolean;
}

function toField(field: AnyField): FieldRules {
  if (!("presence" in field))
    return { of: field, mayBeAbsent: false, mayBeNull: false, nothing: undefined, isPlain: true };
  const { of, presence } = field;
  return {
    of,
    mayBeAbsent: presence === "optional" || presence === "when_asked",
    mayBeNull: presence !== "added",
    nothing: presence === "optional" ? undefined : null,
    isPlain: false,
  };
}

function orNull(json: JsonSchema): JsonSchema {
  if ("$ref" in json) return { anyOf: [json, { type: "null" }] };
  const { type, enum: words, ...more } = json;
  if (typeof type !== "string") return { anyOf: [json, { type: "null" }] };
  return Array.isArray(words)
    ? { type: [type, "null"], enum: [...words, null], ...more }
    : { type: [type, "null"], ...more };
}

/** A part with a name, which a document of the API keeps once and refers to. */
export function named<T, R>(name: string, of: Schema<T, R>): Schema<T, R> {
  return { ...of, describe: (define) => define(name, () => of.describe(define)) };
}

function plainObject(value: unknown): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return fail("must be an object");
  return value as Record<string, unknown>;
}
