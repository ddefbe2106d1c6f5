/**
 * The small shell that waits for a machine's command: how it is started, and what it writes down of the end, also
 * while no agent is there.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { closeSync, constants, readSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "./exec-command.ts";
import { EXIT_NAME, openOwn, statOwn } from "./machine-folder.ts";
import { WAITER_NAME } from "./processes.ts";
import type { Exit } from "./runtime.ts";
import { hostFault } from "./runtime.ts";

/** What it writes down is shorter than this. */
const EXIT_BYTES = 256;

/**
 * `trap` keeps it waiting when others ask its whole group to stop. It has no variable of its own, since the machine's
 * are in the same place: its words are the folder, the name of the start, the cgroup or nothing, and then the
 * command's.
 */
const SCRIPT = `trap : TERM INT HUP
[ -z "$3" ] || { echo 0 >"$3/cgroup.procs"; } 2>/dev/null
run() {
  shift 3
  "$@"
}
note() {
  set -C
  command -p rm -rf "$1/${EXIT_NAME}.new"
  printf '%s %s\\n' "$2" "$3" >"$1/${EXIT_NAME}.new" && command -p mv -f "$1/${EXIT_NAME}.new" "$1/${EXIT_NAME}"
  exit "$3"
}
run "$@"
note "$1" "$2" "$?"`;

export interface WaiterOptions {
  readonly shell: string;
  /** The machine's folder. */
  readonly dir: string;
  readonly launchId: string;
  readonly cgroup: string | null;
  /** The working folder. */
  readonly work: string;
  /** The open console. */
  readonly console: number;
  readonly command: Command;
}

/** Resolves when it runs. Rejects with a LaunchError. */
export async function startWaiter({
  shell,
  dir,
  launchId,
  cgroup,
  work,
  console,
  command,
}: WaiterOptions): Promise<ChildProcess> {
  const words = ["-c", SCRIPT, WAITER_NAME, dir, launchId, cgroup ?? "", ...command.words];
  const child = spawn(shell, words, {
    cwd: work,
    env: command.env,
    detached: true,
    stdio: ["ignore", console, console],
  });
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", (error) => reject(hostFault("it cannot be started on this host", error)));
  });
  return child;
}

/** How a child of this process ended; a shell that was ended by a signal has seen no code. */
export function exitOf(child: ChildProcess): Promise<Exit> {
  return new Promise((resolve) => {
    child.once("exit", (code, signal) =>
      resolve(signal === null ? { code, detail: null } : { code, detail: null, signal }),
    );
  });
}

/**
 * What was written down of a start; null where that cannot be read. Given the wall time of the start in milliseconds,
 * it also says how long the machine ran, by the time of the file.
 */
export function readExit(dir: string, launchId: string, startedAt?: number): Exit | null {
  const path = join(dir, EXIT_NAME);
  const [launch, code] = readBeginning(path).trim().split(" ");
  if (launch !== launchId || code === undefined || !/^\d{1,3}$/.test(code)) return null;
  const exit = { code: Number(code), detail: null };
  return startedAt === undefined
    ? exit
    : { ...exit, ranMs: Math.max(0, (statOwn(path)?.mtimeMs ?? startedAt) - startedAt) };
}

/** The first bytes of a file in a machine's folder; empty where there is none, or it is no plain file. */
function readBeginning(path: string): string {
  try {
    const fd = openOwn(path, constants.O_RDONLY);
    try {
      const buffer = Buffer.alloc(EXIT_BYTES);
      return buffer.toString("utf8", 0, readSync(fd, buffer));
    } finally {
      closeSync(fd);
    }
  } catch {
    return "";
  }
}
