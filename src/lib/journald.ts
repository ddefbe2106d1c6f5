/**
 * How a line tells journald its level: a priority before it, where the descriptor leads to the journal. Reads the
 * environment it is given and nothing else.
 */
import { fstatSync } from "node:fs";
import type { LogLevel } from "./log.ts";

/** syslog(3)'s numbers, as sd-daemon(3) writes them before a line; journald takes them off again. */
const PRIORITIES: Readonly<Record<LogLevel, string>> = { error: "<3>", warn: "<4>", info: "<6>", debug: "<7>" };

export function priorityMark(level: LogLevel): string {
  return PRIORITIES[level];
}

/**
 * Whether the descriptor is the stream that systemd opened to the journal: JOURNAL_STREAM is its device and inode
 * (systemd.exec(5)). One that was piped elsewhere is not.
 */
export function leadsToJournal(env: Readonly<Record<string, string | undefined>>, fd: number): boolean {
  const stream = env["JOURNAL_STREAM"];
  if (stream === undefined) return false;
  try {
    const { dev, ino } = fstatSync(fd, { bigint: true });
    return stream === `${dev}:${ino}`;
  } catch {
    return false;
  }
}
