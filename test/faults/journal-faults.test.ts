/**
 * The journal on a disk that fails at the n-th call, for every n: nothing acknowledged is lost, nothing refused is
 * there, it says what is wrong, it never hangs.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { diskFiles, type Files, readWhole } from "../../src/lib/files.ts";
import { type Call, type Failure, FaultyFiles, forEveryCall, type Hit, NEEDS_ROOM, type Plan } from "./faulty-files.ts";
import { live, liveTwice, reopenAndJudge } from "./journal-workload.ts";
import { Ledger } from "./ledger.ts";
import { PowerCutFiles } from "./power-cut-files.ts";

/** Nobody pulls the plug here, so a sync has nothing to add; without it the disk of the machine sets the pace. */
const unsyncedDisk: Files = { ...diskFiles, datasync: () => Promise.resolve(), syncFolder: () => Promise.resolve() };

/**
 * Nothing that was promised hangs on these: what is closed was synced, what is left over goes at the next start, an
 * older snapshot or the segments stand in for one that cannot be read.
 */
function maySayNothing({ call, path }: Hit): boolean {
  return call === "close" || call === "unlink" || (path.endsWith(".snapshot") && (call === "open" || call === "read"));
}

/** One life with the faults of `plan`, and the start after it. Where `isTorn`, a crash tore the last write before. */
async function liveWith(disk: Files, folder: string, plan: Plan, isTorn: boolean): Promise<FaultyFiles> {
  const ledger = new Ledger();
  if (isTorn) await tear(disk, folder, ledger);
  const files = new FaultyFiles(disk, plan);
  let wasFullAtStart = false;
  const onOpened = (): void =>
    void (wasFullAtStart ||= plan.failure.includes("full") && files.hit !== null && ledger.complaints.length === 0);
  const workload = { files, folder, ledger, makeRoom: () => files.makeRoom(), onOpened };
  await (isTorn ? live(workload, [[200, 200]]) : liveTwice(workload));
  const isHarmless = files.hit === null || plan.failure === "short";
  if (isHarmless && !isTorn) assert.deepEqual(ledger.complaints, []);
  // A start writes nothing new, so it may do without the room.
  if (!isHarmless && !wasFullAtStart && files.hit !== null && !maySayNothing(files.hit))
    assert.notEqual(ledger.complaints.length, 0, `a failed ${files.hit.call} of ${files.hit.path} is said`);
  assert.deepEqual(files.left, [], "no descriptor is left open");
  await reopenAndJudge(disk, folder, ledger);
  return files;
}

async function onRealDisk(plan: Plan): Promise<FaultyFiles> {
  const folder = mkdtempSync(join(tmpdir(), "zwrm-faults-"));
  try {
    return await liveWith(unsyncedDisk, join(folder, "journal"), plan, false);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function inMemory(plan: Plan, isTorn = false): Promise<FaultyFiles> {
  return liveWith(new PowerCutFiles(), "/journal", plan, isTorn);
}

/** A journal whose last write was torn by a crash. */
async function tear(files: Files, folder: string, ledger: Ledger): Promise<void> {
  await live({ files, folder, ledger, makeRoom: () => undefined }, [[400, 400]]);
  const last = (await files.list(folder)).filter((name) => name.endsWith(".jsonl")).at(-1) ?? "";
  const bytes = await readWhole(files, `${folder}/${last}`);
  const seq = Number(last.slice(0, 20)) + bytes.toString("utf8").split("\n").length - 1;
  const fd = await files.open(`${folder}/${last}`, "r+");
  const half = Buffer.from(`{"sum":"${"0".repeat(64)}","seq":${seq},"batch":${seq},"at":"`);
  await files.write(fd, half, 0, half.length, bytes.length);
  await files.close(fd);
}

const ON_REAL_DISK: readonly (readonly [title: string, calls: readonly Call[], failure: Failure])[] = [
  ["goes on after a short write, whichever it is", ["write"], "short"],
  [
    "says that it is full after a short write and then ENOSPC, and works again when there is room",
    ["write"],
    "short, then full",
  ],
  ["says that it is full at whichever call needs room, and works again when there is some", NEEDS_ROOM, "full"],
  ["works again after an ENOSPC that passes by itself", NEEDS_ROOM, "full once"],
  ["keeps its promises when any one call fails with EIO", [], "EIO"],
];

for (const [title, calls, failure] of ON_REAL_DISK) {
  test(`the journal ${title}`, async (context) => {
    const met = await forEveryCall(calls, failure, onRealDisk);
    assert.ok(met > 20, "the workload meets the fault");
    context.diagnostic(`${met} faults`);
  });
}

test("the journal keeps its promises when the disk is gone from any call on", async (context) => {
  context.diagnostic(`${await forEveryCall([], "EIO for good", (plan) => inMemory(plan))} faults`);
});

test(
  "a start that cuts a torn end keeps its promises when any one call fails with EIO, " + "or needs room",
  async (context) => {
    const failed = await forEveryCall([], "EIO", (plan) => inMemory(plan, true));
    const full = await forEveryCall(NEEDS_ROOM, "full", (plan) => inMemory(plan, true));
    context.diagnostic(`${failed} and ${full} faults`);
  },
);

for (const second of ["truncate", "datasync"] as const) {
  test(`the journal keeps its promises when after an ENOSPC a ${second} fails too`, async (context) => {
    const met = await forEveryCall(["write"], "short, then full", async (plan) => {
      for (let at = 1; at <= 3; at++) await inMemory({ ...plan, next: { calls: [second], at, failure: "EIO" } });
      return inMemory(plan);
    });
    context.diagnostic(`${met} faults`);
  });
}
