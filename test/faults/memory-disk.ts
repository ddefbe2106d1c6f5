/**
 * What a disk may hold after a power cut, kept as versions: of every page, size and name the one that is surely on
 * disk, and all younger ones. It knows no paths.
 */

export const PAGE = 4096;
const ZEROS = new Uint8Array(PAGE);

/** The first is on disk for sure, the last is what programs see; after a power cut it may be any. Never empty. */
export interface Versions<T> {
  readonly all: readonly [T, ...T[]];
  /** A failed sync took the page for clean without writing it: later syncs pass it by until it changes again. */
  readonly isForgotten: boolean;
}

export function one<T>(value: T): Versions<T> {
  return { all: [value], isForgotten: false };
}

export function latest<T>(versions: Versions<T>): T {
  return versions.all[versions.all.length - 1] ?? versions.all[0];
}

export function added<T>(versions: Versions<T>, value: T): Versions<T> {
  return { all: [...versions.all, value], isForgotten: false };
}

/** What is left when a sync ends that began while `last` was the latest; versions are told apart by identity. */
function synced<T>(versions: Versions<T>, last: T): Versions<T> {
  const [first, ...rest] = versions.all.slice(versions.all.indexOf(last));
  return versions.isForgotten || first === undefined || !versions.all.includes(last)
    ? versions
    : { all: [first, ...rest], isForgotten: false };
}

/** A regular file. Pages are never changed in place, so that versions can share them. */
export class MemoryFile {
  sizes: Versions<{ readonly bytes: number }> = one({ bytes: 0 });
  readonly pages = new Map<number, Versions<Uint8Array>>();

  get size(): number {
    return latest(this.sizes).bytes;
  }

  read(buffer: Uint8Array, offset: number, length: number, position: number): number {
    const end = Math.min(position + length, this.size);
    let done = 0;
    while (position + done < end) {
      const at = position + done;
      const inPage = at % PAGE;
      const part = this.#page((at - inPage) / PAGE).subarray(inPage, Math.min(PAGE, inPage + end - at));
      buffer.set(part, offset + done);
      done += part.length;
    }
    return done;
  }

  write(bytes: Uint8Array, position: number): void {
    let done = 0;
    while (done < bytes.length) {
      const at = position + done;
      const inPage = at % PAGE;
      const part = bytes.subarray(done, done + PAGE - inPage);
      const page = this.#page((at - inPage) / PAGE).slice();
      page.set(part, inPage);
      this.#put((at - inPage) / PAGE, page);
      done += part.length;
    }
    const end = position + bytes.length;
    if (end > this.size) this.sizes = added(this.sizes, { bytes: end });
    // Writing out these pages takes the size with them.
    else if (end > Math.min(...this.sizes.all.map((size) => size.bytes)))
      this.sizes = { ...this.sizes, isForgotten: false };
  }

  truncate(length: number): void {
    for (const [index] of this.pages) {
      const kept = length - index * PAGE;
      if (kept >= PAGE) continue;
      const page = this.#page(index).slice();
      this.#put(index, page.fill(0, Math.max(0, kept)));
    }
    if (length !== this.size) this.sizes = added(this.sizes, { bytes: length });
  }

  /** Begins a sync: what is called at its end makes durable what was written up to now. */
  beginSync(): () => void {
    const pages = Array.from(this.pages, ([index, versions]) => [index, latest(versions)] as const);
    const size = latest(this.sizes);
    return () => {
      for (const [index, page] of pages) this.pages.set(index, synced(this.pages.get(index) ?? one(page), page));
      this.sizes = synced(this.sizes, size);
    };
  }

  failSync(): void {
    for (const [index, versions] of this.pages)
      if (versions.all.length > 1) this.pages.set(index, { ...versions, isForgotten: true });
    if (this.sizes.all.length > 1) this.sizes = { ...this.sizes, isForgotten: true };
  }

  #page(index: number): Uint8Array {
    const versions = this.pages.get(index);
    return versions === undefined ? ZEROS : latest(versions);
  }

  #put(index: number, page: Uint8Array): void {
    this.pages.set(index, added(this.pages.get(index) ?? one(ZEROS), page));
  }
}

/** What a name stands for; `id` grows with every change of any name. */
export interface Binding {
  readonly id: number;
  readonly node: MemoryFile | MemoryFolder | null;
}

export class MemoryFolder {
  readonly names = new Map<string, Versions<Binding>>();

  get(name: string): MemoryFile | MemoryFolder | null {
    const versions = this.names.get(name);
    return versions === undefined ? null : latest(versions).node;
  }

  bind(name: string, binding: Binding): void {
    this.names.set(name, added(this.names.get(name) ?? one({ id: 0, node: null }), binding));
  }

  /** As `beginSync` of a file, for the names. */
  beginSync(): () => void {
    const bindings = Array.from(this.names, ([name, versions]) => [name, latest(versions)] as const);
    return () => {
      for (const [name, binding] of bindings)
        this.names.set(name, synced(this.names.get(name) ?? one(binding), binding));
    };
  }
}
