/**
 * Holds the generated configuration file to describing every setting and to meaning exactly the defaults, as it stands
 * and uncommented.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { generateConfig } from "../../src/config/generate.ts";
import type { Loaded } from "../../src/config/load.ts";
import { loadConfig } from "../../src/config/load.ts";
import { listSettings } from "../../src/config/schema.ts";
import { parseToml, TomlTable } from "../../src/config/toml.ts";

const folder = mkdtempSync(join(tmpdir(), "zwrm-config-"));
after(() => rmSync(folder, { recursive: true }));

const generated = generateConfig();
const uncommented = generated.replace(/^#(?=[a-z_]+ = )/gm, "");

function load(toml: string | null): Loaded {
  const path = toml === null ? null : join(folder, "config.toml");
  if (path !== null) writeFileSync(path, toml ?? "", { mode: 0o640 });
  return loadConfig({ path, required: true, env: {}, overrides: {} });
}

test("the generated file means the defaults, as it stands and with every setting uncommented", () => {
  const defaults = load(null);
  assert.deepEqual(load(generated), defaults);
  assert.deepEqual(load(uncommented), defaults);
});

test("as it stands it sets nothing; uncommented it sets every setting", () => {
  const keysOf = (toml: string): string[] =>
    [...parseToml(toml)].flatMap(([section, table]) =>
      table instanceof TomlTable ? [...table.keys()].map((key) => `${section}.${key}`) : [],
    );
  assert.deepEqual(keysOf(generated), []);
  assert.deepEqual(
    keysOf(uncommented),
    listSettings().map(({ section, key }) => `${section}.${key}`),
  );
});

test("right above each setting stand its docs, what it takes, its default and its variable", () => {
  for (const { key, variable, setting } of listSettings()) {
    const lines = [
      ...setting.docs,
      `Takes ${setting.expected}.`,
      `Default: ${setting.literal}. Variable: ${variable}.${setting.reload ? " Applied on SIGHUP." : ""}`,
    ];
    assert.ok(
      generated.includes(`\n${lines.map((line) => `# ${line}\n`).join("")}#${key} = ${setting.literal}\n`),
      variable,
    );
  }
});

test("every line fits a terminal, and the file ends with one newline", () => {
  assert.ok(generated.split("\n").every((line) => line.length <= 120));
  assert.match(generated, /[^\n]\n$/);
});
