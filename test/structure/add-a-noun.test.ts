/**
 * src/ADD-A-NOUN.md, carried out: its example (a-noun.ts) is put into a copy of the tree, where every check is content;
 * then each step alone is left out, and the check that the page names for it fails. So no step is silent.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after } from "node:test";
import { fileURLToPath } from "node:url";
import type { Check, Edit, NounStep } from "./a-noun.ts";
import { STEPS } from "./a-noun.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const PAGE = readFileSync(join(ROOT, "src/ADD-A-NOUN.md"), "utf8");
/** Checks beside those of the steps, which the whole example must satisfy too. */
const ALSO: readonly Check["by"][] = ["test/structure/imports.test.ts", "test/api/openapi.test.ts"];
/** 1 takes out every step in its turn, 5 each fifth: what fails then depends little on the Node that asks. */
const EACH = Number(process.env["ZWRM_NOUN_STEP"] ?? "1");
const AT_ONCE = 2;

interface Outcome {
  readonly ok: boolean;
  readonly output: string;
}

/** Of each Markdown file with a printed table: what is printed with the whole example. */
type Tables = ReadonlyMap<string, string>;

/** A copy of the tree, in which steps of the example are carried out. */
class Tree {
  readonly folder = mkdtempSync(join(tmpdir(), "zwrm-noun-"));
  readonly #original = new Map<string, string | null>();

  constructor() {
    for (const name of ["src", "test", "scripts", "package.json", "tsconfig.json", "README.md", "CHANGELOG.md"])
      cpSync(join(ROOT, name), join(this.folder, name), { recursive: true });
    symlinkSync(join(ROOT, "node_modules"), join(this.folder, "node_modules"));
  }

  /** Puts these steps into the tree, and takes all others out. */
  write(steps: readonly NounStep[], tables: Tables): void {
    for (const [file, text] of this.#original) this.#put(file, text);
    for (const { edits } of steps) {
      if (edits === "tables") for (const [file, text] of tables) this.#change(file, () => text);
      else for (const edit of edits) this.#change(edit.file, (text) => edited(edit, text));
    }
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }

  /** Whether the check is content; of the types those of src/ alone, a part of `npm run check`, where that will do. */
  run(by: Check["by"], project = "tsconfig.json"): Promise<Outcome> {
    if (by === "types") return this.node(["node_modules/typescript/bin/tsc", "--noEmit", "-p", project]);
    return this.node(["--import", "tsx", "--test", by]);
  }

  node(words: readonly string[]): Promise<Outcome> {
    const { NODE_TEST_CONTEXT: _context, NODE_OPTIONS: _options, ...env } = process.env;
    return new Promise((resolve) => {
      const options = { cwd: this.folder, env, maxBuffer: 64 * 1024 * 1024 };
      execFile(process.execPath, words, options, (error, stdout, stderr) =>
        resolve({ ok: error === null, output: stdout + stderr }),
      );
    });
  }

  #change(file: string, change: (text: string | null) => string): void {
    let before: string | null = null;
    try {
      before = readFileSync(join(this.folder, file), "utf8");
    } catch {
      // It is new.
    }
    if (!this.#original.has(file)) this.#original.set(file, before);
    this.#put(file, change(before));
  }

  #put(file: string, text: string | null): void {
    if (text === null) rmSync(join(this.folder, file), { force: true });
    else writeFileSync(join(this.folder, file), text);
  }
}

function edited({ file, after: anchor, insert }: Edit, text: string | null): string {
  if (anchor === null) {
    assert.equal(text, null, `${file} is there already`);
    return insert;
  }
  const parts = text?.split(anchor) ?? [];
  assert.equal(parts.length, 2, `${file} has its place exactly once: ${anchor}`);
  return `${parts[0] ?? ""}${anchor}${insert}${parts[1] ?? ""}`;
}

/** Prints every table of the documents anew, between its markers, wherever they stand. */
const PRINT = `
  const { readFileSync, readdirSync } = await import("node:fs");
  const { documentTables } = await import("./scripts/docs.d/tables.ts");
  const files = ["README.md", ...readdirSync("src", { recursive: true }).filter((name) => name.endsWith(".md"))
    .map((name) => "src/" + name)];
  const printed = files.flatMap((file) => {
    const before = readFileSync(file, "utf8");
    const after = Object.entries(documentTables()).reduce((text, [name, table]) =>
      text.replace(new RegExp("(<!-- " + name + " -->\\\\n)[^]*?(\\\\n<!-- /" + name + " -->)"),
        (_all, open, close) => open + table + close), before);
    return before === after ? [] : [[file, after]];
  });
  process.stdout.write(JSON.stringify(printed));
`;

async function printTables(tree: Tree): Promise<Tables> {
  const { ok, output } = await tree.node(["--import", "tsx", "--input-type=module", "--eval", PRINT]);
  assert.ok(ok, output);
  return new Map(JSON.parse(output) as [string, string][]);
}

const trees = Array.from({ length: AT_ONCE }, () => new Tree());
after(() => trees.forEach((tree) => tree.remove()));
const [first] = trees;
assert.ok(first !== undefined);
first.write(STEPS, new Map());
const tables = await printTables(first);
const free = [...trees];

/** Gives a tree of those that nobody has; there are as many as tests that run at once. */
async function inTree(steps: readonly NounStep[], look: (tree: Tree) => Promise<void>): Promise<void> {
  const tree = free.pop();
  assert.ok(tree !== undefined);
  tree.write(steps, tables);
  await look(tree).finally(() => free.push(tree));
}

test("the page names every step with its check, and the files of the example", () => {
  for (const { what, edits, check } of STEPS) {
    const row = PAGE.split("\n").find((line) => line.includes(`| ${what} |`)) ?? "";
    assert.notEqual(row, "", what);
    assert.ok(
      row.includes(check.by === "types" ? "`npm run check`" : check.by.slice("test/".length)),
      `${what}: ${row}`,
    );
    if (edits === "tables") continue;
    for (const { file } of edits)
      assert.ok(row.includes(file.replace("memos.ts", "NOUN.ts").replace(/^src\//, "")), `${what} names ${file}`);
  }
  const files = new Set(STEPS.flatMap(({ edits }) => (edits === "tables" ? [] : edits.map(({ file }) => file))));
  const sources = [...files].filter((file) => file.startsWith("src/")).length;
  assert.ok(PAGE.includes(`${sources} source files`), `${sources} source files`);
  assert.ok(PAGE.includes(`${STEPS.length} steps`), `${STEPS.length} steps`);
});

test("a noun of the example", { concurrency: AT_ONCE }, async (context) => {
  const checks = new Set([...STEPS.map(({ check }) => check.by), ...ALSO]);
  const whole = [...checks].map((by) =>
    context.test(`is whole with all of its steps: ${by}`, () =>
      inTree(STEPS, async (tree) => {
        const { ok, output } = await tree.run(by, "test/tsconfig.json");
        assert.ok(ok, output);
      }),
    ),
  );
  const without = STEPS.filter((_step, index) => index % EACH === 0).map((step) =>
    context.test(`is refused without ${step.what}, by ${step.check.by}`, () =>
      inTree(
        STEPS.filter((other) => other !== step),
        async (tree) => {
          const { ok, output } = await tree.run(step.check.by);
          assert.ok(!ok, `nobody has seen that ${step.what} is missing`);
          assert.match(output, step.check.says);
        },
      ),
    ),
  );
  await Promise.all([...whole, ...without]);
});
