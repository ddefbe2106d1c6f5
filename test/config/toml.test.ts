/**
 * Holds the TOML decoder to what the rules of the language leave open: places, bytes, bounds, and that it always ends
 * with a table or a TomlError.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeToml, parseToml, TomlError, TomlTable } from "../../src/config/toml.ts";
import { INVALID, VALID } from "./toml-cases.ts";

function errorOf(run: () => unknown): TomlError {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof TomlError, `threw ${String(error)}`);
    return error;
  }
  return assert.fail("nothing was thrown");
}

test("an error is one sentence with line and column, and a caret under the character", () => {
  const error = errorOf(() => parseToml('a = 1\nb = "x" y # z\nc = 2\n'));
  assert.equal(error.message, 'Line 2, column 9: expected the end of the line after a value, found "y".');
  assert.equal(String(error), `TomlError: ${error.message}`);
  assert.equal(error.caret, `${error.message}\n2 | b = "x" y # z\n  |         ^`);
});

test("a caret stands right under tabs, wide lines, control characters and CRLF", () => {
  assert.match(errorOf(() => parseToml("\ta\t= x\r\n")).caret, /\n1 \| \ta\t= x\n {2}\| \t \t {2}\^$/);
  const [, line = "", caret = ""] = errorOf(() =>
    parseToml(`a = "${"😀".repeat(300)}" y${"z".repeat(300)}`),
  ).caret.split("\n");
  assert.equal(Array.from(line)[caret.indexOf("^")], "y");
  assert.ok(Array.from(line).length < 120);
  assert.match(errorOf(() => parseToml("a = 1 \u001b[2J")).caret, /a = 1 \ufffd\[2J\n/);
});

test("an error's message quotes no value", () => {
  for (const toml of ['a = "secret', "a = secret", "a = 'secret' 1", 'a = "secret\\q"', "a = 0secret", "a = [secret"])
    assert.doesNotMatch(errorOf(() => parseToml(toml)).message, /secret/);
});

test("every key knows the line on which it was first written", () => {
  const root = parseToml("a = 1\n\n[b.c]\nd.e = 2\nf = [\n1]\ng = { h = 3 }\n[[i]]\n[[i]]\nj = 4\n");
  assert.deepEqual([root.lineOf("a"), root.lineOf("b"), root.lineOf("i"), root.lineOf("z")], [1, 3, 8, 0]);
  const b = root.get("b");
  const c = b instanceof TomlTable ? b.get("c") : undefined;
  assert.ok(b instanceof TomlTable && c instanceof TomlTable);
  assert.deepEqual([b.lineOf("c"), c.lineOf("d"), c.lineOf("f"), c.lineOf("g")], [3, 4, 5, 7]);
});

test("refuses bytes that are not UTF-8 and says where", () => {
  const place = (bytes: number[]): number[] => {
    const error = errorOf(() => decodeToml(Uint8Array.from(bytes)));
    assert.match(error.message, /not UTF-8/);
    return [error.line, error.column];
  };
  const line = [...Buffer.from("a = 1\nb = '")];
  assert.deepEqual(place([...line, 0xff, 0x27]), [2, 6]);
  assert.deepEqual(place([...line, 0xc3, 0xa9, 0xef, 0x41]), [2, 7], "a sequence that breaks off");
  assert.deepEqual(place([...line, 0xef, 0xbf]), [2, 6], "a sequence cut by the end of the file");
  assert.deepEqual(place([...line, 0xed, 0xa0, 0x80]), [2, 6], "half a surrogate pair");
  assert.deepEqual(place([...line, 0xc0, 0x80]), [2, 6], "an overlong form");
  assert.deepEqual(place([0xef, 0xbb, 0xbf, ...line, 0xff]), [2, 6], "after a byte order mark");
});

test("reads UTF-8 bytes, also a replacement character that is really there", () => {
  assert.deepEqual([...decodeToml(Buffer.from("\ufeffa = '\ufffdé'"))], [["a", "\ufffdé"]]);
});

test("a hundred thousand brackets are too deep, not too much for the stack", () => {
  for (const open of ["[", "{a=", "[{a=[", "[\n"])
    assert.match(errorOf(() => parseToml(`a = ${open.repeat(100_000)}`)).message, /deeper than 128 levels/);
  assert.match(errorOf(() => parseToml(`${"a.".repeat(100_000)}b = 1`)).message, /deeper than 128 levels/);
  assert.match(errorOf(() => parseToml("[".repeat(100_000))).message, /expected a key/);
});

test("half a megabyte of one thing neither stops the decoder nor its stack", () => {
  const many = 1 << 19;
  const documents = ["1", "_", "0x", "1_", "1e", '"', "'", "#", " ", "\n", "\r\n", '"""\n', "[],", "\\", "é"];
  const began = process.cpuUsage().user;
  for (const part of documents) {
    const long = part.repeat(many / part.length);
    for (const toml of [long, `a = ${long}`, `a = "${long}"`, `a = """${long}"""`, `a = [${long}]`])
      endsWell(Buffer.from(toml));
  }
  // Processor time, so that a busy machine does not count; quadratic work would take minutes.
  assert.ok(process.cpuUsage().user - began < 20_000_000, "the decoder is not linear");
});

/** Any bytes give a table or a TomlError with a place inside the document. */
function endsWell(bytes: Uint8Array): void {
  try {
    assert.ok(decodeToml(bytes) instanceof TomlTable);
  } catch (error) {
    if (!(error instanceof TomlError))
      assert.fail(`${JSON.stringify(Buffer.from(bytes).toString("latin1").slice(0, 200))} threw ${String(error)}`);
    assert.ok(
      error.line >= 1 && error.column >= 1 && error.line <= bytes.length + 1 && error.column <= bytes.length + 1,
    );
  }
}

/** A small generator with a fixed seed (mulberry32), so that a failure comes back. */
function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

test("random bytes and random TOML characters end with a table or a TomlError", () => {
  const random = createRandom(1);
  const alphabet = Buffer.from("ab01-_.=[]{},\"'\\\n\r #:TZ+exu\t\u00e9");
  for (let round = 0; round < 20_000; round += 1) {
    const length = random(40);
    endsWell(
      Uint8Array.from({ length }, () => (round % 2 === 0 ? random(256) : (alphabet[random(alphabet.length)] ?? 0))),
    );
  }
});

test("mutated documents end with a table or a TomlError", () => {
  const random = createRandom(2);
  const sources = [...VALID, ...INVALID]
    .map(({ toml }) => Buffer.from(toml))
    .filter((bytes) => bytes.length > 0 && bytes.length < 500);
  for (let round = 0; round < 30_000; round += 1) {
    const bytes = [...(sources[random(sources.length)] ?? [])];
    const other = sources[random(sources.length)] ?? Buffer.alloc(0);
    for (let change = random(3); change >= 0; change -= 1) {
      const at = random(bytes.length + 1);
      const kind = random(4);
      if (kind === 0) bytes.splice(at, 1 + random(4));
      else if (kind === 1) bytes.splice(at, 0, random(256));
      else if (kind === 2) bytes[Math.min(at, bytes.length)] = random(128);
      else bytes.splice(at, 0, ...other.subarray(random(other.length), random(other.length + 1)));
    }
    endsWell(Uint8Array.from(bytes));
  }
});
