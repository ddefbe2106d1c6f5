/** The one executor of the fleet's decisions: hears hosts, calls the silent ones offline, moves drains on. Decides nothing itself. */
import type { Cancel, Clock } from "../lib/clock.ts";
import { toRfc3339 } from "../lib/clock.ts";
import { ApiError, messageOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import type { Actor, EventOf, Recorded } from "../state/events.ts";
import { SYSTEM } from "../state/events.ts";
import { CLUSTER_KEY } from "../state/state.ts";
import type { State } from "../state/state.ts";
import type { Store } from "../state/store.ts";
import type { Host } from "../state/types.ts";
import type { Desired } from "./desired.ts";
import { DesiredLists } from "./desired.ts";
import { runningDrain } from "./drain-terms.ts";
import { planDrain } from "./drain.ts";
import { decideExpired } from "./expiry.ts";
import { decideHeard } from "./heartbeat.ts";
import type { Heartbeat, HeartbeatAnswer } from "./heartbeat.ts";
import { decideLost, heartbeatIntervalSeconds, pausedFor, quietAfter, sweepInterval } from "./liveness.ts";
import { statusOf } from "./modes.ts";
import type { Strategy } from "./placement.ts";
import { Presence } from "./presence.ts";
import { Reconciler } from "./reconciler.ts";
import type { Registration } from "./registration.ts";
import { checkHostKey, decideRegister, fitsHostKey, getHost, hostNotRegistered } from "./registration.ts";
import { touchedBy } from "./touched.ts";
import type { HostView } from "./view.ts";
import { hostView, isNewConflict } from "./view.ts";
import { Waiters } from "./waiters.ts";

export interface FleetOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  readonly offlineAfterMs: number;
  readonly checkIntervalMs: number;
  readonly strategy: Strategy;
  newMachineId(): string;
  /** Told of each machine that was given a host, or for which there was none. */
  onPlacement(result: "placed" | "no_host"): void;
  /** Told of each beat that is refused because two agents beat under its host's id. */
  onIdConflict(): void;
}

/** What has arrived is read in this time, before anyone is called offline: a pause too short to be noticed leaves heartbeats unread too. */
const UNREAD_MS = 50;
/** Shorter pauses are forgiven without a word. */
const TOLD_PAUSE_MS = 1_000;
/** Drains and waiting apps are looked at this often for their times and for room that came free; everything else about them follows events at once. */
const SWEEP_MS = 500;
/** How often what was kept long enough is let go, and every app is looked at, whether or not something happened to it. */
const EXPIRY_MS = 60_000;

export class Fleet {
  readonly presence: Presence;
  readonly waiters: Waiters;
  readonly reconciler: Reconciler;
  readonly #lists = new DesiredLists();
  readonly #options: FleetOptions;
  readonly #sweepMs: number;
  /** Hosts that went offline within the last offline_after, with the time (mono). */
  readonly #recentlyLost = new Map<string, number>();
  /** When a timer of this class ran last, in monotonic milliseconds. */
  #lastAwake = 0;
  #timers: Cancel[] = [];

  constructor(options: FleetOptions) {
    this.#options = options;
    this.presence = new Presence(options.offlineAfterMs);
    this.waiters = new Waiters(options.clock);
    this.#sweepMs = sweepInterval(options.offlineAfterMs, options.checkIntervalMs);
    this.reconciler = new Reconciler({ ...options, onError: (what, error) => this.#sayLater(what, error) });
    options.store.onDurable((events) => this.#follow(events));
  }

  /** Every host has a full offline_after from now; then the sweeps run. */
  start(): void {
    const { store, clock } = this.#options;
    for (const host of store.state.hosts.values()) this.presence.assume(host.id, clock.mono(), Date.parse(host.heard_at));
    this.#lastAwake = clock.mono();
    this.#repeat(this.#sweepMs, () => this.#sweep());
    this.reconciler.lookAtAll();
    this.#repeat(SWEEP_MS, () => {
      this.#noteAwake();
      this.reconciler.sweep();
      this.#sweepDrains();
    });
    this.#repeat(EXPIRY_MS, () => {
      this.reconciler.lookAtAll();
      return this.#expire();
    });
  }

  stop(): void {
    for (const cancel of this.#timers) cancel();
    this.#timers = [];
    this.reconciler.stop();
    this.waiters.close();
  }

  /** One round of liveness. */
  async #sweep(): Promise<void> {
    const { store, clock, log } = this.#options;
    this.#noteAwake();
    if (!store.writability.writable || this.#whoFellSilent() === null) return;
    await new Promise<void>((resolve) => void clock.after(UNREAD_MS, resolve));
    this.#noteAwake(); // A pause may have begun in that time.
    const event = this.#timers.length > 0 && store.writability.writable ? this.#whoFellSilent() : null;
    if (event === null) return;
    for (const id of event.data.host_ids) this.#recentlyLost.set(id, clock.mono());
    await store.change(SYSTEM, () => ({ event, answer: () => undefined }));
    log.warn("hosts fell silent", { hosts: event.data.host_ids.join(","), replacement_held: event.data.held_host_ids.length > 0 });
  }

  /** A gap between two timers that should be close is time in which the daemon could hear nobody. */
  #noteAwake(): void {
    const { clock, log } = this.#options;
    const now = clock.mono();
    const paused = pausedFor(now - this.#lastAwake, Math.min(SWEEP_MS, this.#sweepMs));
    this.#lastAwake = now;
    if (paused === 0) return;
    this.presence.forgive(paused, now);
    if (paused >= TOLD_PAUSE_MS) log.warn("the daemon was paused; no host is called offline for that time", { paused_ms: Math.round(paused) });
  }

  /** What is to be said of those who are silent now, or null. */
  #whoFellSilent(): EventOf<"host.lost"> | null {
    const { store, clock, offlineAfterMs } = this.#options;
    const now = clock.mono();
    for (const [id, at] of this.#recentlyLost) if (now - at >= offlineAfterMs) this.#recentlyLost.delete(id);
    const quietMs = quietAfter(offlineAfterMs, heartbeatIntervalSeconds(offlineAfterMs) * 1000);
    // By then the last of them was silent for offline_after, and a sweep has seen it.
    const until = toRfc3339(clock.wall() + offlineAfterMs - quietMs + 2 * this.#sweepMs);
    const suspicion = { isQuiet: (id: string) => this.presence.silenceOf(id, now) >= quietMs, until };
    return decideLost(store.state, (id) => this.presence.isSilent(id, now), new Set(this.#recentlyLost.keys()), suspicion);
  }

  /** A registration: heard, and written where it says anything new. `created` is false for a host that is in the list already. */
  register(registration: Registration, actor: Actor): { created: boolean; host: HostView } | Promise<{ created: boolean; host: HostView }> {
    const { store, clock } = this.#options;
    const done = store.change(actor, (state) => {
      const created = state.hosts.get(registration.host_id) === undefined;
      const event = decideRegister(state, registration);
      return {
        event,
        answer: () => {
          // A host that was not in the list has said nothing yet, whatever an earlier one of this id said.
          if (created) this.presence.assume(registration.host_id, clock.mono(), clock.wall());
          else this.presence.hear(registration.host_id, clock.mono(), clock.wall());
          return { created, host: this.view(state, getHost(state, registration.host_id)) };
        },
      };
    });
    // A registration that was not written leaves nobody behind to be remembered.
    if (done instanceof Promise) done.catch(() => store.state.hosts.get(registration.host_id) ?? this.presence.forget(registration.host_id));
    return done;
  }

  /**
   * A heartbeat, as far as it changes or asks anything; `observed_revision` of the answer tells the caller whether to hold it.
   * Throws host_not_registered, host_key_mismatch, host_id_in_use. While the journal is off it is heard all the same.
   */
  heartbeat(hostId: string, key: string | null, beat: Heartbeat, actor: Actor): HeartbeatAnswer | Promise<HeartbeatAnswer> {
    const { store } = this.#options;
    const host = store.state.hosts.get(hostId);
    const answer = (state: State): HeartbeatAnswer => this.answer(state, hostId, beat.observed_revision);
    // A refusal is an answer too: what it was computed from may still be on its way to the disk.
    if (host === undefined || !fitsHostKey(store.state, hostId, key)) {
      return store.read((state) => {
        const answered = answer(state);
        checkHostKey(state, hostId, key);
        return answered;
      });
    }
    if (!this.#hears(hostId, beat)) return store.read(answer);
    this.presence.report(hostId, beat.usage, beat.machines?.length ?? null);
    if (beat.machines !== undefined && runningDrain(store.state, hostId) !== null) this.#moveDrain(hostId);
    const current = beat.observed_revision === this.desired(hostId).revision;
    const event = decideHeard(store.state, host, { key, machines: beat.machines, current });
    if (event === null) return store.read(answer);
    try {
      const done = store.change(actor, () => ({ event, answer }));
      return done instanceof Promise ? done.catch((error: unknown) => this.#heardOnly(error, answer)) : done;
    } catch (error) {
      return this.#heardOnly(error, answer);
    }
  }

  /** False for an older beat. A conflict of two agents is told of, once for as long as it lasts, before it is refused. */
  #hears(hostId: string, beat: Heartbeat): boolean {
    const { clock, store, onIdConflict } = this.#options;
    const before = this.presence.conflictOf(hostId);
    try {
      return this.presence.hearBeat(hostId, beat, clock.mono(), clock.wall());
    } catch (error) {
      const conflict = this.presence.conflictOf(hostId);
      onIdConflict();
      if (conflict !== null && isNewConflict(before, this.reconciler.elapsed.since)) {
        const event = { type: "host.id_conflict", data: { host_id: hostId, boot_ids: conflict.bootIds } } as const;
        void this.#attempt("noting a conflict", async () => store.change(SYSTEM, () => ({ event, answer: () => undefined })));
      }
      throw error;
    }
  }

  /** A host as people see it. */
  view(state: State, host: Host): HostView {
    return hostView(state, this.presence, host, this.reconciler.elapsed.since);
  }

  /** What a host is told. Throws host_not_registered. */
  answer(state: State, hostId: string, observed: string | undefined): HeartbeatAnswer {
    const host = state.hosts.get(hostId);
    if (host === undefined) throw hostNotRegistered(hostId);
    const { revision, machines } = this.#lists.of(state, hostId);
    const head = { host_id: hostId, cluster_id: state.cluster.get(CLUSTER_KEY)?.id ?? "", status: statusOf(host), revision };
    return observed === revision ? head : { ...head, machines };
  }

  desired(hostId: string): Desired {
    return this.#lists.of(this.#options.store.state, hostId);
  }

  /** Holds until the host's list is another than `revision`, the host is not in the list of hosts any more, the time is over, or the client is gone. */
  async waitForChange(hostId: string, revision: string, ms: number, onCancel: (cancel: () => void) => void): Promise<void> {
    const { store, clock } = this.#options;
    const until = clock.mono() + ms;
    let gone = false;
    while (!gone && store.state.hosts.get(hostId) !== undefined && this.desired(hostId).revision === revision && clock.mono() < until) {
      const left = until - clock.mono();
      await this.waiters.wait(hostId, left, (cancel) => onCancel(() => ((gone = true), cancel())));
      if (this.waiters.closed) return;
    }
  }

  /** The change was lost with the journal, the contact was not: the next beat says it again. */
  #heardOnly(error: unknown, answer: (state: State) => HeartbeatAnswer): HeartbeatAnswer | Promise<HeartbeatAnswer> {
    if (error instanceof ApiError && error.code === "storage_failed") return this.#options.store.read(answer);
    throw error;
  }

  /** What is on disk now may wake held heartbeats, move apps on, and drains. */
  #follow(events: readonly Recorded[]): void {
    const { state } = this.#options.store;
    const touched = new Set<string>();
    for (const event of events) {
      for (const hostId of touchedBy(state, event).hosts) touched.add(hostId);
      if (event.type !== "host.deregistered") continue;
      // It may have registered again while its leave was on its way to the disk.
      if (state.hosts.get(event.data.host_id) === undefined) this.presence.forget(event.data.host_id);
      this.#lists.forget(event.data.host_id);
    }
    this.reconciler.follow(events);
    for (const hostId of touched) {
      this.waiters.wake(hostId);
      this.#moveDrain(hostId);
    }
  }

  async #expire(): Promise<void> {
    const { store, clock } = this.#options;
    const event = store.writability.writable ? decideExpired(store.state, clock.wall()) : null;
    if (event !== null) await store.change(SYSTEM, () => ({ event, answer: () => undefined }));
  }

  #sweepDrains(): void {
    for (const drain of this.#options.store.state.drains.values()) if (drain.state === "draining") this.#moveDrain(drain.host_id);
  }

  /** Takes the next step of a host's drain, if there is one. Each step is an event, which brings us here again. */
  #moveDrain(hostId: string): void {
    const { store } = this.#options;
    const [host, drain] = [store.state.hosts.get(hostId), runningDrain(store.state, hostId)];
    if (host === undefined || drain === null || !store.writability.writable) return;
    const event = planDrain(store.state, host, drain, this.presence.reportedMachines(hostId), this.reconciler.elapsed.since);
    if (event === null) return;
    void this.#attempt("drain", async () => store.change(SYSTEM, () => ({ event, answer: () => undefined })));
  }

  #repeat(ms: number, run: () => void | Promise<void>): void {
    const index = this.#timers.length;
    const arm = (): void => {
      this.#timers[index] = this.#options.clock.after(ms, () => void this.#attempt("sweep", async () => run()).then(() => this.#timers.length > 0 && arm()));
    };
    arm();
  }

  /** Background work has nobody to answer to but the log; the next round tries again. */
  async #attempt(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#sayLater(what, error);
    }
  }

  #sayLater(what: string, error: unknown): void {
    this.#options.log.warn(`${what} failed, will be tried again`, { reason: messageOf(error) });
  }
}
