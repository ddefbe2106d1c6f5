/**
 * What the daemon lives on, and the one check that keeps an output of a tool away from it: by real path, and by the
 * file itself, under whatever name. Writes nothing.
 */
import { realpath, stat } from "node:fs/promises";
import { basename, dirname, join, resolve, sep } from "node:path";
import type { Config } from "../config/schema.ts";
import type { Files } from "../lib/files.ts";
import { diskFiles } from "../lib/files.ts";
import { LOCK_NAME } from "../journal/lock.ts";

const STDOUT_PATH = "/proc/self/fd/1";

/** A folder with all that is in it, or one file. */
interface Owned {
  /** As it is called in a message: `state.data_dir`. */
  readonly what: string;
  readonly path: string;
}

/** What a config's daemon reads and writes; `configPath` is the config's own file. */
export class OwnPaths {
  readonly #owned: readonly Owned[];
  readonly #config: Config;
  readonly #files: Files;

  constructor(config: Config, configPath: string, files: Files = diskFiles) {
    const { socket, tlsCert, tlsKey } = config.server;
    this.#config = config;
    this.#files = files;
    this.#owned = [
      { what: "state.data_dir", path: config.state.dataDir },
      { what: "build.images_dir", path: config.build.imagesDir },
      { what: "the config", path: configPath },
      { what: "server.socket", path: socket },
      { what: "server.tls_cert", path: tlsCert },
      { what: "server.tls_key", path: tlsKey },
    ].filter(({ path }) => path !== "");
  }

  /**
   * Throws where writing to `path` would write to what the daemon lives on; `-` is stdout. The file need not be there
   * yet.
   */
  async refuseOutput(path: string): Promise<void> {
    const target = await realOf(path === "-" ? STDOUT_PATH : resolve(path));
    // A pipe, a terminal, or a folder that is not there: none of it is the daemon's.
    if (target === null) return;
    for (const { what, path: owned } of this.#owned) {
      if (isInside(target, await realOf(resolve(owned)))) throw refusal(path, `is in ${what} (${owned})`);
    }
    const twin = await this.#findTwin(target);
    if (twin !== null) throw refusal(path, `is ${twin}, under another name`);
  }

  /** The file of the daemon that `target` is a second name of; null where it is none. */
  async #findTwin(target: string): Promise<string | null> {
    const found = await stat(target).catch(() => null);
    if (found === null || found.nlink < 2) return null;
    for await (const path of this.#all()) {
      const own = await stat(path).catch(() => null);
      if (own !== null && own.ino === found.ino && own.dev === found.dev) return path;
    }
    return null;
  }

  async *#all(): AsyncGenerator<string, void, void> {
    const { dataDir } = this.#config.state;
    for (const { path } of this.#owned) yield path;
    yield join(dataDir, LOCK_NAME);
    yield* this.#below(join(dataDir, "journal"), 0);
    yield* this.#below(this.#config.build.imagesDir, 2);
  }

  async *#below(folder: string, depth: number): AsyncGenerator<string, void, void> {
    for (const name of await this.#files.list(folder).catch(() => [])) {
      const path = join(folder, name);
      yield path;
      if (depth > 0) yield* this.#below(path, depth - 1);
    }
  }
}

/** Whether both lead to one place, or the first lies in the second; null leads nowhere. Both are real paths. */
export function isInside(path: string, folder: string | null): boolean {
  return folder !== null && (path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep));
}

/**
 * Where a path leads when every link is followed; what is not there yet lies in its folder. Null where that is not
 * there either.
 */
export async function realOf(path: string): Promise<string | null> {
  const whole = await realpath(path).catch(() => null);
  if (whole !== null) return whole;
  const folder = await realpath(dirname(path)).catch(() => null);
  return folder === null || path === STDOUT_PATH ? null : join(folder, basename(path));
}

function refusal(path: string, why: string): Error {
  const shown = path === "-" ? "what stdout is led to" : path;
  return new Error(`${shown} ${why}: the daemon lives on that, and nothing was written. Choose a place outside of it.`);
}
