/**
 * A lock that the kernel holds for an open file, across namespaces, and lets go with the process, at SIGKILL too. Node
 * has no flock(2), so flock(1) of util-linux takes it on our descriptor: it belongs to the open file, which this
 * process keeps when flock is gone.
 */
import { spawnSync } from "node:child_process";
import { messageOf, systemCode } from "./errors.ts";

/** What flock(1) is told to exit with when another process holds the lock. */
const HELD = 75;
const TIMEOUT_MS = 10_000;

/**
 * Takes the lock of an open file, at once or not at all; false while another process has it. `shared` lets others take
 * it so, too. Throws an Error with a sentence about `path` where it cannot be told.
 */
export function flock(fd: number, path: string, { shared = false } = {}): boolean {
  const tried = spawnSync("flock", [...(shared ? ["-s"] : []), "-n", "-E", String(HELD), "3"], {
    stdio: ["ignore", "ignore", "pipe", fd],
    encoding: "utf8",
    timeout: TIMEOUT_MS,
  });
  if (tried.status === 0) return true;
  if (tried.status === HELD) return false;
  throw new Error(`cannot lock ${path}: ${explain(tried)}`);
}

function explain(tried: {
  readonly error?: Error;
  readonly status: number | null;
  readonly signal: string | null;
  readonly stderr: string;
}): string {
  if (tried.error !== undefined) {
    const missing = systemCode(tried.error) === "ENOENT";
    return missing ? "the program flock was not found; it is part of util-linux" : `flock: ${messageOf(tried.error)}`;
  }
  if (tried.signal !== null) return `flock was ended by ${tried.signal}`;
  const said = tried.stderr.trim();
  return `flock exited with ${tried.status}${said === "" ? "" : `: ${said}`}; does the file system know locks?`;
}
