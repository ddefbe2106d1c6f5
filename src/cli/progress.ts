/** A bar with percentage, rate and time left on a terminal's last line; writes nothing where there is no terminal. */
import type { Clock } from "../lib/clock.ts";
import { formatBytes, formatElapsed } from "./format.ts";
import type { Output } from "./io.ts";

const REDRAW_MS = 100;
/** The rate is that of the last five seconds, so that it follows a network that slows down. */
const WINDOW_MS = 5_000;
const MIN_BAR = 10;
const MAX_BAR = 40;
/** Room for all but the longest text behind the bar, so that the bar keeps its width while the numbers change. */
const TEXT_ROOM = 46;
const CLEAR_LINE = "\r\u001b[K";

export class Progress {
  readonly #output: Output;
  readonly #clock: Clock;
  readonly #label: string;
  readonly #total: number;
  readonly #samples: { readonly at: number; readonly done: number }[];
  #drawnAt = -Infinity;

  /** `total` is in bytes. */
  constructor(output: Output, clock: Clock, label: string, total: number) {
    this.#output = output;
    this.#clock = clock;
    this.#label = label;
    this.#total = total;
    this.#samples = [{ at: clock.mono(), done: 0 }];
  }

  /** `done` bytes of all; drawn ten times a second at most. */
  update(done: number): void {
    if (!this.#output.isTerminal) return;
    const at = this.#clock.mono();
    if (at - this.#drawnAt < REDRAW_MS) return;
    this.#drawnAt = at;
    this.#samples.push({ at, done });
    // The oldest one kept is just outside the window, so that there is always a stretch to measure.
    while ((this.#samples[1]?.at ?? Infinity) <= at - WINDOW_MS) this.#samples.shift();
    this.#output.write(CLEAR_LINE + this.#line(at, done));
  }

  /** Takes the bar away; whoever owns it then says how it ended. */
  clear(): void {
    if (this.#drawnAt !== -Infinity) this.#output.write(CLEAR_LINE);
    this.#drawnAt = -Infinity;
  }

  #line(at: number, done: number): string {
    const share = this.#total === 0 ? 1 : Math.min(1, done / this.#total);
    const percent = `${String(Math.floor(share * 100)).padStart(3)}%`;
    const amounts = `${formatBytes(done)} / ${formatBytes(this.#total)}`;
    const rate = this.#bytesPerSecond(at, done);
    const left = Math.max(0, this.#total - done);
    const speed =
      rate > 0 ? `  ${formatBytes(rate)}/s  ETA ${formatElapsed((left / rate) * 1000)}` : left > 0 ? "  stalled" : "";
    const text = `  ${percent}  ${amounts}${speed}`;
    // The last column stays free: some terminals begin a new line when it is written.
    const room = Math.min(
      MAX_BAR,
      this.#output.columns - 1 - this.#label.length - Math.max(text.length, TEXT_ROOM) - "  []".length,
    );
    return `${this.#label}${room < MIN_BAR ? "" : `  [${bar(share, room)}]`}${text}`.slice(0, this.#output.columns - 1);
  }

  #bytesPerSecond(at: number, done: number): number {
    const [oldest] = this.#samples;
    if (oldest === undefined || at <= oldest.at) return 0;
    return ((done - oldest.done) / (at - oldest.at)) * 1000;
  }
}

function bar(share: number, width: number): string {
  const filled = Math.floor(share * width);
  return "=".repeat(filled) + (filled < width ? `>${" ".repeat(width - filled - 1)}` : "");
}
