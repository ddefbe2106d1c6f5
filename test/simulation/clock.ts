/**
 * Virtual time for everybody: a heap of due events, each run to the end of its promises before the next. Nothing in it
 * waits for real time.
 */
import type { Cancel, Clock } from "../../src/lib/clock.ts";
import { START_WALL } from "../support/clock.ts";

interface Due {
  readonly at: number;
  readonly order: number;
  /** Null once it was cancelled. */
  run: (() => void) | null;
}

/** Where every monotonic clock begins, so that no zero is mistaken for "never". */
const START_MONO = 1_000_000;
/** So often the event loop gets its turn, for whoever watches from outside. */
const BREATHE_EVERY = 20_000;
/** Its `then` is a microtask, without what `queueMicrotask` adds for async_hooks. */
const AT_ONCE = Promise.resolve();

export class SimClock {
  /** Milliseconds since the beginning. */
  now = 0;
  /** Events run so far. */
  steps = 0;
  readonly #heap: Due[] = [];
  #order = 0;
  #failure: Error | null = null;

  /** Ends `run` with this error before the next event. The first one counts. */
  fail(error: unknown): void {
    this.#failure ??= error instanceof Error ? error : new Error(String(error));
  }

  /** Calls `run` in `ms` milliseconds; of events due at once the one asked for first comes first. */
  after(ms: number, run: () => void): Cancel {
    const due: Due = { at: this.now + Math.max(0, ms), order: this.#order, run };
    this.#order += 1;
    this.#push(due);
    return () => (due.run = null);
  }

  /** Lives until `end`. Rejects with what an event throws, and stands still there. */
  run(end: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const step = (): void => {
        try {
          const due = this.#failure === null ? this.#pop(end) : null;
          if (due !== null) due();
          else if (this.#failure === null) return resolve();
        } catch (error) {
          this.fail(error);
        }
        if (this.#failure !== null) return reject(this.#failure);
        this.steps += 1;
        // A tick that is asked for in a microtask comes when no microtask is left: the world is at rest then.
        if (this.steps % BREATHE_EVERY === 0) setImmediate(step);
        else void AT_ONCE.then(() => process.nextTick(step));
      };
      setImmediate(step);
    });
  }

  #push(due: Due): void {
    const heap = this.#heap;
    let index = heap.length;
    heap.push(due);
    while (index > 0) {
      const up = (index - 1) >> 1;
      const parent = heap[up];
      if (parent === undefined || isBefore(parent, due)) break;
      heap[index] = parent;
      index = up;
    }
    heap[index] = due;
  }

  /** The next event by `end`, with the time moved to it; null where there is none, with the time moved to `end`. */
  #pop(end: number): (() => void) | null {
    for (let first = this.#heap[0]; first !== undefined && first.at <= end; first = this.#heap[0]) {
      this.#removeFirst();
      if (first.run === null) continue;
      this.now = first.at;
      return first.run;
    }
    this.now = end;
    return null;
  }

  #removeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let index = 0;
    for (;;) {
      const left = heap[2 * index + 1];
      const right = heap[2 * index + 2];
      if (left === undefined) break;
      const isRight = right !== undefined && isBefore(right, left);
      const least = isRight ? right : left;
      if (isBefore(last, least)) break;
      heap[index] = least;
      index = 2 * index + (isRight ? 2 : 1);
    }
    heap[index] = last;
  }
}

function isBefore(a: Due, b: Due): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

/**
 * The clock of one process: its timers end with it and wait while it is paused, and its wall time need not be right.
 */
export class ProcessClock implements Clock {
  readonly #time: SimClock;
  readonly #skewMs: number;
  #ended = false;
  #pausedUntil = 0;

  constructor(time: SimClock, skewMs: number) {
    this.#time = time;
    this.#skewMs = skewMs;
  }

  wall(): number {
    return START_WALL + this.#skewMs + Math.floor(this.#time.now);
  }

  mono(): number {
    return START_MONO + this.#time.now;
  }

  after(ms: number, run: () => void): Cancel {
    // As Node's timers have it: none fires before a millisecond is over, so that time goes on under whoever asks again
    // and again.
    const timer = { cancelled: false };
    this.#arm(Math.max(1, ms), timer, run);
    return () => void (timer.cancelled = true);
  }

  get isPaused(): boolean {
    return this.#time.now < this.#pausedUntil;
  }

  /** SIGSTOP, and SIGCONT after so long: what falls due meanwhile comes after that, in its order. */
  pause(ms: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, this.#time.now + ms);
  }

  /** Calls `run` as soon as the process runs, which is now if it does. */
  whenAwake(run: () => void): void {
    if (this.isPaused) this.#arm(this.#pausedUntil - this.#time.now, { cancelled: false }, run);
    else run();
  }

  #arm(ms: number, timer: { readonly cancelled: boolean }, run: () => void): void {
    this.#time.after(ms, () => {
      if (this.#ended || timer.cancelled) return;
      if (this.isPaused) this.#arm(this.#pausedUntil - this.#time.now, timer, run);
      else run();
    });
  }

  /** No timer of it fires any more. */
  end(): void {
    this.#ended = true;
  }
}
