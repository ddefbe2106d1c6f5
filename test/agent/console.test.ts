import assert from "node:assert/strict";
import { appendFileSync, closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after } from "node:test";
import { readConsole, rotateConsole } from "../../src/agent/console.ts";
import { DiskMachineStore } from "../../src/agent/machine-store.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { eventually } from "../support/daemon.ts";
import { desired, FakeLog, stayAlive } from "./fakes.ts";

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
  assert.ok(text.startsWith("first\n") && text.endsWith("third\n") === false && text.split("third\n").length === 2, text);
});

test("a machine without a console has none", async () => {
  assert.equal(await readConsole(join(root, "none"), systemClock, () => Promise.resolve(), () => true), false);
});

test("a machine that is let go leaves its console and nothing else, for a day", async () => {
  const machines = folderOf("machines");
  const store = new DiskMachineStore(machines, systemClock, new FakeLog());
  const record = { machine: desired("m-1"), phase: "running", asked: false, failures: 2, reason: undefined, exit_code: undefined, launch: { id: "l-1", handle: { pid: 5 }, started_at: 7 } } as const;
  await store.save(record);
  for (const name of ["console.log", "console.log.1", "env", "exit", "disk.img"]) writeFileSync(join(machines, "m-1", name), "x");
  assert.equal(JSON.stringify(await store.load()), JSON.stringify([record]));
  assert.equal(statSync(join(machines, "m-1", "machine.json")).mode & 0o777, 0o600);
  await store.remove("m-1");
  assert.deepEqual(readdirSync(join(machines, "m-1")), ["console.log", "console.log.1"]);
  assert.deepEqual(await store.load(), []);
  await store.sweep();
  assert.deepEqual(readdirSync(machines), ["m-1"]);
  const old = Date.now() / 1000 - 25 * 3600;
  utimesSync(join(machines, "m-1"), old, old);
  await store.save({ ...record, machine: desired("m-2") });
  utimesSync(join(machines, "m-2"), old, old);
  await store.sweep();
  assert.deepEqual(readdirSync(machines), ["m-2"], "what still runs is never swept");
});

test("a record that cannot be read costs that machine only", async () => {
  const machines = folderOf("records");
  const log = new FakeLog();
  const store = new DiskMachineStore(machines, systemClock, log);
  const record = { machine: desired("m-1"), phase: "waiting", asked: false, failures: 0, reason: "why", exit_code: 3, launch: undefined } as const;
  await store.save(record);
  await store.save({ ...record, machine: desired("m-2") });
  writeFileSync(join(machines, "m-2", "machine.json"), "{");
  assert.equal(JSON.stringify(await store.load()), JSON.stringify([record]));
  assert.equal(log.count("warn"), 1);
});
