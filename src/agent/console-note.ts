/** What the agent itself says in a machine's console, between what the machine writes there. */
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { CONSOLE_NAME } from "./console.ts";

/** A machine may have put anything there: a link is not followed, a fifo not waited for. */
const { O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_WRONLY } = constants;
const APPEND = O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK;

/**
 * Appends a line each, as `zwrm-agent: KIND: LINE`. Where that cannot be, nothing is said: the machine's reason says it
 * too.
 */
export function noteInConsole(folder: string, kind: string, lines: readonly string[]): void {
  try {
    const file = openSync(join(folder, CONSOLE_NAME), APPEND, 0o600);
    try {
      writeSync(file, lines.map((line) => `zwrm-agent: ${kind}: ${line}\n`).join(""));
    } finally {
      closeSync(file);
    }
  } catch {
    return;
  }
}
