/**
 * One image on its way to this host: goes on where the connection broke, also after a restart of the agent, and is done
 * only when its bytes hash to its digest.
 */
import { createHash } from "node:crypto";
import type { Hash } from "node:crypto";
import { ClientError } from "../client/errors.ts";
import type { Clock } from "../lib/clock.ts";
import type { Files } from "../lib/files.ts";
import { writeAll } from "../lib/files.ts";
import type { Log } from "../lib/log.ts";
import { callDelay } from "./backoff.ts";
import type { OpenDownload } from "./download.ts";
import { pause } from "./cancel.ts";
import { LaunchError } from "./runtime.ts";

export interface PullOptions {
  readonly digest: string;
  /** The file that grows. */
  readonly path: string;
  readonly files: Files;
  readonly open: OpenDownload;
  readonly clock: Clock;
  readonly log: Log;
  /** Calls it off; what has come stays in the file, for a later pull to go on from. */
  readonly signal: AbortSignal;
  /**
   * Told before the first byte of each connection how many are still to come. Where it rejects, none of them is taken.
   */
  readonly makeRoom: (bytes: number) => Promise<void>;
}

/** Tries in a row that brought no byte; then the machine waits by its own backoff. */
const VAIN_TRIES = 6;
/** Whole images with wrong bytes. */
const WRONG_IMAGES = 2;
const READ_PIECE = 1 << 20;

export class ImagePull {
  readonly #options: PullOptions;
  #hash: Hash = createHash("sha256");
  /** Bytes in the file, which are those in the hash. */
  #have = 0;

  constructor(options: PullOptions) {
    this.#options = options;
  }

  /**
   * Resolves when the file is whole, true and synced. Rejects with a LaunchError, what the disk says, or the signal's
   * reason; what has come so far stays for the next try.
   */
  async run(): Promise<void> {
    const { path, files, digest, log } = this.#options;
    const file = await files.open(path, "a+", 0o600);
    try {
      await this.#takeUp(file);
      for (let wrong = 0; wrong < WRONG_IMAGES; wrong += 1) {
        await this.#fetch(file);
        if (this.#isTrue()) return await files.datasync(file);
        log.warn("an image came with other bytes than its digest promises; it is thrown away and pulled again", {
          digest,
        });
        await this.#restart(file);
      }
      throw new LaunchError(`the image ${digest} comes with other bytes than its digest promises`, false);
    } finally {
      await files.close(file);
    }
  }

  /** What an earlier try left is hashed, not believed. */
  async #takeUp(file: number): Promise<void> {
    const buffer = Buffer.allocUnsafe(READ_PIECE);
    for (;;) {
      this.#options.signal.throwIfAborted();
      const bytesRead = await this.#options.files.read(file, buffer, 0, buffer.length, this.#have);
      if (bytesRead === 0) return;
      this.#hash.update(buffer.subarray(0, bytesRead));
      this.#have += bytesRead;
    }
  }

  #isTrue(): boolean {
    return `sha256:${this.#hash.copy().digest("hex")}` === this.#options.digest;
  }

  async #restart(file: number): Promise<void> {
    await this.#options.files.truncate(file, 0);
    this.#hash = createHash("sha256");
    this.#have = 0;
  }

  /** Until the whole is there, over as many connections as it takes. */
  async #fetch(file: number): Promise<void> {
    const { clock, log, digest, signal } = this.#options;
    // A connection may break behind the last byte; asked for what follows it, the control plane would have nothing to
    // send.
    for (let vain = 0; !this.#isTrue();) {
      const before = this.#have;
      try {
        return await this.#connect(file);
      } catch (error) {
        // Called off, it breaks like any connection; that is no trouble of the network's.
        signal.throwIfAborted();
        if (!(error instanceof ClientError)) throw error;
        if (error.code === "image_not_found")
          throw new LaunchError(`the control plane does not have the image ${digest}`, true, { cause: error });
        // More bytes than the image has: they are none of its.
        if (error.code === "range_not_satisfiable") await this.#restart(file);
        vain = this.#have > before ? 0 : vain + 1;
        const reason = `the image ${digest} cannot be pulled: ${error.message}`;
        if (vain >= VAIN_TRIES) throw new LaunchError(reason, false, { cause: error, fault: "control_plane" });
        log.debug("an image's download broke off and goes on", {
          digest,
          have_bytes: this.#have,
          reason: error.message,
        });
        const delay = Math.max(vain === 0 ? 0 : callDelay(vain, 0.5), (error.retryAfterSeconds ?? 0) * 1000);
        await pause(clock, delay, signal);
      }
    }
  }

  async #connect(file: number): Promise<void> {
    const { digest, files, makeRoom, open: download, signal } = this.#options;
    const { totalBytes, start, bytes, abandon } = await download(digest, this.#have, signal);
    try {
      if (start !== this.#have) await this.#restart(file);
      await makeRoom(totalBytes - this.#have);
      for await (const piece of bytes) {
        signal.throwIfAborted();
        await writeAll(files, file, piece, this.#have);
        this.#hash.update(piece);
        this.#have += piece.length;
        if (this.#have > totalBytes)
          throw new ClientError("bad_answer", "The control plane sent more bytes than the image has.");
      }
    } finally {
      abandon();
    }
    if (this.#have < totalBytes)
      throw new ClientError("closed", `The download ended after ${this.#have} of ${totalBytes} bytes.`);
  }
}
