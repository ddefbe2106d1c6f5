/**
 * The small things that the agent keeps of its own: the key that binds its host id, and the last list of its cluster.
 */
import { randomBytes } from "node:crypto";
import type { Files } from "../lib/files.ts";
import { readWhole, writeDurably } from "../lib/files.ts";
import { messageOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { object } from "../wire/compound.ts";
import { string } from "../wire/schema.ts";
import { readJsonFile, writeJsonFile } from "./read-json.ts";
import type { DesiredMachine } from "../wire/agents.ts";
import { DESIRED_MACHINES } from "../wire/agents.ts";

const KEY_FILE = "host.key";
const KEY_SHAPE = /^[A-Za-z0-9_-]{32,128}$/;
const LIST_FILE = "desired.json";
const LIST = object({ cluster_id: string({ min: 1, max: 128 }), machines: DESIRED_MACHINES });

/**
 * X-Zwrm-Host-Key: made once, 0600. A file that holds no key is an error, since a new key would lock this host out of
 * its own id.
 */
export async function hostKey(files: Files, folder: string): Promise<string> {
  const path = `${folder}/${KEY_FILE}`;
  if ((await files.stat(path)) === null)
    await writeDurably(files, folder, KEY_FILE, Buffer.from(`${randomBytes(32).toString("base64url")}\n`), 0o600);
  const key = (await readWhole(files, path)).toString("utf8").trim();
  if (!KEY_SHAPE.test(key))
    throw new Error(
      `${path} holds no host key: put the right one back, or remove the file and unbind the old key with: ` +
        "zwrm host unbind-key",
    );
  return key;
}

/** The last list, so that an agent that starts without its control plane knows what it was to run. */
export class LastList {
  readonly #files: Files;
  readonly #folder: string;
  readonly #log: Log;
  #next: { readonly cluster_id: string; readonly machines: readonly DesiredMachine[] } | null = null;
  #writing: Promise<void> | null = null;

  constructor(files: Files, folder: string, log: Log) {
    this.#files = files;
    this.#folder = folder;
    this.#log = log;
  }

  /** Null where there is none of this cluster. */
  async load(clusterId: string | null): Promise<readonly DesiredMachine[] | null> {
    const found = await readJsonFile(this.#files, this.#log, `${this.#folder}/${LIST_FILE}`, LIST);
    return found === null || found.cluster_id !== clusterId ? null : found.machines;
  }

  /**
   * Writes in the background; of lists that come meanwhile only the newest. One that cannot be written is said in the
   * log and obeyed all the same.
   */
  save(clusterId: string, machines: readonly DesiredMachine[]): void {
    this.#next = { cluster_id: clusterId, machines };
    this.#writing ??= this.#write().finally(() => (this.#writing = null));
  }

  async settled(): Promise<void> {
    await this.#writing;
  }

  async #write(): Promise<void> {
    while (this.#next !== null) {
      const list = this.#next;
      this.#next = null;
      await writeJsonFile(this.#files, this.#folder, LIST_FILE, list).catch((error: unknown) => {
        this.#log.warn("the list of machines could not be written down", { reason: messageOf(error) });
      });
    }
  }
}
