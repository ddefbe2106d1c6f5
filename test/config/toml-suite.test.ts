/**
 * Holds the TOML decoder to the rules of TOML 1.0.0: the distilled set always, and the public toml-test suite where
 * TOML_TEST_DIR names its folder.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { TomlValue } from "../../src/config/toml.ts";
import { decodeToml, parseToml, TomlDate, TomlError, TomlFloat, TomlTable } from "../../src/config/toml.ts";
import type { Plain } from "./toml-cases.ts";
import { date, float, INVALID, VALID } from "./toml-cases.ts";

function toPlain(value: TomlValue): Plain {
  if (value instanceof TomlFloat) return float(value.value);
  if (value instanceof TomlDate) return date(value.kind, value.text);
  if (Array.isArray(value)) return value.map(toPlain);
  if (value instanceof TomlTable) return new Map([...value].map(([key, inner]) => [key, toPlain(inner)]));
  return value;
}

for (const { rule, toml, value } of VALID) {
  test(`reads: ${rule}`, () => assert.deepEqual(toPlain(parseToml(toml)), value));
}

for (const { rule, toml, line, column, reason } of INVALID) {
  test(`refuses: ${rule}`, () => {
    assert.throws(
      () => parseToml(toml),
      (error) => {
        assert.ok(error instanceof TomlError, `threw ${String(error)}`);
        assert.match(error.message, reason);
        assert.deepEqual([error.line, error.column], [line, column], error.caret);
        return true;
      },
    );
  });
}

/** A value as toml-test writes it: tables and arrays as they are, all else `{"type","value"}`. */
function toTagged(value: TomlValue): unknown {
  if (value instanceof TomlTable) return Object.fromEntries([...value].map(([key, inner]) => [key, toTagged(inner)]));
  if (Array.isArray(value)) return value.map(toTagged);
  if (typeof value === "string") return { type: "string", value };
  if (typeof value === "boolean") return { type: "bool", value: String(value) };
  if (value instanceof TomlFloat) return { type: "float", value: value.value };
  if (value instanceof TomlDate) return { type: DATE_TAGS[value.kind], value: trimFraction(value.text) };
  return { type: "integer", value: String(value) };
}

const DATE_TAGS = {
  "offset-date-time": "datetime",
  "local-date-time": "datetime-local",
  "local-date": "date-local",
  "local-time": "time-local",
} as const;

/** The suite writes fractions with three digits, and floats in several ways: both sides are brought to one form. */
function normalise(expected: unknown): unknown {
  if (Array.isArray(expected)) return expected.map(normalise);
  if (typeof expected !== "object" || expected === null) return expected;
  if (
    "type" in expected &&
    "value" in expected &&
    typeof expected.type === "string" &&
    typeof expected.value === "string"
  ) {
    if (expected.type === "float") return { type: "float", value: Number(expected.value.replace("inf", "Infinity")) };
    const isDate = Object.values<string>(DATE_TAGS).includes(expected.type);
    return { type: expected.type, value: isDate ? trimFraction(expected.value) : expected.value };
  }
  return Object.fromEntries(Object.entries(expected).map(([key, inner]) => [key, normalise(inner)]));
}

function trimFraction(text: string): string {
  return text.replace(/(\.\d*?)0*(?=$|[Z+-])/, (_all, kept: string) => (kept === "." ? "" : kept));
}

function listDocuments(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".toml"))
    .sort();
}

const suite = process.env["TOML_TEST_DIR"];
if (suite !== undefined && suite !== "") {
  test("reads every valid document of toml-test as the suite expects", () => {
    const names = listDocuments(join(suite, "valid"));
    assert.ok(names.length >= 210, `only ${names.length} valid documents in ${suite}`);
    for (const name of names) {
      const path = join(suite, "valid", name);
      const expected: unknown = JSON.parse(readFileSync(path.replace(/\.toml$/, ".json"), "utf8"));
      assert.deepEqual(toTagged(decodeToml(readFileSync(path))), normalise(expected), name);
    }
  });

  test("refuses every invalid document of toml-test", () => {
    const names = listDocuments(join(suite, "invalid"));
    assert.ok(names.length >= 499, `only ${names.length} invalid documents in ${suite}`);
    for (const name of names) {
      assert.throws(() => decodeToml(readFileSync(join(suite, "invalid", name))), TomlError, name);
    }
  });
}
