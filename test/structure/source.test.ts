/**
 * The checks of the structure see what they look for: each is given something that breaks it, and something that only
 * looks so.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { breachesOf, codeOf, importsOf, openingOf, whyNotImport } from "./source.ts";

const DOWN: readonly [from: string, to: string][] = [
  ["journal/journal.ts", "lib/clock.ts"],
  ["http/server.ts", "lib/errors.ts"],
  ["state/store.ts", "journal/types.ts"],
  ["images/decide.ts", "http/range.ts"],
  ["fleet/fleet.ts", "state/store.ts"],
  ["api/hosts.ts", "fleet/drain.ts"],
  ["daemon/daemon.ts", "api/routes.ts"],
  ["daemon/tools.ts", "client/http.ts"],
  ["cli/host.ts", "client/http.ts"],
  ["agent/loop.ts", "config/load.ts"],
  ["fleet/fleet.ts", "fleet/drain.ts"],
  ["zwrmd.ts", "daemon/main.ts"],
];
const NOT_DOWN: readonly [from: string, to: string][] = [
  ["lib/clock.ts", "journal/types.ts"],
  ["journal/journal.ts", "state/store.ts"],
  ["journal/journal.ts", "http/types.ts"],
  ["http/server.ts", "metrics/registry.ts"],
  ["state/store.ts", "fleet/drain.ts"],
  ["fleet/fleet.ts", "images/store.ts"],
  ["identity/access.ts", "fleet/fleet.ts"],
  ["images/store.ts", "api/app.ts"],
  ["api/hosts.ts", "daemon/daemon.ts"],
  ["api/hosts.ts", "client/http.ts"],
  ["client/http.ts", "http/types.ts"],
  ["cli/host.ts", "state/types.ts"],
  ["cli/host.ts", "agent/loop.ts"],
  ["agent/loop.ts", "http/types.ts"],
  ["daemon/main.ts", "cli/main.ts"],
  ["daemon/main.ts", "zwrmd.ts"],
  ["elsewhere/a.ts", "lib/clock.ts"],
];

test("an import down is let through", () => {
  for (const [from, to] of DOWN) assert.equal(whyNotImport(from, to), null, `${from} -> ${to}`);
});

test("an import up, or to a sibling, is not", () => {
  for (const [from, to] of NOT_DOWN) assert.notEqual(whyNotImport(from, to), null, `${from} -> ${to}`);
});

test("every way to import is seen, and none in a comment", () => {
  const source = `#!/usr/bin/env node
import a from "./a.ts";
import type { B } from './b.ts';
import {
  c,
} from "./c.ts";
export * from "./d.ts";
export type { E } from "./e.ts";
import "./f.ts";
const g = await import("./g.ts");
type H = import("./h.ts").H;
// import i from "./i.ts";
/* import j from "./j.ts"; */
const url = "https://example.com"; import k from "./k.ts";
`;
  assert.deepEqual(
    importsOf(source)
      .map((path) => path[2])
      .join(""),
    "abcdefghk",
  );
});

const BREACHES: readonly [what: string, code: string][] = [
  ["any", "const a: any = 1;"],
  ["any", "f(x as any)"],
  ["any", "const a: Record<string, any> = {};"],
  ["any", "const a = (b: any[]) => b;"],
  ["a non-null assertion", "a!.b"],
  ["a non-null assertion", "f()!"],
  ["a non-null assertion", "a[0]!;"],
  ["a comment that turns the type checker off", "// @ts-ignore"],
  ["a comment that turns the type checker off", "/* @ts-expect-error */"],
  ["an id made of any text", "state.hosts.get(name as HostId)"],
  ["an id made of any text", "return text as ImageDigest;"],
  ["an id made of any text", "id<HostId>(text)"],
  ["module-level mutable state", "let count = 0;"],
  ["module-level mutable state", "export var count = 0;"],
  ["require", 'require("fs")'],
  ["NODE_ENV", 'env["NODE_ENV"]'],
  ["the machine's clock", "Date.now()"],
  ["the machine's clock", "`${Date.now()}`"],
  ["the machine's clock", "new Date()"],
  ["the machine's clock", "setTimeout(f, 1)"],
  ["the machine's clock", 'const { a } = b; // "\nperformance.now()'],
  ["a change of the state by no door", "app.store.change(actor, decide)"],
  ["a change of the state by no door", "this.#store.change(actor, decide)"],
  ["a change of the state by no door", "const { store } = app; const f = store.change;"],
  ["a change of the state by no door", "new Store(state, log, clock).change(actor, decide)"],
  ["a row changed beside the log", "state.users.set(id, user)"],
  ["chance that is no secret", "Math.random()"],
  ["the process", "process.env.HOME"],
  ["the process", "process.exit(1)"],
];

test("what code may not say is seen", () => {
  for (const [what, code] of BREACHES) assert.deepEqual(breachesOf("images/library.ts", code), [what], code);
});

test("what only looks so is let through", () => {
  const harmless = [
    '/** any, process.env, Date.now() and a! */ const a = "any process.env a!b";',
    "const a = x !== y; if (!a) return !b;",
    "const a = /any!x process.env/.test(b) && c !== d;",
    "const a = `any process.env ${b} a!`;",
    "Promise.any([a]); const many = anything;",
    "new Date(ms).toISOString()",
    "function f(): void {\n  let a = 1;\n}",
    "process.versions.node",
    "const shape = /[\"'`/]/; const b = 'x';",
  ];
  for (const code of harmless) assert.deepEqual(breachesOf("fleet/fleet.ts", code), [], code);
});

test("an owner may, and its neighbour may not", () => {
  assert.deepEqual(breachesOf("lib/clock.ts", "Date.now()"), []);
  assert.deepEqual(breachesOf("lib/clocks.ts", "Date.now()"), ["the machine's clock"]);
  assert.deepEqual(breachesOf("daemon/main.ts", "process.exit()"), []);
  assert.deepEqual(breachesOf("journal/locks.ts", "process.pid"), ["the process"]);
});

test("code is what is left without comments and texts", () => {
  assert.equal(
    codeOf('a("x // y"); // z\nb(/"/g); /* c */ d(`e ${f} g`);').replace(/\s+/g, " "),
    'a(""); b(""); d(`${f}`);',
  );
});

test("the opening sentence is read, behind a shebang too", () => {
  assert.equal(openingOf("/** What it owns. */\nimport a;"), "What it owns.");
  assert.equal(openingOf("#!/usr/bin/env node\n/** What it owns. */\n"), "What it owns.");
  assert.equal(openingOf("/**\n * What it owns.\n * More.\n */\n"), "What it owns.\nMore.");
  for (const none of ["import a;", "// a line\n", "/* a block */", "\n/** late */", "import a;\n/** late */"])
    assert.equal(openingOf(none), null, none);
});
