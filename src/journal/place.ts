/**
 * Whether a path still leads to what was opened under it: a file that was removed or replaced takes every write, and
 * shows it to nobody.
 */
import { messageOf } from "../lib/errors.ts";
import type { Files } from "../lib/files.ts";

/**
 * Why `path` leads to something other than the file or folder `id` (FileStat); null where it leads there. Never throws.
 */
export async function displacementOf(files: Files, path: string, id: string): Promise<string | null> {
  try {
    const found = await files.stat(path);
    if (found === null) return `${path} was removed while the daemon ran`;
    return found.id === id ? null : `${path} was replaced while the daemon ran`;
  } catch (error) {
    return `${path} cannot be looked at any more: ${messageOf(error)}`;
  }
}

/**
 * What is written goes to nobody, or into what another process works on. Only a start, which looks at the disk anew,
 * can tell what counts.
 */
export class Displaced extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = "Displaced";
  }
}

/** Tells why something is not in its place any more, null while it is. Never throws. */
type Look = () => Promise<string | null>;

interface Placed {
  readonly path: string;
  readonly id: string | null;
}

const IN_PLACE: Look = () => Promise.resolve(null);

/**
 * Looks whether what a journal writes to is still where it was opened: its folder, its segment, and what others hold
 * for it.
 */
export class PlaceWatch {
  readonly #guard: Look;
  readonly #folder: Look;
  readonly #segment: Look;
  #displaced: string | null = null;
  #looking: Promise<(string | null)[]> | null = null;

  /**
   * `guard` is others': the lock of the data folder. `folder` is the journal's with its id (FileStat), null where it is
   * not known.
   */
  constructor(files: Files, { path, id }: Placed, segment: Look, guard: Look = IN_PLACE) {
    this.#guard = guard;
    this.#folder = id === null ? IN_PLACE : () => displacementOf(files, path, id);
    this.#segment = segment;
  }

  /** Why writes go astray, as a look has found it; it stays. */
  get displaced(): string | null {
    return this.#displaced;
  }

  /** Looks at all of it; one look at a time serves all who ask. Gives `displaced`. */
  async look(): Promise<string | null> {
    if (this.#displaced !== null) return this.#displaced;
    this.#looking ??= Promise.all([this.#guard(), this.#folder(), this.#segment()]);
    const found = await this.#looking;
    this.#looking = null;
    this.#displaced ??= found.find((reason) => reason !== null) ?? null;
    return this.#displaced;
  }

  /**
   * So that nothing goes where another daemon may write by now, nor a segment is begun in a folder that is none of
   * ours. Throws Displaced.
   */
  async beforeWrite(beginsSegment: boolean): Promise<void> {
    this.#refuse((await this.#guard()) ?? (beginsSegment ? ((await this.#folder()) ?? (await this.#segment())) : null));
  }

  /**
   * So that nothing counts that went where nobody looks; beside `sync`, which takes longer. Throws Displaced, and what
   * `sync` throws.
   */
  async during(sync: Promise<void>): Promise<void> {
    const [ofSegment] = await Promise.all([this.#segment(), sync]);
    this.#refuse(ofSegment);
  }

  #refuse(found: string | null): void {
    const reason = this.#displaced ?? found;
    if (reason !== null) throw new Displaced(reason);
  }
}
