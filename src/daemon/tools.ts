/**
 * The commands that look at a data folder from outside: journal verify, dump, compact and images verify. What would
 * fight a running daemon asks it instead.
 */
import { chown, stat } from "node:fs/promises";
import { dirname, isAbsolute, join } from "node:path";
import { Client } from "../client/http.ts";
import type { Config } from "../config/schema.ts";
import { ImageStore } from "../images/store.ts";
import type { Finding } from "../images/verify.ts";
import { isLoss, verifyImages } from "../images/verify.ts";
import { compactJournal } from "../journal/compact.ts";
import { dumpJournal } from "../journal/dump.ts";
import { placeText } from "../journal/errors.ts";
import { DataDirLocked, holdForLook } from "../journal/lock.ts";
import { requireSegments } from "../journal/names.ts";
import { loadBase, replaySegments } from "../journal/replay.ts";
import type { Head, JournalRecord } from "../journal/types.ts";
import { verifyJournal } from "../journal/verify.ts";
import { systemClock } from "../lib/clock.ts";
import { messageOf } from "../lib/errors.ts";
import type { Files } from "../lib/files.ts";
import { diskFiles } from "../lib/files.ts";
import type { Log } from "../lib/log.ts";
import { createLog } from "../lib/log.ts";
import { VERSION } from "../lib/version.ts";
import { toRecorded } from "../state/events.ts";
import { State } from "../state/state.ts";
import { Replay } from "../state/store.ts";
import { redactRecord } from "../state/redact.ts";
import type { DumpFilter } from "./arguments.ts";

/** An image of 100 GB is hashed in minutes, and nothing is said meanwhile. */
const VERIFY_TIMEOUT_MS = 3_600_000;

/** A line of the command's result. Resolves when it is handed over. */
export type Say = (line: string) => Promise<void>;

export function journalFolder(config: Config): string {
  return join(config.state.dataDir, "journal");
}

/**
 * Walks the whole chain and prints its head. Throws JournalDamaged, which names file, line and offset. May run beside
 * the daemon.
 */
export async function verifyChain(config: Config, head: Head | null, say: Say): Promise<number> {
  const walk = verifyJournal(diskFiles, journalFolder(config), head);
  for (;;) {
    const step = await walk.next();
    if (step.done !== true) {
      await say(`${step.value.file}: ${step.value.records} lines, good`);
      continue;
    }
    const { records, snapshots, segments, tail } = step.value;
    if (tail !== null)
      await say(
        `${tail.file}${placeText(tail)}: ${tail.reason}; being written, or torn: the ` + "next start cuts it off",
      );
    await say(`good: ${records} lines in ${segments} segments, ${snapshots} snapshots`);
    if (step.value.head !== null) await say(`head ${step.value.head.seq}:${step.value.head.sum}`);
    return 0;
  }
}

/** Prints the lines that the filter wants, as JSON, without secrets unless asked. */
export async function dumpChain(config: Config, filter: DumpFilter, secrets: boolean, say: Say): Promise<number> {
  for await (const record of dumpJournal(diskFiles, journalFolder(config), { from: filter.after + 1, until: null })) {
    if (isWanted(record, filter)) await say(JSON.stringify(secrets ? record : redactRecord(record)));
  }
  return 0;
}

/** Whether a line passes every condition of the filter. */
export function isWanted(record: JournalRecord, { actor, since, type }: DumpFilter): boolean {
  const who = toRecorded(record).actor;
  const byActor = actor === null || actor === who.kind || actor === `${who.kind}:${who.id ?? ""}`;
  const bySince = since === null || Date.parse(record.at) >= Date.parse(since);
  const byType = type === null || record.type === type || record.type.startsWith(`${type}.`);
  return byActor && bySince && byType;
}

/** Removes what journal.retain lets go. May run beside the daemon: it touches only what no start needs. */
export async function compactChain(config: Config, say: Say): Promise<number> {
  const { retainMs } = config.journal;
  const keepSince = retainMs === null ? -Infinity : systemClock.wall() - retainMs;
  const { removed, oldestSeq, because } = await compactJournal(diskFiles, journalFolder(config), { keepSince });
  for (const name of removed) await say(`removed ${name}`);
  if (retainMs === null) await say("journal.retain is forever, so no segment was removed");
  await say(`oldest line kept: seq ${oldestSeq} (${because})`);
  return 0;
}

/** Hashes every image, here or in the running daemon. Exit code 1 where an image cannot be served. */
export async function verifyStore(config: Config, say: Say): Promise<number> {
  const findings = await findWrongs(config);
  for (const finding of findings) await say(describe(finding));
  const losses = findings.filter(isLoss).length;
  await say(`${findings.filter((finding) => finding.kind === "good").length} images good, ${losses} lost`);
  return losses === 0 ? 0 : 1;
}

async function findWrongs(config: Config): Promise<Finding[]> {
  let release;
  try {
    release = holdForLook(config.state.dataDir);
  } catch (error) {
    if (error instanceof DataDirLocked) return askDaemon(config, error);
    throw error;
  }
  try {
    const state = await readState(config);
    const known = [...state.images.values()].map((image) => ({ digest: image.digest, sizeBytes: image.size_bytes }));
    const store = new ImageStore({ files: ownersFiles, imagesDir: config.build.imagesDir, log: stderrLog() });
    const findings: Finding[] = [];
    for await (const finding of verifyImages(store, known)) findings.push(finding);
    return findings;
  } finally {
    release();
  }
}

/**
 * A folder that root makes for a daemon's files belongs to whom the folder around it belongs to, so that the daemon can
 * use it.
 */
const ownersFiles: Files = {
  ...diskFiles,
  async mkdir(path, mode) {
    const isNew = (await diskFiles.stat(path)) === null;
    await diskFiles.mkdir(path, mode);
    const { uid, gid } = await stat(dirname(path));
    if (isNew && process.getuid?.() === 0) await chown(path, uid, gid);
  },
};

/** Where the running daemon of this config is asked: its socket where there is one, since no setting closes it. */
export function apiUrlOf(config: Config): string {
  const { socket, host, port, tlsCert } = config.server;
  const address = host === "::" || host === "0.0.0.0" ? "127.0.0.1" : host.includes(":") ? `[${host}]` : host;
  return isAbsolute(socket) ? `unix:${socket}` : `${tlsCert === "" ? "http" : "https"}://${address}:${port}`;
}

/** The daemon that holds the lock does the work. */
async function askDaemon(config: Config, locked: DataDirLocked): Promise<Finding[]> {
  const apiUrl = apiUrlOf(config);
  try {
    const body = await callDaemon(apiUrl, "POST", "/v1/images/verify", VERIFY_TIMEOUT_MS);
    return (body as { findings: Finding[] }).findings;
  } catch (error) {
    throw new Error(
      `${locked.message} It was asked at ${apiUrl} to verify its images itself, in vain: ${messageOf(error)}`,
    );
  }
}

/** One call to the running daemon; gives the body of its answer. Rejects with ClientError. */
export async function callDaemon(apiUrl: string, method: string, path: string, timeoutMs: number): Promise<unknown> {
  const client = new Client({ apiUrl, clock: systemClock, userAgent: `zwrmd/${VERSION}` });
  try {
    return (await client.request(method, path, { timeoutMs })).body;
  } finally {
    client.close();
  }
}

/** The state as the log on disk gives it; nothing is repaired. */
async function readState(config: Config): Promise<State> {
  const state = new State();
  const target = new Replay(state);
  const folder = journalFolder(config);
  const segments = await requireSegments(diskFiles, folder);
  await replaySegments(diskFiles, folder, segments, await loadBase(diskFiles, folder, target), target);
  return state;
}

function describe(finding: Finding): string {
  switch (finding.kind) {
    case "good":
      return `${finding.digest}: good, ${finding.sizeBytes} bytes`;
    case "quarantined":
      return (
        `${finding.digest}: WRONG, its bytes hash to ${finding.actual}; moved to ${finding.movedTo}. ` +
        "Push the image again."
      );
    case "missing":
      return `${finding.digest}: MISSING, its file is not on disk. Push the image again.`;
    case "failed":
      return `${finding.digest}: FAILED, ${finding.reason}`;
    case "stranger":
      return `${finding.path}: not in the log; kept`;
    case "leftover":
      return `${finding.path}: an upload that was cut off; the next start clears it`;
  }
}

export function stderrLog(): Log {
  return createLog({ write: (line) => void process.stderr.write(`${line}\n`) }, systemClock, "text", "warn");
}
