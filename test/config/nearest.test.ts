/** Holds the suggestions for mistyped names to being near, and to being absent where nothing is. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { nearestName } from "../../src/config/nearest.ts";

const KEYS = ["host", "port", "socket", "read_timeout", "write_timeout", "idle_timeout", "max_connections"];

test("finds the name behind swapped, missing, doubled and wrong letters", () => {
  for (const [given, meant] of [
    ["prot", "port"],
    ["hst", "host"],
    ["hostt", "host"],
    ["sockat", "socket"],
    ["read-timeout", "read_timeout"],
    ["Port", "port"],
    ["max_conections", "max_connections"],
    ["wirte_timeuot", "write_timeout"],
  ] as const) {
    assert.equal(nearestName(given, KEYS), meant, given);
  }
});

test("prefers the name with the fewest mistakes, a swap being one", () => {
  assert.equal(nearestName("abdc", ["abxx", "abcd", "axdc"]), "abcd");
  assert.equal(nearestName("ab", ["xab", "ba"]), "xab");
  assert.equal(nearestName("abcd", ["acbd", "abxd1"]), "acbd");
});

test("two mistakes are near in a short name, two in five letters of a long one", () => {
  assert.equal(nearestName("abcd", ["abxy"]), "abxy");
  assert.equal(nearestName("abcd", ["axyz"]), null);
  assert.equal(nearestName("abcdefghij", ["abcdefwxyz"]), "abcdefwxyz");
  assert.equal(nearestName("abcdefghij", ["abcdevwxyz"]), null);
});

test("suggests nothing where nothing is near, nor for a name as long as a page", () => {
  assert.equal(nearestName("colour", KEYS), null);
  assert.equal(nearestName("x", ["ab", "y"]), null);
  assert.equal(nearestName("port", []), null);
  assert.equal(nearestName("p".repeat(64), ["p".repeat(65)]), "p".repeat(65));
  assert.equal(nearestName("p".repeat(65), ["p".repeat(66)]), null);
});
