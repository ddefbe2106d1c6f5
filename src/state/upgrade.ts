/**
 * What older versions did not write: rows of their snapshots, and what their events carry, made whole. A log that was
 * readable once stays so.
 */

/** Where a deployment says nothing else, and of those made before there was a choice. */
export const DEFAULT_MIN_HEALTHY_SECONDS = 10;

/** A workload of an event of a version that knew no `min_healthy_seconds`. */
export function completeWorkload<W extends { readonly min_healthy_seconds: number }>(workload: W): W {
  return { ...workload, min_healthy_seconds: workload.min_healthy_seconds ?? DEFAULT_MIN_HEALTHY_SECONDS };
}

type Row = Readonly<Record<string, unknown>>;

/** By table: the fields that a row may lack, as they stand where nobody said anything. */
const ABSENT: Readonly<Record<string, (row: Row) => Row>> = {
  hosts: () => ({ trouble: null }),
  drains: ({ deadline_at: at, started_at: from }) => ({ deadline_from: at === null ? null : from }),
  deployments: () => ({ min_healthy_seconds: DEFAULT_MIN_HEALTHY_SECONDS, last_failure: null }),
  // Up since it was ready first, as far as that version told; whether it counts is decided with the next look at its
  // app.
  machines: ({ state, ready, ready_at: readyAt }) => ({
    min_healthy_seconds: DEFAULT_MIN_HEALTHY_SECONDS,
    up_since: state === "running" && ready === true ? (readyAt ?? null) : null,
    healthy: false,
    healthy_at: null,
    fault: null,
  }),
};

/** The newest field of each of those tables: a row that has it is whole. */
const NEWEST: Readonly<Record<string, string>> = {
  hosts: "trouble",
  drains: "deadline_from",
  deployments: "last_failure",
  machines: "fault",
};

/** A row of a snapshot with all that this version asks of it. */
export function completeRow(table: string, row: object): object {
  const absent = Object.hasOwn(ABSENT, table) ? ABSENT[table] : undefined;
  if (absent === undefined || Object.hasOwn(row, NEWEST[table] ?? "")) return row;
  const missing = Object.entries(absent(row as Row)).filter(([field]) => !Object.hasOwn(row, field));
  return { ...row, ...Object.fromEntries(missing) };
}
