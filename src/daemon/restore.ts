/**
 * `zwrmd restore`: makes the journal of a data folder that has none from a backup, and begins a new cluster on it. All
 * of it is checked and synced before any of it counts.
 */
import { createReadStream } from "node:fs";
import { lstat, realpath, rm, rmdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Config } from "../config/schema.ts";
import { Journal } from "../journal/journal.ts";
import { LOCK_NAME, lockDataDir } from "../journal/lock.ts";
import { NOTE_NAME } from "../journal/names.ts";
import { unpackBackup } from "../journal/unpack.ts";
import { verifyJournal } from "../journal/verify.ts";
import { systemClock } from "../lib/clock.ts";
import { messageOf, systemCode } from "../lib/errors.ts";
import { diskFiles } from "../lib/files.ts";
import { newUuid } from "../lib/ids.ts";
import { SYSTEM } from "../state/events.ts";
import { CLUSTER_KEY, State } from "../state/state.ts";
import { Replay, Store } from "../state/store.ts";
import { isInside, realOf } from "./own-paths.ts";
import type { Say } from "./tools.ts";
import { journalFolder, stderrLog } from "./tools.ts";

const READ_BYTES = 1024 * 1024;
const OF_A_MOUNT = [
  "It is a mount of its own: unmount it and mount the file system one folder higher, as state.data_dir,",
  "or restore without it and move the folder journal there.",
].join(" ");

/**
 * Reads the backup in `file`; `-` is stdin. Throws JournalDamaged with the backup's line and byte where it is cut or
 * altered.
 */
export async function restore(config: Config, file: string, say: Say): Promise<number> {
  const { dataDir } = config.state;
  if (file !== "-" && (await diskFiles.stat(file)) === null) throw new Error(`${file}: there is no such file`);
  await refuseOthersFolder(dataDir);
  const { journal, stage } = await findPlaces(config);
  await refuseOwnInput(file, stage, join(dataDir, LOCK_NAME));
  const lock = lockDataDir(dataDir);
  try {
    await refuseJournal(config);
    try {
      await rehearse(journal, stage);
      return await restoreVia(stage, journal, config, file, say);
    } finally {
      await rm(stage, { recursive: true, force: true });
    }
  } finally {
    lock.release();
  }
}

async function restoreVia(stage: string, journal: string, config: Config, file: string, say: Say): Promise<number> {
  await diskFiles.mkdir(stage, 0o700);
  const source = file === "-" ? process.stdin : createReadStream(file, { highWaterMark: READ_BYTES });
  const { head, at } = await unpackBackup(diskFiles, stage, file === "-" ? "stdin" : file, source);
  // Read again from the disk, and compared with its snapshots.
  for await (const _segment of verifyJournal(diskFiles, stage, head)) continue;
  const { before, after } = await beginCluster(config, stage);
  await diskFiles.rename(stage, journal);
  await diskFiles.syncFolder(dirname(journal));
  await say(`restored up to seq ${head.seq}, as it was at ${at}`);
  const until = 'until "zwrm-agent accept-cluster" on each host';
  await say(`cluster_id ${after} (it was ${before}): agents stop nothing on its word ${until}`);
  await say('images are not in a backup: "zwrmd images verify" names those that are missing');
  return 0;
}

/** Whatever lies in the journal's folder is for a person to move. */
async function refuseJournal(config: Config): Promise<void> {
  const folder = journalFolder(config);
  const names = await diskFiles.list(folder);
  if (names.length === 0) return;
  const told = names.filter((name) => name !== NOTE_NAME || names.length === 1);
  const what = `${folder} is not empty (${told[0]}${told.length > 1 ? ", …" : ""})`;
  const remedy = "Move that folder away, or give another --data-dir";
  throw new Error(`${what}: a restore never writes over a journal. ${remedy}.`);
}

/**
 * Where the journal comes to lie, which is beyond a link where its folder is one, and where it is made: beside that, so
 * that a rename suffices. A start never looks there.
 */
async function findPlaces(config: Config): Promise<{ readonly journal: string; readonly stage: string }> {
  const folder = journalFolder(config);
  const isLink = (await lstat(folder).catch(() => null))?.isSymbolicLink() === true;
  const journal = await realpath(folder).catch(() => null);
  if (isLink && journal === null) {
    throw new Error(`${folder} is a link that leads nowhere: make the folder that it names, or remove it`);
  }
  if (journal !== null) await refuseOthersFolder(journal);
  const place = journal ?? folder;
  return { journal: place, stage: join(dirname(place), `.${basename(place)}.new`) };
}

/** What is cleared away, or written to, before it was read would be lost. */
async function refuseOwnInput(file: string, stage: string, lockPath: string): Promise<void> {
  if (file === "-") return;
  const real = await realOf(file);
  if (real === null || (real !== (await realOf(lockPath)) && !isInside(real, await realOf(stage)))) return;
  throw new Error(`${file} lies where a restore works itself (${stage}): move it elsewhere first`);
}

/**
 * Puts an empty folder where the journal shall be, and takes it away again where there was none: what keeps a rename
 * out, such as a mount, is told before anything is unpacked.
 */
async function rehearse(journal: string, stage: string): Promise<void> {
  const wasThere = (await diskFiles.stat(journal)) !== null;
  await rm(stage, { recursive: true, force: true });
  await diskFiles.mkdir(stage, 0o700);
  try {
    await diskFiles.rename(stage, journal);
  } catch (error) {
    const what = `a restored journal cannot be put in the place of ${journal}: ${messageOf(error)}.`;
    const mount = systemCode(error) === "EBUSY" ? ` ${OF_A_MOUNT}` : "";
    throw new Error(`${what}${mount} Nothing was unpacked.`, { cause: error });
  }
  if (!wasThere) await rmdir(journal);
}

/** What root makes in the daemon's folder, the daemon could not read. */
async function refuseOthersFolder(dataDir: string): Promise<void> {
  const owner = await stat(dataDir).then(
    ({ uid }) => uid,
    () => null,
  );
  if (owner === null || owner === process.getuid?.()) return;
  throw new Error(
    `${dataDir} belongs to the user with uid ${owner}: restore as that user, or its daemon cannot read what ` +
      `is restored: setpriv --reuid ${owner} --clear-groups zwrmd restore - <FILE`,
  );
}

/** One line behind the backup's last: the restored state is a cluster of its own. Durable when this resolves. */
async function beginCluster(
  config: Config,
  folder: string,
): Promise<{ readonly before: string; readonly after: string }> {
  const state = new State();
  const journal = await Journal.open(
    { folder, files: diskFiles, clock: systemClock, log: stderrLog(), segmentBytes: config.journal.segmentBytes },
    new Replay(state),
  );
  try {
    const before = state.cluster.get(CLUSTER_KEY)?.id;
    if (before === undefined)
      throw new Error(
        "the backup holds no cluster yet, so there is nothing to restore: start the daemon on an empty folder instead",
      );
    const after = newUuid();
    await new Store(state, journal, systemClock).change(SYSTEM, () => ({
      event: { type: "cluster.restored", data: { cluster_id: after } },
      answer: () => undefined,
    }));
    return { before, after };
  } finally {
    await journal.close();
  }
}
