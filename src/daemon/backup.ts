/**
 * `zwrmd backup`: writes the journal, up to its last durable line, into one file or to stdout. Beside a running daemon
 * it asks that for the line; it never stops one.
 */
import { basename, dirname, join, resolve } from "node:path";
import { ClientError } from "../client/errors.ts";
import type { Config } from "../config/schema.ts";
import type { BackedUp, BackupOptions } from "../journal/backup.ts";
import { findEnd, writeBackup } from "../journal/backup.ts";
import { DataDirLocked, holdForLook } from "../journal/lock.ts";
import { systemClock, toRfc3339 } from "../lib/clock.ts";
import { messageOf } from "../lib/errors.ts";
import { diskFiles, writeAll } from "../lib/files.ts";
import { newId } from "../lib/ids.ts";
import type { ResultOutput } from "../lib/stdout.ts";
import { VERSION } from "../lib/version.ts";
import type { OwnPaths } from "./own-paths.ts";
import { apiUrlOf, callDaemon, journalFolder } from "./tools.ts";

const ASK_TIMEOUT_MS = 30_000;

/** Writes the backup to `file`, whole or not at all; `-` is stdout. What is said goes where the backup does not. */
export async function backUp(config: Config, own: OwnPaths, file: string, stdout: ResultOutput): Promise<number> {
  if (file !== "-") await refusePlace(own, file);
  const folder = journalFolder(config);
  const about = {
    until: await findDurable(config, folder),
    at: toRfc3339(systemClock.wall()),
    program: `zwrmd ${VERSION}`,
  };
  const toStdout = file === "-";
  const { oldestSeq, head, bytes, passedOver } = toStdout
    ? await writeBackup(diskFiles, folder, { ...about, write: (bytes) => stdout.write(bytes) })
    : await writeToFile(folder, about, resolve(file));
  const say = (text: string): Promise<void> | boolean => (toStdout ? process.stderr.write(text) : stdout.write(text));
  for (const reason of passedOver)
    process.stderr.write(
      `zwrmd: warning: a snapshot is damaged and not in the backup; the lines that it stands for are: ${reason}\n`,
    );
  await say(
    `${toStdout ? "backup" : file}: seq ${oldestSeq} to ${head.seq}, ${bytes} bytes\nhead ${head.seq}:${head.sum}\n`,
  );
  await say("images are not in it: back up build.images_dir beside it, or push them again\n");
  return 0;
}

/**
 * Only a name that is free or a file that is nothing to the daemon: a rename would put the backup in the place of
 * anything.
 */
async function refusePlace(own: OwnPaths, file: string): Promise<void> {
  const there = await diskFiles.stat(resolve(file));
  if (there !== null && !there.isFile) {
    throw new Error(`${file} is there and no file; a backup needs a path of its own, or - for stdout`);
  }
  await own.refuseOutput(file);
}

type About = Omit<BackupOptions, "write">;

/**
 * The last line that is on disk: the daemon's word where one runs; where none does, the last good line, which is what a
 * start would find.
 */
async function findDurable(config: Config, folder: string): Promise<number> {
  const seen = await findEnd(diskFiles, folder, true);
  if (seen === null)
    throw new Error(`there is no journal in ${folder}, so there is nothing to back up; is state.data_dir right?`);
  let release;
  try {
    release = holdForLook(config.state.dataDir);
  } catch (error) {
    if (error instanceof DataDirLocked) return askDaemon(config, seen.proven, error);
    throw error;
  }
  try {
    const end = await findEnd(diskFiles, folder, false);
    if (end === null || end.last === 0)
      throw new Error(`the journal in ${folder} holds no line yet, so there is nothing to back up`);
    return end.last;
  } finally {
    // What is on disk now stays, so a daemon that starts meanwhile need not wait for the copy.
    release();
  }
}

async function askDaemon(config: Config, proven: number, locked: DataDirLocked): Promise<number> {
  const apiUrl = apiUrlOf(config);
  try {
    const seq = durableIn(await callDaemon(apiUrl, "GET", "/v1/ready", ASK_TIMEOUT_MS).catch(extraOf));
    if (seq === null) throw new Error("what answers does not say how far its log is on disk; is it an older zwrmd?");
    if (seq < proven)
      throw new Error(`it has ${seq} lines, where this data_dir has ${proven}: it is the daemon of another data_dir`);
    return seq;
  } catch (error) {
    throw new Error(
      `${locked.path} is held, so a daemon runs. It was asked at ${apiUrl} for the last line that is on ` +
        `disk, in vain: ${messageOf(error)}. Nothing was written. Set server.socket, or stop it.`,
    );
  }
}

/**
 * A daemon that cannot write at the moment says all the same how far it has come: a full disk is no reason against a
 * backup.
 */
function extraOf(error: unknown): unknown {
  const isOff = error instanceof ClientError && error.code === "storage_failed";
  if (isOff && durableIn(error.extra) !== null) return error.extra;
  throw error;
}

function durableIn(body: unknown): number | null {
  const seq: unknown = typeof body === "object" && body !== null && "durable_seq" in body ? body.durable_seq : null;
  return typeof seq === "number" && Number.isSafeInteger(seq) ? seq : null;
}

/**
 * Beside, synced, renamed, the folder synced: a backup that is there is whole, and one that was there stays until then.
 */
async function writeToFile(folder: string, about: About, path: string): Promise<BackedUp> {
  // A name of its own, so that two backups to one path do not rename each other's half; and never through a link that
  // somebody laid there.
  const beside = join(dirname(path), `.${basename(path)}.${newId("new")}`);
  const fd = await diskFiles.open(beside, "wx", 0o600);
  let backedUp: BackedUp;
  try {
    let position = 0;
    const write = async (bytes: Uint8Array): Promise<void> => {
      await writeAll(diskFiles, fd, bytes, position);
      position += bytes.length;
    };
    try {
      backedUp = await writeBackup(diskFiles, folder, { ...about, write });
      await diskFiles.datasync(fd);
    } finally {
      await diskFiles.close(fd);
    }
    await diskFiles.rename(beside, path);
  } catch (error) {
    await diskFiles.unlink(beside).catch(() => undefined);
    throw error;
  }
  await diskFiles.syncFolder(dirname(path));
  return backedUp;
}
