/**
 * Heartbeats that are held until the host's list changes or their time is over. One timer for all, re-armed after it
 * fires.
 */
import type { Cancel, Clock } from "../lib/clock.ts";
import type { HostId } from "../lib/id-types.ts";

interface Waiter {
  readonly hostId: HostId;
  readonly until: number;
  readonly wake: () => void;
}

/** Answers are let go in steps of this size, so that ten thousand held heartbeats cost one timer. */
const STEP_MS = 100;

export class Waiters {
  readonly #clock: Clock;
  readonly #byHost = new Map<HostId, Set<Waiter>>();
  #timer: Cancel | null = null;
  #closed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Resolves when `wake(hostId)` is called, after `ms`, or at once where the daemon stops. `onCancel` gets the way to
   * give up early.
   */
  wait(hostId: HostId, ms: number, onCancel: (cancel: () => void) => void): Promise<void> {
    if (this.#closed) return Promise.resolve();
    return new Promise((resolve) => {
      const waiter: Waiter = { hostId, until: this.#clock.mono() + ms, wake: resolve };
      const held = this.#byHost.get(hostId) ?? new Set<Waiter>();
      held.add(waiter);
      this.#byHost.set(hostId, held);
      onCancel(() => this.#release(waiter));
      this.#arm();
    });
  }

  /** The host's list may have changed: everyone who waits for it looks again. */
  wake(hostId: HostId): void {
    for (const waiter of this.#byHost.get(hostId) ?? []) this.#release(waiter);
  }

  /** The daemon stops: every held heartbeat is answered now, and none is held any more. */
  close(): void {
    this.#closed = true;
    for (const hostId of [...this.#byHost.keys()]) this.wake(hostId);
    this.#timer?.();
  }

  #release(waiter: Waiter): void {
    const held = this.#byHost.get(waiter.hostId);
    held?.delete(waiter);
    if (held?.size === 0) this.#byHost.delete(waiter.hostId);
    waiter.wake();
  }

  #arm(): void {
    if (this.#timer !== null || this.#byHost.size === 0) return;
    this.#timer = this.#clock.after(STEP_MS, () => {
      this.#timer = null;
      const now = this.#clock.mono();
      const due: Waiter[] = [];
      for (const held of this.#byHost.values()) for (const waiter of held) if (waiter.until <= now) due.push(waiter);
      for (const waiter of due) this.#release(waiter);
      this.#arm();
    });
  }
}
