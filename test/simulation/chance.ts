/**
 * Everything random of a simulated world, from one seed: numbers for each part of it, and the ids that the product
 * draws from node:crypto.
 */
import crypto from "node:crypto";
import { syncBuiltinESMExports } from "node:module";
import { random } from "../support/random.ts";

const FINE = 2 ** 24;

/** One stream of numbers. Parts have streams of their own, so that what one does with chance moves no other. */
export class Chance {
  readonly #seed: number;
  readonly #next: (below: number) => number;

  constructor(seed: number) {
    this.#seed = seed;
    this.#next = random(seed);
  }

  /** The stream of a part: the same name, the same stream. */
  of(name: string): Chance {
    let mixed = (this.#seed ^ 0x9e3779b9) >>> 0;
    for (let index = 0; index < name.length; index += 1)
      mixed = Math.imul(mixed ^ name.charCodeAt(index), 0x01000193) >>> 0;
    return new Chance(Math.imul(mixed ^ (mixed >>> 15), 0x85ebca6b) >>> 0);
  }

  below(limit: number): number {
    return this.#next(limit);
  }

  /** From [0, 1). */
  fraction(): number {
    return this.#next(FINE) / FINE;
  }

  is(probability: number): boolean {
    return this.fraction() < probability;
  }

  between(least: number, most: number): number {
    return least + this.fraction() * (most - least);
  }

  whole(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }

  /** Mostly small, now and then large: delays as networks and disks have them. */
  delay(usual: number): number {
    return -Math.log(1 - this.fraction()) * usual;
  }

  pick<T>(items: readonly T[]): T | undefined {
    return items[this.below(Math.max(1, items.length))];
  }

  /** `count` of the items, in no order. */
  some<T>(items: readonly T[], count: number): T[] {
    const left = [...items];
    const taken: T[] = [];
    while (taken.length < count && left.length > 0) taken.push(...left.splice(this.below(left.length), 1));
    return taken;
  }
}

/**
 * Lets node:crypto draw from `chance` until the function that it gives is called: ids decide orders, and a seed must
 * give the same ones.
 */
export function seedCrypto(chance: Chance): () => void {
  const { randomBytes, randomUUID } = crypto;
  const bytes = (size: number): Buffer => Buffer.from(Array.from({ length: size }, () => chance.below(256)));
  const uuid = (): string =>
    bytes(16)
      .toString("hex")
      .replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12})$/, "$1-$2-4$3-8$4-$5");
  Object.assign(crypto, { randomBytes: bytes, randomUUID: uuid });
  syncBuiltinESMExports();
  return () => {
    Object.assign(crypto, { randomBytes, randomUUID });
    syncBuiltinESMExports();
  };
}
