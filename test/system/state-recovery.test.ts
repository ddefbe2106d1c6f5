/** Part B, State: what a start does with a torn tail, and with damage that is none. */
import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import { StartFailed, startDaemon } from "../support/daemon.ts";
import type { TestDaemon } from "../support/daemon.ts";
import { register } from "../support/fleet.ts";
import { assertChain, readJournal, segments } from "../support/journal.ts";
import type { Line } from "../support/journal.ts";
import { listAt, textAt } from "../support/json.ts";

/** A stopped daemon whose last write holds several lines: h-first alone, then ten at once. */
async function prepare(t: {
  after(run: () => Promise<void> | void): void;
}): Promise<{ daemon: TestDaemon; lines: Line[]; file: string; bytes: Buffer; restore: () => void }> {
  const daemon = await startDaemon({}, t);
  for (let round = 0; ; round++) {
    await register(daemon, `h-first-${round}`);
    await Promise.all(Array.from({ length: 16 }, (_, index) => register(daemon, `h-${round}-${index}`)));
    const lines = readJournal(daemon.dataDir);
    if (lines.filter((line) => line.batch === lines.at(-1)?.batch).length >= 4) break;
    assert.ok(round < 50, "a write of several lines");
  }
  await daemon.kill9();
  const lines = readJournal(daemon.dataDir);
  const folder = join(daemon.dataDir, "journal");
  const [name = ""] = segments(daemon.dataDir);
  const file = join(folder, name);
  const bytes = readFileSync(file);
  const restore = (): void => {
    rmSync(folder, { recursive: true });
    mkdirSync(folder, { mode: 0o700 });
    writeFileSync(file, bytes, { mode: 0o600 });
  };
  return { daemon, lines, file, bytes, restore };
}

/** Ids in host.registered lines. */
function registered(lines: readonly Line[]): string[] {
  return lines
    .flatMap(({ value }) => (textAt(value, "type") === "host.registered" ? [textAt(value, "data.host_id")] : []))
    .sort();
}

async function hostIds(daemon: TestDaemon): Promise<string[]> {
  return listAt((await daemon.request("GET", "/v1/hosts")).json, "hosts").map((host) => textAt(host, "id"));
}

async function tornTotal(daemon: TestDaemon): Promise<string | undefined> {
  return /^zwrmd_journal_torn_total (\d+)$/m.exec((await daemon.request("GET", "/metrics")).text)?.[1];
}

function tornFiles(daemon: TestDaemon): string[] {
  return readdirSync(join(daemon.dataDir, "journal")).filter((name) => name.endsWith(".torn"));
}

test(
  "State: the last batch cut anywhere heals: what is torn is copied beside as *.torn, then cut off, and " +
    "said in the log and a metric",
  async (t) => {
    const { daemon, lines, file, bytes, restore } = await prepare(t);
    const batch = lines.filter((line) => line.batch === lines.at(-1)?.batch);
    const start = batch[0]?.offset ?? 0;
    const cuts = [
      start + 1,
      start + 70,
      (batch[1]?.offset ?? 0) - 1,
      (batch[1]?.offset ?? 0) + 1,
      (batch[2]?.offset ?? 0) + 100,
      bytes.length - 2,
      bytes.length - 1,
    ];
    for (const cut of cuts) {
      restore();
      truncateSync(file, cut);
      const whole = lines.filter((line) => line.offset + line.bytes.length + 1 <= cut);
      await daemon.start();
      assert.deepEqual(await hostIds(daemon), registered(whole), `cut at ${cut}`);
      assert.equal(await tornTotal(daemon), "1");
      await daemon.line(/ WARN .*torn/);
      const [kept = ""] = tornFiles(daemon);
      const tail = whole.at(-1);
      assert.deepEqual(
        readFileSync(join(daemon.dataDir, "journal", kept)),
        bytes.subarray((tail?.offset ?? 0) + (tail?.bytes.length ?? 0) + 1, cut),
      );
      assert.equal((await register(daemon, "h-healed")).status, 201);
      await daemon.kill9();
      assertChain(readJournal(daemon.dataDir));
      assert.equal((await daemon.command("journal", "verify")).code, 0);
    }
  },
);

test(
  "State: a cut between two lines of the last batch loses only what was never acknowledged, and nothing " + "is torn",
  async (t) => {
    const { daemon, lines, file } = await prepare(t);
    const last = lines.at(-1);
    truncateSync(file, last?.offset ?? 0);
    await daemon.start();
    assert.deepEqual(await hostIds(daemon), registered(lines.slice(0, -1)));
    assert.equal(await tornTotal(daemon), "0");
  },
);

test(
  "State: everything after the last good line is torn: cut, NUL-filled, or pages that a power cut wrote " +
    "out of order",
  async (t) => {
    const { daemon, lines, file, bytes, restore } = await prepare(t);
    const batch = lines.filter((line) => line.batch === lines.at(-1)?.batch);
    const [second, third] = [batch[1]?.offset ?? 0, batch[2]?.offset ?? 0];
    const hole = Buffer.from(bytes);
    hole.fill(0, second, third);
    const flipped = Buffer.from(bytes);
    flipped.writeUInt8(flipped.readUInt8(second + 90) ^ 1, second + 90);
    const tails: [string, Buffer, number][] = [
      ["NULs behind the end", Buffer.concat([bytes, Buffer.alloc(8_192)]), lines.length],
      ["a line of NULs, good lines behind it", hole, lines.length - batch.length + 1],
      ["a flipped bit in the last batch", flipped, lines.length - batch.length + 1],
      ["garbage behind the end", Buffer.concat([bytes, Buffer.from('\u0001garbage\n{"sum":\n')]), lines.length],
    ];
    for (const [what, content, good] of tails) {
      restore();
      writeFileSync(file, content);
      await daemon.start();
      assert.deepEqual(await hostIds(daemon), registered(lines.slice(0, good)), what);
      assert.equal(await tornTotal(daemon), "1", what);
      await daemon.kill9();
      assert.equal((await daemon.command("journal", "verify")).code, 0, what);
    }
  },
);

test(
  "State: Damage anywhere else stops the start with file, line and offset; nothing is " + "dropped silently",
  async (t) => {
    const { daemon, lines, file, bytes, restore } = await prepare(t);
    const behind = lines.filter((line) => line.batch < (lines.at(-1)?.batch ?? 0));
    const middle = behind[behind.length >> 1];
    const spots: [string, Line | undefined, (line: Line) => number][] = [
      ["in the first line", behind[0], (line) => line.offset + 100],
      ["in a sum", middle, (line) => line.offset + 20],
      ["in the data", middle, (line) => line.offset + line.bytes.length - 10],
      ["in a newline", middle, (line) => line.offset + line.bytes.length],
      ["in the line before the last batch", behind.at(-1), (line) => line.offset + 120],
    ];
    for (const [what, line, at] of spots) {
      assert.ok(line !== undefined);
      restore();
      const damaged = Buffer.from(bytes);
      damaged.writeUInt8(damaged.readUInt8(at(line)) ^ 1, at(line));
      writeFileSync(file, damaged);
      await assert.rejects(daemon.start(), (error: unknown) => {
        assert.ok(error instanceof StartFailed, String(error));
        assert.equal(error.result.code, 1);
        const said = error.result.stderr;
        assert.ok(said.includes(basename(file)), said);
        assert.match(said, new RegExp(`\\bline ${line.number}\\b`), what);
        assert.match(said, new RegExp(`\\b(offset|byte) ${line.offset}\\b`), what);
        return true;
      });
      assert.deepEqual(readFileSync(file), damaged, "and the file is left as it was");
      assert.equal((await daemon.command("journal", "verify")).code, 1, what);
    }
    restore();
    await daemon.start();
    assert.deepEqual(await hostIds(daemon), registered(lines));
  },
);

test("State: a missing segment, a gap in the middle and a line taken out stop the start", async (t) => {
  const { daemon, lines, file, bytes, restore } = await prepare(t);
  const victim = lines[2];
  assert.ok(victim !== undefined);
  const edits: [string, () => void][] = [
    [
      "a line taken out",
      () =>
        writeFileSync(
          file,
          Buffer.concat([bytes.subarray(0, victim.offset), bytes.subarray(victim.offset + victim.bytes.length + 1)]),
        ),
    ],
    [
      "a line twice",
      () =>
        writeFileSync(
          file,
          Buffer.concat([bytes.subarray(0, victim.offset + victim.bytes.length + 1), bytes.subarray(victim.offset)]),
        ),
    ],
    [
      "a segment under another name",
      () => (copyFileSync(file, join(daemon.dataDir, "journal", "00000000000000000002.jsonl")), rmSync(file)),
    ],
  ];
  for (const [what, edit] of edits) {
    restore();
    edit();
    await assert.rejects(
      daemon.start(),
      (error: unknown) => error instanceof StartFailed && error.result.code === 1,
      what,
    );
  }
});
