/**
 * Every command of our programs in README.md is one that they know, and none that it names touches what is not the
 * reader's.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseArguments as parseAgent } from "../../src/agent/arguments.ts";
import { COMMANDS } from "../../src/cli/commands.ts";
import { GLOBAL_FLAGS, parse } from "../../src/cli/parse.ts";
import { parseArguments as parseDaemon } from "../../src/daemon/arguments.ts";
import { commandsOf, README } from "./commands.ts";

const TYPED = commandsOf(README);

/** Each call of a program in the commands, in the words that a shell makes of it. */
function callsOf(program: string): readonly (readonly string[])[] {
  const lines = TYPED.flatMap((command) => command.replaceAll("\\\n", " ").split("\n")).map((line) =>
    line.replace(/\s#.*$/, ""),
  );
  const parts = lines
    .flatMap((line) => line.split(/\||&&|;|\$\(|\)/))
    .map((part) => part.trim().replace(/^(?:runuser -u \S+ -- )/, ""));
  return parts.filter((part) => part.startsWith(`${program} `)).map((part) => wordsOf(part).slice(1));
}

function wordsOf(part: string): readonly string[] {
  const withoutRedirects = part.replace(/\s[<>]{1,2}\S+/g, "");
  return [...withoutRedirects.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(
    ([, double, single, plain]) => double ?? single ?? plain ?? "",
  );
}

test("every zwrm command is known, with its flags and values", () => {
  const calls = callsOf("zwrm");
  assert.ok(calls.length > 20, `${calls.length} were found`);
  for (const words of calls) {
    const { command, given, globals, problem } = parse(words, COMMANDS);
    assert.equal(problem, null, words.join(" "));
    assert.ok(Object.keys(GLOBAL_FLAGS).length >= globals.size);
    assert.doesNotThrow(() => command?.prepare(given), words.join(" "));
  }
});

test("every zwrmd and zwrm-agent command is known", () => {
  assert.ok(callsOf("zwrmd").length > 5);
  for (const words of callsOf("zwrmd")) assert.doesNotThrow(() => parseDaemon(words), words.join(" "));
  for (const words of callsOf("zwrm-agent")) assert.doesNotThrow(() => parseAgent(words), words.join(" "));
});

test("no command ends processes by a name that others may have", () => {
  for (const command of TYPED) assert.doesNotMatch(command, /\b(?:pkill|killall)\b/, command);
});
