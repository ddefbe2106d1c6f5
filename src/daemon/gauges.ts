/**
 * Gauges that are counted from the state at scrape time, rather than kept up to date by everyone who changes something.
 */
import type { Journal } from "../journal/journal.ts";
import { statusOf } from "../fleet/modes.ts";
import type { Metrics } from "../metrics/catalogue.ts";
import type { Registry } from "../metrics/registry.ts";
import type { RowOf, State, TableName } from "../state/state.ts";
import type { Table } from "../state/table.ts";
import { DRAIN_STATE, HOST_STATUS } from "../wire/hosts.ts";
import { MACHINE_STATE } from "../wire/machines.ts";

/** Fills what tells of one table. */
type Count<N extends TableName> = (rows: Table<RowOf<N>>, metrics: Metrics) => void;

/** A series a word, 0 where there is none of it. */
function byWord<N extends TableName>(
  gauge: (metrics: Metrics) => { labels(word: string): { set(value: number): void; inc(): void } },
  words: readonly string[],
  wordOf: (row: RowOf<N>) => string,
): Count<N> {
  return (rows, metrics) => {
    const of = gauge(metrics);
    for (const word of words) of.labels(word).set(0);
    for (const row of rows.values()) of.labels(wordOf(row)).inc();
  };
}

/** What is counted of each table; a new one does not compile until somebody has said so here. */
const COUNTED: { readonly [N in TableName]: Count<N> | null } = {
  cluster: null,
  orgs: null,
  hosts: byWord((metrics) => metrics.hosts, HOST_STATUS.words, statusOf),
  departedHosts: null,
  drains: byWord(
    (metrics) => metrics.drains,
    DRAIN_STATE.words,
    ({ state }) => state,
  ),
  apps: null,
  deployments: null,
  machines: byWord(
    (metrics) => metrics.machines,
    MACHINE_STATE.words,
    ({ state }) => state,
  ),
  idempotency: null,
  images: (rows, metrics) => {
    let bytes = 0;
    for (const image of rows.values()) bytes += image.size_bytes;
    metrics.images.set(rows.size);
    metrics.imageBytes.set(bytes);
  },
  imageRefs: null,
  quotas: null,
  users: null,
  memberships: null,
  sessions: null,
  apiKeys: null,
};

function count<N extends TableName>(name: N, state: Pick<State, N>, metrics: Metrics): void {
  // The type checker does not see that the two belong together.
  COUNTED[name]?.(state[name] as unknown as Table<RowOf<N>>, metrics);
}

/** Adds the hooks that fill the gauges of the tables and those of the journal. */
export function collectFromState(registry: Registry, metrics: Metrics, state: State, journal: Journal): void {
  const names = Object.keys(COUNTED) as TableName[];
  registry.onCollect(() => {
    for (const name of names) count(name, state, metrics);
    metrics.journalLastSeq.set(journal.durable.seq);
    metrics.journalWritable.set(journal.writability.writable ? 1 : 0);
  });
}
