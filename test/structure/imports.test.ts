/**
 * The tree is the architecture: imports go down only, in no circle, to nothing from outside; and no file says what its
 * room does not own.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { posix } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { BANS, SEES, breachesOf, folderOf, importsOf, openingOf, whyNotImport } from "./source.ts";

const SRC = fileURLToPath(new URL("../../src/", import.meta.url));
const MAX_LINES = 300;
const MAX_COLUMNS = 120;

/** Everything below src by its path there. */
const TREE: ReadonlyMap<string, string> = new Map(
  readdirSync(SRC, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => posix.join(entry.parentPath, entry.name))
    .sort()
    .map((path) => [path.slice(SRC.length), readFileSync(path, "utf8")]),
);

/** The source files. */
const FILES: ReadonlyMap<string, string> = new Map([...TREE].filter(([path]) => path.endsWith(".ts")));

/** A file's imports that are ours, as paths below src. */
function relativeImports(path: string, source: string): string[] {
  return importsOf(source)
    .filter((specifier) => specifier.startsWith("."))
    .map((specifier) => posix.join(posix.dirname(path), specifier));
}

/** Says every finding at once. */
function assertNone(found: readonly string[]): void {
  assert.equal(found.join("\n"), "");
}

function inEach(look: (path: string, source: string) => readonly string[]): string[] {
  return [...FILES].flatMap(([path, source]) => look(path, source).map((found) => `${path}: ${found}`));
}

test("there are files to look at, in every room of the table that is built", () => {
  assert.ok(FILES.size > 30);
  const rooms = new Set([...FILES.keys()].map(folderOf).filter((folder) => folder !== null));
  assert.deepEqual(
    [...rooms].filter((room) => SEES[room] === undefined),
    [],
  );
  for (const room of ["lib", "http", "journal", "state", "fleet", "api"]) assert.ok(rooms.has(room), room);
});

test("every source file is TypeScript, or a document of the room that it lies in", () => {
  assertNone([...TREE.keys()].filter((path) => !path.endsWith(".ts") && !/^(?:[a-z]+\/)?[A-Z-]+\.md$/.test(path)));
});

test("every link of a document leads to a file that is there", () => {
  const documents = [...TREE].filter(([path]) => path.endsWith(".md"));
  assert.ok(documents.length >= 3);
  const broken = documents.flatMap(([path, text]) =>
    [...text.matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)]
      .map(([, target = ""]) => posix.join(posix.dirname(path), target))
      .filter((target) => !TREE.has(target) && !existsSync(posix.join(SRC, target)))
      .map((target) => `${path}: ${target}`),
  );
  assertNone(broken);
});

test("imports are node: modules or relative .ts files that are there", () => {
  const isOurs = (path: string, specifier: string): boolean =>
    /^\.\.?\/.*\.ts$/.test(specifier) && FILES.has(posix.join(posix.dirname(path), specifier));
  assertNone(
    inEach((path, source) =>
      importsOf(source).filter((specifier) => !specifier.startsWith("node:") && !isOurs(path, specifier)),
    ),
  );
});

test("imports go down only, types too, and siblings do not meet", () => {
  assertNone(
    inEach((path, source) => relativeImports(path, source).flatMap((target) => whyNotImport(path, target) ?? [])),
  );
});

/** The first circle found from `path`, as the files on it. */
function circleFrom(path: string, trail: readonly string[], done: Set<string>): readonly string[] | null {
  if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path];
  if (done.has(path)) return null;
  for (const next of relativeImports(path, FILES.get(path) ?? "")) {
    const circle = circleFrom(next, [...trail, path], done);
    if (circle !== null) return circle;
  }
  done.add(path);
  return null;
}

test("no files import each other in a circle, types too", () => {
  const done = new Set<string>();
  for (const path of FILES.keys()) assert.equal(circleFrom(path, [], done)?.join(" -> ") ?? "", "");
});

test(`no file is longer than ${MAX_LINES} lines`, () => {
  assertNone(
    inEach((_path, source) =>
      source.trimEnd().split("\n").length > MAX_LINES ? [`${source.trimEnd().split("\n").length} lines`] : [],
    ),
  );
});

test(`no line of the sources, the tests and the scripts is longer than ${MAX_COLUMNS} columns`, () => {
  const root = posix.join(SRC, "..");
  const folders = ["src", "test", "scripts"].map((name) => posix.join(root, name));
  const paths = folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && /\.(?:ts|mjs)$/.test(entry.name))
      .map((entry) => posix.join(entry.parentPath, entry.name)),
  );
  assert.ok(paths.length > 400, `${paths.length} files`);
  const long = paths.flatMap((path) => {
    const lines = readFileSync(path, "utf8").split("\n");
    return lines.flatMap((line, index) =>
      line.length > MAX_COLUMNS ? [`${path.slice(root.length)}:${index + 1}: ${line.length} columns`] : [],
    );
  });
  assertNone(long);
});

/** Words of our own making, and what the field says in their stead. */
const PRIVATE_WORDS: Readonly<Record<string, string>> = {
  crew: "the machines of an app",
  forsaken: "orphaned",
  streaky: "in a crash loop",
  wanted_state: "desired state",
  real_state: "actual state",
};

test("the code speaks the words of the field, and none of its own making", () => {
  assertNone(
    inEach((_path, source) =>
      Object.entries(PRIVATE_WORDS).flatMap(([word, better]) =>
        new RegExp(`\\b${word}\\b`, "i").test(source) ? [`${word}: say ${better}`] : [],
      ),
    ),
  );
});

test("every file opens with a sentence that says what it owns", () => {
  assertNone([...FILES].filter(([, source]) => !/^\S.{20,}/.test(openingOf(source) ?? "")).map(([path]) => path));
});

for (const { what, owners = {} } of BANS) {
  test(`no file says ${what}${Object.keys(owners).length === 0 ? "" : " but those that own it"}`, () => {
    assertNone(inEach((path, source) => breachesOf(path, source).filter((breach) => breach === what)));
  });
}

test("reducers know no clock, no randomness and no input or output: they import the state alone", () => {
  const pure = [...FILES].filter(([path]) => /^state\/(?:.*reducers|table|state|events|types)\.ts$/.test(path));
  assert.ok(pure.length >= 5);
  const isState = (specifier: string): boolean =>
    specifier.startsWith("./") ||
    specifier.startsWith("../wire/") ||
    ["../journal/types.ts", "../lib/id-types.ts"].includes(specifier);
  assertNone(
    pure.flatMap(([path, source]) =>
      importsOf(source)
        .filter((specifier) => !isState(specifier))
        .map((specifier) => `${path}: ${specifier}`),
    ),
  );
});

test("decisions of the fleet make no ids and read no files: ids and times are given to them", () => {
  assertNone(
    inEach((path, source) =>
      folderOf(path) === "fleet" ? importsOf(source).filter((specifier) => specifier.startsWith("node:")) : [],
    ),
  );
});
