/**
 * Work on closed segments in a thread: a snapshot that a start really uses, and damage that is told and stops nobody.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import type { TestContext } from "node:test";
import { Journal } from "../../src/journal/journal.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { diskFiles } from "../../src/lib/files.ts";
import type { Log, LogLevel } from "../../src/lib/log.ts";
import { JournalBackground } from "../../src/state/background.ts";
import { SYSTEM } from "../../src/state/events.ts";
import { State } from "../../src/state/state.ts";
import { Replay, Store } from "../../src/state/store.ts";
import { idOf } from "../support/ids.ts";
import { linesOf } from "../support/rows.ts";

const quiet: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

function folderFor(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "zwrm-background-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A journal of several segments; gives the state that lived. */
async function live(folder: string): Promise<readonly string[]> {
  const state = new State();
  const journal = await Journal.open(
    { folder, files: diskFiles, clock: systemClock, log: quiet, segmentBytes: 2_000 },
    new Replay(state),
  );
  const store = new Store(state, journal, systemClock);
  for (let i = 0; i < 20; i++) {
    await store.change(SYSTEM, () => ({
      event: {
        type: "org.created",
        data: { org: { id: idOf(`o_${i % 7}`), slug: `org-${i}`, name: "x".repeat(100) } },
      },
      answer: () => undefined,
    }));
  }
  await journal.close();
  return linesOf(state);
}

/** Runs a task to its end; gives the first thing that it says. */
function ask(t: TestContext, folder: string, task: "snapshot" | "verify"): Promise<{ level: LogLevel; text: string }> {
  return new Promise((resolve) => {
    const say =
      (level: LogLevel) =>
      (message: string, fields?: object): void =>
        resolve({ level, text: `${message} ${JSON.stringify(fields ?? {})}` });
    const background = new JournalBackground(folder, {
      debug: say("debug"),
      info: say("info"),
      warn: say("warn"),
      error: say("error"),
    });
    // The thread alone keeps no process alive.
    const alive = setInterval(() => undefined, 1_000);
    t.after(async () => {
      clearInterval(alive);
      await background.stop();
    });
    background.request(task);
  });
}

/** Counts what a start reads. */
class Counting extends Replay {
  snapshotLines = 0;
  records = 0;

  override snapshotLine(line: unknown): void {
    this.snapshotLines++;
    super.snapshotLine(line);
  }

  override record(...args: Parameters<Replay["record"]>): void {
    this.records++;
    super.record(...args);
  }
}

test(
  "a snapshot that the thread made is what the next start uses, with the rest of the log, and gives the " +
    "state that lived",
  async (t) => {
    const folder = folderFor(t);
    const lived = await live(folder);
    const { level, text } = await ask(t, folder, "snapshot");
    assert.equal(level, "info", text);
    assert.match(text, /^snapshot \d{20}\.\w+ made, up to seq \d+/);
    const replay = new Counting(new State());
    const journal = await Journal.open(
      { folder, files: diskFiles, clock: systemClock, log: quiet, segmentBytes: 2_000 },
      replay,
    );
    await journal.close();
    assert.deepEqual(linesOf(replay.state), lived);
    assert.ok(
      replay.snapshotLines > 0 && replay.records < 15,
      `${replay.snapshotLines} lines of the snapshot, ${replay.records} of the log`,
    );
  },
);

test("a whole journal verifies, with a snapshot beside it", async (t) => {
  const folder = folderFor(t);
  await live(folder);
  assert.equal((await ask(t, folder, "snapshot")).level, "info");
  const { level, text } = await ask(t, folder, "verify");
  assert.equal(level, "info", text);
  assert.match(text, /the whole journal verified, \d+ lines/);
});

test("damage in a closed segment is told as an error with its place, and makes no snapshot", async (t) => {
  const folder = folderFor(t);
  await live(folder);
  const [first] = readdirSync(folder)
    .filter((name) => name.endsWith(".jsonl"))
    .sort();
  assert.ok(first !== undefined);
  const bytes = readFileSync(join(folder, first));
  bytes[bytes.length - 20] = (bytes.at(-20) ?? 0) ^ 1;
  writeFileSync(join(folder, first), bytes);
  const before = readdirSync(folder);
  for (const [task, level] of [
    ["snapshot", "warn"],
    ["verify", "error"],
  ] as const) {
    const said = await ask(t, folder, task);
    assert.equal(said.level, level);
    assert.ok(said.text.includes(first), said.text);
  }
  assert.deepEqual(readdirSync(folder), before);
});

test("a background that was stopped starts nothing", async (t) => {
  const folder = folderFor(t);
  await live(folder);
  const background = new JournalBackground(folder, quiet);
  background.request("snapshot");
  background.request("verify");
  await background.stop();
  background.request("snapshot");
  await background.stop();
});
