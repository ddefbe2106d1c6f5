/**
 * The bytes of one upload on their way in: counted, hashed, and written beside; it never puts anything at an image's
 * path.
 */
import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { ApiError } from "../lib/errors.ts";
import { type Files, writeAll } from "../lib/files.ts";
import { ClientGone } from "../http/send-file.ts";
import type { Digest } from "./paths.ts";
import { onDisk } from "./storage.ts";

/** Where bytes come from. A stream is not destroyed when the upload is refused: its owner still wants to answer. */
export type Source = Readable | AsyncIterable<Uint8Array>;

/** Dirty pages are pushed out so often: the journal's own syncs wait for what a file system has gathered. */
const SYNC_EVERY = 32 * 1024 * 1024;

export function tooLarge(maxBytes: number): ApiError {
  return new ApiError(
    "image_too_large",
    `The image is larger than images.max_bytes, ${maxBytes} bytes; nothing was kept.`,
  );
}

/**
 * Reads all of `source`, a piece at a time, and gives its size. `keep` stores a piece; null where the bytes need only
 * be right. Throws ApiError `image_too_large`, `digest_mismatch`, `malformed_request` where the source breaks off, and
 * what `keep` throws.
 */
export async function receive(
  digest: Digest,
  source: Source,
  maxBytes: number,
  keep: ((piece: Uint8Array, position: number) => Promise<void>) | null,
): Promise<number> {
  const hash = createHash("sha256");
  let size = 0;
  for await (const piece of piecesOf(source)) {
    const position = size;
    size += piece.length;
    if (size > maxBytes) throw tooLarge(maxBytes);
    // The disk writes while this thread hashes.
    const kept = keep?.(piece, position);
    hash.update(piece);
    await kept;
  }
  const actual = `sha256:${hash.digest("hex")}`;
  if (actual !== digest)
    throw new ApiError("digest_mismatch", `The ${size} bytes hash to ${actual}; nothing was kept.`);
  return size;
}

async function* piecesOf(source: Source): AsyncGenerator<Uint8Array> {
  const pieces: AsyncIterable<unknown> =
    source instanceof Readable ? source.iterator({ destroyOnReturn: false }) : source;
  try {
    for await (const piece of pieces) {
      if (!(piece instanceof Uint8Array)) throw new TypeError("the source gives text, not bytes");
      yield piece;
    }
  } catch (cause) {
    // A body that was too slow, or a client that left, is said as what it is.
    if (cause instanceof ApiError || cause instanceof ClientGone) throw cause;
    throw new ApiError("malformed_request", "The upload broke off before its end; nothing was kept.", { cause });
  }
}

/** A file in the incoming folder. Whoever makes one calls `discard` at the end, whatever happened. */
export class IncomingFile {
  readonly path: string;
  readonly #files: Files;
  readonly #sync: (fd: number) => Promise<void>;
  #fd: number | null;
  #unsynced = 0;
  #moved = false;

  private constructor(files: Files, path: string, fd: number, sync: (fd: number) => Promise<void>) {
    this.#files = files;
    this.path = path;
    this.#fd = fd;
    this.#sync = sync;
  }

  /** `sync` is the files' datasync, or one that lets others go first. Throws as `onDisk`, as do the methods below. */
  static async create(files: Files, path: string, sync: (fd: number) => Promise<void>): Promise<IncomingFile> {
    try {
      return new IncomingFile(files, path, await onDisk(() => files.open(path, "wx")), sync);
    } catch (error) {
      // The name may have been made before the disk failed.
      await files.unlink(path).catch(() => undefined);
      throw error;
    }
  }

  async write(piece: Uint8Array, position: number): Promise<void> {
    const fd = this.#open();
    await onDisk(() => writeAll(this.#files, fd, piece, position));
    this.#unsynced += piece.length;
    if (this.#unsynced < SYNC_EVERY) return;
    this.#unsynced = 0;
    await onDisk(() => this.#sync(fd));
  }

  /** Makes the bytes durable; the name is not yet what it shall be. */
  async seal(): Promise<void> {
    const fd = this.#open();
    await onDisk(() => this.#sync(fd));
    await onDisk(() => this.#close());
  }

  /** Puts the sealed file at `path`, replacing what is there. The folder is the caller's to sync. */
  async moveTo(path: string): Promise<void> {
    await onDisk(() => this.#files.rename(this.path, path));
    this.#moved = true;
  }

  /**
   * Removes the file, unless it was moved, as far as the disk lets it: the next start clears what is left. Gives the
   * error that it met, or null.
   */
  async discard(): Promise<unknown> {
    await this.#close().catch(() => undefined);
    try {
      if (!this.#moved) await this.#files.unlink(this.path);
      return null;
    } catch (error) {
      return error;
    }
  }

  #open(): number {
    if (this.#fd === null) throw new Error("the incoming file is closed");
    return this.#fd;
  }

  /** A close that fails has closed all the same: its number is never used again. */
  async #close(): Promise<void> {
    const fd = this.#fd;
    this.#fd = null;
    if (fd !== null) await this.#files.close(fd);
  }
}
