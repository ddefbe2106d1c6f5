/**
 * The digest-addressed image store: the one thing that puts a file at an image's path or takes it away. It does not
 * know who may, nor who wants it.
 */
import { dirname } from "node:path";
import { fileBody, PieceSizes } from "../http/send-file.ts";
import type { BodyPump } from "../http/types.ts";
import { ApiError, messageOf, systemCode } from "../lib/errors.ts";
import type { Files, FileStat } from "../lib/files.ts";
import type { Log } from "../lib/log.ts";
import { Incoming } from "./incoming.ts";
import { Holds, Turns } from "./locks.ts";
import { type Digest, ImagePaths } from "./paths.ts";
import { fileGone, onDisk, storeGone } from "./storage.ts";
import { StoredFile } from "./stored.ts";
import { type IncomingFile, receive, type Source, tooLarge } from "./upload.ts";

export interface ImageStoreOptions {
  readonly files: Files;
  /** `build.images_dir`; made when missing. */
  readonly imagesDir: string;
  readonly log: Log;
}

export interface ImportLimits {
  /** The upload's Content-Length; null where it is not known. */
  readonly declaredBytes: number | null;
  /** `images.max_bytes`. */
  readonly maxBytes: number;
}

export interface Imported {
  readonly sizeBytes: number;
  /** True where the file was there before, byte for byte the upload, or came by another upload meanwhile. */
  readonly existed: boolean;
}

export class ImageStore {
  readonly files: Files;
  readonly paths: ImagePaths;
  readonly #log: Log;
  readonly #holds = new Holds();
  /** For steps on one digest's file that must not interleave; all short, none waits for a client. */
  readonly #turns = new Turns<Digest>();
  readonly #pieces = new PieceSizes();
  /** The folder of the images as `open` found it (FileStat). */
  #folderId: string | null = null;
  readonly #incoming: Incoming;
  /** Folders whose own name is durable. */
  readonly #durableFolders = new Set<string>();
  /** Removals that wait for uploads of the same digest, with the question whether they still apply. */
  readonly #removals = new Map<Digest, () => boolean>();

  constructor({ files, imagesDir, log }: ImageStoreOptions) {
    this.files = files;
    this.paths = new ImagePaths(imagesDir);
    this.#log = log;
    this.#incoming = new Incoming(files, this.paths, log);
  }

  /**
   * Makes the folders and clears what a crash left in `incoming`; gives how many files that were. Call it once, before
   * any import. Throws system errors.
   */
  async open(): Promise<number> {
    const { root, images, incoming, quarantine } = this.paths;
    for (const folder of [images, incoming, quarantine]) await this.files.mkdir(folder);
    this.#folderId = (await this.files.stat(images))?.id ?? null;
    await this.files.syncFolder(root);
    // Also where it was there: whoever made it may have died before its name was durable.
    await this.files.syncFolder(dirname(root));
    const leftovers = await this.leftovers();
    for (const path of leftovers) await this.files.unlink(path);
    if (leftovers.length > 0) this.#log.info("cleared unfinished uploads", { count: leftovers.length });
    return leftovers.length;
  }

  /**
   * Streams an image in; the answer comes when the file and its name are durable. A caller that then records the image
   * holds the digest around both. A file that is there already is compared byte by byte with what comes, and replaced
   * where it differs. Throws ApiError `image_too_large`, `storage_full`, `storage_failed`, `digest_mismatch`,
   * `malformed_request` (the source broke off); nothing is kept then.
   */
  import(digest: Digest, source: Source, limits: ImportLimits): Promise<Imported> {
    return this.hold(digest, async () => {
      if (limits.declaredBytes !== null && limits.declaredBytes > limits.maxBytes) throw tooLarge(limits.maxBytes);
      await this.requireFolder();
      // Behind a removal that runs.
      const stored = await this.#turns.take(digest, () => StoredFile.open(this.files, this.paths.fileOf(digest)));
      try {
        return await this.#take(digest, source, limits, stored);
      } finally {
        await stored?.close();
      }
    });
  }

  /**
   * Keeps the digest's file from removal while `work` runs, so that what it records can rely on the file; a removal
   * asked for meanwhile comes after it.
   */
  hold<T>(digest: Digest, work: () => Promise<T>): Promise<T> {
    return this.#holds.during(digest, work, () => void this.#removeAtLast(digest));
  }

  /** Bytes of the file in place; null where there is none. Throws ApiError `storage_failed`. */
  async sizeOf(digest: Digest): Promise<number | null> {
    const found = await onDisk(() => this.files.stat(this.paths.fileOf(digest)));
    return found?.isFile === true ? found.size : null;
  }

  /** A body of the image's bytes from `start` up to, not including, `end`. The file is opened when the body is sent. */
  body(digest: Digest, start: number, end: number): BodyPump {
    return fileBody(this.files, this.paths.fileOf(digest), start, end, this.#pieces);
  }

  /**
   * Removes the file, durably; downloads that run go on. While uploads of the digest run it returns at once, and the
   * last of them removes the file.
   * `isWanted` is asked right before, so that what was uploaded and recorded in between stays. Throws ApiError
   * `storage_failed`.
   */
  remove(digest: Digest, isWanted: () => boolean): Promise<void> {
    return this.#turns.take(digest, async () => {
      if (this.#holds.has(digest)) return void this.#removals.set(digest, isWanted);
      if (isWanted() || (await this.sizeOf(digest)) === null) return;
      await onDisk(() => this.files.unlink(this.paths.fileOf(digest)));
      await onDisk(() => this.files.syncFolder(this.paths.folderOf(digest)));
    });
  }

  /**
   * Moves the file to quarantine, durably, and gives its new path; null where it is another file than `seen` by now.
   * Throws ApiError `storage_failed`.
   */
  quarantine(digest: Digest, seen: FileStat): Promise<string | null> {
    return this.#turns.take(digest, () => this.#setAside(digest, seen));
  }

  async #setAside(digest: Digest, seen: FileStat): Promise<string | null> {
    const path = this.paths.fileOf(digest);
    const now = await onDisk(() => this.files.stat(path));
    if (now === null || now.id !== seen.id || now.size !== seen.size || now.mtimeMs !== seen.mtimeMs) return null;
    const target = this.paths.newQuarantine(digest);
    await onDisk(() => this.files.mkdir(this.paths.quarantine));
    await onDisk(() => this.files.rename(path, target));
    await onDisk(() => this.files.syncFolder(this.paths.quarantine));
    await onDisk(() => this.files.syncFolder(this.paths.folderOf(digest)));
    return target;
  }

  /** Throws ApiError `storage_failed` where the folder of the images is not there, or another than at the start. */
  async requireFolder(): Promise<void> {
    const { root, images } = this.paths;
    const found = await onDisk(() => this.files.stat(images));
    if (found !== null && (this.#folderId === null || found.id === this.#folderId)) return;
    throw storeGone(root, images, found !== null);
  }

  /** Paths of uploads that a crash cut off. */
  leftovers(): Promise<string[]> {
    return this.#incoming.leftovers();
  }

  /** Writes nothing while the bytes are those in place; they are read all the same: a digest is not the image. */
  async #take(digest: Digest, source: Source, limits: ImportLimits, stored: StoredFile | null): Promise<Imported> {
    const { declaredBytes, maxBytes } = limits;
    const taken: { file: IncomingFile | null } = { file: null };
    try {
      if (stored === null) taken.file = await this.#incoming.begin(declaredBytes ?? 0);
      let looked = 0;
      const sizeBytes = await receive(digest, source, maxBytes, async (piece, position) => {
        if (taken.file === null && stored !== null) {
          if (await this.#has(stored, piece, position)) return;
          taken.file = await this.#incoming.begin(declaredBytes ?? 0);
          await this.#copyBefore(stored, position, taken.file);
        }
        if (taken.file !== null) looked = await this.#incoming.write(taken.file, piece, position, looked);
      });
      if (taken.file === null && stored !== null && stored.stat.size !== sizeBytes) {
        taken.file = await this.#incoming.begin(sizeBytes);
        await this.#copyBefore(stored, sizeBytes, taken.file);
      }
      const { file } = taken;
      if (file === null) return await this.#confirm(digest, sizeBytes);
      await file.seal();
      return { sizeBytes, existed: await this.#turns.take(digest, () => this.#place(digest, file, stored)) };
    } finally {
      if (taken.file !== null) await this.#incoming.discard(taken.file);
    }
  }

  /** A part that the disk cannot read any more is as good as gone. */
  async #has(stored: StoredFile, piece: Uint8Array, position: number): Promise<boolean> {
    try {
      return await stored.has(piece, position);
    } catch (error) {
      const fields = { bytes_from: position, reason: messageOf(error) };
      this.#log.warn("an image's file cannot be read; it is written anew", fields);
      return false;
    }
  }

  /** What the upload and the file in place have in common, up to `end`: the upload's own bytes of it are gone. */
  async #copyBefore(stored: StoredFile, end: number, file: IncomingFile): Promise<void> {
    let looked = 0;
    for await (const { piece, position } of stored.before(end)) {
      looked = await this.#incoming.write(file, piece, position, looked);
    }
  }

  /** The file in place was the upload, byte for byte. */
  #confirm(digest: Digest, sizeBytes: number): Promise<Imported> {
    return this.#turns.take(digest, async () => {
      if ((await this.sizeOf(digest)) !== sizeBytes) throw fileGone();
      await this.#syncNames(digest);
      return { sizeBytes, existed: true };
    });
  }

  /** Puts a sealed file in place, durably, and sets `damaged` aside. True where another upload was faster. */
  async #place(digest: Digest, file: IncomingFile, damaged: StoredFile | null): Promise<boolean> {
    if (damaged !== null) {
      const movedTo = await this.#setAside(digest, damaged.stat);
      const fields = { digest, moved_to: movedTo };
      if (movedTo !== null) this.#log.warn("an image was not what its name says; a push has replaced it", fields);
    }
    const existed = (await this.sizeOf(digest)) !== null;
    try {
      await onDisk(() => this.files.mkdir(this.paths.folderOf(digest)));
      // Also over the faster one's file, which has the same bytes.
      await file.moveTo(this.paths.fileOf(digest));
      await this.#syncNames(digest);
      return existed;
    } catch (error) {
      // Whether the name would outlive a power cut is unknown, so nobody may find it.
      if (!existed) await this.#takeBack(digest);
      throw error;
    }
  }

  /**
   * Makes the name of the file durable, and with the first image that of its folder. Names found there are synced too:
   * who made them may have died before.
   */
  async #syncNames(digest: Digest): Promise<void> {
    const folder = this.paths.folderOf(digest);
    if (!this.#durableFolders.has(folder)) {
      await onDisk(() => this.files.syncFolder(this.paths.images));
      this.#durableFolders.add(folder);
    }
    await onDisk(() => this.files.syncFolder(folder));
  }

  async #takeBack(digest: Digest): Promise<void> {
    try {
      await this.files.unlink(this.paths.fileOf(digest));
    } catch (failure) {
      if (systemCode(failure) !== "ENOENT") this.#complain(digest, failure);
    }
  }

  async #removeAtLast(digest: Digest): Promise<void> {
    const isWanted = this.#removals.get(digest);
    this.#removals.delete(digest);
    if (isWanted !== undefined)
      await this.remove(digest, isWanted).catch((failure: unknown) => this.#complain(digest, failure));
  }

  #complain(digest: Digest, failure: unknown): void {
    this.#log.error("an image's file could not be removed", {
      digest,
      error: messageOf(failure instanceof ApiError ? failure.cause : failure),
    });
  }
}
