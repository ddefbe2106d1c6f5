/** Tests of asking: keys that edit what nobody sees, lines that are piped in, and giving up. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Io } from "../../src/cli/io.ts";
import { askLine, askSecrets, askYes } from "../../src/cli/password.ts";
import { ManualClock } from "../client/support.ts";
import { Keyboard, Screen } from "./support.ts";

const ONCE = [{ prompt: "Password", twice: false }];
const TWICE = [{ prompt: "New password", twice: true }];

function world(pieces: readonly string[], isTerminal = true) {
  const stdin = new Keyboard(pieces, { isTerminal });
  const stderr = new Screen();
  const io: Io = { stdin, stdout: new Screen(), stderr, env: {}, home: "/nonexistent", clock: new ManualClock() };
  return { io, stdin, stderr };
}

function ask(io: Io, secrets = ONCE, piped = false): Promise<readonly string[]> {
  return askSecrets(io, secrets, piped, "--password-stdin", ["auth", "login"]);
}

test("takes what was typed, key by key or at once, with the keys that correct it", async () => {
  const typed: readonly (readonly [readonly string[], string])[] = [
    [["secret\r"], "secret"],
    [["s", "e", "c", "\n"], "sec"],
    [["wrong\u007f\u007f\bXY\r"], "wrXY"],
    [["\u007f\u007fa\r"], "a"],
    [["wrong\u0015right\r"], "right"],
    [["é😀\u007fx\r"], "éx"],
    [["a\u001b[A\u001b[1;5Cb\u001bOPc\u0001\r"], "abc"],
    [["a\u0004b\r"], "ab"],
  ];
  for (const [pieces, password] of typed) {
    const { io, stdin, stderr } = world(pieces);
    assert.deepEqual(await ask(io), [password], JSON.stringify(pieces));
    assert.deepEqual([stdin.raw, stderr.text], [[true, false], "Password: \n"]);
  }
});

test("asks twice, again where the two differ, and gives up after three times", async () => {
  const { io, stderr } = world(["one\r", "two\r", "three\rthree\r\n"]);
  assert.deepEqual(await ask(io, TWICE), ["three"]);
  assert.equal(
    stderr.text,
    "New password: \nNew password again: \nThe two differ. Once more:\nNew password: \nNew password again: \n",
  );
  const never = world(["1\r2\r3\r4\r5\r6\r7\r7\r"]);
  await assert.rejects(ask(never.io, TWICE), { name: "CliError", message: "The two differ; nothing was changed." });
});

test("gives the terminal back when the person gives up, or the input ends", async () => {
  for (const [keys, message] of [
    ["se\u0003", /^Interrupted/],
    ["\u0004", /^The input ended/],
    ["se", /^The input ended/],
    ["\r", /^Nothing was typed/],
  ] as const) {
    const { io, stdin } = world([keys]);
    await assert.rejects(ask(io), { name: "CliError", message });
    assert.deepEqual(stdin.raw, [true, false]);
  }
});

test("reads a line a secret from a pipe, and only where the flag says so", async () => {
  const [first, second] = [
    { prompt: "Current password", twice: false },
    { prompt: "New password", twice: true },
  ];
  assert.deepEqual(await ask(world(["se", "cret\n"], false).io, ONCE, true), ["secret"]);
  assert.deepEqual(await ask(world([" a b "], false).io, ONCE, true), [" a b "]);
  assert.deepEqual(await ask(world(["old\r\nnew\r\n"], false).io, [first, second], true), ["old", "new"]);
  const refused: readonly (readonly [string, typeof ONCE, boolean, RegExp])[] = [
    ["secret\n", ONCE, false, /no terminal to ask at; pipe it in with --password-stdin/],
    ["", ONCE, true, /must hold one line: password/],
    ["a\nb\n", ONCE, true, /must hold one line/],
    ["a\n", [first, second], true, /must hold 2 lines: current password, then new password/],
    ["a\ufffd\n", ONCE, true, /not UTF-8/],
  ];
  for (const [text, secrets, piped, message] of refused)
    await assert.rejects(ask(world([text], false).io, secrets, piped), { name: "UsageError", message });
  await assert.rejects(
    ask(world(["x".repeat(40_000), "x".repeat(40_000)], false).io, ONCE, true),
    /longer than 65536 characters/,
  );
});

test("takes only y and yes for a yes, and leaves what was typed ahead to the next question", async () => {
  for (const [line, expected] of [
    ["y\n", true],
    ["YES\n", true],
    ["\n", false],
    ["yeah\n", false],
    ["n\n", false],
  ] as const)
    assert.equal(await askYes(world([line]).io, "Sure?"), expected, line);
  const { io } = world(["ann@exam", "ple.com \nsecret\n"]);
  assert.equal(await askLine(io, "Email"), "ann@example.com");
  assert.deepEqual(await ask(io), ["secret"]);
  await assert.rejects(askLine(world(["no end"]).io, "Email"), /The input ended/);
});
