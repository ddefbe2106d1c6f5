/** What happened, in order: a hash of all of it, and the last part of it to read when something went wrong. */

/** Lines kept to be read; the hash covers every line. */
const KEPT = 400_000;

/** One thing that happened at a time to a host, a machine or the daemon. */
interface Line {
  readonly at: number;
  readonly who: string;
  readonly what: string;
}

export class Trace {
  readonly #now: () => number;
  readonly #lines: Line[] = [];
  #next = 0;
  #count = 0;
  #a = 0x811c9dc5;
  #b = 0x9747b28c;

  constructor(now: () => number) {
    this.#now = now;
  }

  note(who: string, what: string): void {
    const line = { at: this.#now(), who, what };
    this.#lines[this.#next] = line;
    this.#next = (this.#next + 1) % KEPT;
    this.#count += 1;
    this.#mixNumber(Math.round(line.at * 1000));
    this.#mix(who);
    this.#mix(what);
  }

  get count(): number {
    return this.#count;
  }

  /** Equal for two runs exactly when every line was equal (but for one chance in 2^64). */
  get hash(): string {
    return [this.#a, this.#b].map((part) => part.toString(16).padStart(8, "0")).join("");
  }

  /** The last lines that name one of these. */
  last(names: readonly string[], count: number): string[] {
    const found: string[] = [];
    for (let back = 1; back <= Math.min(this.#count, KEPT) && found.length < count; back += 1) {
      const line = this.#lines[(this.#next - back + KEPT) % KEPT];
      if (line !== undefined && names.some((name) => line.who === name || line.what.includes(name)))
        found.push(`${clockText(line.at)} ${line.who.padEnd(8)} ${line.what}`);
    }
    return found.reverse();
  }

  #mix(text: string): void {
    for (let index = 0; index < text.length; index += 1) this.#mixNumber(text.charCodeAt(index));
  }

  #mixNumber(value: number): void {
    this.#a = Math.imul(this.#a ^ value, 0x01000193) >>> 0;
    this.#b = (Math.imul(this.#b ^ (this.#b >>> 13), 0x5bd1e995) + value) >>> 0;
  }
}

/** `00:12:03.456` */
export function clockText(ms: number): string {
  return new Date(Math.round(ms)).toISOString().slice(11, 23);
}
