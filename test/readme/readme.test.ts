import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { listSettings } from "../../src/config/schema.ts";
import { generateConfig } from "../../src/config/generate.ts";
import { USAGE } from "../../src/daemon/arguments.ts";
import { readmeTables } from "../../scripts/readme-tables.ts";

const README = readFileSync(new URL("../../README.md", import.meta.url), "utf8");

for (const [name, text] of Object.entries(readmeTables())) {
  test(`README.md has the ${name} of the code, each row to the letter (scripts/readme-tables.ts prints them)`, () => {
    const found = README.split(`<!-- ${name} -->\n`)[1]?.split(`\n<!-- /${name} -->`)[0];
    assert.equal(found, text);
  });
}

test("every config key and its environment variable are in --generate-config", () => {
  const printed = generateConfig();
  for (const { section, key, variable } of listSettings()) {
    assert.ok(printed.includes(`[${section}]`), section);
    assert.match(printed, new RegExp(`^#? ?${key} = `, "m"), `${section}.${key}`);
    assert.ok(printed.includes(variable), variable);
  }
});

test("every command of zwrmd is in README.md", () => {
  for (const [, command] of USAGE.matchAll(/^ {2}(zwrmd (?:journal|images) [a-z]+)/gm))
    assert.ok(README.includes(command ?? "?"), command);
});

test("README.md names both commands of a fresh machine behind their markers", () => {
  for (const marker of ["start", "test"])
    assert.match(README, new RegExp(`<!-- ${marker} -->\\n+\`\`\`[a-z]*\\nnpm ci && npm [a-z]+\\n`), marker);
});
