/** How long to wait before trying again. Pure: time and chance are given. */
import type { Exit } from "./runtime.ts";
import type { DesiredMachine } from "../wire/agents.ts";

const RESTART_FIRST_MS = 1_000;
const RESTART_LONGEST_MS = 5 * 60_000;
/** A machine that ran so long was well: its next restart is a first one again. */
const RESTART_RESET_MS = 10 * 60_000;

const CALL_FIRST_MS = 500;
const CALL_LONGEST_MS = 10_000;

/** 1 s, doubling to 5 minutes. `failures` counts from 1. */
export function restartDelay(failures: number): number {
  return Math.min(RESTART_FIRST_MS * 2 ** (failures - 1), RESTART_LONGEST_MS);
}

/**
 * 0.5 s, doubling to `longestMs`, each spread over half to one and a half of itself, so that a thousand agents do not
 * call as one. `chance` is from [0, 1).
 */
export function callDelay(failures: number, chance: number, longestMs: number = CALL_LONGEST_MS): number {
  return Math.min(CALL_FIRST_MS * 2 ** (failures - 1), longestMs) * (0.5 + chance);
}

/** What follows an end that nobody asked for. */
export type Verdict =
  | { readonly next: "restart"; readonly failures: number; readonly delayMs: number; readonly reason: string }
  | { readonly next: "stopped" | "failed"; readonly reason: string };

/**
 * `failures` are the restarts in a row before this end, `ranMs` how long it ran, null where nobody knows. A clean end
 * is no failure: with `always` it is restarted all the same.
 */
export function afterExit(
  restart: DesiredMachine["restart"],
  exit: Exit,
  ranMs: number | null,
  failures: number,
): Verdict {
  const how = describeExit(exit, ranMs);
  if (restart !== "always" && exit.code === 0) return { next: "stopped", reason: how };
  if (restart === "never") return { next: "failed", reason: `${how}; its restart policy is never` };
  const count = (ranMs ?? 0) >= RESTART_RESET_MS ? 1 : failures + 1;
  const delayMs = restartDelay(count);
  return { next: "restart", failures: count, delayMs, reason: `${how}; restart ${count} in ${delayMs / 1000} s` };
}

/** "exit code 1 after 3.0 s", "killed by SIGKILL after 3.0 s", "ended: the host was restarted": shown as it is. */
export function describeExit({ code, detail, signal }: Exit, ranMs: number | null): string {
  const how = code !== null ? `exit code ${code}` : signal !== undefined ? `killed by ${signal}` : "ended";
  const after = ranMs === null ? how : `${how} after ${(ranMs / 1000).toFixed(1)} s`;
  return detail === null ? after : `${after}: ${detail}`;
}
