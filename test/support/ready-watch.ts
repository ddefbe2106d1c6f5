/** Looks every 50 ms how many machines of a fleet are ready and where they live, and keeps what broke a promise. */
import { setTimeout as sleep } from "node:timers/promises";
import type { RealFleet } from "./real-fleet.ts";

const EVERY_MS = 50;
/** Hosts are looked at one after the other: a look that took longer shows no one moment, and is made again at once. */
const INSTANT_MS = 15;

export class ReadyWatch {
  readonly #fleet: RealFleet;
  readonly #least: number;
  readonly #cpus: number;
  #stopped = false;
  #done: Promise<void> = Promise.resolve();
  looks = 0;
  discarded = 0;
  fewest = Infinity;
  longestGapMs = 0;
  readonly breaches: string[] = [];

  /** `least` machines ready in all, and no host with more than `cpus`, at any time. */
  constructor(fleet: RealFleet, least: number, cpus: number) {
    this.#fleet = fleet;
    this.#least = least;
    this.#cpus = cpus;
  }

  start(): void {
    this.#done = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
  }

  async #run(): Promise<void> {
    let last = performance.now();
    while (!this.#stopped) {
      const began = performance.now();
      const seen = this.#fleet.hostIds.map((id) => ({ id, ...this.#fleet.look(id) }));
      const now = performance.now();
      if (now - began > INSTANT_MS) {
        this.discarded += 1;
        await sleep(1);
        continue;
      }
      this.longestGapMs = Math.max(this.longestGapMs, now - last);
      last = now;
      this.#judge(seen);
      await sleep(Math.max(1, EVERY_MS - (now - began)));
    }
  }

  #judge(
    seen: readonly { readonly id: string; readonly alive: readonly string[]; readonly ready: readonly string[] }[],
  ): void {
    this.looks += 1;
    const ready = seen.reduce((sum, host) => sum + host.ready.length, 0);
    this.fewest = Math.min(this.fewest, ready);
    const where = seen.map(({ id, alive, ready: up }) => `${id} ${up.length}/${alive.length}`).join(", ");
    if (ready < this.#least) this.breaches.push(`${ready} ready: ${where}`);
    if (seen.some(({ alive }) => alive.length > this.#cpus))
      this.breaches.push(`more than ${this.#cpus} on a host: ${where}`);
  }
}
