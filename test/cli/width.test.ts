/**
 * Every command's output and help on narrow terminals: no row is wrapped by the terminal, and what matters most stays.
 */
import assert from "node:assert/strict";
import { before, after, test } from "node:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { COMMANDS } from "../../src/cli/commands.ts";
import { helpFor } from "../../src/cli/help.ts";
import { renderFacts, renderTable } from "../../src/cli/table.ts";
import type { Bench } from "./every-command.ts";
import { bench, LINES } from "./every-command.ts";
import { Keyboard, Screen, zwrm } from "./support.ts";
import { HAS_TERMINAL, onTerminal } from "./terminal.ts";

const WIDTHS = [80, 40] as const;
/** Those whose result is columns. */
const TABLES = [
  "apps",
  "machines",
  "host list",
  "image list",
  "auth tokens list",
  "org list",
  "org members",
  "quota",
  "user list",
];
const FACTS = [
  "status",
  "apps show",
  "machines show",
  "machines explain",
  "host status",
  "host drain-status",
  "auth whoami",
];

const folder = mkdtempSync(join(tmpdir(), "zwrm-width-"));
let api: Bench;
before(async () => void (api = await bench(folder)));
after(async () => {
  await api.close();
  rmSync(folder, { recursive: true });
});

/** What a terminal shows, without colours. */
async function shown(command: string, columns: number): Promise<readonly string[]> {
  const stdout = new Screen({ isTerminal: true, columns });
  const stdin = new Keyboard([LINES[command]?.stdin ?? ""], { isTerminal: false });
  const { code, err } = await zwrm(api.wordsOf(command), { stdout, stdin, env: { NO_COLOR: "1" } });
  assert.equal(code, 0, `${command}: ${err}`);
  return stdout.text.trimEnd().split("\n");
}

test("there is a line for every command, and nothing else", () => {
  assert.deepEqual(Object.keys(LINES).sort(), COMMANDS.map(({ name }) => name).sort());
});

for (const columns of WIDTHS) {
  test(`no row of a table is longer than ${columns} columns`, async () => {
    for (const command of TABLES) {
      const lines = await shown(command, columns);
      assert.ok(lines.length > 1, command);
      for (const line of lines) assert.ok([...line].length <= columns, `${command}: ${line}`);
      const [heading = "", first = ""] = lines;
      assert.match(heading, /^(?:ID|NAME|DIGEST|SLUG|EMAIL)\b/, `${command} keeps what names a row`);
      assert.notEqual(first.trim(), "");
    }
  });

  test(`what is shown as facts fits ${columns} columns, but for a word that is longer`, async () => {
    for (const command of FACTS) {
      for (const line of (await shown(command, columns)).slice(command === "machines explain" ? 3 : 0)) {
        const words = line.trim().split(/ +/);
        assert.ok(
          [...line].length <= columns || words.some((word) => word.length > columns - 20),
          `${command}: ${line}`,
        );
      }
    }
  });

  test(`help of every command and group fits ${columns} columns, with all of its words`, () => {
    const words = (text: string): readonly string[] =>
      text
        .split(/\s+/)
        .filter((word) => word !== "")
        .sort();
    const topics = new Set(COMMANDS.flatMap(({ name }) => ["", name, name.split(" ")[0] ?? ""]));
    for (const topic of topics) {
      const at = topic.split(" ").filter((word) => word !== "");
      const help = helpFor(at, COMMANDS, columns);
      assert.deepEqual(words(help), words(helpFor(at, COMMANDS)), topic);
      for (const line of help.split("\n"))
        assert.ok(line.length <= columns || !line.trim().includes(" "), `${topic}: ${line}`);
    }
  });
}

test("a pipe has no width: nothing is cut or left out", async () => {
  for (const command of [...TABLES, ...FACTS, "events"]) {
    const { out } = await zwrm(api.wordsOf(command), { env: { COLUMNS: "40" } });
    assert.doesNotMatch(out, /…/, command);
  }
  assert.match((await zwrm(api.wordsOf("image list"))).out, /sha256:[0-9a-f]{64}/);
  assert.match((await zwrm(api.wordsOf("machines"))).out, /3 hosts are full, 1 is draining, 1 is offline\n/);
});

test("columns give way by importance: shortened to what is of use, then left out, and no more than must be", () => {
  const columns = [
    { title: "ID" },
    { title: "NAME", yields: 1, least: 4 },
    { title: "N", right: true, yields: 3 },
    { title: "WHY", yields: 2, least: 5 },
  ];
  const rows = [["id-1", "a long name", "7", "because it is so"]];
  const at = (room: number): string => renderTable(columns, rows, false, room).split("\n")[1] ?? "";
  assert.equal(at(Infinity), "id-1  a long name  7  because it is so");
  assert.equal(at(38), "id-1  a long name  7  because it is so");
  assert.equal(at(37), "id-1  a long name  7  because it is …");
  assert.equal(at(30), "id-1  a long name  7  because…");
  assert.equal(at(24), "id-1  a long …  7  beca…");
  assert.equal(at(20), "id-1  a l…  7  beca…");
  assert.equal(at(16), "id-1  a long na…");
  assert.equal(at(10), "id-1  a l…");
  assert.equal(at(4), "id-1");
  assert.equal(at(3), "id…");
});

test("counts characters as a terminal does: East Asian ones twice, combining marks not at all", () => {
  const table = renderTable(
    [{ title: "NAME", yields: 1, least: 4 }, { title: "X" }],
    [
      ["漢字漢字", "1"],
      ["e\u0301e\u0301", "2"],
    ],
    false,
    9,
  );
  assert.equal(table, "NAME    X\n漢字…   1\ne\u0301e\u0301      2\n");
  assert.equal(renderFacts([["reason", "one two three"]], false, 16), "reason  one two\n        three\n");
});

test(
  "a real terminal of 80 and of 40 columns wraps no row, and COLUMNS goes before what it says",
  { skip: HAS_TERMINAL ? false : "there is no python3 to drive a terminal" },
  async () => {
    const runs: readonly (readonly [number, Readonly<Record<string, string>>, number])[] = [
      [80, {}, 80],
      [40, {}, 40],
      [132, { COLUMNS: "60" }, 60],
    ];
    for (const [width, env, most] of runs) {
      for (const command of width === 80 ? ["machines", "image list"] : ["machines"]) {
        const { code, screen } = await onTerminal(api.wordsOf(command), { NO_COLOR: "1", ...env }, [], width);
        const lines = screen.trimEnd().split("\n");
        assert.equal(code, 0, screen);
        assert.ok(
          lines.length > 1 && lines.every((line) => [...line].length <= most),
          `${command} at ${width}: ${screen}`,
        );
      }
      if (width === 132) continue;
      const { screen } = await onTerminal(["--help"], env, [], width);
      assert.ok(
        screen.split("\n").every((line) => line.length <= most || !line.trim().includes(" ")),
        screen,
      );
    }
  },
);
