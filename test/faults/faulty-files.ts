/**
 * A file layer that fails on demand: one chosen call of chosen kinds goes wrong, everything else goes to the layer
 * below.
 */
import { messageOf } from "../../src/lib/errors.ts";
import type { DiskSpace, Files, FileStat } from "../../src/lib/files.ts";

/** Calls are counted by these names; an `open` that may make a file is a `create`, since only that one needs room. */
export type Call = keyof Files | "create";

/**
 * What the chosen call does.
 * `short`: a write takes half of its bytes, and all goes on. `full`: no room from here until `makeRoom`. `short, then
 * full`: both.
 * `full once`: somebody else made room at once. `EIO`: that one call fails. `EIO for good`: so do all calls after it,
 * as if the process had died here.
 */
export type Failure = "short" | "short, then full" | "full" | "full once" | "EIO" | "EIO for good";

export interface Plan {
  /** The kinds that count; empty means all. */
  readonly calls: readonly Call[];
  /** Which of them, counted from 1. */
  readonly at: number;
  readonly failure: Failure;
  /** What goes wrong after that, its calls counted from there. */
  readonly next?: Plan;
}

export interface Hit {
  readonly call: Call;
  readonly path: string;
}

export const NEEDS_ROOM: readonly Call[] = ["write", "create", "mkdir"];

function systemError(code: "EIO" | "ENOSPC", call: Call, path: string): Error {
  return Object.assign(new Error(`${code}: injected, ${call} '${path}'`), { code });
}

export class FaultyFiles implements Files {
  readonly #below: Files;
  #plan: Plan | null;
  readonly #onFailedSync: (fd: number) => void;
  readonly #open = new Map<number, string>();
  #counted = 0;
  #isFull = false;
  #isDead = false;
  #hit: Hit | null = null;

  /** `onFailedSync` tells a layer below that a sync of `fd` failed: it must not take the data for clean. */
  constructor(below: Files, plan: Plan | null, onFailedSync: (fd: number) => void = () => undefined) {
    this.#below = below;
    this.#plan = plan;
    this.#onFailedSync = onFailedSync;
  }

  /** The first call that went wrong; null while none did. */
  get hit(): Hit | null {
    return this.#hit;
  }

  /** Paths of descriptors that nobody closed. */
  get left(): string[] {
    return [...this.#open.values()];
  }

  makeRoom(): void {
    this.#isFull = false;
  }

  async open(path: string, flags: Parameters<Files["open"]>[1], mode?: number): Promise<number> {
    this.#meet(flags === "r" || flags === "r+" ? "open" : "create", path);
    const fd = await this.#below.open(path, flags, mode);
    this.#open.set(fd, path);
    return fd;
  }

  async close(fd: number): Promise<void> {
    const path = this.#open.get(fd) ?? "";
    this.#open.delete(fd);
    // As in Linux: a close that fails has closed all the same.
    await this.#below.close(fd);
    this.#meet("close", path);
  }

  async read(fd: number, buffer: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    this.#meet("read", this.#open.get(fd) ?? "");
    return this.#below.read(fd, buffer, offset, length, position);
  }

  async write(fd: number, buffer: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    const isShort = this.#meet("write", this.#open.get(fd) ?? "");
    return this.#below.write(fd, buffer, offset, isShort ? Math.ceil(length / 2) : length, position);
  }

  async truncate(fd: number, length: number): Promise<void> {
    this.#meet("truncate", this.#open.get(fd) ?? "");
    return this.#below.truncate(fd, length);
  }

  async datasync(fd: number): Promise<void> {
    try {
      this.#meet("datasync", this.#open.get(fd) ?? "");
    } catch (error) {
      this.#onFailedSync(fd);
      throw error;
    }
    return this.#below.datasync(fd);
  }

  async rename(from: string, to: string): Promise<void> {
    this.#meet("rename", from);
    return this.#below.rename(from, to);
  }

  async unlink(path: string): Promise<void> {
    this.#meet("unlink", path);
    return this.#below.unlink(path);
  }

  async mkdir(path: string, mode?: number): Promise<void> {
    this.#meet("mkdir", path);
    return this.#below.mkdir(path, mode);
  }

  async syncFolder(path: string): Promise<void> {
    this.#meet("syncFolder", path);
    return this.#below.syncFolder(path);
  }

  async list(path: string): Promise<string[]> {
    this.#meet("list", path);
    return this.#below.list(path);
  }

  async stat(path: string): Promise<FileStat | null> {
    this.#meet("stat", path);
    return this.#below.stat(path);
  }

  /** A full disk says so: what looks before it writes must see it too. */
  async space(path: string): Promise<DiskSpace> {
    this.#meet("space", path);
    const found = await this.#below.space(path);
    return this.#isFull ? { ...found, freeBytes: 0 } : found;
  }

  /** Counts a call; throws where it is to fail, and tells whether it is to be a short write. */
  #meet(call: Call, path: string): boolean {
    if (this.#isDead) throw systemError("EIO", call, path);
    const needsRoom = NEEDS_ROOM.includes(call);
    if (this.#isFull && needsRoom) throw systemError("ENOSPC", call, path);
    if (this.#plan === null) return false;
    const { calls, at, failure, next } = this.#plan;
    if ((calls.length > 0 && !calls.includes(call)) || ++this.#counted < at) return false;
    this.#hit ??= { call, path };
    this.#plan = next ?? null;
    this.#counted = 0;
    if (failure === "EIO for good") this.#isDead = true;
    if (failure === "EIO" || failure === "EIO for good") throw systemError("EIO", call, path);
    if (failure === "full" || failure === "short, then full") this.#isFull = true;
    if (failure === "full" || failure === "full once") throw systemError("ENOSPC", call, path);
    return call === "write";
  }
}

/** Runs at a time: a real disk answers several of them while it would answer one. */
const TOGETHER = 4;

/** 1 is every call, 3 each third: a quicker look at what somebody else looks at whole. */
const STEP = Number(process.env["ZWRM_FAULTS_STEP"] ?? "1");

/**
 * Runs `run` for the first, second, … call that `calls` names, until one run ends without having met its fault. Gives
 * the number of faults met.
 */
export async function forEveryCall(
  calls: readonly Call[],
  failure: Failure,
  run: (plan: Plan) => Promise<FaultyFiles>,
): Promise<number> {
  const MOST = 3_000;
  const isMet = async (at: number): Promise<boolean> => {
    try {
      return (await run({ calls, at, failure })).hit !== null;
    } catch (error) {
      throw new Error(
        `${failure} at call ${at} of ${calls.length === 0 ? "any kind" : calls.join(", ")}: ${messageOf(error)}`,
        { cause: error },
      );
    }
  };
  for (let met = 0; met < MOST; met += TOGETHER) {
    const round = await Promise.all(Array.from({ length: TOGETHER }, (_, index) => isMet((met + index) * STEP + 1)));
    const last = met + round.indexOf(false) - 1;
    if (round.includes(false)) return last * STEP + 1;
  }
  throw new Error(`the workload makes more than ${MOST} calls`);
}

/** Fails after `ms` of real time instead of hanging; what a faulty disk must never make anyone do. */
export async function bounded<T>(what: string, work: Promise<T>, ms = 10_000): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} hangs`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
