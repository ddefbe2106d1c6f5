/** Disks that misbehave on command, and a store on a temporary folder, for the tests of the image store. */
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { relative } from "node:path";
import { digestOfHex } from "../../src/images/paths.ts";
import type { Digest } from "../../src/images/paths.ts";
import { ImageStore } from "../../src/images/store.ts";
import { diskFiles } from "../../src/lib/files.ts";
import type { Files } from "../../src/lib/files.ts";
import type { Log } from "../../src/lib/log.ts";

export const MIB = 1024 * 1024;

export interface Image {
  readonly digest: Digest;
  readonly bytes: Buffer;
}

export function imageOf(bytes: Buffer): Image {
  return { bytes, digest: digestOfHex(createHash("sha256").update(bytes).digest("hex")) };
}

export function randomImage(size: number): Image {
  return imageOf(randomBytes(size));
}

/** A source that gives `bytes` in pieces, and counts those taken. */
export function piecesOf(bytes: Uint8Array, pieceBytes = 64 * 1024): AsyncGenerator<Uint8Array> & { taken: number } {
  async function* give(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      source.taken++;
      yield bytes.subarray(at, at + pieceBytes);
    }
  }
  const source = Object.assign(give(), { taken: 0 });
  return source;
}

export class Place {
  readonly root: string = mkdtempSync(`${tmpdir()}/zwrmd-images-`);
  readonly imagesDir: string = `${this.root}/images`;
  readonly warnings: string[] = [];

  /** A store that is open, on `files`. */
  async open(files: Files = diskFiles): Promise<ImageStore> {
    const store = this.unopened(files);
    await store.open();
    return store;
  }

  unopened(files: Files = diskFiles): ImageStore {
    const say = (message: string): void => void this.warnings.push(message);
    const log: Log = { debug: () => undefined, info: () => undefined, warn: say, error: say };
    return new ImageStore({ files, imagesDir: this.imagesDir, log });
  }

  /** Every file below images_dir, as relative paths. */
  tree(): string[] {
    const paths = readdirSync(this.imagesDir, { recursive: true, encoding: "utf8" }).map(
      (name) => `${this.imagesDir}/${name}`,
    );
    return paths
      .filter((path) => statSync(path).isFile())
      .map((path) => relative(this.imagesDir, path))
      .sort();
  }

  pathOf(digest: Digest): string {
    return `${this.imagesDir}/sha256/${digest.slice(7, 9)}/${digest.slice(7)}`;
  }

  remove(): void {
    rmSync(this.root, { recursive: true });
  }
}

/** Where a digest's file lies below images_dir. */
export function nameOf(digest: Digest): string {
  return `sha256/${digest.slice(7, 9)}/${digest.slice(7)}`;
}

export function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: the disk says so`), { code });
}

type CallName = keyof Files;

export interface Fault {
  /** Counted from 1; 0 for never. */
  readonly failAt: number;
  readonly code: string;
  readonly after: boolean;
}

/**
 * A disk that lists its calls, counts its open descriptors, and fails the `failAt`-th call, before or after doing it.
 */
export function watchedFiles(fault: Fault = { failAt: 0, code: "", after: false }): {
  files: Files;
  calls: string[];
  open: Set<number>;
} {
  const calls: string[] = [];
  const open = new Set<number>();
  async function run<T>(
    name: CallName,
    detail: string,
    work: () => Promise<T>,
    undo: (done: T) => Promise<void> = () => Promise.resolve(),
  ): Promise<T> {
    calls.push(detail === "" ? name : `${name} ${detail}`);
    const fails = calls.length === fault.failAt;
    if (fails && !fault.after) throw systemError(fault.code);
    const done = await work();
    if (fails) {
      await undo(done);
      throw systemError(fault.code);
    }
    return done;
  }
  const files: Files = {
    async open(path, flags, mode) {
      const fd = await run(
        "open",
        path,
        () => diskFiles.open(path, flags, mode),
        (opened) => diskFiles.close(opened),
      );
      open.add(fd);
      return fd;
    },
    async close(fd) {
      // The kernel frees the number even where close says EIO.
      if (!open.delete(fd)) throw new Error(`closed ${fd} twice`);
      await diskFiles.close(fd);
      await run("close", "", () => Promise.resolve());
    },
    read: (...args) => run("read", "", () => diskFiles.read(...args)),
    write: (...args) => run("write", "", () => diskFiles.write(...args)),
    truncate: (...args) => run("truncate", "", () => diskFiles.truncate(...args)),
    datasync: (fd) => run("datasync", "", () => diskFiles.datasync(fd)),
    rename: (from, to) => run("rename", to, () => diskFiles.rename(from, to)),
    unlink: (path) => run("unlink", path, () => diskFiles.unlink(path)),
    mkdir: (path, mode) => run("mkdir", path, () => diskFiles.mkdir(path, mode)),
    syncFolder: (path) => run("syncFolder", path, () => diskFiles.syncFolder(path)),
    list: (path) => run("list", path, () => diskFiles.list(path)),
    stat: (path) => run("stat", path, () => diskFiles.stat(path)),
    space: (path) => run("space", path, () => diskFiles.space(path)),
  };
  return { files, calls, open };
}
