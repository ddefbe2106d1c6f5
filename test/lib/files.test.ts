/**
 * Files as the journal and the image store see them: whole writes, durable replacement, and what is left behind when
 * the disk says no.
 */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import type { TestContext } from "node:test";
import type { Files } from "../../src/lib/files.ts";
import { diskFiles, readWhole, writeAll, writeDurably } from "../../src/lib/files.ts";

function folderFor(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "zwrm-files-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function fault(code: string): Error {
  return Object.assign(new Error(code), { code });
}

/** The real disk, telling each call's name before it is made. */
function watched(before: (call: string) => void): Files {
  const tell =
    <A extends unknown[], T>(name: string, call: (...args: A) => Promise<T>) =>
    async (...args: A): Promise<T> => {
      before(name);
      return call(...args);
    };
  const { open, close, write, datasync, rename, unlink, syncFolder } = diskFiles;
  return {
    ...diskFiles,
    open: tell("open", open),
    close: tell("close", close),
    write: tell("write", write),
    datasync: tell("datasync", datasync),
    rename: tell("rename", rename),
    unlink: tell("unlink", unlink),
    syncFolder: tell("syncFolder", syncFolder),
  };
}

test("writeAll goes on after a short write, at the right place", async (t) => {
  const path = join(folderFor(t), "file");
  const calls: [offset: number, length: number, position: number][] = [];
  const short: Files = {
    ...diskFiles,
    write: (fd, buffer, offset, length, position) => {
      calls.push([offset, length, position]);
      return diskFiles.write(fd, buffer, offset, Math.min(length, 3), position);
    },
  };
  const fd = await short.open(path, "w");
  await writeAll(short, fd, Buffer.from("xx"), 0);
  await writeAll(short, fd, Buffer.from("12345678"), 2);
  await short.close(fd);
  assert.equal(readFileSync(path, "utf8"), "xx12345678");
  assert.deepEqual(calls, [
    [0, 2, 0],
    [0, 8, 2],
    [3, 5, 5],
    [6, 2, 8],
  ]);
});

test("writeAll of nothing makes no call", async () => {
  await writeAll({ ...diskFiles, write: () => assert.fail("a write") }, -1, Buffer.alloc(0), 0);
});

test("writeAll gives up where the disk takes nothing and says nothing", async () => {
  await assert.rejects(writeAll({ ...diskFiles, write: () => Promise.resolve(0) }, -1, Buffer.from("a"), 0), {
    code: "EIO",
  });
});

test("writeAll passes on what the disk says after a short write", async () => {
  let calls = 0;
  const full: Files = {
    ...diskFiles,
    write: () => (++calls === 1 ? Promise.resolve(1) : Promise.reject(fault("ENOSPC"))),
  };
  await assert.rejects(writeAll(full, -1, Buffer.from("abc"), 0), { code: "ENOSPC" });
  assert.equal(calls, 2);
});

test("writeDurably writes beside, syncs, renames and syncs the folder, in this order", async (t) => {
  const folder = folderFor(t);
  writeFileSync(join(folder, "name"), "old");
  const calls: string[] = [];
  await writeDurably(
    watched((call) => calls.push(call)),
    folder,
    "name",
    Buffer.from("new"),
    0o640,
  );
  assert.equal(calls.filter((call) => call !== "close").join(" "), "open write datasync rename syncFolder");
  assert.ok(calls.indexOf("close") > calls.indexOf("datasync"));
  assert.deepEqual(readdirSync(folder), ["name"]);
  assert.equal(readFileSync(join(folder, "name"), "utf8"), "new");
  assert.equal(statSync(join(folder, "name")).mode & 0o777, 0o640);
});

for (const call of ["open", "write", "datasync", "close", "rename"]) {
  test(`writeDurably leaves the old file and nothing beside it when ${call} fails, and says what failed`, async (t) => {
    const folder = folderFor(t);
    writeFileSync(join(folder, "name"), "old");
    const failing = watched((name) => {
      if (name === call) throw fault("EIO");
    });
    await assert.rejects(writeDurably(failing, folder, "name", Buffer.from("new")), { code: "EIO" });
    assert.deepEqual(readdirSync(folder), ["name"]);
    assert.equal(readFileSync(join(folder, "name"), "utf8"), "old");
  });
}

test("writeDurably tells the first failure, whatever fails while it tidies up", async (t) => {
  const failing = watched((name) => {
    if (name === "write") throw fault("ENOSPC");
    if (name === "close" || name === "unlink") throw fault("EIO");
  });
  await assert.rejects(writeDurably(failing, folderFor(t), "name", Buffer.from("new")), { code: "ENOSPC" });
});

test("writeDurably is not done before the folder is synced", async (t) => {
  const failing = watched((name) => {
    if (name === "syncFolder") throw fault("EIO");
  });
  await assert.rejects(writeDurably(failing, folderFor(t), "name", Buffer.from("new")), { code: "EIO" });
});

test("readWhole gives every byte of a file larger than its buffer", async (t) => {
  const path = join(folderFor(t), "file");
  const bytes = Buffer.alloc(200_001, "0123456789abcdef-");
  writeFileSync(path, bytes);
  assert.ok((await readWhole(diskFiles, path)).equals(bytes));
  await assert.rejects(readWhole(diskFiles, `${path}.missing`), { code: "ENOENT" });
});

test("the disk: what is not there lists as nothing and stats as null", async (t) => {
  const folder = folderFor(t);
  assert.deepEqual(await diskFiles.list(join(folder, "missing")), []);
  assert.equal(await diskFiles.stat(join(folder, "missing")), null);
  await assert.rejects(diskFiles.unlink(join(folder, "missing")), { code: "ENOENT" });
  writeFileSync(join(folder, "file"), "");
  await assert.rejects(diskFiles.list(join(folder, "file")), { code: "ENOTDIR" });
});

test("the disk: folders are made with their parents, names are sorted, new files are the owner's alone", async (t) => {
  const folder = join(folderFor(t), "a", "b");
  await diskFiles.mkdir(folder);
  await diskFiles.mkdir(folder);
  assert.equal(statSync(folder).mode & 0o777, 0o700);
  for (const name of ["c", "a", "b"]) await diskFiles.close(await diskFiles.open(join(folder, name), "wx"));
  assert.deepEqual(await diskFiles.list(folder), ["a", "b", "c"]);
  assert.equal(statSync(join(folder, "a")).mode & 0o777, 0o600);
  await assert.rejects(diskFiles.open(join(folder, "a"), "wx"), { code: "EEXIST" });
  await diskFiles.syncFolder(folder);
});

test("the disk: reads at a place, cuts, renames, and tells sizes and room", async (t) => {
  const folder = folderFor(t);
  const path = join(folder, "file");
  const fd = await diskFiles.open(path, "wx+");
  await writeAll(diskFiles, fd, Buffer.from("0123456789"), 0);
  const buffer = Buffer.alloc(4, "-");
  assert.equal(await diskFiles.read(fd, buffer, 1, 2, 4), 2);
  assert.equal(buffer.toString(), "-45-");
  assert.equal(await diskFiles.read(fd, buffer, 0, 4, 10), 0);
  await diskFiles.truncate(fd, 3);
  await diskFiles.datasync(fd);
  await diskFiles.close(fd);
  await diskFiles.rename(path, `${path}.new`);
  assert.ok(!existsSync(path));
  const stat = await diskFiles.stat(`${path}.new`);
  assert.equal(stat?.size, 3);
  assert.equal(stat.isFile, true);
  assert.equal((await diskFiles.stat(folder))?.isFile, false);
  const space = await diskFiles.space(folder);
  assert.ok(space.freeBytes > 0 && space.freeBytes <= space.totalBytes);
});
