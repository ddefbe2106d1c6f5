/**
 * The file that is written to: begins segments, writes at the end, syncs, cuts back. Decides nothing; knows no lines.
 */
import { join } from "node:path";
import type { Files } from "../lib/files.ts";
import { writeAll } from "../lib/files.ts";
import { segmentName } from "./names.ts";
import { displacementOf } from "./place.ts";
import { SyncFailed } from "./shortage.ts";

/** The active segment. */
export interface ActiveFile {
  readonly fd: number;
  readonly path: string;
  /** Where the last durable line ends. */
  readonly end: number;
  /** The file itself (FileStat); null for the moment in which it is made. */
  readonly id: string | null;
}

export class SegmentWriter {
  readonly #files: Files;
  readonly #folder: string;
  #active: ActiveFile | null;
  #written = 0;

  constructor(files: Files, folder: string, active: ActiveFile | null) {
    this.#files = files;
    this.#folder = folder;
    this.#active = active;
  }

  /** The file that is written to; null before the first. */
  get path(): string | null {
    return this.#active?.path ?? null;
  }

  /** Bytes of durable lines in the active segment; 0 also where there is none yet. */
  get end(): number {
    return this.#active?.end ?? 0;
  }

  /**
   * Makes the segment that begins with `firstSeq` the active one and gives the path of the one it closes, null where
   * nothing is closed. The new name is durable before anything is written under it. An empty active segment is one that
   * was begun and has not been used.
   */
  async begin(firstSeq: number): Promise<string | null> {
    const closing = this.#active;
    if (closing?.end === 0) return null;
    const path = join(this.#folder, segmentName(firstSeq));
    const fd = await this.#files.open(path, "wx", 0o600);
    this.#active = { fd, path, end: 0, id: null };
    // All of the old one is synced, so its close can lose nothing.
    if (closing !== null) await this.#files.close(closing.fd).catch(() => undefined);
    this.#active = { fd, path, end: 0, id: (await this.#files.stat(path))?.id ?? null };
    await this.#synced(`folder ${this.#folder}`, this.#files.syncFolder(this.#folder));
    return closing?.path ?? null;
  }

  /** Why what is written would not be found at the active segment's path; null where it would. Never throws. */
  async displacement(): Promise<string | null> {
    const active = this.#active;
    return active === null || active.id === null ? null : displacementOf(this.#files, active.path, active.id);
  }

  /** Writes at the end of the active segment; nothing counts before `sync`. */
  async write(bytes: Uint8Array): Promise<void> {
    const { fd, end } = this.#current();
    await writeAll(this.#files, fd, bytes, end);
    this.#written = bytes.length;
  }

  /** Makes what was written durable. Throws SyncFailed. */
  async sync(): Promise<void> {
    const active = this.#current();
    await this.#synced(active.path, this.#files.datasync(active.fd));
    this.#active = { ...active, end: active.end + this.#written };
    this.#written = 0;
  }

  /**
   * Cuts the active segment back to its last durable line, and syncs that, so that a segment closed next bears no torn
   * end.
   */
  async cut(): Promise<void> {
    if (this.#active === null) return;
    await this.truncate();
    await this.#synced(this.#active.path, this.#files.datasync(this.#active.fd));
  }

  /** The cut alone, for a segment whose syncs cannot be believed any more. */
  async truncate(): Promise<void> {
    this.#written = 0;
    if (this.#active !== null) await this.#files.truncate(this.#active.fd, this.#active.end);
  }

  async close(): Promise<void> {
    const active = this.#active;
    this.#active = null;
    if (active !== null) await this.#files.close(active.fd);
  }

  #current(): ActiveFile {
    if (this.#active === null) throw new Error("journal: no segment was begun");
    return this.#active;
  }

  async #synced(what: string, sync: Promise<void>): Promise<void> {
    try {
      await sync;
    } catch (error) {
      throw new SyncFailed(what, error);
    }
  }
}
