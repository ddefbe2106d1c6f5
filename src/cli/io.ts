/**
 * What the command line sees of the world, so that a test can be the world: an input, two outputs, the environment, a
 * home, a clock.
 */
import type { Clock } from "../lib/clock.ts";

export interface Output {
  write(text: string): void;
  /** True where a person looks at it, and the terminal can move its cursor. */
  readonly isTerminal: boolean;
  /** Width in characters; Infinity for what is no terminal: there nothing is cut. */
  readonly columns: number;
}

/** What a person types, or what is piped in. Nothing is read before it is asked for. */
export interface Input {
  /** True where a person types. */
  readonly isTerminal: boolean;
  /** On: the terminal shows nothing, and hands over each key as it is pressed, Ctrl-C too. Only for a terminal. */
  setRaw(raw: boolean): void;
  /** The next piece of text, as long as it happens to be; null at the end. */
  read(): Promise<string | null>;
  /** Takes back what was read too far; the next read begins with it. */
  unread(text: string): void;
  /** Calls `run` at a Ctrl-C, whereupon the program ends as it would have without. Gives what takes that back. */
  onInterrupt(run: () => void): () => void;
}

export interface Io {
  readonly stdin: Input;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The user's home folder. */
  readonly home: string;
  readonly clock: Clock;
}

/** Wrong usage: exit code 2. `topic` is the command whose help is named, as words. */
export class UsageError extends Error {
  readonly topic: readonly string[];

  constructor(message: string, topic: readonly string[] = []) {
    super(message);
    this.name = "UsageError";
    this.topic = topic;
  }
}

/** Something that failed before or beside the API: exit code 1. `message` is a sentence for the user. */
export class CliError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "CliError";
  }
}

/** What moves the cursor, turns the direction of what follows, or breaks a line. */
const UNSHOWN = /[\p{Cc}\p{Zl}\p{Zp}\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]/gu;

/**
 * Text from elsewhere, safe to show: a control character would let a host's label move the cursor or rename the window,
 * or let a name read as another.
 */
export function printable(text: string): string {
  return text.replace(UNSHOWN, (char) => {
    if (char === "\t") return " ";
    const code = (char.codePointAt(0) ?? 0).toString(16);
    return code.length <= 2 ? `\\x${code.padStart(2, "0")}` : `\\u${code.padStart(4, "0")}`;
  });
}

/** Resolves `ms` milliseconds from now. */
export function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => void clock.after(ms, resolve));
}
