/**
 * Which cluster this host belongs to, in the state folder. The agent writes its own file and `accept-cluster` another,
 * so that neither overwrites the other.
 */
import type { Files } from "../lib/files.ts";
import { readWhole, writeDurably } from "../lib/files.ts";
import type { Log } from "../lib/log.ts";
import { object, optional } from "../wire/compound.ts";
import { number, string } from "../wire/schema.ts";
import type { Membership } from "./allegiance.ts";
import { DEFAULT_OFFLINE_AFTER_MS } from "./patience.ts";
import { readJsonFile, writeJsonFile } from "./read-json.ts";

const FILE = "cluster.json";
const ACCEPTED = "accepted-cluster";
const ID = string({ min: 1, max: 128 });
const CONTENT = object({
  cluster_id: ID,
  offered: optional(ID),
  offline_after_seconds: optional(number({ min: 0.001, max: 864_000 })),
});

export class DiskMembership implements Membership {
  readonly #files: Files;
  readonly #folder: string;
  #clusterId: string | null;
  #offlineAfterSeconds: number | undefined;
  #writing: Promise<void> = Promise.resolve();

  private constructor(files: Files, folder: string, clusterId: string | null, offlineAfterSeconds: number | undefined) {
    this.#files = files;
    this.#folder = folder;
    this.#clusterId = clusterId;
    this.#offlineAfterSeconds = offlineAfterSeconds;
  }

  static async open(files: Files, folder: string, log: Log): Promise<DiskMembership> {
    const content = await readJsonFile(files, log, `${folder}/${FILE}`, CONTENT);
    return new DiskMembership(files, folder, content?.cluster_id ?? null, content?.offline_after_seconds);
  }

  get clusterId(): string | null {
    return this.#clusterId;
  }

  get offlineAfterMs(): number {
    return this.#offlineAfterSeconds === undefined ? DEFAULT_OFFLINE_AFTER_MS : this.#offlineAfterSeconds * 1000;
  }

  /** Written at once where a cluster was joined, else with the first one. */
  async learn(offlineAfterMs: number): Promise<void> {
    const seconds = offlineAfterMs / 1000;
    if (seconds === this.#offlineAfterSeconds) return;
    this.#offlineAfterSeconds = seconds;
    if (this.#clusterId !== null) await this.#write(this.#clusterId);
  }

  async join(clusterId: string): Promise<void> {
    await this.#write(clusterId);
    this.#clusterId = clusterId;
    // An operator's word is good for one change.
    if ((await this.#files.stat(`${this.#folder}/${ACCEPTED}`)) !== null)
      await this.#files.unlink(`${this.#folder}/${ACCEPTED}`);
  }

  async offer(clusterId: string): Promise<void> {
    await this.#write(this.#clusterId, { offered: clusterId });
  }

  async accepted(): Promise<string | null> {
    const path = `${this.#folder}/${ACCEPTED}`;
    if ((await this.#files.stat(path)) === null) return null;
    return (await readWhole(this.#files, path)).toString("utf8").trim();
  }

  /** One after another. */
  #write(clusterId: string | null, more: { readonly offered?: string } = {}): Promise<void> {
    const content = { cluster_id: clusterId, ...more, offline_after_seconds: this.#offlineAfterSeconds };
    const written = this.#writing.then(() => writeJsonFile(this.#files, this.#folder, FILE, content));
    this.#writing = written.catch(() => undefined);
    return written;
  }
}

export type Acceptance =
  | { readonly done: true; readonly own: string; readonly accepted: string }
  /** There is nothing to accept. */
  | { readonly done: false; readonly own: string | null };

/**
 * What `zwrm-agent accept-cluster` does, beside a running agent or without one: the cluster that answered last shall be
 * obeyed.
 */
export async function acceptCluster(files: Files, folder: string, log: Log): Promise<Acceptance> {
  const content = await readJsonFile(files, log, `${folder}/${FILE}`, CONTENT);
  if (content?.offered === undefined) return { done: false, own: content?.cluster_id ?? null };
  const line = `${content.offered}\n`;
  await writeDurably(files, folder, ACCEPTED, Buffer.from(line));
  return { done: true, own: content.cluster_id, accepted: content.offered };
}
