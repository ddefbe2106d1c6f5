/**
 * Calls hosts offline that were not heard for offline_after, and nobody for time in which the daemon itself could not
 * hear.
 */
import type { Clock } from "../lib/clock.ts";
import { toRfc3339 } from "../lib/clock.ts";
import type { HostId } from "../lib/id-types.ts";
import type { Log } from "../lib/log.ts";
import type { EventOf } from "../state/events.ts";
import { SYSTEM } from "../state/events.ts";
import type { Store } from "../state/store.ts";
import { decideLost, heartbeatIntervalSeconds, pausedFor, quietAfter, sweepInterval } from "./liveness.ts";
import type { Presence } from "./presence.ts";
import type { Rounds } from "./rounds.ts";

export interface LivenessOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  readonly offlineAfterMs: number;
  readonly checkIntervalMs: number;
}

/**
 * What has arrived is read in this time, before anyone is called offline: a pause too short to be noticed leaves
 * heartbeats unread too.
 */
const UNREAD_MS = 50;
/** Shorter pauses are forgiven without a word. */
const TOLD_PAUSE_MS = 1_000;

export class LivenessMonitor {
  readonly #options: LivenessOptions;
  readonly #presence: Presence;
  readonly #rounds: Rounds;
  readonly #sweepMs: number;
  /** Another timer of the same owner tells that the daemon is awake so often. */
  readonly #awakeMs: number;
  /** Hosts that went offline within the last offline_after, with the time (mono). */
  readonly #recentlyLost = new Map<HostId, number>();
  /** When a timer ran last, in monotonic milliseconds. */
  #lastAwake = 0;

  constructor(options: LivenessOptions, presence: Presence, rounds: Rounds, awakeMs: number) {
    this.#options = options;
    this.#presence = presence;
    this.#rounds = rounds;
    this.#sweepMs = sweepInterval(options.offlineAfterMs, options.checkIntervalMs);
    this.#awakeMs = awakeMs;
  }

  /** Every host has a full offline_after from now; then the sweeps run. */
  start(): void {
    const { store, clock } = this.#options;
    for (const host of store.state.hosts.values())
      this.#presence.assume(host.id, clock.mono(), Date.parse(host.heard_at));
    this.#lastAwake = clock.mono();
    this.#rounds.repeat(this.#sweepMs, () => this.#sweep());
  }

  /** A gap between two timers that should be close is time in which the daemon could hear nobody. */
  noteAwake(): void {
    const { clock, log } = this.#options;
    const now = clock.mono();
    const paused = pausedFor(now - this.#lastAwake, Math.min(this.#awakeMs, this.#sweepMs));
    this.#lastAwake = now;
    if (paused === 0) return;
    this.#presence.forgive(paused, now);
    if (paused >= TOLD_PAUSE_MS)
      log.warn("the daemon was paused; no host is called offline for that time", { paused_ms: Math.round(paused) });
  }

  /** One round of liveness. */
  async #sweep(): Promise<void> {
    const { store, clock, log } = this.#options;
    this.noteAwake();
    if (!store.writability.writable || this.#whoFellSilent() === null) return;
    await new Promise<void>((resolve) => void clock.after(UNREAD_MS, resolve));
    this.noteAwake(); // A pause may have begun in that time.
    const event = this.#rounds.running && store.writability.writable ? this.#whoFellSilent() : null;
    if (event === null) return;
    for (const id of event.data.host_ids) this.#recentlyLost.set(id, clock.mono());
    await store.change(SYSTEM, () => ({ event, answer: () => undefined }));
    log.warn("hosts fell silent", {
      hosts: event.data.host_ids.join(","),
      replacement_held: event.data.held_host_ids.length > 0,
    });
  }

  /** What is to be said of those who are silent now, or null. */
  #whoFellSilent(): EventOf<"host.lost"> | null {
    const { store, clock, offlineAfterMs } = this.#options;
    const now = clock.mono();
    for (const [id, at] of this.#recentlyLost) if (now - at >= offlineAfterMs) this.#recentlyLost.delete(id);
    const quietMs = quietAfter(offlineAfterMs, heartbeatIntervalSeconds(offlineAfterMs) * 1000);
    // By then the last of them was silent for offline_after, and a sweep has seen it.
    const until = toRfc3339(clock.wall() + offlineAfterMs - quietMs + 2 * this.#sweepMs);
    const suspicion = { isQuiet: (id: HostId) => this.#presence.silenceOf(id, now) >= quietMs, until };
    return decideLost(
      store.state,
      (id) => this.#presence.isSilent(id, now),
      new Set(this.#recentlyLost.keys()),
      suspicion,
    );
  }
}
