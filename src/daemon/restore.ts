/** `zwrmd restore`: makes the journal of a data folder that has none from a backup, and begins a new cluster on it. All of it is checked and synced before any of it counts. */
import { createReadStream } from "node:fs";
import { rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Config } from "../config/schema.ts";
import { Journal } from "../journal/journal.ts";
import { lockDataDir } from "../journal/lock.ts";
import { unpackBackup } from "../journal/unpack.ts";
import { verifyJournal } from "../journal/verify.ts";
import { systemClock } from "../lib/clock.ts";
import { diskFiles } from "../lib/files.ts";
import { newUuid } from "../lib/ids.ts";
import { SYSTEM } from "../state/events.ts";
import { CLUSTER_KEY, State } from "../state/state.ts";
import { Replay, Store } from "../state/store.ts";
import type { Say } from "./tools.ts";
import { journalFolder, stderrLog } from "./tools.ts";

/** Where the journal is made; a start never looks there. */
const STAGE = ".journal.new";
const READ_BYTES = 1024 * 1024;

/** Reads the backup in `file`; `-` is stdin. Throws JournalDamaged with the backup's line and byte where it is cut or altered. */
export async function restore(config: Config, file: string, say: Say): Promise<number> {
  const { dataDir } = config.state;
  if (file !== "-" && (await diskFiles.stat(file)) === null) throw new Error(`${file}: there is no such file`);
  await refuseOthersFolder(dataDir);
  const lock = lockDataDir(dataDir);
  const stage = join(dataDir, STAGE);
  try {
    await refuseJournal(config);
    await rm(stage, { recursive: true, force: true });
    await diskFiles.mkdir(stage, 0o700);
    const source = file === "-" ? process.stdin : createReadStream(file, { highWaterMark: READ_BYTES });
    const { head, at } = await unpackBackup(diskFiles, stage, file === "-" ? "stdin" : file, source);
    // Read again from the disk, and compared with its snapshots.
    for await (const _segment of verifyJournal(diskFiles, stage, head)) continue;
    const { before, after } = await beginCluster(config, stage);
    await diskFiles.rename(stage, journalFolder(config));
    await diskFiles.syncFolder(dataDir);
    await say(`restored up to seq ${head.seq}, as it was at ${at}`);
    await say(
      `cluster_id ${after} (it was ${before}): agents stop nothing on its word until "zwrm-agent accept-cluster" on each host`,
    );
    await say('images are not in a backup: "zwrmd images verify" names those that are missing');
    return 0;
  } finally {
    await rm(stage, { recursive: true, force: true });
    lock.release();
  }
}

/** Whatever lies in the journal's folder is for a person to move. */
async function refuseJournal(config: Config): Promise<void> {
  const folder = journalFolder(config);
  const names = await diskFiles.list(folder);
  if (names.length === 0) return;
  throw new Error(`${folder} is not empty (${names[0]}${names.length > 1 ? ", …" : ""}): a restore never writes over a journal. Move that folder away, or give another --data-dir.`);
}

/** What root makes in the daemon's folder, the daemon could not read. */
async function refuseOthersFolder(dataDir: string): Promise<void> {
  const owner = await stat(dataDir).then(({ uid }) => uid, () => null);
  if (owner === null || owner === process.getuid?.()) return;
  throw new Error(`${dataDir} belongs to the user with uid ${owner}: restore as that user, or its daemon cannot read what is restored: setpriv --reuid ${owner} --clear-groups zwrmd restore - <FILE`);
}

/** One line behind the backup's last: the restored state is a cluster of its own. Durable when this resolves. */
async function beginCluster(config: Config, folder: string): Promise<{ readonly before: string; readonly after: string }> {
  const state = new State();
  const journal = await Journal.open({ folder, files: diskFiles, clock: systemClock, log: stderrLog(), segmentBytes: config.journal.segmentBytes }, new Replay(state));
  try {
    const before = state.cluster.get(CLUSTER_KEY)?.id;
    if (before === undefined) throw new Error("the backup holds no cluster yet, so there is nothing to restore: start the daemon on an empty folder instead");
    const after = newUuid();
    await new Store(state, journal, systemClock).change(SYSTEM, () => ({ event: { type: "cluster.restored", data: { cluster_id: after } }, answer: () => undefined }));
    return { before, after };
  } finally {
    await journal.close();
  }
}
