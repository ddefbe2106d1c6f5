/**
 * The laboratory itself: the disk in memory behaves like a real one, a power cut leaves what it may and nothing else,
 * faults strike where they are planned.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { systemCode } from "../../src/lib/errors.ts";
import { diskFiles, type Files, readWhole, writeAll } from "../../src/lib/files.ts";
import { FaultyFiles } from "./faulty-files.ts";
import type { MemoryFolder } from "./memory-disk.ts";
import { PowerCutFiles } from "./power-cut-files.ts";
import { Frozen, PageNumbers, seeded } from "./survivors.ts";

const FLAGS = ["r", "r+", "a+", "w", "wx", "wx+"] as const;

/** Does the same random things to any disk and tells what each of them gave. */
async function randomLife(files: Files, folder: string, seed: number): Promise<readonly string[]> {
  const dice = seeded(seed);
  const pick = <T>(items: readonly [T, ...T[]]): T => items[Math.floor(dice() * items.length)] ?? items[0];
  const name = (): string => `${folder}/${pick(["a", "b", "sub/c", "sub/d", "missing/e"])}`;
  const told: string[] = [];
  const tell = async (what: string, step: () => Promise<unknown>): Promise<void> => {
    const result = await step().then(
      (value) => JSON.stringify(value),
      (error: unknown) => systemCode(error) ?? String(error),
    );
    told.push(`${what}: ${result}`);
  };
  await files.mkdir(`${folder}/sub`);
  for (let round = 0; round < 120; round++) {
    const [path, other, size, position] = [name(), name(), Math.floor(dice() * 9_000), Math.floor(dice() * 12_000)];
    const flags = pick(FLAGS);
    const action = pick(["write", "write", "truncate", "rename", "unlink", "list"]);
    if (action === "rename") await tell(action, () => files.rename(path, other));
    else if (action === "unlink") await tell(action, () => files.unlink(path));
    else if (action === "list")
      await tell(action, async () => [
        await files.list(folder),
        await files.list(`${folder}/sub`),
        await files.list(`${folder}/missing`),
      ]);
    else {
      await tell(`${action} ${flags}`, async () => {
        const fd = await files.open(path, flags);
        try {
          if (action === "truncate") await files.truncate(fd, size);
          else await files.write(fd, Buffer.alloc(size + 1, `${round} `), 0, size + 1, position);
        } catch (error) {
          return ["EBADF", "EINVAL"].includes(systemCode(error) ?? "") ? "not writable" : error;
        } finally {
          await files.close(fd);
        }
        return createHash("sha256")
          .update(await readWhole(files, path))
          .digest("hex");
      });
    }
    await tell("stat", async () => (await files.stat(path))?.size ?? null);
  }
  return told;
}

test("the disk in memory gives what a real disk gives, whatever is done to it", async () => {
  for (const seed of [1, 2, 3]) {
    const folder = mkdtempSync(join(tmpdir(), "zwrm-layers-"));
    try {
      assert.deepEqual(await randomLife(new PowerCutFiles(), "/disk", seed), await randomLife(diskFiles, folder, seed));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
});

/** What may be in `path` after a power cut now, each once, as letters of its pages. */
async function survivors(files: PowerCutFiles, path: string): Promise<readonly string[]> {
  const found: string[] = [];
  for (const { root } of new Frozen(files, new PageNumbers()).survivors(4_096, seeded(1))) {
    const bytes = await contentOf(root, path);
    found.push(
      bytes === null
        ? "no file"
        : Array.from({ length: bytes.length / 4_096 }, (_, page) =>
            bytes.toString("latin1", page * 4_096, page * 4_096 + 1),
          ).join(""),
    );
  }
  return [...new Set(found)].sort();
}

function contentOf(root: MemoryFolder, path: string): Promise<Buffer | null> {
  return readWhole(new PowerCutFiles(root), path).catch(() => null);
}

test(
  "a power cut leaves any subset of unsynced pages under any of their sizes, the name or not, and all of " +
    "what was synced",
  async () => {
    const files = new PowerCutFiles();
    const fd = await files.open("/file", "wx");
    await writeAll(files, fd, Buffer.alloc(4_096, "a"), 0);
    assert.deepEqual(await survivors(files, "/file"), ["", "\0", "a", "no file"]);
    await files.syncFolder("/");
    await files.datasync(fd);
    assert.deepEqual(await survivors(files, "/file"), ["a"]);
    await writeAll(files, fd, Buffer.alloc(8_192, "b"), 4_096);
    assert.deepEqual(await survivors(files, "/file"), ["a", "a\0\0", "a\0b", "ab\0", "abb"]);
    await files.truncate(fd, 0);
    await files.datasync(fd);
    assert.deepEqual(await survivors(files, "/file"), [""]);
  },
);

test("pages that a failed sync forgot stay lost to later syncs, until they are written again", async () => {
  const files = new PowerCutFiles();
  const fd = await files.open("/file", "wx");
  await files.syncFolder("/");
  await writeAll(files, fd, Buffer.alloc(4_096, "a"), 0);
  files.failSync(fd);
  await files.datasync(fd);
  assert.ok((await survivors(files, "/file")).includes("\0"));
  await writeAll(files, fd, Buffer.alloc(4_096, "a"), 0);
  await files.datasync(fd);
  assert.deepEqual(await survivors(files, "/file"), ["a"]);
});

test("a rename that was not synced leaves the old name, the new one or both, never none", async () => {
  const files = new PowerCutFiles();
  await files.open("/old", "wx");
  await files.mkdir("/new");
  await files.syncFolder("/");
  await files.rename("/old", "/new/name");
  const found: string[] = [];
  for (const { root } of new Frozen(files, new PageNumbers()).survivors(64, seeded(1))) {
    found.push(
      [await contentOf(root, "/old"), await contentOf(root, "/new/name")]
        .map((bytes) => (bytes === null ? "-" : "+"))
        .join(""),
    );
  }
  assert.deepEqual(found.sort(), ["++", "+-", "-+"]);
});

test("a planned fault strikes the planned call, and a full disk stays full until there is room", async () => {
  const files = new FaultyFiles(new PowerCutFiles(), { calls: ["write"], at: 2, failure: "short, then full" });
  const fd = await files.open("/file", "wx");
  const write = (): Promise<number> => files.write(fd, Buffer.alloc(100), 0, 100, 0);
  assert.equal(await write(), 100);
  assert.equal(await write(), 50);
  await assert.rejects(write, { code: "ENOSPC" });
  await assert.rejects(files.open("/other", "w"), { code: "ENOSPC" });
  files.makeRoom();
  assert.equal(await write(), 100);
  assert.deepEqual(files.hit, { call: "write", path: "/file" });
  assert.deepEqual(files.left, ["/file"]);
});
