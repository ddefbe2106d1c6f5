/**
 * How asking once comes to its end: whichever outcome is first counts, and nothing is held after it. It asks nobody.
 */
import type { Clock } from "../lib/clock.ts";

export interface Asking {
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** Called once, before the outcome is told. */
  readonly letGo: () => void;
  readonly resolve: (failure: string | null) => void;
}

/**
 * The first outcome counts: one that is given, the end of the time, or that it was called off. Then everything is let
 * go of.
 */
export function firstOutcome({ clock, timeoutMs, signal, letGo, resolve }: Asking): (failure: string | null) => void {
  let isOver = false;
  const end = (failure: string | null): void => {
    if (isOver) return;
    isOver = true;
    cancel();
    signal.removeEventListener("abort", calledOff);
    letGo();
    resolve(failure);
  };
  const calledOff = (): void => end("it was called off");
  const cancel = clock.after(timeoutMs, () => end(`no answer within ${timeoutMs / 1000} s`));
  signal.addEventListener("abort", calledOff);
  if (signal.aborted) calledOff();
  return end;
}
