import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcessByStdio } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { systemClock } from "../../src/lib/clock.ts";
import { createLineSink } from "../../src/lib/log-sink.ts";

const SINK = new URL("../../src/lib/log-sink.ts", import.meta.url).href;
const CLOCK = new URL("../../src/lib/clock.ts", import.meta.url).href;

type Writer = ChildProcessByStdio<null, Readable, Readable>;

/** A process that writes to its stdout, a pipe, through a sink; it reports on stderr. */
function writer(t: TestContext, script: string): Writer {
  const head = `
    import { createLineSink } from ${JSON.stringify(SINK)};
    import { systemClock } from ${JSON.stringify(CLOCK)};
    let dropped = 0;
    const onDrop = (count) => { dropped += count; };
    const sink = createLineSink(1, { clock: systemClock, onDrop, capacityBytes: 256 * 1024 });
    const say = (text) => process.stderr.write(text + "\\n");
    const tick = () => new Promise(setImmediate);
  `;
  const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", head + script], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  t.after(() => child.kill("SIGKILL"));
  return child;
}

async function all(stream: Readable): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of stream) if (Buffer.isBuffer(part)) parts.push(part);
  return Buffer.concat(parts).toString();
}

function exit(child: Writer): Promise<number | null> {
  return new Promise((resolve) => child.once("exit", resolve));
}

/** The first line on stderr that starts so. */
function report(child: Writer, start: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    child.stderr.on("data", (part: Buffer) => {
      text += part.toString();
      const line = text.split("\n").find((each) => each.startsWith(start) && text.includes(`${each}\n`));
      if (line !== undefined) resolve(line);
    });
    child.stderr.once("end", () => reject(new Error(`no "${start}" in: ${text}`)));
  });
}

test("writes lines in order to a file, whole at the flush", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "zwrm-log-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const path = join(dir, "log");
  const fd = openSync(path, "a");
  const sink = createLineSink(fd, { clock: systemClock });
  const lines = Array.from({ length: 2_000 }, (_, index) => `line ${index} \u00e4`);
  for (const [index, line] of lines.entries()) {
    sink.write(line, "info");
    if (index % 500 === 0) await new Promise(setImmediate);
  }
  await sink.flush();
  assert.equal(readFileSync(path, "utf8"), `${lines.join("\n")}\n`);
  await sink.flush();
  closeSync(fd);
});

test("the lines of one tick leave without a flush, and a pipe's reader gets them all", async (t) => {
  const child = writer(
    t,
    `for (let n = 0; n < 5000; n += 1) { sink.write("line " + n, "info"); if (n % 50 === 0) await tick(); }`,
  );
  const [text, code] = await Promise.all([all(child.stdout), exit(child)]);
  assert.equal(code, 0);
  assert.deepEqual(text.split("\n"), [...Array.from({ length: 5000 }, (_, index) => `line ${index}`), ""]);
});

test(
  "a stalled reader blocks nothing and costs no more memory than the limit; afterwards it is told how " +
    "many lines are missing",
  async (t) => {
    const child = writer(
      t,
      `
    const line = "x".repeat(1000);
    let worst = 0;
    for (let n = 0; n < 20000; n += 1) {
      const began = performance.now();
      sink.write(line + n, "info");
      if (n % 20 === 0) await tick();
      worst = Math.max(worst, performance.now() - began);
    }
    const began = performance.now();
    await sink.flush(100);
    say("stalled " + JSON.stringify({ dropped, worst, flush: performance.now() - began }));
    await sink.flush(5000);
    sink.write("after", "info");
    await sink.flush(5000);
  `,
    );
    child.stdout.pause();
    const told: unknown = JSON.parse((await report(child, "stalled ")).slice("stalled ".length));
    assert.ok(typeof told === "object" && told !== null && "dropped" in told && "worst" in told && "flush" in told);
    const { dropped, worst, flush } = told;
    assert.ok(typeof dropped === "number" && dropped > 19_000 && dropped < 20_000, String(dropped));
    assert.ok(typeof worst === "number" && worst < 250, `one line took ${String(worst)} ms`);
    assert.ok(typeof flush === "number" && flush >= 90 && flush < 1_000, `the flush took ${String(flush)} ms`);
    const [text, code] = await Promise.all([all(child.stdout), exit(child)]);
    assert.equal(code, 0);
    const lines = text.trimEnd().split("\n");
    assert.equal(lines.length, 20_000 - dropped + 2);
    assert.deepEqual(lines.slice(-2), [`WARN ${dropped} log lines were dropped here: their reader took none`, "after"]);
  },
);

test("a reader that leaves costs lines, not the process, and the flush does not wait for it", async (t) => {
  const child = writer(
    t,
    `
    sink.write("first", "info");
    await sink.flush();
    say("ready");
    while (dropped === 0) { sink.write("more", "info"); await new Promise((resolve) => setTimeout(resolve, 5)); }
    for (let n = 0; n < 1000; n += 1) sink.write("more", "info");
    await sink.flush();
    say("alive " + dropped);
  `,
  );
  await report(child, "ready");
  child.stdout.destroy();
  const [alive, code] = await Promise.all([report(child, "alive "), exit(child)]);
  assert.ok(Number(alive.split(" ")[1]) >= 1000);
  assert.equal(code, 0);
});

test("a file that takes no more costs lines, counted, and works again afterwards", async () => {
  const fd = openSync("/dev/full", "w");
  let dropped = 0;
  const sink = createLineSink(fd, { clock: systemClock, onDrop: (count) => (dropped += count) });
  for (let index = 0; index < 10; index += 1) sink.write("line", "info");
  await sink.flush();
  assert.equal(dropped, 10);
  closeSync(fd);
});
