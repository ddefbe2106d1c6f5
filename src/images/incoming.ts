/**
 * The folder of uploads on their way: files are begun, written and thrown away here, and only as far as there is room.
 */
import { messageOf } from "../lib/errors.ts";
import type { Files } from "../lib/files.ts";
import type { Log } from "../lib/log.ts";
import { Turns } from "./locks.ts";
import type { ImagePaths } from "./paths.ts";
import { onDisk, roomBytes, storageFull } from "./storage.ts";
import { IncomingFile } from "./upload.ts";

/** The free space is looked at after so many bytes, and sooner where less is left. */
const LOOK_EVERY = 8 * 1024 * 1024;

export class Incoming {
  readonly #files: Files;
  readonly #paths: ImagePaths;
  readonly #log: Log;
  /** One image sync at a time: syncs of many uploads would take all of Node's four pool threads from the journal. */
  readonly #syncs = new Turns<"sync">();
  /** What uploads write to now. */
  readonly #open = new Set<string>();

  constructor(files: Files, paths: ImagePaths, log: Log) {
    this.#files = files;
    this.#paths = paths;
    this.#log = log;
  }

  /**
   * A file for an upload, where there is room for `bytes`. Whoever has it discards it. Throws ApiError `storage_full`,
   * `storage_failed`.
   */
  async begin(bytes: number): Promise<IncomingFile> {
    await this.#room(bytes);
    const path = this.#paths.newIncoming();
    this.#open.add(path);
    try {
      const sync = (fd: number): Promise<void> => this.#syncs.take("sync", () => this.#files.datasync(fd));
      return await IncomingFile.create(this.#files, path, sync);
    } catch (error) {
      this.#open.delete(path);
      throw error;
    }
  }

  /** Writes a piece; up to `looked` there was room when it was last looked at. Gives how far there is now. */
  async write(file: IncomingFile, piece: Uint8Array, position: number, looked: number): Promise<number> {
    let roomUpTo = looked;
    if (position + piece.length > looked) {
      const room = await this.#room(piece.length);
      // Uploads that run together share what is left until the next look.
      roomUpTo = position + Math.max(piece.length, Math.min(LOOK_EVERY, room / this.#open.size));
    }
    await file.write(piece, position);
    return roomUpTo;
  }

  async discard(file: IncomingFile): Promise<void> {
    const failure = await file.discard();
    this.#open.delete(file.path);
    if (failure === null) return;
    const fields = { path: file.path, error: messageOf(failure) };
    this.#log.warn("an unfinished upload could not be removed; the next start clears it", fields);
  }

  /** Paths that no running upload writes. */
  async leftovers(): Promise<string[]> {
    const names = await this.#files.list(this.#paths.incoming);
    return names.map((name) => `${this.#paths.incoming}/${name}`).filter((path) => !this.#open.has(path));
  }

  /** What may still be written, in bytes. Throws ApiError `storage_full` where `wanted` is more. */
  async #room(wanted: number): Promise<number> {
    const room = roomBytes(await onDisk(() => this.#files.space(this.#paths.incoming)));
    if (room < wanted) throw storageFull();
    return room;
  }
}
