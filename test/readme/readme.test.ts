/** What the documents say that the code knows better: tables, commands, config keys; and README's own promises. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { documentTables } from "../../scripts/docs.d/tables.ts";
import { withTable } from "../../scripts/docs.ts";
import { generateAgentConfig } from "../../src/agent/settings-generate.ts";
import { listSettings as listAgentSettings } from "../../src/agent/settings.ts";
import { ROUTES } from "../../src/api/routes.ts";
import { generateConfig } from "../../src/config/generate.ts";
import { listSettings } from "../../src/config/schema.ts";
import { USAGE } from "../../src/daemon/arguments.ts";
import { ERRORS } from "../../src/lib/errors.ts";
import { CATALOGUE } from "../../src/metrics/catalogue.ts";
import { documentAt, DOCUMENTS } from "./documents.ts";

const README = documentAt("README.md");
const OPERATING = documentAt("src/daemon/OPERATING.md");
const REFERENCE = documentAt("src/api/REFERENCE.md");
const MAX_LINES = 200;

for (const [name, text] of Object.entries(documentTables())) {
  test(`one document has the ${name} of the code, each row to the letter (scripts/docs.ts writes them)`, () => {
    const places = [...DOCUMENTS.values()].filter((document) => document.includes(`\n<!-- ${name} -->\n`));
    assert.equal(places.length, 1, `${places.length} documents have a place for them`);
    const found = places[0]?.split(`\n<!-- ${name} -->\n`)[1]?.split(`\n<!-- /${name} -->\n`)[0];
    assert.equal(found, text);
  });
}

test("what the code knows is put between its markers and changes nothing else", () => {
  const before = "a\n<!-- x -->\nold\n<!-- /x -->\nb\n";
  assert.equal(withTable(before, "x", "new\nrows"), "a\n<!-- x -->\nnew\nrows\n<!-- /x -->\nb\n");
  assert.equal(withTable(withTable(before, "x", "new"), "x", "old"), before);
  assert.equal(withTable("<!-- x -->\n<!-- /x -->\n", "x", "new"), "<!-- x -->\nnew\n<!-- /x -->\n");
  assert.equal(withTable(before, "y", "new"), before);
});

test("every route, error, metric and setting is in a document", () => {
  for (const { method, pattern, call } of ROUTES) {
    assert.match(REFERENCE, new RegExp(`^\\| ${method} +\\| \`${pattern.replace(/[{}.]/g, "\\$&")}\` `, "m"));
    const isServed = Object.keys(call.answers).length > 0;
    assert.equal(REFERENCE.includes(`\n### ${method} ${pattern}\n\n${call.summary}.\n`), isServed, pattern);
  }
  for (const code of Object.keys(ERRORS)) assert.ok(REFERENCE.includes(`\n| \`${code}\` `), code);
  for (const { name } of Object.values(CATALOGUE)) assert.match(OPERATING, new RegExp(`^\\| \`${name}[\`{]`, "m"));
  for (const { section, key } of listSettings()) assert.ok(OPERATING.includes(`\n| \`${section}.${key}\` `), key);
});

const FIELDS: readonly [what: string, row: RegExp][] = [
  ["with its type, range and default", /^\| `max_parallel` +\| whole number from 1 to 1000, default 2 +\|/m],
  ["with its unit", /^\| `deadline_seconds` +\| whole number from 1 to 2592000 +\| Seconds\. \|/m],
  ["that is required", /^\| `image` +\| required, text +\| sha256: and 64 lower-case hex characters\. \|/m],
  ["within another", /^\| `capacity\.memory_mb` +\| required, whole number from 1 to 1099511627776 +\| MiB\. \|/m],
  ["that is one of some words", /^\| `on_host_loss` +\| `replace`, `wait`, default "replace" +\|/m],
  ["that may be null", /^\| `started_at` +\| null or time +\| \|/m],
  ["that is a shape of its own", /^\| `check` +\| \[Check\]\(#check\) +\|/m],
];

for (const [what, row] of FIELDS) {
  test(`the reference shows a field ${what}`, () => assert.match(REFERENCE, row));
}

test("every config key and its environment variable are in --generate-config", () => {
  const printed = generateConfig();
  for (const { section, key, variable } of listSettings()) {
    assert.ok(printed.includes(`[${section}]`), section);
    assert.match(printed, new RegExp(`^#? ?${key} = `, "m"), `${section}.${key}`);
    assert.ok(printed.includes(variable), variable);
  }
});

test("every key of the agent and its environment variable are in its --generate-config", () => {
  const printed = generateAgentConfig();
  for (const { section, key, variable } of listAgentSettings()) {
    assert.ok(section === "" || printed.includes(`[${section}]`), section);
    assert.match(printed, new RegExp(`^#? ?${key} = `, "m"), `${section}.${key}`);
    assert.ok(printed.includes(variable), variable);
  }
});

test("every command of zwrmd is in daemon/OPERATING.md", () => {
  const commands = [...USAGE.matchAll(/^ {2}(zwrmd (?:(?:journal|images) [a-z]+|backup|restore))/gm)];
  assert.ok(commands.length >= 6);
  for (const [, command] of commands) assert.ok(OPERATING.includes(command ?? "?"), command);
});

test("README.md names both commands of a fresh machine behind their markers", () => {
  for (const marker of ["start", "test"])
    assert.match(README, new RegExp(`<!-- ${marker} -->\\n+\`\`\`[a-z]*\\nnpm ci && npm [a-z]+\\n`), marker);
});

test(`README.md has less than ${MAX_LINES} lines`, () => {
  const lines = README.trimEnd().split("\n").length;
  assert.ok(lines < MAX_LINES, `${lines} lines`);
});
