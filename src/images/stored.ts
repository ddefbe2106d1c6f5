/** The file in an image's place, read beside an upload of the same digest: whether it still is what the upload says. */
import type { Files, FileStat } from "../lib/files.ts";
import { onDisk } from "./storage.ts";

/** Pieces in which a part that both have in common is copied. */
const COPY_BYTES = 1024 * 1024;

/** Whoever opens one closes it. */
export class StoredFile {
  /** As it was when it was opened. */
  readonly stat: FileStat;
  readonly #files: Files;
  readonly #fd: number;
  #buffer = Buffer.alloc(0);

  private constructor(files: Files, fd: number, stat: FileStat) {
    this.#files = files;
    this.#fd = fd;
    this.stat = stat;
  }

  /** Null where there is no file. Throws ApiError `storage_failed`. */
  static async open(files: Files, path: string): Promise<StoredFile | null> {
    const stat = await onDisk(() => files.stat(path));
    return stat?.isFile === true ? new StoredFile(files, await onDisk(() => files.open(path, "r")), stat) : null;
  }

  /** Whether these bytes stand at `position`. Throws the disk's own error. */
  async has(piece: Uint8Array, position: number): Promise<boolean> {
    if (position + piece.length > this.stat.size) return false;
    return Buffer.compare(await this.#read(position, piece.length), piece) === 0;
  }

  /** Gives the bytes before `end`, piece by piece. Throws ApiError `storage_failed`. */
  async *before(end: number): AsyncGenerator<{ readonly piece: Uint8Array; readonly position: number }, void, void> {
    for (let position = 0; position < end;) {
      const piece = await onDisk(() => this.#read(position, Math.min(COPY_BYTES, end - position)));
      yield { piece, position };
      position += piece.length;
    }
  }

  async close(): Promise<void> {
    await this.#files.close(this.#fd).catch(() => undefined);
  }

  /** In the buffer of this file: good until the next read. */
  async #read(position: number, length: number): Promise<Uint8Array> {
    if (this.#buffer.length < length) this.#buffer = Buffer.allocUnsafeSlow(length);
    let got = 0;
    while (got < length) {
      const more = await this.#files.read(this.#fd, this.#buffer, got, length - got, position + got);
      if (more === 0) throw Object.assign(new Error("the file has become shorter"), { code: "EIO" });
      got += more;
    }
    return this.#buffer.subarray(0, length);
  }
}
