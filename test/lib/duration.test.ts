/** Durations as people write them. */
import assert from "node:assert/strict";
import test from "node:test";
import { formatDuration, parseDuration } from "../../src/lib/duration.ts";

const READ: readonly [text: string, ms: number | null][] = [
  ["500ms", 500],
  ["4s", 4_000],
  ["1m30s", 90_000],
  ["24h", 86_400_000],
  ["1d", 86_400_000],
  ["1.5s", 1_500],
  ["0s", 0],
  ["1h1m1s1ms", 3_661_001],
  ["", null],
  ["30", null],
  ["s", null],
  ["-1s", null],
  ["+1s", null],
  ["1 s", null],
  [" 1s", null],
  ["1s ", null],
  ["1s\n", null],
  ["1S", null],
  ["1e3s", null],
  [".5s", null],
  ["1.s", null],
  ["1us", null],
  ["1w", null],
  ["Infinitys", null],
  [`${"9".repeat(400)}s`, null],
];

for (const [text, ms] of READ) {
  test(`reads ${JSON.stringify(text.slice(0, 20))} as ${ms === null ? "no duration" : `${ms} ms`}`, () => {
    assert.equal(parseDuration(text), ms);
  });
}

test("refuses a long text that is no duration in a moment", () => {
  const begun = performance.now();
  assert.equal(parseDuration(`${"1".repeat(50_000)}x`), null);
  assert.equal(parseDuration(`${"1s".repeat(50_000)}x`), null);
  assert.ok(performance.now() - begun < 1_000);
});

test("reads back what it writes", () => {
  for (const ms of [0, 1, 999, 1_000, 1_001, 59_999, 60_000, 90_000, 3_600_000, 86_400_000, 90_061_001]) {
    assert.equal(parseDuration(formatDuration(ms)), ms, formatDuration(ms));
  }
});

test("writes whole units only, the largest first", () => {
  assert.equal(formatDuration(90_000), "1m30s");
  assert.equal(formatDuration(86_400_000), "24h");
  assert.equal(formatDuration(500), "500ms");
  assert.equal(formatDuration(0), "0s");
});
