/** The lock of a data folder, held by a real process that is really killed. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chownSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { DataDirLocked, holdForLook, lockDataDir } from "../../src/journal/lock.ts";
import { tempFolder } from "./lab.ts";

const LOCK = new URL("../../src/journal/lock.ts", import.meta.url).href;
const HOLDER =
  `import(${JSON.stringify(LOCK)}).then(({ lockDataDir }) => { lockDataDir(process.argv[1]); ` +
  `console.log("held"); setInterval(() => undefined, 60_000); });`;

test(
  "a second process is refused and told who holds the folder; after SIGKILL of the " + "first it is let in",
  async (t) => {
    const folder = join(tempFolder(t), "data");
    const child = spawn(process.execPath, ["--import", "tsx", "-e", HOLDER, folder], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    t.after(() => child.kill("SIGKILL"));
    await once(child.stdout, "data");
    assert.throws(
      () => lockDataDir(folder),
      (error) => {
        assert.ok(error instanceof DataDirLocked);
        for (const word of [folder, `process ${child.pid}`, `on ${hostname()}`, "since 20"])
          assert.ok(error.message.includes(word), error.message);
        return true;
      },
    );
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
    const lock = lockDataDir(folder);
    const who: unknown = JSON.parse(readFileSync(lock.path, "utf8"));
    assert.ok(typeof who === "object" && who !== null && "pid" in who && who.pid === process.pid);
    lock.release();
  },
);

test("a lock keeps out its own process, too, until it is released, and releasing twice lets no other go", (t) => {
  const folder = join(tempFolder(t), "data");
  const first = lockDataDir(folder);
  assert.throws(() => lockDataDir(folder), DataDirLocked);
  first.release();
  const second = lockDataDir(folder);
  first.release();
  assert.throws(() => lockDataDir(folder), DataDirLocked);
  second.release();
});

test(
  "a look makes no lock and writes nothing, goes with other looks, and keeps a daemon out until it is " + "over",
  async (t) => {
    const folder = join(tempFolder(t), "data");
    holdForLook(folder)();
    mkdirSync(folder);
    holdForLook(folder)();
    assert.deepEqual(readdirSync(folder), []);
    lockDataDir(folder).release();
    // As a daemon that has ended leaves it.
    writeFileSync(
      join(folder, "lock"),
      JSON.stringify({ pid: 4_194_305, host: hostname(), since: "2026-01-01T00:00:00.000Z" }),
    );
    const before = readFileSync(join(folder, "lock"));
    const [first, second] = [holdForLook(folder), holdForLook(folder)];
    first();
    assert.throws(() => lockDataDir(folder), /in use by another process, such as zwrmd images verify/);
    second();
    assert.deepEqual(readFileSync(join(folder, "lock")), before);
    const lock = lockDataDir(folder);
    assert.throws(() => holdForLook(folder), DataDirLocked);
    lock.release();
  },
);

test("a lock that root makes in another user's folder is that user's", (t) => {
  if (process.getuid?.() !== 0) return t.skip("only root makes files of others");
  const folder = tempFolder(t);
  chownSync(folder, 12_345, 12_346);
  lockDataDir(folder).release();
  const { uid, gid } = statSync(join(folder, "lock"));
  assert.deepEqual([uid, gid], [12_345, 12_346]);
});

test("says what is missing where flock cannot be run", (t) => {
  const folder = tempFolder(t);
  const path = process.env["PATH"];
  process.env["PATH"] = folder;
  try {
    assert.throws(() => lockDataDir(folder), /flock was not found; it is part of util-linux/);
  } finally {
    process.env["PATH"] = path;
  }
  lockDataDir(folder).release();
});
