/** What this host has and what of it is used, as the kernel says. */
import { mkdirSync, readFileSync, statfsSync } from "node:fs";
import { cpus } from "node:os";
import { messageOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import type { Resources } from "../wire/common.ts";

const MIB = 1024 * 1024;

/** The machine as `detectCapacity` and `UsageMeter` see it, so that a test can be another. */
export interface HostView {
  /** The text of /proc/meminfo. */
  meminfo(): string;
  /** Milliseconds that each CPU was busy and that it was there, since the kernel started. */
  cpuTimes(): readonly { readonly busy: number; readonly total: number }[];
  disk(path: string): Disk;
}

interface Disk {
  readonly totalBytes: number;
  readonly freeBytes: number;
}

export const thisHost: HostView = {
  meminfo: () => readFileSync("/proc/meminfo", "utf8"),
  cpuTimes: () =>
    cpus().map(({ times }) => {
      const total = times.user + times.nice + times.sys + times.idle + times.irq;
      return { busy: total - times.idle, total };
    }),
  disk(path) {
    const { blocks, bavail, bsize } = statfsSync(path);
    return { totalBytes: blocks * bsize, freeBytes: bavail * bsize };
  },
};

/**
 * A host whose folder of images may go away under the agent, which registers, beats and runs machines all the same: the
 * folder is made again, and where that fails the disk is told as it was last, or as 0 of 0. Each new trouble is one
 * line in the log, however many beats meet it.
 */
export class SteadyHost implements HostView {
  readonly #host: HostView;
  readonly #log: Log;
  readonly #makeFolder: (path: string) => void;
  #last: Disk = { totalBytes: 0, freeBytes: 0 };
  #trouble = "";

  constructor(
    host: HostView,
    log: Log,
    makeFolder: (path: string) => void = (path) => void mkdirSync(path, { recursive: true, mode: 0o700 }),
  ) {
    this.#host = host;
    this.#log = log;
    this.#makeFolder = makeFolder;
  }

  meminfo(): string {
    return this.#host.meminfo();
  }

  cpuTimes(): ReturnType<HostView["cpuTimes"]> {
    return this.#host.cpuTimes();
  }

  disk(path: string): Disk {
    try {
      this.#last = this.#host.disk(path);
      this.#trouble = "";
    } catch (error) {
      this.#repair(path, messageOf(error));
    }
    return this.#last;
  }

  #repair(folder: string, reason: string): void {
    try {
      this.#makeFolder(folder);
      this.#last = this.#host.disk(folder);
      this.#trouble = "";
      this.#log.warn("the folder of images was gone; it was made again", { folder, reason });
    } catch (error) {
      if (reason !== this.#trouble)
        this.#log.warn("the disk of images cannot be measured; it is told as it was last", {
          folder,
          reason,
          repair: messageOf(error),
        });
      this.#trouble = reason;
    }
  }
}

/** Given values win; 0 is detected. `folder` is where images and machines are kept. */
export function detectCapacity(
  host: HostView,
  folder: string,
  given: { readonly cpus: number; readonly memoryMb: number },
): Resources {
  return {
    cpus: given.cpus || Math.max(1, host.cpuTimes().length),
    memory_mb: given.memoryMb || Math.max(1, Math.floor(memoryKib(host.meminfo(), "MemTotal") / 1024)),
    disk_mb: Math.floor(host.disk(folder).totalBytes / MIB),
  };
}

/** Measures between one call and the next. */
export class UsageMeter {
  readonly #host: HostView;
  readonly #folder: string;
  #last: { readonly busy: number; readonly total: number };

  constructor(host: HostView, folder: string) {
    this.#host = host;
    this.#folder = folder;
    this.#last = this.#cpu();
  }

  /** CPUs busy on average since the last call, memory that could not be had, disk in use. */
  read(): Resources {
    const meminfo = this.#host.meminfo();
    const { totalBytes, freeBytes } = this.#host.disk(this.#folder);
    const usedKib = memoryKib(meminfo, "MemTotal") - memoryKib(meminfo, "MemAvailable");
    return {
      cpus: this.#busyCpus(),
      memory_mb: Math.max(0, Math.round(usedKib / 1024)),
      disk_mb: Math.max(0, Math.round((totalBytes - freeBytes) / MIB)),
    };
  }

  #busyCpus(): number {
    const now = this.#cpu();
    const { busy, total } = this.#last;
    this.#last = now;
    const share = now.total > total ? (now.busy - busy) / (now.total - total) : 0;
    const count = Math.max(1, this.#host.cpuTimes().length);
    return Math.round(Math.min(1, Math.max(0, share)) * count * 100) / 100;
  }

  #cpu(): { readonly busy: number; readonly total: number } {
    return this.#host
      .cpuTimes()
      .reduce((sum, { busy, total }) => ({ busy: sum.busy + busy, total: sum.total + total }), { busy: 0, total: 0 });
  }
}

function memoryKib(meminfo: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(meminfo)?.[1] ?? 0);
}
