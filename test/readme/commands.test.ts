/**
 * Every command of our programs in a document is one that they know, with its flags, and none that it names touches
 * what is not the reader's.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parseArguments as parseAgent } from "../../src/agent/arguments.ts";
import { COMMANDS } from "../../src/cli/commands.ts";
import { GLOBAL_FLAGS, parse } from "../../src/cli/parse.ts";
import { parseArguments as parseDaemon } from "../../src/daemon/arguments.ts";
import { messageOf } from "../../src/lib/errors.ts";
import { commandsOf } from "./commands.ts";
import { blocksOf, DOCUMENTS, ROOT, spansOf } from "./documents.ts";

const TYPED = [...DOCUMENTS.values()].flatMap((text) => commandsOf(text));

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

/** What stands for something in the middle of a sentence, and what a reader would put there. */
const STAND_INS: Readonly<Record<string, string>> = {
  SEQ: "1",
  "SEQ:SUM": `1:${"0".repeat(64)}`,
  TIME: "2026-01-31T08:00:00Z",
  N: "1",
};

/**
 * What is wrong with a command that a sentence names (`zwrm machines stop|start|rm`, `zwrm-agent logs ID [--follow]`):
 * it may leave out arguments and values, but what it says is there.
 */
function wrongWith(span: string): string | null {
  const [program = "", ...rest] = span
    // In a table a bar is escaped.
    .replaceAll("\\|", "|")
    .replace(/[[\]]/g, "")
    .split(/ \| | >|…|\.\.\./)[0]
    ?.trim()
    .split(/ +/) ?? [""];
  const each = rest.reduce<readonly (readonly string[])[]>(
    (lines, word) => word.split("|").flatMap((one) => lines.map((line) => [...line, STAND_INS[one] ?? one])),
    [[]],
  );
  const found = each.map((words) => wrongWithOne(program, words)).filter((one) => one !== null);
  return found.length === 0 ? null : `${span}: ${found.join(" ")}`;
}

function wrongWithOne(program: string, words: readonly string[]): string | null {
  if (program === "zwrm") return wrongWithClient(words);
  try {
    if (program === "zwrmd") parseDaemon(words);
    else parseAgent(words);
    return null;
  } catch (error) {
    const message = messageOf(error);
    return /needs a value|takes one file|needs the id of a machine|needs the path of a file/.test(message)
      ? null
      : message;
  }
}

function wrongWithClient(given: readonly string[]): string | null {
  // `zwrm COMMAND --help` is said of all of them.
  const words = given[0] === "COMMAND" ? given.slice(1) : given;
  const { command, given: read, topic, globals, problem } = parse(words, COMMANDS);
  if (globals.has("help") || globals.has("version")) return null;
  if (problem !== null) {
    const isShort = / needs a (?:command|value)/.test(problem.message);
    return isShort && (topic.length > 0 || words.length === 0 || words[0]?.startsWith("-") === true)
      ? null
      : problem.message;
  }
  try {
    command?.prepare(read);
    return null;
  } catch (error) {
    const message = messageOf(error);
    return /one word too many/.test(message) ? message : null;
  }
}

for (const [path, text] of DOCUMENTS) {
  test(`${path} names commands and flags that there are`, () => {
    const named = spansOf(text).filter((span) => /^(?:zwrm|zwrmd|zwrm-agent)(?: |$)/.test(span));
    assert.deepEqual(
      named.map(wrongWith).filter((one) => one !== null),
      [],
    );
  });

  test(`${path} names scripts that there are`, () => {
    const code = [...spansOf(text), ...blocksOf(text).map((block) => block.text)].join("\n");
    for (const [, script = ""] of code.matchAll(/(?<![\w/.-])(scripts\/[\w./-]*\w)/g))
      assert.ok(existsSync(join(ROOT, script)), script);
    const manifest = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
      readonly scripts: Readonly<Record<string, string>>;
    };
    for (const [, script = ""] of code.matchAll(/\bnpm run (?:--silent )?([\w:-]+)/g))
      assert.ok(Object.hasOwn(manifest.scripts, script), `npm run ${script}`);
  });

  test(`${path} shows output only below what was typed`, () => {
    for (const { kind, text: block } of blocksOf(text)) if (kind === "console") assert.match(block, /^\$ /);
  });
}

const WRONG: readonly [span: string, said: RegExp][] = [
  ["zwrm hosst list", /There is no command/],
  ["zwrm host drian H", /There is no command/],
  ["zwrm host drain H --paralel 2", /There is no flag --paralel/],
  ["zwrm host drain H G", /one word too many/],
  ["zwrm machines stop|strat ID", /There is no command/],
  ["zwrmd jurnal verify", /unknown command/],
  ["zwrmd journal verify --since TIME", /does not go with/],
  ["zwrm-agent logs ID [--folow]", /unknown flag/],
];

for (const [span, said] of WRONG) {
  test(`a sentence that says ${span} is found out`, () => assert.match(wrongWith(span) ?? "", said));
}

test("a command in a sentence may be short, and may leave things open", () => {
  for (const span of [
    "zwrm",
    "zwrm deploy",
    "zwrm auth",
    "zwrm host drain H --max-parallel",
    "zwrm machines stop|start|rm",
    String.raw`zwrm machines stop\|start\|rm`,
    "zwrm COMMAND --help",
    "zwrm version",
    "zwrm … | head",
    "zwrmd journal verify --head SEQ:SUM",
    "zwrmd backup",
    "zwrm-agent logs ID [--follow]",
  ])
    assert.equal(wrongWith(span), null, span);
});

test("no command ends processes by a name that others may have", () => {
  for (const command of TYPED) assert.doesNotMatch(command, /\b(?:pkill|killall)\b/, command);
});
