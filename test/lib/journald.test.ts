import assert from "node:assert/strict";
import { closeSync, fstatSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { systemClock } from "../../src/lib/clock.ts";
import { leadsToJournal, priorityMark } from "../../src/lib/journald.ts";
import { createLineSink } from "../../src/lib/log-sink.ts";

function openFile(t: TestContext): { readonly fd: number; readonly path: string } {
  const folder = mkdtempSync(join(tmpdir(), "zwrm-journald-"));
  const path = join(folder, "log");
  const fd = openSync(path, "a");
  t.after(() => {
    closeSync(fd);
    rmSync(folder, { recursive: true, force: true });
  });
  return { fd, path };
}

test("knows the journal's stream by its device and inode", (t) => {
  const { fd } = openFile(t);
  const { dev, ino } = fstatSync(fd, { bigint: true });
  assert.equal(leadsToJournal({ JOURNAL_STREAM: `${dev}:${ino}` }, fd), true);
  assert.equal(leadsToJournal({ JOURNAL_STREAM: `${dev}:${ino + 1n}` }, fd), false, "piped elsewhere");
  assert.equal(leadsToJournal({ JOURNAL_STREAM: "" }, fd), false);
  assert.equal(leadsToJournal({}, fd), false);
  assert.equal(leadsToJournal({ JOURNAL_STREAM: `${dev}:${ino}` }, 987_654), false, "no such descriptor");
});

test("a sink with priorities writes sd-daemon(3)'s number before each line of a level", async (t) => {
  const { fd, path } = openFile(t);
  const sink = createLineSink(fd, { clock: systemClock, mark: priorityMark });
  for (const level of ["debug", "info", "warn", "error"] as const) sink.write(`a ${level} line`, level);
  await sink.flush();
  assert.equal(readFileSync(path, "utf8"), "<7>a debug line\n<6>a info line\n<4>a warn line\n<3>a error line\n");
});

test("the line that stands for dropped ones is a warning", async (t) => {
  const { fd, path } = openFile(t);
  const sink = createLineSink(fd, { clock: systemClock, mark: priorityMark, capacityBytes: 20 });
  sink.write("fits", "info");
  sink.write("does not fit into the rest", "info");
  await sink.flush();
  await sink.flush();
  assert.match(readFileSync(path, "utf8"), /^<6>fits\n<4>WARN 1 log lines were dropped/);
});
