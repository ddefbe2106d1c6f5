/**
 * The map of src/ leads where it says: each name beside a link is declared in that file, each test that is named is
 * there, no room is left out, and the way of a deployment is as long as it is told.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { posix } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { follow, stepsOf } from "../../scripts/rooms.ts";
import type { Step } from "../../scripts/rooms.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const MAPS = ["README.md", "STYLE.md", "GLOSSARY.md", "ADD-A-NOUN.md", "wire/PROTOCOL.md", "fleet/DRAIN.md"];
const MOST_ROOMS = 14;

function read(path: string): string {
  return readFileSync(posix.join(ROOT, path), "utf8");
}

/** `export class X`, `const x =`, `#x(`, `get x(`, `x: …`: a name as its file declares it. */
function declares(source: string, name: string): boolean {
  const word = name.replace("#", "\\#");
  const declared = new RegExp(
    `\\b(?:function|class|const|interface|type)\\*? ${word}\\b|^  (?:readonly |static |async |get )*${word}[(:<]`,
    "m",
  );
  return declared.test(source);
}

for (const map of MAPS) {
  const text = read(`src/${map}`);
  const named = [...text.matchAll(/\[[^\]]*\]\(([^)#:]+\.ts)\) `([#\w]+)`/g)].map(([, file = "", name = ""]) => ({
    path: posix.join("src", posix.dirname(map), file),
    name,
  }));

  test(`every name that src/${map} gives beside a file is declared there`, () => {
    const lost = named.filter(({ path, name }) => !declares(read(path), name));
    assert.deepEqual(
      lost.map(({ path, name }) => `${path} has no ${name}`),
      [],
    );
    if (map === "README.md" || map === "GLOSSARY.md") assert.ok(named.length > 10, `${named.length} names`);
  });

  test(`every test and script that src/${map} names is there`, () => {
    const paths = [...text.matchAll(/`?\b((?:test|scripts)\/[\w./-]+\.(?:ts|md))\b/g)].map(([, path = ""]) => path);
    assert.deepEqual(
      paths.filter((path) => !existsSync(posix.join(ROOT, path))),
      [],
    );
  });
}

test("a name is declared, and not only used", () => {
  const source =
    "export class A {\n  get b(): C {\n    return d(this.#e);\n  }\n  async #f(g: H) {}\n}\nconst i = 1;\n";
  assert.deepEqual(
    ["A", "b", "C", "d", "#e", "#f", "g", "H", "i"].filter((name) => declares(source, name)),
    ["A", "b", "#f", "i"],
  );
});

test("src/README.md has every room of src/ in its table, and fits on three screens", () => {
  const text = read("src/README.md");
  const rooms = readdirSync(`${ROOT}src`, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const table = text.slice(text.indexOf("## The rooms"), text.indexOf("## Where to look"));
  const left = rooms.filter(({ name }) => !new RegExp(`^\\|[^|]*\`${name}/\``, "m").test(table));
  assert.deepEqual(
    left.map(({ name }) => name),
    [],
  );
  assert.ok(text.split("\n").length <= 120);
});

test("src/README.md answers the questions of somebody who comes to it cold, each with a file", () => {
  const text = read("src/README.md");
  const table = text.slice(text.indexOf("## Where to look"), text.indexOf("## Decisions"));
  const rows = [...table.matchAll(/^\| [^|]*\?(?: )\|([^|]*)\|$/gm)].map(([, answer = ""]) => answer);
  assert.equal(rows.length, 10);
  for (const answer of rows) assert.match(answer, /\]\([^)]+\.(?:ts|md)\)/);
});

test(`the POST of a deployment changes rooms as src/README.md says, at most ${MOST_ROOMS} times`, async () => {
  const list = read("src/README.md").split("<!-- rooms -->")[1]?.split("<!-- /rooms -->")[0] ?? "";
  const told = [...list.matchAll(/^\d+\. (\w+) → (\w+):/gm)].map(([, from = "", to = ""]) => `${from} → ${to}`);
  const walk = async (): Promise<{ steps: Step[]; changes: string[] }> => {
    const steps = stepsOf(await follow());
    return { steps, changes: steps.map(({ from, to }) => `${from} → ${to}`) };
  };
  // On a busy machine V8 leaves out a breakpoint now and then, so a walk may see less than there is, and never more.
  let { steps, changes } = await walk();
  for (let again = 0; again < 4 && changes.length < told.length; again++) ({ steps, changes } = await walk());
  assert.deepEqual(
    changes,
    told,
    steps.map(({ from, to, by, into }) => `${from} → ${to} (${by ?? "after a wait"} → ${into})`).join("\n"),
  );
  assert.ok(told.length <= MOST_ROOMS);
});

test("a call into another room counts, and no return, no look into the ground, nothing that runs beside", () => {
  const frame = (file: string, name = "f"): { room: string; file: string; name: string } => ({
    room: file.split("/", 1)[0] ?? "",
    file,
    name,
  });
  const server = frame("http/server", "Server.request");
  const api = frame("api/apps");
  const steps = stepsOf([
    [frame("fleet/rounds"), frame("state/store")],
    [server],
    [server, api],
    [server, api, frame("lib/clock")],
    [server, api, frame("state/table")],
    [server, api, frame("fleet/workloads")],
    [server, api, frame("fleet/placement")],
    [server, api, frame("api/request")],
    [frame("fleet/rounds"), frame("state/store")],
    [frame("http/connections", "Timeout._onTimeout"), frame("metrics/registry")],
    [server, api, frame("state/store")],
    [frame("http/exchange", "Exchange.#conclude")],
    [frame("journal/journal")],
  ]);
  assert.deepEqual(
    steps.map(({ from, to }) => `${from} ${to}`),
    ["http api", "api fleet", "api state", "state http"],
  );
});
