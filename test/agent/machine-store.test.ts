/** Machines' records on a real disk. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after } from "node:test";
import { DiskMachineStore } from "../../src/agent/machine-store.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { desired, FakeLog } from "./fakes.ts";

const root = mkdtempSync(join(tmpdir(), "zwrm-store-"));
after(() => rmSync(root, { recursive: true, force: true }));

function folderOf(name: string): string {
  const folder = join(root, name);
  mkdirSync(folder, { recursive: true });
  return folder;
}

test("a machine that is let go leaves its console and nothing else, for a day", async () => {
  const machines = folderOf("machines");
  const store = new DiskMachineStore(machines, systemClock, new FakeLog());
  const none = { vain: undefined, fault: undefined, reason: undefined, exit_code: undefined, ready: undefined };
  const launch = { id: "l-1", handle: { pid: 5 }, started_at: 7 };
  const record = { machine: desired("m-1"), phase: "running", asked: false, failures: 2, ...none, launch } as const;
  await store.save(record);
  for (const name of ["console.log", "console.log.1", "env", "exit", "disk.img"])
    writeFileSync(join(machines, "m-1", name), "x");
  assert.equal(JSON.stringify(await store.load()), JSON.stringify({ records: [record], lost: [] }));
  assert.equal(statSync(join(machines, "m-1", "machine.json")).mode & 0o777, 0o600);
  await store.remove("m-1");
  assert.deepEqual(readdirSync(join(machines, "m-1")), ["console.log", "console.log.1"]);
  assert.deepEqual(await store.load(), { records: [], lost: [] });
  await store.sweep();
  assert.deepEqual(readdirSync(machines), ["m-1"]);
  const old = Date.now() / 1000 - 25 * 3600;
  utimesSync(join(machines, "m-1"), old, old);
  await store.save({ ...record, machine: desired("m-2") });
  utimesSync(join(machines, "m-2"), old, old);
  await store.sweep();
  assert.deepEqual(readdirSync(machines), ["m-2"], "what still runs is never swept");
});

const FAULT = { failures: 0, vain: 2, fault: "host", reason: "why", exit_code: 3, ready: undefined } as const;
const RECORD = { machine: desired("m-1"), phase: "waiting", asked: false, ...FAULT, launch: undefined } as const;

/** What becomes of a record that was good, and why it cannot be read then. */
const SPOILT: Readonly<Record<string, readonly [(path: string) => void, RegExp]>> = {
  "is cut short": [(path) => truncateSync(path, 50), /JSON/],
  "is empty": [(path) => truncateSync(path, 0), /JSON/],
  "is of another machine": [
    (path) => writeFileSync(path, JSON.stringify({ ...RECORD, machine: desired("m-9") })),
    /of another machine: m-9/,
  ],
  "is another thing": [(path) => writeFileSync(path, "{}"), /machine is required/],
  "began in a year that no time can be written in": [
    (path) =>
      writeFileSync(
        path,
        JSON.stringify({ ...RECORD, machine: desired("m-2"), launch: { id: "l", started_at: 8.7e15 } }),
      ),
    /started_at/,
  ],
  "is a folder": [replaceBy((path) => mkdirSync(path)), /not a file/],
  "is a fifo": [replaceBy((path) => void execFileSync("mkfifo", [path])), /not a file/],
  "is endless": [(path) => truncateSync(path, 2 ** 33), /longer than/],
  "has gone from beside the rest": [replaceBy((path) => writeFileSync(join(path, "../env"), "")), /^$/],
};

function replaceBy(put: (path: string) => void): (path: string) => void {
  return (path) => {
    rmSync(path);
    put(path);
  };
}

for (const [what, [spoil, why]] of Object.entries(SPOILT)) {
  test(
    `a record that ${what} costs that machine only; set aside, it is said no more`,
    { timeout: 10_000 },
    async () => {
      const machines = folderOf(`spoilt-${Object.keys(SPOILT).indexOf(what)}`);
      const store = new DiskMachineStore(machines, systemClock, new FakeLog());
      await store.save(RECORD);
      await store.save({ ...RECORD, machine: desired("m-2") });
      const path = join(machines, "m-2", "machine.json");
      spoil(path);
      const { records, lost } = await store.load();
      assert.equal(JSON.stringify(records), JSON.stringify([RECORD]));
      assert.deepEqual(
        lost.map((each) => [each.id, each.path]),
        [["m-2", path]],
      );
      assert.match(lost[0]?.reason ?? "", why);
      await store.setAside("m-2");
      assert.deepEqual(
        (await store.load()).lost.filter(({ reason }) => reason !== null),
        [],
      );
      await store.save({ ...RECORD, machine: desired("m-2") });
      assert.equal((await store.load()).records.length, 2);
    },
  );
}

test("a record that was set aside can still be looked at, and is swept away with its machine", async () => {
  const machines = folderOf("aside");
  const store = new DiskMachineStore(machines, systemClock, new FakeLog());
  await store.save(RECORD);
  for (const text of ["{first", "{second"]) {
    writeFileSync(join(machines, "m-1", "machine.json"), text);
    await store.setAside("m-1");
    assert.equal(readFileSync(join(machines, "m-1", "machine.json.broken"), "utf8"), text);
  }
  const old = Date.now() / 1000 - 25 * 3600;
  utimesSync(join(machines, "m-1"), old, old);
  await store.sweep();
  assert.deepEqual(readdirSync(machines), []);
});

test("a file beside the machines' folders is no machine", async () => {
  const machines = folderOf("beside");
  const store = new DiskMachineStore(machines, systemClock, new FakeLog());
  writeFileSync(join(machines, "note"), "x");
  assert.deepEqual(await store.load(), { records: [], lost: [] });
  await store.sweep();
});
