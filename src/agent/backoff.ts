/** How long to wait before trying again. Pure: time and chance are given. */
import type { Exit } from "./runtime.ts";
import type { DesiredMachine } from "./wire.ts";

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

/** `failures` are the restarts in a row before this end. A clean end is no failure: with `always` it is restarted all the same. */
export function afterExit(restart: DesiredMachine["restart"], exit: Exit, ranMs: number, failures: number): Verdict {
  const how = describeExit(exit);
  if (restart !== "always" && exit.code === 0) return { next: "stopped", reason: how };
  if (restart === "never") return { next: "failed", reason: `${how}; its restart policy is never` };
  const count = ranMs >= RESTART_RESET_MS ? 1 : failures + 1;
  const delayMs = restartDelay(count);
  return { next: "restart", failures: count, delayMs, reason: `${how}; restart ${count} in ${delayMs / 1000} s` };
}

export function describeExit({ code, detail }: Exit): string {
  const how = code === null ? "ended" : `exited with code ${code}`;
  return detail === null ? how : `${how}: ${detail}`;
}
