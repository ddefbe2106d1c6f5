/** Tests of text that fits a width. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { USAGE as AGENT_USAGE } from "../../src/agent/arguments.ts";
import { USAGE as DAEMON_USAGE } from "../../src/daemon/arguments.ts";
import { wrapRows, wrapText, wrapUsage } from "../../src/lib/wrap.ts";

test("breaks between words, and leaves a word that is too long whole", () => {
  assert.equal(wrapText("a bb ccc dddd", 6), "a bb\nccc\ndddd");
  assert.equal(wrapText("a incomprehensibilities b", 6, "  "), "a\n  incomprehensibilities\n  b");
  assert.equal(wrapText("one\ntwo   three", 80), "one two three");
  assert.equal(wrapText("", 5), "");
});

test("wraps the right side below itself, and below the left one where there is no room", () => {
  const rows = [
    ["-a FILE", "the first of all the words that there are"],
    ["-b", ""],
  ] as const;
  assert.equal(wrapRows(rows, 38), "  -a FILE   the first of all the words\n            that there are\n  -b");
  assert.equal(wrapRows(rows, 30), "  -a FILE\n      the first of all the\n      words that there are\n  -b");
});

for (const [name, usage] of Object.entries({ zwrmd: DAEMON_USAGE, "zwrm-agent": AGENT_USAGE })) {
  test(
    `the help of ${name} fits 80 and 40 columns with all of its words, and stands as it is where there ` + "is room",
    () => {
      const words = (text: string): string[] =>
        text
          .split(/\s+/)
          .filter((word) => word !== "")
          .sort();
      for (const width of [80, 40]) {
        const wrapped = wrapUsage(usage, width);
        assert.deepEqual(words(wrapped), words(usage));
        for (const line of wrapped.split("\n"))
          assert.ok(line.length <= width || !line.trim().includes(" "), `${width}: ${line}`);
      }
      assert.equal(wrapUsage(usage, 200), usage);
    },
  );
}
