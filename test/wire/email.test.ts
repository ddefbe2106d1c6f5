/** Tests of addresses: which two are one person's, and what a new one may be. */
import assert from "node:assert/strict";
import test from "node:test";
import { emailKey, newEmail, normalizeEmail } from "../../src/wire/email.ts";
import { readField } from "../../src/wire/schema.ts";

const COMPOSED = "zo\u00eb@example.com";

test("one address has one form: composed, of common width, in lower case", () => {
  for (const written of [
    "Zoe\u0308@Example.com",
    "ZO\u00cb@EXAMPLE.COM",
    " zo\u00eb@example.com ",
    "\uff5a\uff4f\u00eb@example.com",
  ])
    assert.equal(normalizeEmail(written), COMPOSED);
  assert.equal(normalizeEmail("\u212aim@example.com"), "kim@example.com", "the Kelvin sign is a K");
  for (const address of [COMPOSED, "\u0130@example.com", "\u1e9e@x", "\ufb01@x"]) {
    assert.equal(normalizeEmail(normalizeEmail(address)), normalizeEmail(address), "and that form is its own");
  }
});

test("what is compared lacks what nobody sees", () => {
  for (const alike of [
    "ann@example.com",
    "ann\u200b@example.com",
    "\ufeffann@exam\u00adple.com",
    "AN\u2060N@example.com",
  ])
    assert.equal(emailKey(alike), "ann@example.com");
  assert.notEqual(
    emailKey("\u0430nn@example.com"),
    emailKey("ann@example.com"),
    "another letter is another letter, whatever it looks like",
  );
});

test("a new address is kept in its form; one with blanks, hidden characters or a second at sign is none", () => {
  const read = (text: string): string => readField(newEmail, "email", text);
  assert.deepEqual(["Cy@Example.com", "zoe\u0308@example.com", "ann+ops@example.com", "用户@例え.jp"].map(read), [
    "cy@example.com",
    COMPOSED,
    "ann+ops@example.com",
    "用户@例え.jp",
  ]);
  const bad = [
    "ann",
    "@x",
    "a@",
    "a@b@c",
    "a\uff20b@c",
    "a b@c",
    " a@b",
    "a\u00a0b@c",
    "a\u2003@c",
    "a\u200b@c",
    "a\u00ad@c",
    "\u202ea@c",
    "a\u3164@c",
    "a\ufe0f@c",
    "a\u{e000}@c",
    "a\ud800@c",
    "a\u0378@c",
    `${"a".repeat(65)}@c`,
  ];
  for (const text of bad) {
    assert.throws(() => read(text), { code: "invalid_field", message: /^email must be / }, JSON.stringify(text));
  }
});
