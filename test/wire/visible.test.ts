/** Tests of what shows nothing: refused where a text tells things apart, left where a script needs it. */
import assert from "node:assert/strict";
import test from "node:test";
import { readField } from "../../src/wire/schema.ts";
import { hidesSomething, onlyVisible, visibleText } from "../../src/wire/visible.ts";

const HIDDEN = [
  "\u0000",
  "\u0007",
  "\u0085",
  "\u00ad",
  "\u034f",
  "\u061c",
  "\u115f",
  "\u180e",
  "\u200b",
  "\u200c",
  "\u200d",
  "\u200e",
  "\u202e",
  "\u2028",
  "\u2060",
  "\u2066",
  "\u2800",
  "\u3164",
  "\ufe0f",
  "\ufeff",
  "\uffa0",
  "\ud800",
  "\u{e0020}",
  "\u{e0100}",
];

test("sees every kind of character that nobody sees", () => {
  for (const char of HIDDEN)
    assert.deepEqual(
      [hidesSomething(`a${char}`), hidesSomething(`${char}a`)],
      [true, true],
      `U+${char.codePointAt(0)?.toString(16)}`,
    );
});

test("leaves what scripts and emoji are written with", () => {
  for (const text of [
    "Ann",
    "Zoë Ångström",
    "می‌خواهم",
    "क्‍ष",
    "👩‍🚀",
    "🏳️‍🌈",
    "1️⃣",
    "山田 太郎",
    "O’Brien-Müller (ops)",
  ]) {
    assert.equal(hidesSomething(text), false, text);
  }
});

test("a text without what nobody sees is the same text otherwise", () => {
  assert.equal(onlyVisible("a\u200bn\u00adn\ufeff"), "ann");
  assert.equal(onlyVisible("Zoë"), "Zoë");
});

test("a name shows all that it has, and something", () => {
  const read = (text: string): string => readField(visibleText({ min: 0, max: 8 }), "name", text);
  for (const good of ["", "a", "Zoë", "a b", "…", "👩‍🚀"]) assert.equal(read(good), good);
  for (const bad of [" ", "\u00a0\u2003", "a\u200bb", "\u202ebob", "bob\u200d", "\u3164", "x".repeat(9)]) {
    assert.throws(() => read(bad), { code: "invalid_field" }, JSON.stringify(bad));
  }
});
