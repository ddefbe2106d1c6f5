/**
 * The images on this host: `sha256/<hex>` is whole and verified, `incoming/<hex>` is on its way. A digest is fetched once however many machines
 * wait for it, hashed before its first use by this process, and evicted, least recently used first, when the folder is over its limit and no
 * machine needs it.
 */
import { createHash } from "node:crypto";
import { chmod, mkdir, open, readdir, rename, stat, unlink, utimes } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../lib/clock.ts";
import { messageOf, systemCode } from "../lib/errors.ts";
import { diskFiles } from "../lib/files.ts";
import type { Log } from "../lib/log.ts";
import type { OpenDownload } from "./download.ts";
import { ImagePull } from "./image-pull.ts";
import type { Images } from "./runtime.ts";
import { LaunchError } from "./runtime.ts";

export interface ImageCacheOptions {
  readonly folder: string;
  readonly maxBytes: number;
  readonly open: OpenDownload;
  readonly clock: Clock;
  readonly log: Log;
  /** Digests that machines run from or wait for. */
  readonly inUse: () => ReadonlySet<string>;
}

const READ_PIECE = 1 << 20;

export class ImageCache implements Images {
  readonly #options: ImageCacheOptions;
  readonly #working = new Map<string, Promise<string>>();
  /** What was verified, as size, time of change and inode: another file under the name is verified anew. */
  readonly #verified = new Map<string, string>();

  constructor(options: ImageCacheOptions) {
    this.#options = options;
  }

  /** Makes the folders. */
  async open(): Promise<void> {
    for (const name of ["sha256", "incoming"]) await mkdir(join(this.#options.folder, name), { recursive: true, mode: 0o700 });
  }

  ensure(digest: string): Promise<string> {
    const running = this.#working.get(digest);
    if (running !== undefined) return running;
    const work = this.#ensure(digest).finally(() => this.#working.delete(digest));
    this.#working.set(digest, work);
    return work;
  }

  async #ensure(digest: string): Promise<string> {
    try {
      const path = this.#pathOf(digest);
      if (!(await this.#isGood(digest, path))) await this.#pull(digest, path);
      // Access times are the order of eviction, also after a restart; `noatime` does not keep them from being set.
      const { mtime } = await stat(path);
      await utimes(path, new Date(this.#options.clock.wall()), mtime);
      return path;
    } catch (error) {
      throw error instanceof LaunchError ? error : new LaunchError(`its image cannot be kept on this host: ${messageOf(error)}`, false, { cause: error });
    }
  }

  /** Whether the cache has it whole and true. What is not true is thrown away. */
  async #isGood(digest: string, path: string): Promise<boolean> {
    const mark = await markOf(path);
    if (mark === null) return false;
    if (this.#verified.get(digest) === mark) return true;
    if (`sha256:${await hashFile(path)}` === digest) {
      this.#verified.set(digest, mark);
      return true;
    }
    this.#options.log.error("an image in the cache is corrupt; it is thrown away and pulled again", { digest });
    await unlink(path);
    return false;
  }

  async #pull(digest: string, path: string): Promise<void> {
    const { folder, open: download, clock, log } = this.#options;
    const incoming = join(folder, "incoming", hexOf(digest));
    const pull = new ImagePull({ digest, path: incoming, open: download, clock, log, makeRoom: (bytes) => this.#makeRoom(bytes) });
    await pull.run();
    // Readable and executable, for a plain process whose image is its program; nobody writes.
    await chmod(incoming, 0o500);
    await rename(incoming, path);
    await diskFiles.syncFolder(join(folder, "sha256"));
    const mark = await markOf(path);
    if (mark !== null) this.#verified.set(digest, mark);
  }

  /** Evicts until `bytes` more fit under the limit, or nothing is left that may go: what machines need is never evicted. */
  async #makeRoom(bytes: number): Promise<void> {
    const { maxBytes, log } = this.#options;
    const entries = await this.#entries();
    let over = entries.reduce((sum, { size }) => sum + size, 0) + bytes - maxBytes;
    const inUse = this.#options.inUse();
    for (const { path, digest, size } of entries.sort((a, b) => a.usedAt - b.usedAt)) {
      if (over <= 0) return;
      if (inUse.has(digest) || this.#working.has(digest)) continue;
      log.info("an image was evicted from the cache", { digest, bytes: size });
      await unlink(path);
      this.#verified.delete(digest);
      over -= size;
    }
    if (over > 0) log.warn("the image cache is over its limit: machines need all that is in it", { over_bytes: over, max_bytes: maxBytes });
  }

  async #entries(): Promise<{ path: string; digest: string; size: number; usedAt: number }[]> {
    const found = [];
    for (const name of ["sha256", "incoming"]) {
      for (const hex of await readdir(join(this.#options.folder, name))) {
        const path = join(this.#options.folder, name, hex);
        const { size, atimeMs } = await stat(path);
        found.push({ path, digest: `sha256:${hex}`, size, usedAt: atimeMs });
      }
    }
    return found;
  }

  #pathOf(digest: string): string {
    return join(this.#options.folder, "sha256", hexOf(digest));
  }
}

function hexOf(digest: string): string {
  return digest.slice("sha256:".length);
}

async function markOf(path: string): Promise<string | null> {
  try {
    const { size, mtimeMs, ino } = await stat(path);
    return `${size} ${mtimeMs} ${ino}`;
  } catch (error) {
    if (systemCode(error) === "ENOENT") return null;
    throw error;
  }
}

async function hashFile(path: string): Promise<string> {
  const file = await open(path, "r");
  try {
    const hash = createHash("sha256");
    const buffer = Buffer.allocUnsafe(READ_PIECE);
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length, null);
      if (bytesRead === 0) return hash.digest("hex");
      hash.update(buffer.subarray(0, bytesRead));
    }
  } finally {
    await file.close();
  }
}
