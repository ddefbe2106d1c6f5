/**
 * Machines on disk, a folder each: its record, its environment, how it ended, what it wrote to its console, and the
 * folder that it works in. The console stays when a machine is let go, so that `zwrm-agent logs` can say why it ended,
 * and is swept away a day later.
 */
import { closeSync, constants, readFileSync } from "node:fs";
import { lstat, mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../lib/clock.ts";
import { messageOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { unlessMissing } from "../lib/missing.ts";
import { BROKEN_NAME, openOwn, RECORD_NAME, statOwn } from "./machine-folder.ts";
import { parseJson } from "./read-json.ts";
import type { LoadedRecords, LostRecord, MachineRecord, MachineStore } from "./records.ts";
import { MACHINE_RECORD } from "./records.ts";
import { MACHINE_ID_PATTERN } from "../wire/agents.ts";

/** A record is one machine of a list that came in one answer; anything longer was not written by an agent. */
const LONGEST_RECORD = 64 * 1024 * 1024;
const CONSOLE = /^console\.log(?:\.1)?$/;
/** As long as the control plane lists ended machines. */
const KEEP_CONSOLE_MS = 24 * 3_600_000;
const SWEEP_MS = 3_600_000;
/** However many machines end in a day. */
const KEEP_CONSOLES = 200;

export class DiskMachineStore implements MachineStore {
  readonly #folder: string;
  readonly #clock: Clock;
  readonly #log: Log;

  constructor(folder: string, clock: Clock, log: Log) {
    this.#folder = folder;
    this.#clock = clock;
    this.#log = log;
  }

  async load(): Promise<LoadedRecords> {
    const records: MachineRecord[] = [];
    const lost: LostRecord[] = [];
    for (const id of await this.#ids()) {
      const path = join(this.#folder, id, RECORD_NAME);
      try {
        const record = readRecord(path, id);
        if (record !== null) records.push(record);
        else if (await isMoreThanConsole(join(this.#folder, id))) lost.push({ id, path, reason: null });
      } catch (error) {
        // Whatever is wrong with one, the other machines are still to be found.
        lost.push({ id, path, reason: messageOf(error) });
      }
    }
    return { records, lost };
  }

  /** Not synced: what a record speaks of ends with the kernel, and so may the record. */
  async save(record: MachineRecord): Promise<void> {
    const folder = join(this.#folder, record.machine.id);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const path = join(folder, RECORD_NAME);
    // A new file, in place of whatever is there: a link would lead elsewhere.
    await rm(`${path}.new`, { recursive: true, force: true });
    await writeFile(`${path}.new`, JSON.stringify(record), { flag: "wx", mode: 0o600 });
    await rename(`${path}.new`, path);
  }

  async remove(id: string): Promise<void> {
    const folder = join(this.#folder, id);
    // The record first: without it the rest is only what is left of a machine.
    await rm(join(folder, RECORD_NAME), { recursive: true, force: true });
    for (const name of await namesIn(folder))
      if (!CONSOLE.test(name)) await rm(join(folder, name), { recursive: true, force: true });
    if ((await namesIn(folder)).length === 0) await rm(folder, { recursive: true, force: true });
  }

  async setAside(id: string): Promise<void> {
    const broken = join(this.#folder, id, BROKEN_NAME);
    await rm(broken, { recursive: true, force: true });
    await unlessMissing(rename(join(this.#folder, id, RECORD_NAME), broken), undefined, { orNoFolder: true });
  }

  /** Sweeps now and every hour, until the process ends. */
  keepSwept(): void {
    void this.sweep()
      .catch((error: unknown) =>
        this.#log.warn("what ended machines left could not be swept away", { reason: messageOf(error) }),
      )
      .then(() => this.#clock.after(SWEEP_MS, () => this.keepSwept()));
  }

  /** Removes what is left of machines that were let go: after a day, and all but the newest. */
  async sweep(): Promise<void> {
    const left: { readonly path: string; readonly at: number }[] = [];
    for (const id of await this.#ids()) {
      const path = join(this.#folder, id);
      const names = await namesIn(path);
      if (!names.includes(RECORD_NAME)) left.push({ path, at: (await lstat(path)).mtimeMs });
    }
    left.sort((a, b) => b.at - a.at);
    const before = this.#clock.wall() - KEEP_CONSOLE_MS;
    for (const [index, { path, at }] of left.entries())
      if (index >= KEEP_CONSOLES || at < before) await rm(path, { recursive: true, force: true });
  }

  async #ids(): Promise<string[]> {
    return (await namesIn(this.#folder)).filter((name) => MACHINE_ID_PATTERN.test(name));
  }
}

/** Null where there is none. Throws where it cannot be read. */
function readRecord(path: string, id: string): MachineRecord | null {
  const found = statOwn(path);
  if (found === null) return null;
  if (!found.isFile) throw new Error("it is not a file");
  if (found.size > LONGEST_RECORD) throw new Error(`it is longer than ${LONGEST_RECORD} bytes`);
  const file = openOwn(path, constants.O_RDONLY);
  try {
    const record = parseJson(readFileSync(file), MACHINE_RECORD);
    if (record.machine.id !== id) throw new Error(`it is of another machine: ${record.machine.id}`);
    return record;
  } finally {
    closeSync(file);
  }
}

/** A machine that was let go leaves its console only. */
async function isMoreThanConsole(folder: string): Promise<boolean> {
  return (await namesIn(folder)).some((name) => !CONSOLE.test(name));
}

function namesIn(folder: string): Promise<string[]> {
  return unlessMissing(readdir(folder), [], { orNoFolder: true });
}
