/**
 * TOML values that are written bare: integers, floats, booleans and the four kinds of dates. It knows neither strings
 * nor tables.
 */
import type { Scanner } from "./toml-scan.ts";

/** A float keeps apart from an integer of the same size: `8080.0` is no port. */
export class TomlFloat {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

export type TomlDateKind = "offset-date-time" | "local-date-time" | "local-date" | "local-time";

/**
 * A date or time exactly as precise as it was written; JavaScript's Date can hold neither the local kinds nor a leap
 * second.
 */
export class TomlDate {
  readonly kind: TomlDateKind;
  /** As in RFC 3339, with `T` and `Z` in upper case: `1979-05-27T07:32:00.5-07:00`. */
  readonly text: string;
  constructor(kind: TomlDateKind, text: string) {
    this.kind = kind;
    this.text = text;
  }
}

/** A whole number of 64 bits: a `number` where that is exact, else a `bigint`. */
export type TomlInteger = number | bigint;

const BARE = /[0-9A-Za-z_+\-.:]*/y;
const DATE_LIKE = /\d{4}-\d\d-|\d\d:/y;
const DATE_AND_TIME = /\d{4}-\d\d-\d\d[Tt ]\d\d:[0-9A-Za-z:.+-]*/y;
/** Date, time and offset, each as it is there; which of them may go together is `readDate`'s to say. */
const DATE_SHAPE = /^(?:(\d{4}-\d\d-\d\d)(?:T(?=.)|$))?(\d\d:\d\d:\d\d(?:\.\d+)?)?(Z|[+-]\d\d:\d\d)?$/;
/** RFC 3339 lets a minute have 61 seconds; which ones do is known only afterwards. */
const LEAP_SECOND = 60;

const DECIMAL = /^[+-]?(?:0|[1-9]\d*)$/;
const FLOAT = /^[+-]?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const PREFIXED = /^0(?:x[0-9A-Fa-f]+|o[0-7]+|b[01]+)$/;
const MISPLACED_IN_DECIMAL = /(?<!\d)_|_(?!\d)/;
const MISPLACED_IN_PREFIXED = /^0?_|^0._|__|_$/;
const SPECIAL_FLOATS: ReadonlyMap<string, number> = new Map(
  Object.entries({ inf: Infinity, "+inf": Infinity, "-inf": -Infinity, nan: NaN, "+nan": NaN, "-nan": NaN }),
);

const MIN_INTEGER = -(2n ** 63n);
const MAX_INTEGER = 2n ** 63n - 1n;
/** 64 binary digits; checked before BigInt, whose time grows with the square of the length. */
const MAX_DIGITS = 64;

/** Reads one bare value. */
export function readScalar(scanner: Scanner): TomlInteger | TomlFloat | TomlDate | boolean {
  const start = scanner.pos;
  if (scanner.match(DATE_LIKE) !== "") {
    scanner.pos = start;
    return readDate(scanner, start);
  }
  const word = scanner.match(BARE);
  if (word === "true") return true;
  if (word === "false") return false;
  const special = SPECIAL_FLOATS.get(word);
  if (special !== undefined) return new TomlFloat(special);
  const number = readNumber(scanner, word, start);
  if (number !== null) return number;
  scanner.pos = start;
  if (word === "") return scanner.expected("a value");
  if (/^[A-Za-z]/.test(word))
    return scanner.fail("a value is true, false, a number, a date, or a text in quotes", start);
  return scanner.fail("this is not a number or a date that TOML knows; a text needs quotes", start);
}

function readNumber(scanner: Scanner, word: string, start: number): TomlInteger | TomlFloat | null {
  const digits = word.replaceAll("_", "");
  const prefixed = PREFIXED.test(digits);
  if (!prefixed && !FLOAT.test(digits)) return null;
  if ((prefixed ? MISPLACED_IN_PREFIXED : MISPLACED_IN_DECIMAL).test(word))
    return scanner.fail("an underscore in a number must stand between two digits", start);
  if (prefixed || DECIMAL.test(digits)) return readInteger(scanner, digits, start);
  const value = Number(digits);
  return Number.isFinite(value) ? new TomlFloat(value) : scanner.fail("the number does not fit a 64-bit float", start);
}

function readInteger(scanner: Scanner, digits: string, start: number): TomlInteger {
  const unsigned = digits.replace(/^(?:[+-]|0([xob]))/, (_sign, prefix: string | undefined) =>
    prefix === undefined ? "" : `0${prefix}`,
  );
  const significant = unsigned.replace(/^(0[xob])0+(?=.)/, "$1");
  if (significant.length <= MAX_DIGITS + 2) {
    const magnitude = BigInt(significant);
    const value = digits.startsWith("-") ? -magnitude : magnitude;
    if (value >= MIN_INTEGER && value <= MAX_INTEGER)
      return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  }
  return scanner.fail("the integer does not fit 64 bits", start);
}

function readDate(scanner: Scanner, start: number): TomlDate {
  const written = scanner.match(DATE_AND_TIME) || scanner.match(BARE);
  const text = written.replace(" ", "T").toUpperCase();
  const shape = DATE_SHAPE.exec(text);
  const [, date, time, offset] = shape ?? [];
  if (shape === null || (offset !== undefined && (date === undefined || time === undefined))) {
    return scanner.fail("a date is written 2026-01-31, a time 23:59:59, both together 2026-01-31T23:59:59Z", start);
  }
  if (date !== undefined && !isDay(date)) return scanner.fail("there is no such day", start);
  if (time !== undefined && !isTime(time, LEAP_SECOND)) return scanner.fail("there is no such time of day", start);
  if (offset !== undefined && offset !== "Z" && !isTime(`${offset.slice(1)}:00`, 0))
    return scanner.fail("there is no such offset from UTC", start);
  if (date === undefined) return new TomlDate("local-time", text);
  if (time === undefined) return new TomlDate("local-date", text);
  return new TomlDate(offset === undefined ? "local-date-time" : "offset-date-time", text);
}

function isTime(text: string, maxSecond: number): boolean {
  const [hour = 0, minute = 0, second = 0] = text.split(":").map(Number);
  return hour <= 23 && minute <= 59 && second < maxSecond + 1;
}

function isDay(text: string): boolean {
  const [year = 0, month = 0, day = 0] = text.split("-").map(Number);
  const leap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  const days = [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
  return day >= 1 && day <= (days[month - 1] ?? 0);
}
