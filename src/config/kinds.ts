/**
 * The kinds of values that a setting can have: how each is read from TOML and from a text, and what it says when it
 * cannot. It knows no setting by name.
 */
import { parseDuration } from "../lib/duration.ts";
import type { TomlValue } from "./toml.ts";
import { TomlDate, TomlFloat, TomlTable } from "./toml.ts";

/**
 * A value that a setting does not take. `message` ends the sentence "<setting> …" and quotes the value unless the
 * setting is secret.
 */
export class BadValue extends Error {}

/** One row of the schema. `Unit` is appended to its name in the configuration object. */
export interface Setting<T, Unit extends "" | "Ms" = ""> {
  readonly unit: Unit;
  readonly fallback: T;
  /** The fallback as a TOML value. */
  readonly literal: string;
  /** What it takes, in words that end the sentence "must be …". */
  readonly expected: string;
  /** Lines for operators. */
  readonly docs: readonly string[];
  /** Its value authenticates somebody: no message may quote it. */
  readonly secret: boolean;
  /** SIGHUP applies a new value; every other setting needs a restart. */
  readonly reload: boolean;
  /** Reads a decoded TOML value. Throws BadValue. */
  fromToml(value: TomlValue): T;
  /** Reads the text of an environment variable or a command-line option. Throws BadValue. */
  fromText(text: string): T;
}

interface About {
  readonly docs: readonly string[];
  readonly reload?: boolean;
}

/** Only texts, and lists of them, can be secret. */
interface TextAbout extends About {
  readonly secret?: boolean;
  readonly expected: string;
  /** What is wrong with a text, as the end of the sentence "<setting> …", or null. */
  readonly check: (text: string) => string | null;
}

/** Everything about a setting but how it is read. */
function describe<T, Unit extends "" | "Ms">(
  about: About & { readonly secret?: boolean },
  unit: Unit,
  fallback: T,
  literal: string,
  expected: string,
) {
  return {
    unit,
    fallback,
    literal,
    expected,
    docs: about.docs,
    secret: about.secret ?? false,
    reload: about.reload ?? false,
  };
}

/** Refuses a value, which is quoted only where it is no secret. */
function refuse(expected: string, value: TomlValue, secret = false): never {
  throw new BadValue(secret ? `must be ${expected}` : `must be ${expected}, not ${show(value)}`);
}

export function text(fallback: string, about: TextAbout): Setting<string> {
  const secret = about.secret ?? false;
  const fromText = (given: string): string => {
    if (CONTROL.test(given)) throw new BadValue("must not contain control characters");
    const wrong = about.check(given);
    if (wrong !== null) throw new BadValue(secret ? wrong : `${wrong}, not ${show(given)}`);
    return given;
  };
  return {
    ...describe(about, "", fallback, quote(fallback), about.expected),
    fromToml: (value) => (typeof value === "string" ? fromText(value) : refuse(about.expected, value, secret)),
    fromText,
  };
}

/** A list of texts; in a text they are separated by commas. */
export function list(about: TextAbout): Setting<readonly string[]> {
  const secret = about.secret ?? false;
  const item = text("", about);
  const fromItems = (items: readonly TomlValue[]): readonly string[] => [
    ...new Set(items.map((value) => item.fromToml(value))),
  ];
  return {
    ...describe<readonly string[], "">(about, "", [], "[]", `a list, each ${about.expected}`),
    fromToml: (value) =>
      Array.isArray(value) ? fromItems(value) : refuse(`a list, each ${about.expected}`, value, secret),
    fromText: (given) =>
      fromItems(
        given
          .split(",")
          .map((part) => part.trim())
          .filter((part) => part !== ""),
      ),
  };
}

export function integer(
  fallback: number,
  about: About & { readonly min: number; readonly max: number },
): Setting<number> {
  const expected = `a whole number from ${about.min} to ${about.max}`;
  const fromToml = (value: TomlValue): number =>
    typeof value === "number" && value >= about.min && value <= about.max ? value : refuse(expected, value);
  return {
    ...describe(about, "", fallback, String(fallback), expected),
    fromToml,
    fromText: (given) => fromToml(/^(?:0|[1-9]\d{0,15})$/.test(given) ? Number(given) : given),
  };
}

export function boolean(fallback: boolean, about: About): Setting<boolean> {
  const expected = "true or false";
  const fromToml = (value: TomlValue): boolean => (typeof value === "boolean" ? value : refuse(expected, value));
  return {
    ...describe(about, "", fallback, String(fallback), expected),
    fromToml,
    fromText: (given) => fromToml(given === "true" ? true : given === "false" ? false : given),
  };
}

export function oneOf<const T extends string>(fallback: NoInfer<T>, values: readonly T[], about: About): Setting<T> {
  const expected = `one of ${values.map(quote).join(", ")}`;
  const fromToml = (value: TomlValue): T => values.find((known) => known === value) ?? refuse(expected, value);
  return { ...describe<T, "">(about, "", fallback, quote(fallback), expected), fromToml, fromText: fromToml };
}

type DurationAbout = About & { readonly min: string; readonly max: string };

/** A duration such as "1m30s", in whole milliseconds. */
export function duration(fallback: string, about: DurationAbout): Setting<number, "Ms"> {
  const expected = `a duration such as "1m30s", from ${about.min} to ${about.max}`;
  const [min, max] = [milliseconds(about.min), milliseconds(about.max)];
  const fromToml = (value: TomlValue): number => {
    const ms = typeof value === "string" ? parseDuration(value) : null;
    return ms !== null && Number.isInteger(ms) && ms >= min && ms <= max ? ms : refuse(expected, value);
  };
  return { ...describe(about, "Ms", milliseconds(fallback), quote(fallback), expected), fromToml, fromText: fromToml };
}

/** A duration or "forever", which is null; "forever" is the fallback. */
export function durationOrForever(about: DurationAbout): Setting<number | null, "Ms"> {
  const inner = duration(about.min, about);
  const expected = `"forever" or ${inner.expected}`;
  const fromToml = (value: TomlValue): number | null => {
    if (value === "forever") return null;
    try {
      return inner.fromToml(value);
    } catch {
      return refuse(expected, value);
    }
  };
  return {
    ...describe<number | null, "Ms">(about, "Ms", null, quote("forever"), expected),
    fromToml,
    fromText: fromToml,
  };
}

const CONTROL = /[\u0000-\u001f\u007f]/;
const SHOWN = 60;

function milliseconds(written: string): number {
  const ms = parseDuration(written);
  if (ms === null) throw new Error(`the schema has a duration that is none: ${written}`);
  return ms;
}

/** A text as a TOML basic string; JSON's escapes are TOML's, but for the delete character. */
function quote(value: string): string {
  return JSON.stringify(value).replaceAll("\u007f", "\\u007f");
}

/** A given value for a message, short and on one line. */
function show(value: TomlValue): string {
  if (typeof value === "string") return quote(value.length > SHOWN ? `${value.slice(0, SHOWN)}…` : value);
  if (value instanceof TomlFloat) return `the float ${value.value}`;
  if (value instanceof TomlDate) return `the date ${value.text}`;
  if (value instanceof TomlTable) return "a table";
  return Array.isArray(value) ? "a list" : String(value);
}
