/**
 * What was kept long enough: ended machines and idempotency keys after 24 h, and of an app's ended machines the newest
 * thousand. A total table says of each table of the state how long its rows are kept. Pure.
 */
import type { AppId, MachineId } from "../lib/id-types.ts";
import type { EventData, EventOf } from "../state/events.ts";
import type { State, TableName } from "../state/state.ts";
import type { Machine } from "../state/types.ts";

const KEPT_MS = 24 * 3600 * 1000;
/** An app whose machines fail all day leaves no more than so many behind. */
const KEPT_OF_AN_APP = 1_000;
/** So many at once at most, so that one line of the log stays short; the next look takes the rest. */
const AT_ONCE = 5_000;

type Expired = EventData["workload.expired"];

/** Gives the keys of rows that go. */
type Due<K> = (state: State, isOver: (at: string | null) => boolean) => K[];

/** Its rows stay until somebody takes them away: as many as there are people, hosts or apps. */
const UNTIL_REMOVED = "until removed";
/** Events of its own kind let them go: sessions with the next login, a deployment with the next but fifty. */
const BY_ITS_EVENTS = "by its events";

/** Tables whose rows go by their age, and the part of the event that names those. */
const AGEING = { machines: "machine_ids", idempotency: "idempotency_keys" } as const satisfies Partial<
  Record<TableName, keyof Expired>
>;

const KEPT: {
  readonly [N in TableName]: N extends keyof typeof AGEING
    ? Due<Expired[(typeof AGEING)[N]][number]>
    : typeof UNTIL_REMOVED | typeof BY_ITS_EVENTS;
} = {
  cluster: UNTIL_REMOVED,
  orgs: UNTIL_REMOVED,
  hosts: UNTIL_REMOVED,
  departedHosts: UNTIL_REMOVED,
  drains: BY_ITS_EVENTS,
  apps: UNTIL_REMOVED,
  deployments: BY_ITS_EVENTS,
  machines: endedMachines,
  idempotency: (state, isOver) =>
    [...state.idempotency.entries()].flatMap(([key, { at }]) => (isOver(at) ? [key] : [])),
  images: BY_ITS_EVENTS,
  imageRefs: UNTIL_REMOVED,
  quotas: UNTIL_REMOVED,
  users: UNTIL_REMOVED,
  memberships: UNTIL_REMOVED,
  sessions: BY_ITS_EVENTS,
  apiKeys: UNTIL_REMOVED,
};

/** The event that lets go, or null where nothing is due. `now`: wall time. */
export function decideExpired(state: State, now: number): EventOf<"workload.expired"> | null {
  const isOver = (at: string | null): boolean => at !== null && now - Date.parse(at) >= KEPT_MS;
  const due = <K>(keysOf: Due<K>): K[] => keysOf(state, isOver).slice(0, AT_ONCE);
  const data: Expired = {
    [AGEING.machines]: due(KEPT.machines),
    [AGEING.idempotency]: due(KEPT.idempotency),
  };
  return Object.values(data).every((keys) => keys.length === 0) ? null : { type: "workload.expired", data };
}

function endedMachines(state: State, isOver: (at: string | null) => boolean): MachineId[] {
  const ended = new Map<AppId, Machine[]>();
  for (const machine of state.machines.values()) {
    // A machine that an operator stopped is a replica, not a thing of the past.
    if (machine.ended_at === null || !(machine.removing || state.apps.get(machine.app_id) === undefined)) continue;
    const ofApp = ended.get(machine.app_id);
    if (ofApp === undefined) ended.set(machine.app_id, [machine]);
    else ofApp.push(machine);
  }
  return [...ended.values()].flatMap((machines) => {
    const surplus =
      machines.length > KEPT_OF_AN_APP ? machines.sort(byEnd).slice(0, machines.length - KEPT_OF_AN_APP) : [];
    const gone = new Set([...surplus, ...machines.filter((machine) => isOver(machine.ended_at))]);
    return [...gone].map(({ id }) => id);
  });
}

/** Those that ended first come first. */
function byEnd(a: Machine, b: Machine): number {
  return (a.ended_at ?? "") < (b.ended_at ?? "") ? -1 : 1;
}
