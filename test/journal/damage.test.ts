/** Damage that no crash makes: every start refuses it, names file, line and byte, and changes nothing. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { copyFileSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { JournalDamaged } from "../../src/journal/journal.ts";
import { segmentName } from "../../src/journal/names.ts";
import { encodeLine, encodeTail } from "../../src/journal/record.ts";
import { entry, flip, makeJournal, open, placedLines, reopen, segmentNames, segmentPath, tempFolder } from "./lab.ts";

async function damageOf(folder: string): Promise<JournalDamaged> {
  const error: unknown = await open(folder).then(
    () => assert.fail("it started"),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof JournalDamaged, String(error));
  return error;
}

for (const [title, batches] of [
  ["several lines", [2, 1, 3]],
  ["a single line", [2, 2, 1]],
] as const) {
  test(
    `one bit flipped at every byte before a last batch of ${title}: refuses, naming ` + "file, line and byte",
    async (t) => {
      const folder = join(tempFolder(t), "journal");
      await makeJournal(folder, batches);
      const path = segmentPath(folder, 0);
      const lines = placedLines(readFileSync(path));
      const lastBatch = lines.at(-1)?.batch ?? 0;
      for (const [index, line] of lines.entries()) {
        if (line.seq >= lastBatch) break;
        for (let at = line.start; at < line.end; at++) {
          const before = flip(path, at);
          const damaged = readFileSync(path);
          const error = await damageOf(folder);
          assert.deepEqual(
            [error.file, error.line, error.offset],
            [path, index + 1, line.start],
            `byte ${at}: ${error.message}`,
          );
          for (const word of [path, `line ${index + 1}`, `byte ${line.start}`])
            assert.ok(error.message.includes(word), error.message);
          assert.deepEqual(readFileSync(path), damaged);
          writeFileSync(path, before);
        }
      }
      assert.deepEqual(readdirSync(folder), segmentNames(folder));
      assert.equal((await reopen(folder)).head, lines.length);
    },
  );
}

test("one bit flipped anywhere in a closed segment: refuses, also in its last line", async (t) => {
  const folder = join(tempFolder(t), "journal");
  await makeJournal(folder, [1, 1, 1, 1], { segmentBytes: 500 });
  const path = segmentPath(folder, 0);
  const lines = placedLines(readFileSync(path));
  assert.ok(segmentNames(folder).length >= 2);
  for (const [index, line] of lines.entries()) {
    for (let at = line.start; at < line.end; at += 3) {
      const before = flip(path, at);
      const error = await damageOf(folder);
      assert.deepEqual([error.file, error.line, error.offset], [path, index + 1, line.start], error.message);
      writeFileSync(path, before);
    }
  }
});

test("pages lost before the last batch are damage, however many", async (t) => {
  const folder = join(tempFolder(t), "journal");
  await makeJournal(folder, [3, 3, 3], {}, "x".repeat(3000));
  const path = segmentPath(folder, 0);
  const whole = readFileSync(path);
  const lastBatchAt = placedLines(whole).find((line) => line.batch === 8)?.start ?? 0;
  for (let page = 0; (page + 1) * 4096 <= lastBatchAt; page++) {
    const bytes = Buffer.from(whole);
    bytes.fill(0, page * 4096, lastBatchAt);
    writeFileSync(path, bytes);
    assert.equal((await damageOf(folder)).file, path);
  }
});

test("a closed segment that is cut, between lines or within one, is refused", async (t) => {
  const folder = join(tempFolder(t), "journal");
  await makeJournal(folder, [1, 1, 1, 1], { segmentBytes: 500 });
  const path = segmentPath(folder, 0);
  const whole = readFileSync(path);
  for (const size of [0, placedLines(whole)[0]?.end ?? 0, whole.length - 1, whole.length - 50]) {
    writeFileSync(path, whole.subarray(0, size));
    const error = await damageOf(folder);
    assert.ok(error.file === path || error.file === segmentPath(folder, 1), error.message);
  }
});

test("a line taken out, put in twice or swapped with the next is refused", async (t) => {
  const folder = join(tempFolder(t), "journal");
  await makeJournal(folder, [1, 1, 1, 1, 1]);
  const path = segmentPath(folder, 0);
  const whole = readFileSync(path);
  const lines = placedLines(whole).map(({ start, end }) => whole.subarray(start, end));
  const [one, two, three, four, ...rest] = lines;
  assert.ok(one !== undefined && two !== undefined && three !== undefined && four !== undefined && rest.length === 2);
  for (const edited of [
    [one, two, four, ...rest],
    [one, two, two, three, four, ...rest],
    [one, two, four, three, ...rest],
    [two, three, four, ...rest],
  ]) {
    writeFileSync(path, Buffer.concat(edited));
    assert.equal((await damageOf(folder)).file, path);
  }
});

test("a missing segment is named, whichever it is", async (t) => {
  const base = tempFolder(t);
  const folder = join(base, "journal");
  await makeJournal(folder, Array<number>(8).fill(1), { segmentBytes: 500 });
  const names = segmentNames(folder);
  assert.ok(names.length >= 3);
  for (const name of names.slice(0, -1)) {
    renameSync(join(folder, name), join(base, name));
    assert.ok((await damageOf(folder)).message.includes(name));
    renameSync(join(base, name), join(folder, name));
  }
  await reopen(folder);
});

test("an overlapping segment, one under a wrong name, and a stranger are refused by name", async (t) => {
  const folder = join(tempFolder(t), "journal");
  await makeJournal(folder, Array<number>(8).fill(1), { segmentBytes: 500 });
  const [first = "", second = ""] = segmentNames(folder);
  for (const stranger of [segmentName(2), segmentName(99), "notes.jsonl", `${first.slice(1)}`]) {
    copyFileSync(join(folder, second), join(folder, stranger));
    const error = await damageOf(folder);
    assert.ok(error.message.includes(stranger) || error.file.endsWith(second), error.message);
    rmSync(join(folder, stranger));
  }
  writeFileSync(join(folder, "README.txt"), "a note of the operator");
  await reopen(folder);
});

test("lines with true sums that no journal writes are refused while a later batch proves them", async (t) => {
  const folder = join(tempFolder(t), "journal");
  await makeJournal(folder, [1, 1]);
  const path = segmentPath(folder, 0);
  const whole = readFileSync(path);
  const sum = JSON.parse(
    placedLines(whole)
      .map(({ start, end }) => whole.toString("utf8", start, end))
      .at(-1) ?? "",
  )["sum"] as string;
  const tail = encodeTail(entry());
  const forge = (seq: number, batch: number, text: string): string => {
    const bad = encodeLine(sum, seq, batch, text);
    return bad.line + encodeLine(bad.sum, 5, 5, tail).line;
  };
  const bad: [string, string][] = [
    [forge(5, 4, tail), "has seq 5, where 4 follows"],
    [forge(4, 5, tail), "has batch 5"],
    [forge(4, 2, tail), "has batch 2"],
    [forge(4, 4, tail.replace('"actor"', '"actress"')), "exactly the keys"],
    [forge(4, 4, `"more":1,${tail}`), "exactly the keys"],
    [forge(4, 4, tail.replace(',"data":{"n":1}', "")), "exactly the keys"],
    [forge(4, 4, tail.replace('"test.said"', "7")), "wrong type"],
    [forge(4, 4, tail.replace('{"n":1}', '{"n":1,}')), "is not JSON"],
    [forge(4, 4, ` ${tail}`), "is not written as this program writes it"],
  ];
  for (const [lines, reason] of bad) {
    writeFileSync(path, Buffer.concat([whole, Buffer.from(lines)]));
    const error = await damageOf(folder);
    assert.ok(error.line === 4 && error.reason.includes(reason), error.message);
  }
});

test("data that looks like a line of a later batch does not make a torn end damage", async (t) => {
  const folder = join(tempFolder(t), "journal");
  const looks = { sum: "0".repeat(64), seq: 900, batch: 900, at: "x", type: "x", actor: null, data: null };
  await makeJournal(folder, [1, 3], {}, { looks, text: `${JSON.stringify(looks)}\n${JSON.stringify(looks)}` });
  const path = segmentPath(folder, 0);
  const whole = readFileSync(path);
  for (let cut = placedLines(whole)[2]?.end ?? 0; cut < whole.length; cut += 7) {
    const bytes = Buffer.from(whole.subarray(0, cut));
    bytes.fill(0, (placedLines(whole)[2]?.start ?? 0) + 3, (placedLines(whole)[2]?.start ?? 0) + 9);
    writeFileSync(path, bytes);
    assert.equal((await reopen(folder)).head, 2);
    for (const name of readdirSync(folder).filter((other) => other.endsWith(".torn"))) rmSync(join(folder, name));
  }
});

test("a segment of a newer format is refused as such", async (t) => {
  const folder = join(tempFolder(t), "journal");
  await makeJournal(folder, []);
  const { line } = encodeLine("0".repeat(64), 1, 1, encodeTail({ ...entry({ format: 2 }), type: "journal.segment" }));
  writeFileSync(join(folder, segmentName(1)), line);
  assert.match((await damageOf(folder)).reason, /format 2/);
});

test(
  "a segment that does not begin with its journal.segment line is refused while a " + "later batch proves it",
  async (t) => {
    const folder = join(tempFolder(t), "journal");
    await makeJournal(folder, []);
    const first = encodeLine("0".repeat(64), 1, 1, encodeTail(entry()));
    writeFileSync(join(folder, segmentName(1)), first.line + encodeLine(first.sum, 2, 2, encodeTail(entry())).line);
    const error = await damageOf(folder);
    assert.ok(error.line === 1 && error.reason.includes("journal.segment"), error.message);
  },
);

test("a line that is not UTF-8 is refused, though its sum is true and a reader could make do", async (t) => {
  const folder = join(tempFolder(t), "journal");
  await makeJournal(folder, [1]);
  const path = segmentPath(folder, 0);
  const whole = readFileSync(path);
  const last = whole.subarray(placedLines(whole)[1]?.start);
  const rest = Buffer.from(`"seq":3,"batch":3,${encodeTail(entry("\u00ff"))}`, "latin1");
  const sum = createHash("sha256")
    .update(last.toString("latin1", 8, 72))
    .update(rest)
    .digest("hex");
  const proof = encodeLine(sum, 4, 4, encodeTail(entry())).line;
  writeFileSync(path, Buffer.concat([whole, Buffer.from(`{"sum":"${sum}",`), rest, Buffer.from(`\n${proof}`)]));
  const error = await damageOf(folder);
  assert.ok(error.line === 3 && error.reason.includes("UTF-8"), error.message);
});
