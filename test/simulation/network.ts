/**
 * The ways between hosts and the daemon: each message is delayed, lost, doubled or overtaken by chance, and cut hosts
 * hear and say nothing.
 */
import type { Chance } from "./chance.ts";
import type { SimClock } from "./clock.ts";

export type Direction = "up" | "down";

export interface Weather {
  /** Of each message. */
  readonly loss: number;
  readonly duplication: number;
  readonly delayMs: number;
  /** How many messages take `SPIKE_MS` on top, and so are overtaken by later ones. */
  readonly spikes: number;
}

export const FAIR: Weather = { loss: 0, duplication: 0, delayMs: 2, spikes: 0 };
const SPIKE_MS = 4_000;

export class Network {
  weather: Weather = FAIR;
  readonly #time: SimClock;
  readonly #chance: Chance;
  /** How many cuts each host's way has now; cuts may overlap. */
  readonly #cuts: Readonly<Record<Direction, Map<string, number>>> = { up: new Map(), down: new Map() };

  constructor(time: SimClock, chance: Chance) {
    this.#time = time;
    this.#chance = chance;
  }

  /** Cuts the ways of these hosts, until the function that it gives is called. */
  cut(hostIds: readonly string[], directions: readonly Direction[]): () => void {
    const add = (by: number): void => {
      for (const direction of directions)
        for (const id of hostIds) this.#cuts[direction].set(id, (this.#cuts[direction].get(id) ?? 0) + by);
    };
    add(1);
    return () => add(-1);
  }

  isCut(hostId: string, direction: Direction): boolean {
    return (this.#cuts[direction].get(hostId) ?? 0) > 0;
  }

  /** Whether both ways of the host are open and the weather is fair. */
  isFair(hostId: string): boolean {
    return this.weather === FAIR && !this.isCut(hostId, "up") && !this.isCut(hostId, "down");
  }

  /** One message between a host and the daemon. */
  send(hostId: string, direction: Direction, deliver: () => void): void {
    const { loss, duplication } = this.weather;
    if (this.isCut(hostId, direction) || (loss > 0 && this.#chance.is(loss))) return;
    this.#carry(hostId, direction, deliver);
    if (duplication > 0 && this.#chance.is(duplication)) this.#carry(hostId, direction, deliver);
  }

  #carry(hostId: string, direction: Direction, deliver: () => void): void {
    const { delayMs, spikes } = this.weather;
    const spike = spikes > 0 && this.#chance.is(spikes) ? this.#chance.between(0, SPIKE_MS) : 0;
    this.#time.after(0.1 + this.#chance.delay(delayMs) + spike, () => {
      if (!this.isCut(hostId, direction)) deliver();
    });
  }
}
