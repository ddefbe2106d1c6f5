/**
 * The images on this host: `sha256/<hex>` is whole and verified, `incoming/<hex>` is on its way. A digest is fetched
 * once however many machines wait for it, hashed before its first use by this process, and evicted, least recently used
 * first, when the folder is over its limit or the disk too full for the next one, and no machine needs it.
 */
import type { Stats } from "node:fs";
import { chmod, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../lib/clock.ts";
import { messageOf } from "../lib/errors.ts";
import type { Files } from "../lib/files.ts";
import { hashFile } from "../lib/hash-file.ts";
import type { Log } from "../lib/log.ts";
import { unlessMissing } from "../lib/missing.ts";
import { SharedWork } from "./cancel.ts";
import type { OpenDownload } from "./download.ts";
import { ImagePull } from "./image-pull.ts";
import type { CachedFile } from "./image-room.ts";
import { isDiskFull, isTold, numbersOf, planEviction, spareBytes } from "./image-room.ts";
import type { Images } from "./runtime.ts";
import { hostFault, LaunchError } from "./runtime.ts";

export interface ImageCacheOptions {
  readonly folder: string;
  readonly maxBytes: number;
  readonly files: Files;
  readonly open: OpenDownload;
  readonly clock: Clock;
  readonly log: Log;
  /** Digests that machines run from or wait for. */
  readonly inUse: () => ReadonlySet<string>;
}

const ADVICE = "make room there, or give this host a larger disk";

/** A pull for which there is no room, also after eviction. */
class NoRoom extends LaunchError {}

export class ImageCache implements Images {
  readonly #options: ImageCacheOptions;
  readonly #working = new SharedWork<string>();
  /** What was verified, as size, time of change and inode: another file under the name is verified anew. */
  readonly #verified = new Map<string, string>();
  /** What is being pulled, and how large it will be: bytes that are free now and spoken for. */
  readonly #coming = new Map<string, number>();
  #makingRoom: Promise<void> = Promise.resolve();

  constructor(options: ImageCacheOptions) {
    this.#options = options;
  }

  /** Makes the folders where they are missing. */
  async open(): Promise<void> {
    const { folder, files } = this.#options;
    for (const name of ["sha256", "incoming"]) await files.mkdir(join(folder, name));
  }

  /**
   * What was pulled when the last machine that needs it goes stays as an unfinished download, the first that is
   * evicted.
   */
  ensure(digest: string, signal: AbortSignal): Promise<string> {
    return this.#working.join(digest, signal, (calledOff) => this.#ensure(digest, calledOff));
  }

  async #ensure(digest: string, signal: AbortSignal): Promise<string> {
    try {
      const path = this.#pathOf(digest);
      if (!(await this.#isGood(digest, path, signal))) await this.#pull(digest, path, signal);
      // Access times are the order of eviction, also after a restart; `noatime` does not keep them from being set.
      const { mtime } = await stat(path);
      await utimes(path, new Date(this.#options.clock.wall()), mtime);
      return path;
    } catch (error) {
      signal.throwIfAborted();
      throw error instanceof LaunchError ? error : hostFault("its image cannot be kept on this host", error);
    }
  }

  /** Whether the cache has it whole and true. What is not true is thrown away. */
  async #isGood(digest: string, path: string, signal: AbortSignal): Promise<boolean> {
    const mark = await markOf(path);
    if (mark === null) return false;
    if (this.#verified.get(digest) === mark) return true;
    const { sha256 } = await hashFile(this.#options.files, path, () => signal.throwIfAborted());
    if (`sha256:${sha256}` === digest) {
      this.#verified.set(digest, mark);
      return true;
    }
    this.#options.log.error("an image in the cache is corrupt; it is thrown away and pulled again", { digest });
    await this.#options.files.unlink(path);
    return false;
  }

  async #pull(digest: string, path: string, signal: AbortSignal): Promise<void> {
    const { folder, files, open: download, clock, log } = this.#options;
    const incoming = join(folder, "incoming", hexOf(digest));
    try {
      // Each time: somebody may have removed them since the agent started.
      await this.open();
      const makeRoom = (bytes: number): Promise<void> => this.#makeRoom(digest, bytes);
      await new ImagePull({ digest, path: incoming, files, open: download, clock, log, signal, makeRoom }).run();
      // Readable and executable, for a plain process whose image is its program; nobody writes.
      await chmod(incoming, 0o500);
      await files.rename(incoming, path);
      await files.syncFolder(join(folder, "sha256"));
    } catch (error) {
      // What cannot be finished must not fill the disk that machines and their records need; a connection that broke
      // leaves its bytes for the next try.
      if (error instanceof NoRoom) await this.#remove(incoming);
      throw isDiskFull(error) ? await this.#giveBack(digest, incoming, error) : error;
    } finally {
      this.#coming.delete(digest);
    }
    const mark = await markOf(path);
    if (mark !== null) this.#verified.set(digest, mark);
  }

  /** One after another: two that look at the same free bytes would both count on them. */
  #makeRoom(digest: string, bytes: number): Promise<void> {
    const work = this.#makingRoom.then(() => this.#makeRoomNow(digest, bytes));
    this.#makingRoom = work.catch(() => undefined);
    return work;
  }

  /**
   * Evicts until `bytes` more of `digest` fit on the disk and under the limit, but never what machines need: where the
   * limit cannot be kept then, it yields; where the disk is too small, this throws NoRoom and evicts nothing.
   */
  async #makeRoomNow(digest: string, bytes: number): Promise<void> {
    const { folder, files, maxBytes, log } = this.#options;
    const entries = await this.#entries();
    // After the sizes: bytes of other pulls that come in between are counted twice, where the other way round they
    // would not be counted at all.
    const space = await files.space(folder);
    const sizes = new Map(entries.map(({ digest: name, size }) => [name, size]));
    let wanted = bytes;
    for (const [other, total] of this.#coming)
      if (other !== digest) wanted += Math.max(0, total - (sizes.get(other) ?? 0));
    const over = entries.reduce((sum, { size }) => sum + size, 0) + wanted - maxBytes;
    const short = isTold(space) ? wanted + spareBytes(space) - space.freeBytes : 0;
    const plan = planEviction(this.#idle(entries), over, short);
    if (plan.short > 0) {
      const numbers = numbersOf(wanted, space, short - plan.short);
      const what = `the image ${digest} does not fit on the disk of ${folder}: ${numbers}; ${ADVICE}`;
      throw new NoRoom(what, true, { fault: "host" });
    }
    for (const entry of plan.evict) await this.#evict(entry);
    if (plan.over > 0)
      log.warn("the image cache is over its limit: machines need all that is in it", {
        over_bytes: plan.over,
        max_bytes: maxBytes,
      });
    this.#coming.set(digest, (sizes.get(digest) ?? 0) + bytes);
  }

  /**
   * The disk took less than it had told of (a quota, or somebody else writes): what has come goes, and as much as was
   * still missing of what nobody needs, so that the next try meets another disk. Resolves with what to say.
   */
  async #giveBack(digest: string, incoming: string, cause: unknown): Promise<LaunchError> {
    const { folder, files } = this.#options;
    const have = (await files.stat(incoming))?.size ?? 0;
    const missing = Math.max(0, (this.#coming.get(digest) ?? 0) - have) + spareBytes(await files.space(folder));
    await this.#remove(incoming);
    const { evict } = planEviction(this.#idle(await this.#entries()), 0, missing);
    for (const entry of evict) await this.#evict(entry);
    // With nothing to give up the next try here would end as this one.
    const final = evict.length === 0;
    const what = `the disk of ${folder} became full while the image ${digest} came: ${messageOf(cause)}; ${ADVICE}`;
    return new LaunchError(what, final, { cause, fault: "host" });
  }

  #idle(entries: readonly CachedFile[]): CachedFile[] {
    return entries.filter(({ digest }) => this.#isIdle(digest));
  }

  #isIdle(digest: string): boolean {
    return !this.#working.has(digest) && !this.#options.inUse().has(digest);
  }

  async #evict({ path, digest, size, isPart }: CachedFile): Promise<void> {
    // A machine may have asked for it while others were evicted.
    if (!this.#isIdle(digest)) return;
    this.#options.log.info(
      isPart ? "an image's unfinished download was evicted from the cache" : "an image was evicted from the cache",
      { digest, bytes: size },
    );
    await this.#remove(path);
    if (!isPart) this.#verified.delete(digest);
  }

  #remove(path: string): Promise<void> {
    return unlessMissing(this.#options.files.unlink(path), undefined);
  }

  async #entries(): Promise<CachedFile[]> {
    const { folder, files } = this.#options;
    const found: CachedFile[] = [];
    // In the order in which images move, so that none is missed.
    for (const name of ["incoming", "sha256"]) {
      for (const hex of await files.list(join(folder, name))) {
        const path = join(folder, name, hex);
        const stats = await statOf(path);
        if (stats !== null)
          found.push({
            path,
            digest: `sha256:${hex}`,
            size: stats.size,
            usedAt: stats.atimeMs,
            isPart: name === "incoming",
          });
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

function statOf(path: string): Promise<Stats | null> {
  return unlessMissing(stat(path), null);
}

async function markOf(path: string): Promise<string | null> {
  const stats = await statOf(path);
  return stats === null ? null : `${stats.size} ${stats.mtimeMs} ${stats.ino}`;
}
