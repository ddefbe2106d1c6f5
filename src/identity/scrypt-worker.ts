/**
 * The thread that scrypt runs in: on its own, so that the pool's threads are the journal's, and behind everyone else,
 * so that the cores are too.
 */
import { scryptSync } from "node:crypto";
import { readlinkSync } from "node:fs";
import { constants, setPriority } from "node:os";
import { parentPort } from "node:worker_threads";

/** One password to derive. */
export interface ScryptTask {
  /** Normalised. */
  readonly password: string;
  readonly salt: Uint8Array;
  readonly bytes: number;
  readonly n: number;
  readonly r: number;
  readonly p: number;
}

export type ScryptAnswer = { readonly key: Uint8Array } | { readonly failed: string };

function derive({ password, salt, bytes, n, r, p }: ScryptTask): ScryptAnswer {
  try {
    return { key: scryptSync(password, salt, bytes, { N: n, r, p, maxmem: 256 * n * r }) };
  } catch (error) {
    return { failed: error instanceof Error ? error.message : String(error) };
  }
}

/**
 * Linux keeps a priority for each thread; its id is the last part of `<pid>/task/<tid>`. Where that is refused the
 * thread works at everyone's.
 */
function stepBack(): void {
  try {
    setPriority(Number(readlinkSync("/proc/thread-self").split("/").at(-1)), constants.priority.PRIORITY_LOW);
  } catch {
    // No /proc, or a filter of system calls: the rest holds all the same.
  }
}

stepBack();
parentPort?.on("message", (task: ScryptTask) => parentPort?.postMessage(derive(task)));
