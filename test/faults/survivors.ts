/**
 * The disks that a power cut may leave behind: every choice among the versions of pages, sizes and names, all of them
 * where they are few, seeded ones where not.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Binding, latest, MemoryFile, MemoryFolder, one, PAGE, type Versions } from "./memory-disk.ts";
import type { Move, PowerCutFiles } from "./power-cut-files.ts";

/** A number in [0, 1), again and again; the same for the same seed. */
export type Dice = () => number;

/** mulberry32, after Tommy Ettinger: small, and good enough to choose with. */
export function seeded(seed: number): Dice {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Says which of `count` versions survived; asked once for each thing that has more than one. */
type Choose = (count: number) => number;

interface FrozenFile {
  readonly sizes: Versions<{ readonly bytes: number }>;
  readonly pages: ReadonlyMap<number, Versions<Uint8Array>>;
}

/** Numbers for pages, which are never changed in place: the same number, the same bytes. */
export class PageNumbers {
  readonly #numbers = new WeakMap<Uint8Array, number>();
  #next = 1;

  of(page: Uint8Array): number {
    const number = this.#numbers.get(page) ?? this.#next++;
    this.#numbers.set(page, number);
    return number;
  }
}

/** A disk that may be left; the same print, the same disk. */
export interface Survivor {
  readonly root: MemoryFolder;
  readonly print: string;
}

/** The disk at one moment; the live one goes on without it. */
export class Frozen {
  readonly #root: MemoryFolder;
  readonly #moves: readonly Move[];
  readonly #numbers: PageNumbers;
  readonly #files = new Map<MemoryFile, FrozenFile>();
  readonly #folders = new Map<MemoryFolder, ReadonlyMap<string, Versions<Binding>>>();

  /** Prints can be compared where `numbers` is the same. */
  constructor({ root, moves }: PowerCutFiles, numbers: PageNumbers) {
    this.#root = root;
    this.#moves = [...moves];
    this.#numbers = numbers;
    this.#freeze(root);
  }

  /** How many disks may be left, counting those twice that look alike. */
  get choices(): number {
    let product = 1;
    for (const { sizes, pages } of this.#files.values()) {
      product *= sizes.all.length;
      for (const page of pages.values()) product *= page.all.length;
    }
    for (const names of this.#folders.values()) for (const binding of names.values()) product *= binding.all.length;
    return product;
  }

  /**
   * All survivors where there are at most `most`; else `most` of them: nothing unsynced, everything, each thing alone,
   * each thing missing, the rest by `dice`. Each looks different.
   */
  *survivors(most: number, dice: Dice): Generator<Survivor> {
    const seen = new Set<string>();
    for (const choose of this.choices <= most ? allChoices() : someChoices(most, dice)) {
      const survivor = this.#survivor(choose);
      if (survivor === null || seen.has(survivor.print)) continue;
      seen.add(survivor.print);
      yield survivor;
    }
  }

  /** Null where the choice would lose a file on its way from one name to another. */
  #survivor(choose: Choose): Survivor | null {
    const chosen = new Map<MemoryFolder, Map<string, Binding>>();
    for (const [folder, names] of this.#folders)
      chosen.set(folder, new Map(Array.from(names, ([name, versions]) => [name, pick(versions, choose)])));
    const idOf = (folder: MemoryFolder, name: string): number => chosen.get(folder)?.get(name)?.id ?? 0;
    for (const { from, to } of this.#moves)
      if (idOf(from.folder, from.name) >= from.id && idOf(to.folder, to.name) < to.id) return null;
    const files = new Map(Array.from(this.#files, ([file, frozen]) => [file, this.#surviving(frozen, choose)]));
    let print = "";
    const build = (folder: MemoryFolder): MemoryFolder => {
      const copy = new MemoryFolder();
      for (const [name, { node }] of chosen.get(folder) ?? []) {
        const kept = node instanceof MemoryFile ? files.get(node) : null;
        if (node === null || kept === undefined) continue;
        print += `${name}:${kept?.print ?? "("}`;
        copy.names.set(name, one({ id: 0, node: node instanceof MemoryFolder ? build(node) : (kept?.file ?? null) }));
        print += kept === null ? ")" : "\0";
      }
      return copy;
    };
    const root = build(this.#root);
    return { root, print };
  }

  /** A page beyond the size that survived is lost; a size beyond the pages that survived reads as NULs. */
  #surviving({ sizes, pages }: FrozenFile, choose: Choose): { readonly file: MemoryFile; readonly print: string } {
    const file = new MemoryFile();
    const size = pick(sizes, choose);
    let print = `${size.bytes}`;
    for (const [index, versions] of pages) {
      const page = pick(versions, choose);
      const kept = size.bytes - index * PAGE;
      if (kept <= 0) continue;
      print += `,${index}=${this.#numbers.of(page)}`;
      file.pages.set(index, one(kept < PAGE ? page.slice().fill(0, kept) : page));
    }
    file.sizes = one(size);
    return { file, print };
  }

  #freeze(folder: MemoryFolder): void {
    this.#folders.set(folder, new Map(folder.names));
    for (const versions of folder.names.values()) {
      for (const { node } of versions.all) {
        if (node instanceof MemoryFolder && !this.#folders.has(node)) this.#freeze(node);
        if (node instanceof MemoryFile) this.#files.set(node, { sizes: node.sizes, pages: new Map(node.pages) });
      }
    }
  }
}

function pick<T>(versions: Versions<T>, choose: Choose): T {
  const count = versions.all.length;
  return (count === 1 ? undefined : versions.all[choose(count)]) ?? versions.all[0];
}

/** Counts through all choices, the way an odometer does. */
function* allChoices(): Generator<Choose> {
  let digits: number[] = [];
  for (;;) {
    const counts: number[] = [];
    const now = digits;
    yield (count) => now[counts.push(count) - 1] ?? 0;
    const next = counts.map((_, index) => now[index] ?? 0);
    let index = next.length - 1;
    while (index >= 0 && (next[index] ?? 0) + 1 >= (counts[index] ?? 0)) next[index--] = 0;
    if (index < 0) return;
    next[index] = (next[index] ?? 0) + 1;
    digits = next;
  }
}

function* someChoices(most: number, dice: Dice): Generator<Choose> {
  let things = 0;
  yield () => (things++, 0);
  yield (count) => count - 1;
  const alone = Math.min(things, Math.floor(most / 3));
  for (let nth = 0; nth < alone; nth++) {
    let asked = 0;
    yield (count) => (asked++ === nth ? count - 1 : 0);
    let again = 0;
    yield (count) => (again++ === nth ? 0 : count - 1);
  }
  for (let nth = 2 + 2 * alone; nth < most; nth++) yield (count) => Math.floor(dice() * count);
}

/** Every file by its path, sorted; null stands for a folder. */
function filesOf(folder: MemoryFolder, prefix: string): [path: string, file: MemoryFile | null][] {
  return [...folder.names]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([name, versions]): [string, MemoryFile | null][] => {
      const { node } = latest(versions);
      const path = `${prefix}/${name}`;
      if (node instanceof MemoryFolder) return [[path, null], ...filesOf(node, path)];
      return node === null ? [] : [[path, node]];
    });
}

function bytesOf(file: MemoryFile): Uint8Array {
  const bytes = new Uint8Array(file.size);
  file.read(bytes, 0, bytes.length, 0);
  return bytes;
}

/** Writes what programs see of the disk into a real folder. */
export function materialise(root: MemoryFolder, folder: string): void {
  for (const [path, file] of filesOf(root, "")) {
    if (file === null) mkdirSync(join(folder, path), { recursive: true });
    else writeFileSync(join(folder, path), bytesOf(file));
  }
}
