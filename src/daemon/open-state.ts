/** The journal as the daemon uses it: opened and replayed into the state, closed as the last thing before the lock. */
import { join } from "node:path";
import type { Config } from "../config/schema.ts";
import { Journal } from "../journal/journal.ts";
import type { Lock } from "../journal/lock.ts";
import type { Clock } from "../lib/clock.ts";
import type { Closing } from "../lib/closing.ts";
import { messageOf } from "../lib/errors.ts";
import { diskFiles } from "../lib/files.ts";
import { newId, newUuid } from "../lib/ids.ts";
import type { Log } from "../lib/log.ts";
import type { Metrics } from "../metrics/catalogue.ts";
import { recordSyncs } from "../metrics/recorders.ts";
import { SYSTEM } from "../state/events.ts";
import { CLUSTER_KEY } from "../state/state.ts";
import type { State } from "../state/state.ts";
import type { Admission } from "../state/store.ts";
import { Replay, Store } from "../state/store.ts";

export interface OpenStateOptions {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Of the data folder. */
  readonly lock: Lock;
  /** Where the journal's end is noted. */
  readonly opened: Closing;
  /** Judges every change but the daemon's own. */
  readonly admit: Admission;
}

/** Replays the log into `state`. Throws JournalDamaged, UnknownEvent and the disk's own errors. */
export async function openState(
  state: State,
  options: OpenStateOptions,
): Promise<{ readonly journal: Journal; readonly store: Store }> {
  const { config, clock, log, metrics, lock, opened, admit } = options;
  const began = clock.mono();
  const journal = await Journal.open(
    {
      folder: join(config.state.dataDir, "journal"),
      files: diskFiles,
      clock,
      log,
      segmentBytes: config.journal.segmentBytes,
      guard: lock.displacement,
      onSync: recordSyncs(metrics),
    },
    new Replay(state),
  );
  opened.add("the journal", () => closeJournal(journal, log));
  const ms = Math.round(clock.mono() - began);
  log.info("state restored", { hosts: state.hosts.size, images: state.images.size, users: state.users.size, ms });
  if (journal.torn !== null) metrics.journalTorn.inc();
  const store = new Store(state, journal, clock, admit);
  if (state.cluster.get(CLUSTER_KEY) === undefined) await createCluster(store);
  return { journal, store };
}

/** The last thing before the lock: after it nothing writes. */
async function closeJournal(journal: Journal, log: Log): Promise<void> {
  try {
    await journal.close();
  } catch (error) {
    const message = "the journal could not be closed in order; the next start replays what is on disk";
    log.error(message, { reason: messageOf(error) });
  }
  const { seq, sum } = journal.durable;
  log.info("stopped; the journal's head, for journal verify --head", { head: `${seq}:${sum}` });
}

/** The first start makes the cluster's identity and the org `default`, in one line of the log. */
async function createCluster(store: Store): Promise<void> {
  const data = { cluster_id: newUuid(), org: { id: newId("org"), slug: "default", name: "Default" } };
  await store.change(SYSTEM, () => ({ event: { type: "cluster.created", data }, answer: () => undefined }));
}
