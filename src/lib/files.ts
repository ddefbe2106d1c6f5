/**
 * The file system as the journal and the image store see it: few calls, all asynchronous, replaceable by the disk
 * laboratory of test/faults.
 */
import * as fs from "node:fs";
import { promises } from "node:fs";
import { unlessMissing } from "./missing.ts";

export interface FileStat {
  readonly size: number;
  readonly mtimeMs: number;
  readonly isFile: boolean;
  /**
   * Names the file or folder itself, whatever its path: the same for two paths of one, and for as long as it is open
   * for no other one.
   */
  readonly id: string;
}

export interface DiskSpace {
  /** Bytes that an unprivileged process may still write. */
  readonly freeBytes: number;
  readonly totalBytes: number;
}

/** Every call rejects with Node's own system error (`code` is ENOSPC, EIO, …). Descriptors are plain numbers. */
export interface Files {
  open(path: string, flags: "r" | "r+" | "a+" | "w" | "wx" | "wx+", mode?: number): Promise<number>;
  close(fd: number): Promise<void>;
  /** Reads up to `length` bytes; 0 at the end of the file. */
  read(fd: number, buffer: Uint8Array, offset: number, length: number, position: number): Promise<number>;
  /** May write fewer bytes than asked; that is no error (see `writeAll`). */
  write(fd: number, buffer: Uint8Array, offset: number, length: number, position: number): Promise<number>;
  truncate(fd: number, length: number): Promise<void>;
  /** fdatasync: data and the size needed to read it. */
  datasync(fd: number): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  /** Makes a folder with its parents; one that is there is no error. */
  mkdir(path: string, mode?: number): Promise<void>;
  /** Makes names in a folder durable: creation, rename and removal are not before this. */
  syncFolder(path: string): Promise<void>;
  /** Names in a folder, sorted; empty where there is no folder. */
  list(path: string): Promise<string[]>;
  /** Null where there is nothing. */
  stat(path: string): Promise<FileStat | null>;
  space(path: string): Promise<DiskSpace>;
}

type Done<T> = (error: NodeJS.ErrnoException | null, value: T) => void;

/** Callback calls of node:fs as promises: cheaper than FileHandle, and the descriptor is ours to close exactly once. */
function call<T>(start: (done: Done<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => start((error, value) => (error === null ? resolve(value) : reject(error))));
}

function act(start: (done: fs.NoParamCallback) => void): Promise<void> {
  return new Promise((resolve, reject) => start((error) => (error === null ? resolve() : reject(error))));
}

/** The real disk. */
export const diskFiles: Files = {
  open: (path, flags, mode = 0o600) => call((done) => fs.open(path, flags, mode, done)),
  close: (fd) => act((done) => fs.close(fd, done)),
  read: (fd, buffer, offset, length, position) => call((done) => fs.read(fd, buffer, offset, length, position, done)),
  write: (fd, buffer, offset, length, position) => call((done) => fs.write(fd, buffer, offset, length, position, done)),
  truncate: (fd, length) => act((done) => fs.ftruncate(fd, length, done)),
  datasync: (fd) => act((done) => fs.fdatasync(fd, done)),
  rename: (from, to) => promises.rename(from, to),
  unlink: (path) => promises.unlink(path),
  mkdir: async (path, mode = 0o700) => void (await promises.mkdir(path, { recursive: true, mode })),
  async syncFolder(path) {
    const fd = await call<number>((done) => fs.open(path, "r", done));
    try {
      await act((done) => fs.fsync(fd, done));
    } finally {
      await act((done) => fs.close(fd, done));
    }
  },
  list: async (path) => (await unlessMissing(promises.readdir(path), [])).sort(),
  async stat(path) {
    const found = await unlessMissing<fs.Stats | null>(
      call((done) => fs.stat(path, done)),
      null,
    );
    if (found === null) return null;
    return { size: found.size, mtimeMs: found.mtimeMs, isFile: found.isFile(), id: `${found.dev}:${found.ino}` };
  },
  async space(path) {
    const found = await promises.statfs(path);
    return { freeBytes: found.bavail * found.bsize, totalBytes: found.blocks * found.bsize };
  },
};

/**
 * Writes all of `bytes` at `position`. A short write is no error to the kernel, so this loops; the next call then says
 * ENOSPC.
 */
export async function writeAll(files: Files, fd: number, bytes: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const written = await files.write(fd, bytes, done, bytes.length - done, position + done);
    if (written === 0) throw Object.assign(new Error("write returned 0"), { code: "EIO" });
    done += written;
  }
}

/** Reads a whole file of known, bounded size. */
export async function readWhole(files: Files, path: string): Promise<Buffer> {
  const fd = await files.open(path, "r");
  try {
    const parts: Buffer[] = [];
    let position = 0;
    for (;;) {
      const buffer = Buffer.allocUnsafe(1 << 16);
      const got = await files.read(fd, buffer, 0, buffer.length, position);
      if (got === 0) return Buffer.concat(parts);
      parts.push(buffer.subarray(0, got));
      position += got;
    }
  } finally {
    await files.close(fd);
  }
}

/**
 * Puts `bytes` at `path` so that after any crash the file is either the old one or the whole new one: write beside,
 * sync, rename, sync the folder.
 */
export async function writeDurably(
  files: Files,
  folder: string,
  name: string,
  bytes: Uint8Array,
  mode = 0o600,
): Promise<void> {
  const beside = `${folder}/.${name}.new`;
  try {
    await writeSynced(files, beside, bytes, mode);
    await files.rename(beside, `${folder}/${name}`);
  } catch (error) {
    await files.unlink(beside).catch(() => undefined);
    throw error;
  }
  await files.syncFolder(folder);
}

async function writeSynced(files: Files, path: string, bytes: Uint8Array, mode: number): Promise<void> {
  const fd = await files.open(path, "w", mode);
  try {
    await writeAll(files, fd, bytes, 0);
    await files.datasync(fd);
  } catch (error) {
    // What failed first is what the caller must hear of.
    await files.close(fd).catch(() => undefined);
    throw error;
  }
  await files.close(fd);
}
