/** Log lines: one message, one line, whatever the message quotes. */
import assert from "node:assert/strict";
import test from "node:test";
import type { LogLevel } from "../../src/lib/log.ts";
import { createLog } from "../../src/lib/log.ts";
import { FakeClock } from "../support/clock.ts";

function logTo(lines: string[], format: "text" | "json", threshold: LogLevel): ReturnType<typeof createLog> {
  return createLog({ write: (line) => lines.push(line) }, new FakeClock(), format, threshold);
}

test("a line is time, level, sentence and fields", () => {
  const lines: string[] = [];
  logTo(lines, "text", "info").warn("hosts fell silent", { hosts: "h-1,h-2", count: 2, held: false, reason: null });
  assert.deepEqual(lines, [
    "2026-01-02T03:04:05.678Z WARN hosts fell silent hosts=h-1,h-2 count=2 held=false reason=null",
  ]);
});

test("the same as JSON is one object a line", () => {
  const lines: string[] = [];
  logTo(lines, "json", "info").error("it failed", { reason: 'with "quotes"\nand lines', count: 2 });
  assert.equal(lines.length, 1);
  assert.ok(!lines[0]?.includes("\n"));
  assert.deepEqual(JSON.parse(lines[0] ?? ""), {
    at: "2026-01-02T03:04:05.678Z",
    level: "error",
    message: "it failed",
    reason: 'with "quotes"\nand lines',
    count: 2,
  });
});

test("what the line says of itself is not overwritten by a field of that name", () => {
  const lines: string[] = [];
  logTo(lines, "json", "info").error("it failed", { level: "debug", message: "all is well", at: "never" });
  const { at, level, message } = JSON.parse(lines[0] ?? "") as Record<string, unknown>;
  assert.deepEqual({ at, level, message }, { at: "2026-01-02T03:04:05.678Z", level: "error", message: "it failed" });
});

test("says nothing below its level, and tells the sink each line's level", () => {
  const ranks: LogLevel[] = ["debug", "info", "warn", "error"];
  ranks.forEach((threshold, index) => {
    const levels: LogLevel[] = [];
    const log = createLog({ write: (_line, level) => levels.push(level) }, new FakeClock(), "text", threshold);
    for (const level of ranks) log[level]("a sentence");
    assert.deepEqual(levels, ranks.slice(index));
  });
});

test("a value with blanks, quotes, nothing in it or control characters is quoted", () => {
  const lines: string[] = [];
  const log = logTo(lines, "text", "info");
  for (const value of ["two words", 'a"b', "a\\b", "", "a\nb", "tab\there"]) log.info("m", { value });
  assert.deepEqual(
    lines.map((line) => line.split(" m value=")[1]),
    ['"two words"', '"a\\"b"', '"a\\\\b"', '""', '"a\\nb"', '"tab\\there"'],
  );
});

/**
 * Everything that ends a line or steers a terminal: C0, DEL, C1 (with the one-byte CSI), and Unicode's own line ends.
 */
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;

test("no control character reaches the line, in the message or in a value", () => {
  for (let code = 0; code <= 0x2030; code = code === 0xa0 ? 0x2020 : code + 1) {
    const lines: string[] = [];
    const char = String.fromCharCode(code);
    for (const format of ["text", "json"] as const)
      logTo(lines, format, "info").info(`before${char}after`, { value: `before${char}after`, alone: char });
    for (const line of lines) assert.ok(!UNSAFE.test(line), `U+${code.toString(16)} in ${JSON.stringify(line)}`);
  }
});

test("a message keeps what is harmless as it is", () => {
  const lines: string[] = [];
  logTo(lines, "text", "info").info('the "host" h-ä said: 1 = 2\n');
  assert.equal(lines[0], '2026-01-02T03:04:05.678Z INFO the "host" h-ä said: 1 = 2\\n');
});
