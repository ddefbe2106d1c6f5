/**
 * A clock that stands still until a test moves it: due timers run in order, wall and monotonic time can be set apart.
 */
import type { Cancel, Clock } from "../../src/lib/clock.ts";

/** 2026-01-02T03:04:05.678Z, so that every field of a time is told from every other. */
export const START_WALL = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

interface Timer {
  readonly at: number;
  readonly run: () => void;
}

export class FakeClock implements Clock {
  #wall: number;
  #mono: number;
  #timers: Timer[] = [];

  constructor(wall: number = START_WALL, mono: number = 1_000_000) {
    this.#wall = wall;
    this.#mono = mono;
  }

  wall(): number {
    return this.#wall;
  }

  mono(): number {
    return this.#mono;
  }

  after(ms: number, run: () => void): Cancel {
    const timer: Timer = { at: this.#mono + ms, run };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** How many timers are armed. */
  get armed(): number {
    return this.#timers.length;
  }

  /**
   * Moves both times on; a timer sees the time at which it is due, and one that it arms runs too when it is due by
   * then.
   */
  advance(ms: number): void {
    const end = this.#mono + ms;
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      const timer = next;
      this.#timers = this.#timers.filter((other) => other !== timer);
      this.#move(Math.max(0, timer.at - this.#mono));
      timer.run();
    }
    this.#move(end - this.#mono);
  }

  /**
   * `advance` in steps, with the promises of each step settled before the next: for timers that are armed anew when
   * their work is done.
   */
  async run(ms: number, stepMs: number = 50): Promise<void> {
    for (let left = ms; left > 0; left -= stepMs) {
      this.advance(Math.min(stepMs, left));
      await turn();
    }
  }

  /** What a SIGSTOP does: time passes and nothing runs. */
  pause(ms: number): void {
    this.#move(ms);
  }

  /** Someone sets the machine's clock; monotonic time goes on as it was. */
  setWall(wall: number): void {
    this.#wall = wall;
  }

  /** The earliest timer due by `end`; of equal ones the one armed first. */
  #next(end: number): Timer | undefined {
    let found: Timer | undefined;
    for (const timer of this.#timers)
      if (timer.at <= end && (found === undefined || timer.at < found.at)) found = timer;
    return found;
  }

  #move(ms: number): void {
    this.#mono += ms;
    this.#wall += ms;
  }
}

/** Lets everything run that waits for no timer and no file. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
