/**
 * FORMAT.md holds: its shell lines, run as they stand, walk a real journal to the same head and stop where it was
 * changed.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Head } from "../../src/journal/types.ts";
import { appendBatch, flip, open, placedLines, segmentPath, tempFolder } from "./lab.ts";

const FORMAT = readFileSync(new URL("../../src/journal/FORMAT.md", import.meta.url), "utf8");
const TRICKY = {
  text: 'back\\slash, "quote", new\nline, percent %s, $dollar, `tick`, é🦀',
  list: [" leading", "trailing "],
};

function walk(folder: string): { readonly status: number | null; readonly text: string } {
  const [, script] = /```sh\n([^]*?)```/.exec(FORMAT) ?? [];
  assert.ok(script !== undefined);
  const { status, stdout, stderr } = spawnSync("sh", ["-c", script], { cwd: folder, encoding: "utf8" });
  return { status, text: `${stdout}${stderr}`.trim() };
}

async function makeTricky(folder: string): Promise<Head> {
  const journal = await open(folder, { segmentBytes: 1200 });
  for (let round = 0; round < 4; round++) await appendBatch(journal, 2, TRICKY);
  const head = journal.durable;
  await journal.close();
  return head;
}

test("the shell lines of FORMAT.md reach the head that the journal says", async (t) => {
  const folder = join(tempFolder(t), "journal");
  const head = await makeTricky(folder);
  assert.deepEqual(walk(folder), { status: 0, text: `${head.seq}:${head.sum}` });
});

test("the shell lines of FORMAT.md stop at the first line that was changed", async (t) => {
  const folder = join(tempFolder(t), "journal");
  await makeTricky(folder);
  const path = segmentPath(folder, 0);
  for (const [index, line] of placedLines(readFileSync(path)).entries()) {
    const before = flip(path, line.end - 10, 0);
    assert.deepEqual(walk(folder), { status: 1, text: `line ${index + 1} does not fit` });
    writeFileSync(path, before);
  }
});

test("FORMAT.md shows a line and a snapshot as they are written", async (t) => {
  const folder = join(tempFolder(t), "journal");
  await makeTricky(folder);
  const [first = ""] = readFileSync(segmentPath(folder, 0), "utf8").split("\n");
  const [, shown = ""] = /```\n(\{"sum":"<64 hex>".*)\n```/.exec(FORMAT) ?? [];
  const keys = (text: string): string[] => [...text.matchAll(/[{,]"([a-z]+)":/g)].map(([, key = ""]) => key);
  assert.deepEqual(keys(shown), Object.keys(JSON.parse(first) as object));
  assert.match(first, /"data":\{"format":1,"program":"zwrmd [^"]+"\}\}$/);
});
