import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fs, {
  appendFileSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after } from "node:test";
import { boundConsoles, readConsole, rotateConsole } from "../../src/agent/console.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { FakeClock } from "../support/clock.ts";
import { eventually } from "../support/daemon.ts";
import { FakeLog, stayAlive } from "./fakes.ts";

stayAlive(after);

const root = mkdtempSync(join(tmpdir(), "zwrm-console-"));
after(() => rmSync(root, { recursive: true, force: true }));

function folderOf(name: string): string {
  const folder = join(root, name);
  mkdirSync(folder, { recursive: true });
  return folder;
}

async function read(folder: string): Promise<string> {
  let text = "";
  const write = (bytes: Uint8Array): Promise<void> => Promise.resolve(void (text += Buffer.from(bytes).toString()));
  assert.equal(await readConsole(folder, systemClock, write, () => true), true);
  return text;
}

test("a console stays within its bound while the machine goes on writing into the same open file", async () => {
  const folder = folderOf("bound");
  const fd = openSync(join(folder, "console.log"), "a");
  let written = "";
  for (let line = 0; line < 1_000; line += 1) {
    const text = `line ${line}\n`;
    writeSync(fd, text);
    written += text;
    rotateConsole(folder, 1_000);
    const total = readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
    assert.ok(total <= 1_020, `${total} bytes`);
  }
  closeSync(fd);
  const kept = await read(folder);
  assert.ok(kept.length >= 500 && written.endsWith(kept), "the newest is kept, without a gap");
});

test("what came in a flood is cut to the newest half", async () => {
  const folder = folderOf("flood");
  writeFileSync(join(folder, "console.log"), `${"x".repeat(100_000)}end`);
  assert.equal(rotateConsole(folder, 1_000), true);
  assert.equal(await read(folder), `${"x".repeat(497)}end`);
  assert.equal(rotateConsole(folder, 1_000), false);
});

test(
  "a machine that writes faster than its console is copied does not hold the agent up, and the copy " +
    "keeps its bound",
  (context) => {
    const folder = folderOf("faster");
    const path = join(folder, "console.log");
    writeFileSync(path, "x".repeat(200_000));
    const { readSync } = fs;
    let reads = 0;
    const growing = (...args: Parameters<typeof readSync>): number => {
      if ((reads += 1) > 100) throw new Error("it reads on and on");
      const got = readSync(...args);
      appendFileSync(path, "y".repeat(got + 1));
      return got;
    };
    fs.readSync = growing as typeof readSync;
    syncBuiltinESMExports();
    context.after(() => {
      fs.readSync = readSync;
      syncBuiltinESMExports();
    });
    assert.equal(rotateConsole(folder, 300_000), true);
    assert.equal(statSync(join(folder, "console.log.1")).size, 150_000);
    assert.equal(statSync(path).size, 0);
  },
);

test("a console that cannot be cut is said once and keeps no other from being cut", () => {
  const machines = folderOf("round");
  for (const id of ["m-1", "m-2", "m-3"]) {
    mkdirSync(join(machines, id));
    writeFileSync(join(machines, id, "console.log"), "x".repeat(2_000));
  }
  // What the machines' own commands may have put there.
  mkdirSync(join(machines, "m-1", "console.log.1"));
  execFileSync("mkfifo", [join(machines, "m-2", "console.log.1")]);
  for (const id of ["m-1", "m-3"]) mkdirSync(join(machines, id, "console.log.1.new"));
  const [clock, log] = [new FakeClock(), new FakeLog()];
  const cancel = boundConsoles(machines, 1_000, clock, log);
  assert.equal(statSync(join(machines, "m-3", "console.log.1")).size, 500);
  clock.advance(10_000);
  assert.deepEqual(
    log.lines.map(({ fields }) => fields["machine"]),
    ["m-1", "m-2"],
  );
  rmSync(join(machines, "m-1", "console.log.1"), { recursive: true });
  clock.advance(1_000);
  assert.equal(statSync(join(machines, "m-1", "console.log.1")).size, 500);
  cancel();
  assert.equal(clock.armed, 0);
});

test("a reader that follows gets every line once, over cuts", async () => {
  const folder = folderOf("follow");
  writeFileSync(join(folder, "console.log"), "first\n");
  let text = "";
  let isOver = false;
  const write = (bytes: Uint8Array): Promise<void> => Promise.resolve(void (text += Buffer.from(bytes).toString()));
  const done = readConsole(folder, systemClock, write, () => isOver);
  await eventually("the first line", () => (text === "first\n" ? true : undefined));
  appendFileSync(join(folder, "console.log"), "second\n");
  rotateConsole(folder, 4);
  // The bound of 4 bytes keeps the two newest only; what the reader had missed of the rest is gone.
  appendFileSync(join(folder, "console.log"), "third\n");
  await eventually("the third line", () => (text.endsWith("third\n") ? true : undefined));
  appendFileSync(join(folder, "console.log"), "fourth\n");
  rotateConsole(folder, 12);
  appendFileSync(join(folder, "console.log"), "fifth\n");
  await eventually("the fifth line", () => (text.endsWith("fifth\n") ? true : undefined));
  isOver = true;
  assert.equal(await done, true);
  assert.ok(
    text.startsWith("first\n") && text.endsWith("third\n") === false && text.split("third\n").length === 2,
    text,
  );
});

test("a machine without a console has none", async () => {
  assert.equal(
    await readConsole(
      join(root, "none"),
      systemClock,
      () => Promise.resolve(),
      () => true,
    ),
    false,
  );
});
