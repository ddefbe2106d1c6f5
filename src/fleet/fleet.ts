/**
 * The fleet's work put together: who hears hosts, who misses them, who moves apps and drains on, and when. Decides
 * nothing itself.
 */
import type { Clock } from "../lib/clock.ts";
import type { AppId, HostId, MachineId } from "../lib/id-types.ts";
import type { Log } from "../lib/log.ts";
import type { Recorded } from "../state/events.ts";
import { SYSTEM } from "../state/events.ts";
import type { State } from "../state/state.ts";
import type { Store } from "../state/store.ts";
import type { Host } from "../state/types.ts";
import type { HostView } from "../wire/hosts.ts";
import { Assignments } from "./assignments.ts";
import { Drains } from "./drains.ts";
import { decideExpired } from "./expiry.ts";
import { AgentCalls } from "./agent-calls.ts";
import type { Strategy } from "./placement.ts";
import { Presence } from "./presence.ts";
import { Reconciler } from "./reconciler.ts";
import { Rounds } from "./rounds.ts";
import { LivenessMonitor } from "./liveness-monitor.ts";
import { touchedBy } from "./touched.ts";
import { hostView } from "./view.ts";

export interface FleetOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  readonly offlineAfterMs: number;
  readonly checkIntervalMs: number;
  readonly strategy: Strategy;
  newMachineId(): MachineId;
  /** Told of each machine that was given a host, or for which there was none. */
  onPlacement(result: "placed" | "no_host"): void;
  /** Told of each beat that is refused because two agents beat under its host's id. */
  onIdConflict(): void;
}

/**
 * Drains and waiting apps are looked at this often for their times and for room that came free; everything else about
 * them follows events at once.
 */
const SWEEP_MS = 500;
/**
 * How often what was kept long enough is let go, and every app is looked at, whether or not something happened to it.
 */
const EXPIRY_MS = 60_000;

export class Fleet {
  readonly presence: Presence;
  readonly reconciler: Reconciler;
  readonly assignments: Assignments;
  readonly agentCalls: AgentCalls;
  readonly #options: FleetOptions;
  readonly #rounds: Rounds;
  readonly #liveness: LivenessMonitor;
  readonly #drains: Drains;

  constructor(options: FleetOptions) {
    const { store, clock, log, offlineAfterMs } = options;
    this.#options = options;
    this.#rounds = new Rounds(clock, log);
    this.presence = new Presence(offlineAfterMs);
    this.assignments = new Assignments(store, clock);
    this.reconciler = new Reconciler({ ...options, onError: (what, error) => this.#rounds.sayLater(what, error) });
    const { since } = this.reconciler.elapsed;
    this.#drains = new Drains(store, this.presence, this.#rounds, since);
    this.#liveness = new LivenessMonitor(options, this.presence, this.#rounds, SWEEP_MS);
    const { presence, assignments } = this;
    const onIdConflict = (): void => options.onIdConflict();
    this.agentCalls = new AgentCalls({
      store,
      clock,
      presence,
      assignments,
      drains: this.#drains,
      rounds: this.#rounds,
      since,
      onIdConflict,
    });
    store.onDurable((events) => this.#follow(events));
  }

  /** Every host has a full offline_after from now; then the rounds run. */
  start(): void {
    this.#liveness.start();
    this.reconciler.lookAtAll();
    this.#rounds.repeat(SWEEP_MS, () => {
      this.#liveness.noteAwake();
      this.reconciler.sweep();
      this.#drains.sweep();
    });
    this.#rounds.repeat(EXPIRY_MS, () => {
      this.reconciler.lookAtAll();
      return this.#expire();
    });
  }

  stop(): void {
    this.#rounds.stop();
    this.reconciler.stop();
    this.assignments.close();
  }

  /** A host as people see it. */
  view(state: State, host: Host): HostView {
    return hostView(state, this.presence, host, this.reconciler.elapsed.since);
  }

  /** What is on disk now may wake held heartbeats, move apps on, and drains. */
  #follow(events: readonly Recorded[]): void {
    const { state } = this.#options.store;
    const [hosts, apps] = [new Set<HostId>(), new Set<AppId>()];
    for (const event of events) {
      const touched = touchedBy(state, event);
      for (const id of touched.hosts) hosts.add(id);
      for (const id of touched.apps) apps.add(id);
      if (event.type !== "host.deregistered") continue;
      // It may have registered again while its leave was on its way to the disk.
      if (state.hosts.get(event.data.host_id) === undefined) this.presence.forget(event.data.host_id);
      this.assignments.forget(event.data.host_id);
      this.reconciler.forget(event.data.host_id);
    }
    this.reconciler.look(apps);
    for (const hostId of hosts) {
      this.assignments.wake(hostId);
      this.#drains.move(hostId);
    }
  }

  async #expire(): Promise<void> {
    const { store, clock } = this.#options;
    const event = store.writability.writable ? decideExpired(store.state, clock.wall()) : null;
    if (event !== null) await store.change(SYSTEM, () => ({ event, answer: () => undefined }));
  }
}
