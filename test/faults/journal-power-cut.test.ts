/**
 * The journal and power cuts: at any moment, with any subset of what was not synced, every start heals and loses only
 * what was never acknowledged.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { diskFiles, readWhole } from "../../src/lib/files.ts";
import { FaultyFiles, forEveryCall, type Plan } from "./faulty-files.ts";
import { assertChain, changeTogether, live, liveTwice, openJournal, reopenAndJudge } from "./journal-workload.ts";
import { Ledger, type Said, type Seen } from "./ledger.ts";
import type { MemoryFolder } from "./memory-disk.ts";
import { PowerCutFiles } from "./power-cut-files.ts";
import { PowerCuts } from "./power-cuts.ts";
import { materialise, seeded } from "./survivors.ts";

const FOLDER = "/data/journal";
const SHORT_LIFE = [
  [700, 700, 700],
  [300, 9_000, 300],
  [2_500, 2_500],
];

/** A disk whose data folder is there for sure. */
async function newDisk(): Promise<PowerCutFiles> {
  const files = new PowerCutFiles();
  await files.mkdir("/data");
  await files.syncFolder("/");
  return files;
}

/** What a start finds on the disk. It must be able to go on from there, too. */
async function startOn(disk: MemoryFolder): Promise<readonly Seen[]> {
  const files = new PowerCutFiles(disk);
  const { journal, memory } = await openJournal(files, FOLDER);
  await assertChain(files, FOLDER, memory.seen);
  await journal.close();
  return memory.seen;
}

function judgeBy(ledger: Ledger): (seen: readonly Seen[], said: Said) => void {
  return (seen, said) => ledger.judge(seen, said);
}

test(
  "the journal loses nothing acknowledged to a power cut before any call of its life, whatever subset of " +
    "pages, sizes and names is left",
  async (context) => {
    const ledger = new Ledger();
    const files = await newDisk();
    const cuts = new PowerCuts(files, () => ledger.said);
    await liveTwice({ files, folder: FOLDER, ledger, makeRoom: () => undefined });
    assert.deepEqual(ledger.complaints, []);
    const { moments, disks } = await cuts.judgeAll(1_024, seeded(1), startOn, judgeBy(ledger));
    context.diagnostic(`${moments} moments, ${disks} disks`);
  },
);

test("a batch over ten pages heals with every combination of its pages, its size whole or not", async (context) => {
  const ledger = new Ledger();
  const files = await newDisk();
  const { journal } = await openJournal(files, FOLDER, [], 1024 ** 2);
  await changeTogether(journal, ledger, [300]);
  const cuts = new PowerCuts(files, () => ledger.said);
  await changeTogether(journal, ledger, [300, 3_000, 2_000, 9_000, 6_000, 500, 3_800, 3_800, 3_800]);
  await journal.close();
  const { disks } = await cuts.judgeAll(2 ** 11, seeded(2), startOn, judgeBy(ledger));
  assert.ok(disks >= 2 ** 9, `${disks} disks`);
  context.diagnostic(`${disks} disks`);
});

test(
  "what a start has shown outlives a power cut right after it, although the daemon before was killed at " + "any call",
  async (context) => {
    let disks = 0;
    const killed = async (plan: Plan): Promise<FaultyFiles> => {
      const ledger = new Ledger();
      const disk = await newDisk();
      const files = new FaultyFiles(disk, plan, (fd) => disk.failSync(fd));
      await live({ files, folder: FOLDER, ledger, makeRoom: () => undefined }, SHORT_LIFE);
      const shown: Seen[][] = [[]];
      const cuts = new PowerCuts(disk, () => ({ said: ledger.said, shown: shown.at(-1) ?? [] }));
      const { journal, memory } = await openJournal(disk, FOLDER);
      ledger.judge(memory.seen);
      shown.push([...memory.seen]);
      await changeTogether(journal, ledger, [200, 5_000]);
      await journal.close();
      const judged = await cuts.judgeAll(12, seeded(plan.at), startOn, (seen, promised) => {
        ledger.judge(seen, promised.said);
        assert.deepEqual(seen.slice(0, promised.shown.length), promised.shown, "what was shown is there");
      });
      disks += judged.disks;
      return files;
    };
    const met = await forEveryCall([], "EIO for good", killed);
    context.diagnostic(`${met} kills, ${disks} disks`);
  },
);

test(
  "a failed sync that the kernel forgets costs nothing acknowledged, whichever sync it is and whenever " +
    "the power goes",
  async (context) => {
    let disks = 0;
    for (const call of ["datasync", "syncFolder"] as const) {
      const met = await forEveryCall([call], "EIO", async (plan) => {
        const ledger = new Ledger();
        const disk = await newDisk();
        const files = new FaultyFiles(disk, plan, (fd) => disk.failSync(fd));
        const cuts = new PowerCuts(disk, () => ledger.said);
        await live({ files, folder: FOLDER, ledger, makeRoom: () => undefined }, SHORT_LIFE);
        await live({ files: disk, folder: FOLDER, ledger, makeRoom: () => undefined }, [[100, 100]]);
        const judged = await cuts.judgeAll(12, seeded(plan.at), startOn, judgeBy(ledger));
        disks += judged.disks;
        await reopenAndJudge(disk, FOLDER, ledger);
        return files;
      });
      context.diagnostic(`${met} failed calls of ${call}`);
    }
    context.diagnostic(`${disks} disks`);
  },
);

test(
  "what was refused for want of room stays away after a power cut at any moment " + "behind the refusal",
  async (context) => {
    let disks = 0;
    const met = await forEveryCall(["write"], "short, then full", async (plan) => {
      const ledger = new Ledger();
      const disk = await newDisk();
      const files = new FaultyFiles(disk, plan);
      const cuts = new PowerCuts(disk, () => ledger.said);
      await live({ files, folder: FOLDER, ledger, makeRoom: () => files.makeRoom() }, SHORT_LIFE);
      const judged = await cuts.judgeAll(24, seeded(plan.at), startOn, judgeBy(ledger));
      disks += judged.disks;
      return files;
    });
    context.diagnostic(`${met} faults, ${disks} disks`);
  },
);

/** What starts kept of torn ends. */
async function tornEnds(disk: MemoryFolder): Promise<readonly string[]> {
  const files = new PowerCutFiles(disk);
  const names = (await files.list(FOLDER)).filter((name) => name.endsWith(".torn"));
  return Promise.all(names.map(async (name) => (await readWhole(files, `${FOLDER}/${name}`)).toString("latin1")));
}

test(
  "a power cut while a start heals a torn end heals at the next start, and what was " + "torn is kept",
  async (context) => {
    const ledger = new Ledger();
    const files = await newDisk();
    const first = new PowerCuts(files, () => ledger.said);
    await live({ files, folder: FOLDER, ledger, makeRoom: () => undefined }, [
      [700, 5_000],
      [3_000, 300, 9_000],
    ]);
    let disks = 0;
    let kept = 0;
    const dice = seeded(3);
    const heal = async (disk: MemoryFolder): Promise<readonly Seen[][]> => {
      const healing = new PowerCutFiles(disk);
      const cuts = new PowerCuts(healing, () => null);
      // The segment with the torn end is full now, so the first change closes it: its cut must be durable by then.
      const { journal, memory } = await openJournal(healing, FOLDER, [], 1);
      const starts = [[...memory.seen]];
      const torn = await tornEnds(disk);
      kept += torn.length;
      await changeTogether(journal, new Ledger(), []);
      await journal.close();
      const again = async (left: MemoryFolder): Promise<void> => {
        const seen = await startOn(left);
        starts.push(seen.filter((record) => record.seq <= memory.seen.length));
        const keptNow = await tornEnds(left);
        assert.ok(
          torn.every((end) => keptNow.includes(end)),
          "what was torn is kept, whole",
        );
      };
      disks += (await cuts.judgeAll(4, dice, again, () => undefined)).disks;
      return starts;
    };
    await first.judgeAll(6, dice, heal, (starts, said) => starts.forEach((seen) => ledger.judge(seen, said)));
    assert.ok(kept > 3, `${kept} torn ends`);
    context.diagnostic(`${disks} disks, ${kept} torn ends`);
  },
);

test("a disk that a power cut left heals as well as real files", async () => {
  const ledger = new Ledger();
  const files = await newDisk();
  const cuts = new PowerCuts(files, () => ledger.said);
  await live({ files, folder: FOLDER, ledger, makeRoom: () => undefined }, [[700, 5_000]]);
  const found = async (disk: MemoryFolder): Promise<readonly Seen[]> => {
    const folder = mkdtempSync(join(tmpdir(), "zwrm-cut-"));
    try {
      materialise(disk, folder);
      const { journal, memory } = await openJournal(diskFiles, join(folder, FOLDER));
      await journal.close();
      return memory.seen;
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  };
  await cuts.judgeAll(8, seeded(4), found, judgeBy(ledger));
});
