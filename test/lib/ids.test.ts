/** Names from outside, new ids, hashes and comparisons of secrets. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import test from "node:test";
import {
  DIGEST_PATTERN,
  LABEL_PATTERN,
  NAME_PATTERN,
  REQUEST_ID_PATTERN,
  SHA256_HEX_PATTERN,
  equalSecrets,
  newId,
  newUuid,
  sha256Hex,
  sha256HexOf,
} from "../../src/lib/ids.ts";

const HEX = "0123456789abcdef".repeat(4);

test("a host id is 1 to 64 safe characters and begins with no dot", () => {
  for (const good of ["a", "-", "_", "h-1", "A.b_c-9", "__proto__", "x".repeat(64)])
    assert.ok(NAME_PATTERN.test(good), good);
  for (const bad of ["", ".", "..", ".a", "a/b", "a b", "a\n", "\na", "a\0", "a%2f", "ä", "x".repeat(65)])
    assert.ok(!NAME_PATTERN.test(bad), JSON.stringify(bad));
});

test("an app label is 1 to 64 safe characters, a dot first too", () => {
  for (const good of ["a", ".a", "..", "x".repeat(64)]) assert.ok(LABEL_PATTERN.test(good), good);
  for (const bad of ["", "a/b", "a\n", "x".repeat(65)]) assert.ok(!LABEL_PATTERN.test(bad), JSON.stringify(bad));
});

test("a digest is sha256: and 64 lower-case hex, and nothing around it", () => {
  assert.ok(DIGEST_PATTERN.test(`sha256:${HEX}`));
  const wrong = [
    HEX,
    `sha256:${HEX.toUpperCase()}`,
    `sha256:${HEX}0`,
    `sha256:${HEX.slice(1)}`,
    `sha256:${HEX}\n`,
    ` sha256:${HEX}`,
    `sha512:${HEX}`,
    `sha256:../${HEX}`,
  ];
  for (const bad of wrong) assert.ok(!DIGEST_PATTERN.test(bad), JSON.stringify(bad));
});

test("a licence hash is 64 lower-case hex", () => {
  assert.ok(SHA256_HEX_PATTERN.test(HEX));
  for (const bad of ["", HEX.toUpperCase(), `${HEX}0`, HEX.slice(1), `${HEX}\n`])
    assert.ok(!SHA256_HEX_PATTERN.test(bad), JSON.stringify(bad));
});

test("a client's request id is 1 to 128 safe characters", () => {
  for (const good of ["a", "x".repeat(128), "a.b_c-1"]) assert.ok(REQUEST_ID_PATTERN.test(good), good);
  for (const bad of ["", "x".repeat(129), "a b", "a\r\nb", "a;b"])
    assert.ok(!REQUEST_ID_PATTERN.test(bad), JSON.stringify(bad));
});

test("new ids bear their prefix and do not repeat", () => {
  const ids = new Set(Array.from({ length: 1_000 }, () => newId("m")));
  assert.equal(ids.size, 1_000);
  for (const id of ids) assert.match(id, /^m_[0-9a-f]{20}$/);
  assert.match(newUuid(), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.ok(NAME_PATTERN.test(newUuid()));
});

test("hashes a text as its UTF-8 bytes", () => {
  const text = "licence – ключ";
  const expected = createHash("sha256").update(Buffer.from(text, "utf8")).digest("hex");
  assert.equal(sha256Hex(text), expected);
  assert.equal(sha256HexOf(Buffer.from(text, "utf8")), expected);
});

test("secrets are equal only when every byte is", () => {
  assert.ok(equalSecrets("abc", "abc"));
  assert.ok(equalSecrets("ключ", "ключ"));
  for (const other of ["", "ab", "abd", "abcd", "ABC"]) assert.ok(!equalSecrets("abc", other), other);
  // As many UTF-16 units, another number of bytes.
  assert.ok(!equalSecrets("a", "ä"));
});
