/**
 * Carries out what replicas.ts decides: looks at the apps that something happened to, and again and again at those that
 * wait. Decides nothing itself.
 */
import type { Clock } from "../lib/clock.ts";
import { Elapsed } from "../lib/elapsed.ts";
import type { AppId, HostId, MachineId } from "../lib/id-types.ts";
import type { Event } from "../state/events.ts";
import { SYSTEM } from "../state/events.ts";
import type { State } from "../state/state.ts";
import type { Store } from "../state/store.ts";
import type { Allocation } from "./allocations.ts";
import { Allocations } from "./allocations.ts";
import type { Strategy } from "./placement.ts";
import type { PlanScene } from "./plan/scene.ts";
import { nextStep } from "./plan/next-step.ts";

export interface ReconcilerOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly strategy: Strategy;
  newMachineId(): MachineId;
  /** Told of each machine that was given a host, or for which there was none. */
  onPlacement(result: "placed" | "no_host"): void;
  onError(what: string, error: unknown): void;
}

/** So long at a time are steps taken before requests and heartbeats have their turn. */
const TURN_MS = 10;

export class Reconciler {
  /** How long ago what the log tells of was. */
  readonly elapsed: Elapsed;
  readonly #options: ReconcilerOptions;
  readonly #allocations = new Allocations();
  /** Apps to be looked at in this turn. */
  readonly #touched = new Set<AppId>();
  /** Apps that time or room elsewhere may move on. */
  readonly #waiting = new Set<AppId>();
  #scheduled = false;
  #stopped = false;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
    this.elapsed = new Elapsed(options.clock);
  }

  /** What decisions about machines are made from. */
  scene(state: State): PlanScene {
    const { strategy, clock, newMachineId } = this.#options;
    const allocated = (hostId: HostId): Allocation => this.#allocations.of(state, hostId);
    return { state, strategy, now: clock.wall(), since: this.elapsed.since, newMachineId, allocated };
  }

  /**
   * Every app is looked at with the next sweep: after a start, and once in a while. A look may have rested on a line
   * that a failed write took back, and then nothing that happens to the app would say so.
   */
  lookAtAll(): void {
    for (const id of this.#options.store.state.apps.keys()) this.#waiting.add(id);
  }

  stop(): void {
    this.#stopped = true;
  }

  /** What is on disk now may ask for the next step of these apps. */
  look(apps: Iterable<AppId>): void {
    for (const id of apps) this.#touched.add(id);
    this.#schedule();
  }

  /** A host that has left the list. */
  forget(hostId: HostId): void {
    this.#allocations.forget(hostId);
  }

  /** Looks again at every app that waits. */
  sweep(): void {
    for (const id of this.#waiting) this.#touched.add(id);
    if (!this.#scheduled) this.#turn();
  }

  /** After the events at hand, so that a batch of them is one look. */
  #schedule(): void {
    if (this.#scheduled || this.#touched.size === 0) return;
    this.#scheduled = true;
    queueMicrotask(() => this.#turn());
  }

  #turn(): void {
    this.#scheduled = false;
    this.#run();
    if (this.#stopped || this.#touched.size === 0 || this.#scheduled || !this.#options.store.writability.writable)
      return;
    // Requests and heartbeats first, then the rest.
    this.#scheduled = true;
    this.#options.clock.after(0, () => this.#turn());
  }

  /**
   * Steps for every app that was touched, as long as the turn lasts; the others, and whoever is not through, in the
   * next.
   */
  #run(): void {
    const { store, clock } = this.#options;
    if (this.#stopped || !store.writability.writable) return;
    const until = clock.mono() + TURN_MS;
    for (const id of this.#touched) {
      this.#touched.delete(id);
      while (this.#advance(id)) {
        if (clock.mono() < until) continue;
        this.#touched.add(id);
        return;
      }
      if (clock.mono() >= until) return;
    }
  }

  /**
   * Takes an app's next step; true where there may be another. Each step is seen by the next one at once, and all of a
   * turn share a write.
   */
  #advance(appId: AppId): boolean {
    const { store, onPlacement } = this.#options;
    const app = store.state.apps.get(appId);
    const { events, waits } = app === undefined ? { events: [], waits: false } : nextStep(this.scene(store.state), app);
    if (waits) this.#waiting.add(appId);
    else this.#waiting.delete(appId);
    for (const event of events) {
      if (!this.#change(appId, event)) return false;
      if (event.type === "machine.created") onPlacement(event.data.host_id === null ? "no_host" : "placed");
      else if (event.type === "machine.placed") onPlacement("placed");
    }
    return events.length > 0;
  }

  /**
   * False where the journal refuses it at once. One that fails later was taken back, and its app is looked at again.
   */
  #change(appId: AppId, event: Event): boolean {
    const { store, onError } = this.#options;
    const failed = (error: unknown): false => {
      onError(`app ${appId}`, error);
      this.#waiting.add(appId);
      return false;
    };
    try {
      const done = store.change(SYSTEM, () => ({ event, answer: () => undefined }));
      if (done instanceof Promise) done.catch(failed);
      return true;
    } catch (error) {
      return failed(error);
    }
  }
}
