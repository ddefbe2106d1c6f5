/**
 * When what came to nothing is tried again: back-off of placements, and of machines in a crash loop. Pure; it tries
 * nothing.
 */
import type { Since } from "../../lib/elapsed.ts";
import type { Deployment, Machine } from "../../state/types.ts";
import type { Cause } from "./replacement.ts";

/** Now, or the milliseconds until then. */
export type NextTry = "now" | { readonly inMs: number };

const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 30_000;
const LONGEST_STREAK_MS = 300_000;
/** A machine that was there this long has not failed at its start. */
const SETTLED_MS = 600_000;

/**
 * Whether the deployment is known to run, so that a replacement's failure is its host's: the machine was ready, and is
 * replaced for a reason outside of it.
 */
function isProven(machine: Machine, target: Deployment, cause: Cause): boolean {
  return machine.deployment_id === target.id && machine.ready_at !== null && (cause === "draining" || cause === "lost");
}

function after(since: Since, at: string, ms: number): NextTry {
  const inMs = ms - since(at);
  return inMs <= 0 ? "now" : { inMs };
}

function retryAfter(failures: number): number {
  return Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** failures);
}

/**
 * When a host that was not tried may be: now for what is known to run, else 1 s after the last try, doubling to 30 s.
 */
export function nextTry(since: Since, machine: Machine, target: Deployment, cause: Cause): NextTry {
  const { retry } = machine;
  if (retry === null || isProven(machine, target, cause)) return "now";
  return after(since, retry.at, retryAfter(retry.count - 1));
}

/** When every host may be tried again, after all that fitted were: 1 s, doubling to 30 s. */
export function nextTryOfAll(since: Since, machine: Machine, target: Deployment, cause: Cause): NextTry {
  if (!isProven(machine, target, cause)) return nextTry(since, machine, target, cause);
  const last = machine.retry?.at ?? machine.ended_at ?? machine.created_at;
  return after(since, last, retryAfter(machine.retry?.rounds ?? 0));
}

/**
 * When a machine that gave up may be replaced: now the first time, then 1 s doubling to 5 min, so that what cannot
 * run does not spin.
 */
export function nextTryOfFailed(since: Since, machine: Machine): NextTry {
  // What its host could not do says nothing of it; other hosts are tried, and each ranks lower once it has failed.
  if (machine.streak === 0) return "now";
  const ms = Math.min(LONGEST_STREAK_MS, FIRST_RETRY_MS * 2 ** (machine.streak - 1));
  return after(since, machine.ended_at ?? machine.created_at, ms);
}

/** The streak that the replacement of a machine takes over. */
export function nextStreak(since: Since, machine: Machine, cause: Cause): number {
  if (cause !== "failed") return 0;
  const { ready_at: readyAt, ended_at: endedAt } = machine;
  return readyAt !== null && endedAt !== null && since(readyAt) - since(endedAt) >= SETTLED_MS ? 0 : machine.streak + 1;
}
