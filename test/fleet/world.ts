/** A fleet's executor over a journal whose test says what is durable. */
import { Fleet } from "../../src/fleet/fleet.ts";
import type { Heartbeat, HeartbeatAnswer } from "../../src/wire/agents.ts";
import type { ReportedMachine } from "../../src/wire/agents.ts";
import { ApiError } from "../../src/lib/errors.ts";
import type { Log } from "../../src/lib/log.ts";
import type { Event } from "../../src/state/events.ts";
import { SYSTEM } from "../../src/state/events.ts";
import { State } from "../../src/state/state.ts";
import { Store } from "../../src/state/store.ts";
import { FakeClock } from "../support/clock.ts";
import { idOf, withIds } from "../support/ids.ts";
import type { Told } from "../support/ids.ts";
import { MemoryLog } from "../support/memory-log.ts";
import { CAPACITY, CLUSTER, apply, factsOf } from "../support/rows.ts";

export const OFFLINE_AFTER = 30_000;
export const KEY = "k".repeat(32);
export const OTHER = "o".repeat(32);

export interface World {
  readonly log: MemoryLog;
  readonly clock: FakeClock;
  readonly state: State;
  readonly store: Store;
  readonly fleet: Fleet;
  readonly warnings: string[];
  /** What came of each placement. */
  readonly placements: string[];
}

/** A daemon that has just replayed these events. Lines are durable at once, until a test says otherwise. */
export function begin(...events: Told[]): World {
  const state = new State();
  apply(state, CLUSTER, ...events);
  const log = new MemoryLog();
  log.automatic = true;
  const clock = new FakeClock();
  const store = new Store(state, log, clock);
  const warnings: string[] = [];
  const placements: string[] = [];
  let made = 0;
  const quiet: Log = {
    debug: () => undefined,
    info: () => undefined,
    warn: (message) => warnings.push(message),
    error: (message) => warnings.push(message),
  };
  const fleet = new Fleet({
    store,
    clock,
    log: quiet,
    offlineAfterMs: OFFLINE_AFTER,
    checkIntervalMs: 15_000,
    strategy: "spread",
    newMachineId: () => idOf(`m-new-${++made}`),
    onPlacement: (result) => placements.push(result),
    onIdConflict: () => undefined,
  });
  fleet.start();
  return { log, clock, state, store, fleet, warnings, placements };
}

export function beatOf(more: Partial<Heartbeat> = {}): Heartbeat {
  return {
    usage: undefined,
    machines: undefined,
    observed_revision: undefined,
    boot_id: undefined,
    beat: undefined,
    ...more,
  };
}

export async function beat(
  { fleet }: World,
  more: Partial<Heartbeat> = {},
  hostId = "h-1",
  key: string | null = null,
): Promise<HeartbeatAnswer> {
  return fleet.agentCalls.heartbeat(idOf(hostId), key, beatOf(more), SYSTEM);
}

export async function join({ fleet }: World, hostId = "h-1", key: string | null = null): Promise<boolean> {
  return (
    await fleet.agentCalls.register({ host_id: idOf(hostId), facts: factsOf(hostId), capacity: CAPACITY, key }, SYSTEM)
  ).created;
}

export async function happen({ store }: World, event: Told): Promise<void> {
  await store.change(SYSTEM, () => ({ event: withIds<Event>(event), answer: () => undefined }));
}

export function says(machineId: string, state: ReportedMachine["state"]): ReportedMachine {
  return {
    id: idOf(machineId),
    state,
    started_at: undefined,
    reason: undefined,
    exit_code: undefined,
    ready: undefined,
  };
}

/** How a promise stands, without waiting for it. */
export function watch(work: Promise<unknown>): { state: string } {
  const seen = { state: "waits" };
  work.then(
    () => (seen.state = "answered"),
    (error: unknown) => (seen.state = error instanceof ApiError ? error.code : String(error)),
  );
  return seen;
}
