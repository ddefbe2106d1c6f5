/** Tests of what people read: sizes, ages, tables, colours and the progress bar. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ageOf, formatAge, formatBytes, formatElapsed, formatMebibytes } from "../../src/cli/format.ts";
import { printable } from "../../src/cli/io.ts";
import { Progress } from "../../src/cli/progress.ts";
import { renderFacts, renderTable, statusCell, usesColour } from "../../src/cli/table.ts";
import { ManualClock } from "../client/support.ts";
import { Screen } from "./support.ts";

const MIB = 1024 * 1024;

test("writes sizes with the unit that fits, never 1024 of one", () => {
  const sizes: readonly (readonly [number, string])[] = [
    [0, "0 B"],
    [1, "1 B"],
    [1023, "1023 B"],
    [1024, "1 KiB"],
    [1536, "1.5 KiB"],
    [15.5 * 1024, "15.5 KiB"],
    [1023.6 * 1024, "1 MiB"],
    [9.96 * MIB, "10 MiB"],
    [99.96 * MIB, "100 MiB"],
    [301 * MIB, "301 MiB"],
    [1.25 * 1024 * MIB, "1.3 GiB"],
    [5 * 1024 * 1024 * MIB, "5 TiB"],
  ];
  for (const [bytes, text] of sizes) assert.equal(formatBytes(bytes), text);
  assert.equal(formatMebibytes(16_384), "16 GiB");
});

test("writes ages by their largest unit, and none below zero", () => {
  const ages = [-5_000, 0, 59_999, 60_000, 3_599_999, 3_600_000, 86_399_999, 86_400_000, 2.9 * 86_400_000].map(
    formatAge,
  );
  assert.deepEqual(ages, ["0s", "0s", "59s", "1m", "59m", "1h", "23h", "1d", "2d"]);
  assert.deepEqual(
    [
      ageOf("2026-01-01T00:00:00.000Z", Date.parse("2026-01-01T00:00:12.000Z")),
      ageOf(undefined, 0),
      ageOf("nonsense", 0),
    ],
    ["12s", "-", "-"],
  );
  assert.deepEqual([400, 9_949, 9_950, 59_400, 59_600, 185_000, 3_720_000].map(formatElapsed), [
    "0.4s",
    "9.9s",
    "10s",
    "59s",
    "1m00s",
    "3m05s",
    "1h02m",
  ]);
});

test("aligns columns, words left and numbers right, without blanks at the ends of lines", () => {
  const table = renderTable(
    [{ title: "ID" }, { title: "SIZE", right: true }, { title: "NOTE" }],
    [
      ["a", "1 B", "x"],
      ["long-id", "1023 B", ""],
    ],
    false,
  );
  assert.equal(table, "ID         SIZE  NOTE\na           1 B  x\nlong-id  1023 B\n");
  assert.equal(
    renderFacts(
      [
        ["id", "h-1"],
        ["status", statusCell("active")],
      ],
      false,
    ),
    "id      h-1\nstatus  active\n",
  );
});

test(
  "colours only on a terminal, and not where NO_COLOR or a dumb terminal says so; alignment does not " + "depend on it",
  () => {
    const terminal = new Screen({ isTerminal: true });
    assert.deepEqual(
      [
        usesColour(terminal, {}),
        usesColour(terminal, { NO_COLOR: "" }),
        usesColour(terminal, { NO_COLOR: "1" }),
        usesColour(terminal, { TERM: "dumb" }),
        usesColour(new Screen(), {}),
      ],
      [true, true, false, false, false],
    );
    const columns = [{ title: "STATUS" }, { title: "N" }];
    const rows = [
      [statusCell("offline"), "1"],
      [statusCell("active"), "2"],
    ];
    const coloured = renderTable(columns, rows, true);
    assert.match(coloured, /\u001b\[31moffline\u001b\[0m {2}1\n/);
    assert.equal(coloured.replace(/\u001b\[\d+m/g, ""), renderTable(columns, rows, false));
  },
);

test("never lets text from elsewhere control the terminal", () => {
  assert.equal(printable("a\u001b]0;owned\u0007\u009b2J\nb\tc"), "a\\x1b]0;owned\\x07\\x9b2J\\x0ab c");
  assert.equal(
    printable("bob\u202egnp.exe\u200b 👩\u200d🚀"),
    "bob\\u202egnp.exe\\u200b 👩\u200d🚀",
    "nor turn what follows",
  );
  assert.doesNotMatch(renderTable([{ title: "A" }], [["\u001b[2J"]], true).replace(/\u001b\[\d+m/g, ""), /\u001b/);
});

test("draws a bar with share, amounts, rate and time left, at most ten times a second", () => {
  const clock = new ManualClock();
  const screen = new Screen({ isTerminal: true, columns: 100 });
  const progress = new Progress(screen, clock, "pushing root.img", 100 * MIB);
  progress.update(0);
  assert.equal(screen.shown, `pushing root.img  [>${" ".repeat(32)}]    0%  0 B / 100 MiB  stalled`);
  clock.advance(1_000);
  progress.update(25 * MIB);
  assert.equal(
    screen.shown,
    `pushing root.img  [${"=".repeat(8)}>${" ".repeat(24)}]   25%  25 MiB / 100 MiB  25 MiB/s  ETA 3.0s`,
  );
  const drawn = screen.text;
  clock.advance(99);
  progress.update(50 * MIB);
  assert.equal(screen.text, drawn);
  clock.advance(1);
  progress.update(50 * MIB);
  assert.notEqual(screen.text, drawn);
  progress.clear();
  assert.equal(screen.shown, "");
});

test("takes the rate of the last seconds, so that a stall shows", () => {
  const clock = new ManualClock();
  const screen = new Screen({ isTerminal: true, columns: 100 });
  const progress = new Progress(screen, clock, "x", 1_000 * MIB);
  for (let second = 0; second <= 10; second += 1, clock.advance(1_000)) progress.update(second * 50 * MIB);
  assert.match(screen.shown, /50 MiB\/s {2}ETA 10s$/);
  for (let second = 0; second < 10; second += 1, clock.advance(1_000)) progress.update(500 * MIB);
  assert.match(screen.shown, /stalled$/);
});

test("keeps the bar on one line of any terminal, and is silent where there is none", () => {
  for (const columns of [1, 20, 40, 60, 80, 200]) {
    const screen = new Screen({ isTerminal: true, columns });
    const clock = new ManualClock();
    const progress = new Progress(screen, clock, "pushing a-rather-long-name.img", 5_000 * MIB);
    clock.advance(500);
    progress.update(1_234 * MIB);
    assert.ok(screen.shown.length < columns, `${columns}: ${screen.shown}`);
  }
  const file = new Screen();
  const silent = new Progress(file, new ManualClock(), "x", 10);
  silent.update(5);
  silent.clear();
  assert.equal(file.text, "");
});

test("draws an empty and an overfull file without nonsense", () => {
  for (const [total, done] of [
    [0, 0],
    [10, 20],
  ] as const) {
    const screen = new Screen({ isTerminal: true });
    const clock = new ManualClock();
    const progress = new Progress(screen, clock, "x", total);
    clock.advance(1_000);
    progress.update(done);
    assert.match(screen.shown, /100%/);
    assert.doesNotMatch(screen.shown, /NaN|Infinity|-|>|stalled/);
  }
});
