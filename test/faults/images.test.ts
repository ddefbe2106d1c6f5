/**
 * The image store on disks that fail, and under power cuts: what is in place is complete and true, what was
 * acknowledged stays, nothing is left lying about.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { diskFiles, type Files } from "../../src/lib/files.ts";
import { type Call, type Failure, FaultyFiles, forEveryCall, type Hit, NEEDS_ROOM, type Plan } from "./faulty-files.ts";
import { ImageLedger, judgeImages, restartAndJudge, startStore, storeTwice } from "./image-workload.ts";
import type { MemoryFolder } from "./memory-disk.ts";
import { PowerCutFiles } from "./power-cut-files.ts";
import { PowerCuts } from "./power-cuts.ts";
import { seeded } from "./survivors.ts";

const FOLDER = "/data/images";
const ROOM = { freeBytes: 10 * 1024 ** 3, totalBytes: 20 * 1024 ** 3 };
/** Without syncs, which add nothing while the kernel lives, and with room whatever the machine has. */
const unsyncedDisk: Files = {
  ...diskFiles,
  datasync: () => Promise.resolve(),
  syncFolder: () => Promise.resolve(),
  space: () => Promise.resolve(ROOM),
};

/**
 * What an upload leaves is cleared by the next start; the calls of a refused upload are answered with the refusal; an
 * image that cannot be read is written anew by its push.
 */
function maySayNothing({ call, path }: Hit): boolean {
  return (
    call === "close" ||
    (call === "read" && path.includes("/sha256/")) ||
    (path.includes("/incoming") && call !== "datasync" && call !== "syncFolder")
  );
}

async function storeWith(disk: Files, folder: string, plan: Plan): Promise<FaultyFiles> {
  const ledger = new ImageLedger();
  const files = new FaultyFiles(disk, plan);
  await storeTwice({ files, folder, ledger, makeRoom: () => files.makeRoom() });
  if (files.hit === null || plan.failure === "short") assert.deepEqual(ledger.complaints, []);
  else if (!maySayNothing(files.hit))
    assert.notEqual(ledger.complaints.length, 0, `a failed ${files.hit.call} of ${files.hit.path} is said`);
  assert.deepEqual(files.left, [], "no descriptor is left open");
  await restartAndJudge(disk, folder, ledger);
  return files;
}

async function onRealDisk(plan: Plan): Promise<FaultyFiles> {
  const folder = mkdtempSync(join(tmpdir(), "zwrm-faults-"));
  try {
    return await storeWith(unsyncedDisk, join(folder, "images"), plan);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A disk whose data folder is there for sure. */
async function newDisk(): Promise<PowerCutFiles> {
  const files = new PowerCutFiles();
  await files.mkdir("/data");
  await files.syncFolder("/");
  return files;
}

const ON_REAL_DISK: readonly (readonly [title: string, calls: readonly Call[], failure: Failure])[] = [
  ["goes on after a short write, whichever it is", ["write"], "short"],
  [
    "refuses an upload that meets a full disk in the middle of a write, and keeps nothing of it",
    ["write"],
    "short, then full",
  ],
  [
    "refuses what a full disk does not take, whichever call needs room, and takes it when there is some",
    NEEDS_ROOM,
    "full",
  ],
  ["keeps its promises when any one call fails with EIO", [], "EIO"],
];

for (const [title, calls, failure] of ON_REAL_DISK) {
  test(`the image store ${title}`, async (context) => {
    const met = await forEveryCall(calls, failure, onRealDisk);
    assert.ok(met > 10, "the workload meets the fault");
    context.diagnostic(`${met} faults`);
  });
}

function start(disk: MemoryFolder): Promise<ReadonlySet<string>> {
  return startStore(new PowerCutFiles(disk), FOLDER);
}

test(
  "the image store loses nothing acknowledged to a power cut before any call of its life, and shows " +
    "nothing that is not whole",
  async (context) => {
    const ledger = new ImageLedger();
    const files = await newDisk();
    const cuts = new PowerCuts(files, () => ledger.said);
    await storeTwice({ files, folder: FOLDER, ledger, makeRoom: () => undefined });
    assert.deepEqual(ledger.complaints, []);
    const { moments, disks } = await cuts.judgeAll(64, seeded(11), start, judgeImages);
    context.diagnostic(`${moments} moments, ${disks} disks`);
  },
);

test(
  "the image store keeps its promises when the daemon is killed at any call, is started again, and then " +
    "the power goes",
  async (context) => {
    let disks = 0;
    const met = await forEveryCall([], "EIO for good", async (plan) => {
      const ledger = new ImageLedger();
      const disk = await newDisk();
      const files = new FaultyFiles(disk, plan, (fd) => disk.failSync(fd));
      await storeTwice({ files, folder: FOLDER, ledger, makeRoom: () => undefined });
      const cuts = new PowerCuts(disk, () => ledger.said);
      await restartAndJudge(disk, FOLDER, ledger);
      const judged = await cuts.judgeAll(3, seeded(plan.at), start, judgeImages);
      disks += judged.disks;
      return files;
    });
    context.diagnostic(`${met} kills, ${disks} disks`);
  },
);

test("a failed sync costs no acknowledged image, whichever sync it is and whenever the power goes", async (context) => {
  let disks = 0;
  const met = await forEveryCall(["datasync", "syncFolder"], "EIO", async (plan) => {
    const ledger = new ImageLedger();
    const disk = await newDisk();
    const files = new FaultyFiles(disk, plan, (fd) => disk.failSync(fd));
    const cuts = new PowerCuts(disk, () => ledger.said);
    await storeTwice({ files, folder: FOLDER, ledger, makeRoom: () => undefined });
    const judged = await cuts.judgeAll(6, seeded(plan.at), start, judgeImages);
    disks += judged.disks;
    return files;
  });
  context.diagnostic(`${met} faults, ${disks} disks`);
});
