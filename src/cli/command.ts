/**
 * What a command is: a name, its arguments and flags with their readers, and what it does. Parser and help both read
 * this, so they cannot differ.
 */
import { parseDuration } from "../lib/duration.ts";
import { messageOf } from "../lib/errors.ts";
import { UsageError } from "./io.ts";
import type { Session } from "./session.ts";

/**
 * Reads the text of an argument or flag. Throws a plain Error whose message ends the sentence "NAME …": "must be a
 * whole number".
 */
type ReadText<T> = (text: string) => T;
/**
 * Between the values of a flag that was given several times: no argument of a program can hold it, so every value stays
 * whole.
 */
export const VALUE_SEPARATOR = "\0";

export interface ValueFlag<T> {
  readonly placeholder: string;
  readonly help: string;
  readonly short?: string;
  /**
   * May be given several times; `read` sees all values with VALUE_SEPARATOR between them. Without it the last one wins.
   */
  readonly repeats?: boolean;
  /** What was given is not repeated where it cannot be read: logs of scripts keep what a terminal shows. */
  readonly secret?: boolean;
  readonly read: ReadText<T>;
}

/** A flag that takes no value. */
export interface Switch {
  readonly placeholder: null;
  readonly help: string;
  readonly short?: string;
}

export interface Argument<T> {
  /** In brackets where it may be left out: `[USER]`. */
  readonly placeholder: string;
  readonly help: string;
  /** What it is where it was left out; without this it must be given. */
  readonly absent?: T;
  readonly read: ReadText<T>;
}

/** By their names without the dashes. */
export type Flags = Readonly<Record<string, ValueFlag<unknown> | Switch>>;
/** In the order in which they are given. */
export type Arguments = Readonly<Record<string, Argument<unknown>>>;
/** A flag that was not given is null, a switch false. */
export type FlagValues<F extends Flags> = {
  readonly [K in keyof F]: F[K] extends ValueFlag<infer T> ? T | null : boolean;
};
export type ArgumentValues<A extends Arguments> = {
  readonly [K in keyof A]: A[K] extends Argument<infer T> ? T : never;
};

/** What stood on the command line, not yet read. */
export interface Given {
  readonly words: readonly string[];
  /** The value's text, or true for a switch. */
  readonly flags: ReadonlyMap<string, string | true>;
}

export interface CommandSpec<A extends Arguments, F extends Flags> {
  /** Its words: `host drain`. */
  readonly name: string;
  /** What it does, in some words that begin with a verb. */
  readonly summary: string;
  /** More for its own help. */
  readonly details?: string;
  readonly args: A;
  readonly flags: F;
  /** Gives the exit code. */
  readonly run: (session: Session, args: ArgumentValues<A>, flags: FlagValues<F>) => Promise<number>;
}

/** A command as the table holds it. */
export interface Command {
  readonly name: string;
  readonly summary: string;
  readonly details: string;
  readonly args: Arguments;
  readonly flags: Flags;
  /** Reads what was given, before anything is done. Throws UsageError. */
  readonly prepare: (given: Given) => (session: Session) => Promise<number>;
}

export function command<const A extends Arguments, const F extends Flags>(spec: CommandSpec<A, F>): Command {
  const { name, summary, details = "", args, flags, run } = spec;
  const prepare = (given: Given) => {
    const argValues = readArguments(args, given.words, name.split(" "));
    const flagValues = readFlags(flags, given.flags, name.split(" "));
    return (session: Session) => run(session, argValues, flagValues);
  };
  return { name, summary, details, args, flags, prepare };
}

function readArguments<A extends Arguments>(
  args: A,
  words: readonly string[],
  topic: readonly string[],
): ArgumentValues<A> {
  const values: Record<string, unknown> = {};
  const list = Object.entries(args);
  list.forEach(([name, { placeholder, read, absent }], index) => {
    const word = words[index];
    if (word === undefined && absent === undefined) throw new UsageError(`${placeholder} is missing.`, topic);
    values[name] = word === undefined ? absent : readOne(placeholder, read, word, topic);
  });
  const extra = words[list.length];
  if (extra !== undefined) throw new UsageError(`${JSON.stringify(extra)} is one word too many.`, topic);
  // The loop has read exactly the table's arguments.
  return values as ArgumentValues<A>;
}

export function readFlags<F extends Flags>(flags: F, given: Given["flags"], topic: readonly string[]): FlagValues<F> {
  const values: Record<string, unknown> = {};
  for (const [name, flag] of Object.entries(flags)) {
    const value = given.get(name);
    if (flag.placeholder === null) values[name] = value === true;
    else values[name] = typeof value === "string" ? readOne(`--${name}`, flag.read, value, topic, flag.secret) : null;
  }
  // The loop has read exactly the table's flags.
  return values as FlagValues<F>;
}

function readOne<T>(name: string, read: ReadText<T>, text: string, topic: readonly string[], secret = false): T {
  try {
    return read(text);
  } catch (error) {
    const given = secret ? "" : `, not ${JSON.stringify(text.replaceAll(VALUE_SEPARATOR, ","))}`;
    throw new UsageError(`${name} ${messageOf(error)}${given}.`, topic);
  }
}

/** Any text that is not empty. */
export function textFlag(placeholder: string, help: string): ValueFlag<string> {
  return { placeholder, help, read: readText };
}

export function switchFlag(help: string): Switch {
  return { placeholder: null, help };
}

export function wholeFlag(
  placeholder: string,
  help: string,
  { min, max }: { readonly min: number; readonly max: number },
): ValueFlag<number> {
  const read = (text: string): number => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
    if (!(value >= min && value <= max)) throw new Error(`must be a whole number from ${min} to ${max}`);
    return value;
  };
  return { placeholder, help, read };
}

/** A duration such as `10m`, given as whole seconds. */
export function secondsFlag(placeholder: string, help: string): ValueFlag<number> {
  const read = (text: string): number => {
    const seconds = (parseDuration(text) ?? NaN) / 1000;
    if (!Number.isSafeInteger(seconds) || seconds < 1)
      throw new Error("must be a duration such as 90s, 10m or 2h, in whole seconds");
    return seconds;
  };
  return { placeholder, help, read };
}

/** A time in seconds that may be nothing, or a part of a second: `0s`, `500ms`, `1m30s`. */
export function timeFlag(placeholder: string, help: string): ValueFlag<number> {
  const read = (text: string): number => {
    const ms = parseDuration(text);
    if (ms === null) throw new Error("must be a duration such as 0s, 500ms, 10s or 1m30s");
    return ms / 1000;
  };
  return { placeholder, help, read };
}

export function choiceFlag<const T extends string>(
  placeholder: string,
  help: string,
  choices: readonly T[],
): ValueFlag<T> {
  const read = (text: string): T => {
    const choice = choices.find((known) => known === text);
    if (choice === undefined) throw new Error(`must be one of ${choices.join(", ")}`);
    return choice;
  };
  return { placeholder, help, read };
}

/** Texts, from a flag that may be given several times or once with commas. */
export function listFlag(placeholder: string, help: string): ValueFlag<readonly string[]> {
  const read = (text: string): readonly string[] =>
    text
      .split(VALUE_SEPARATOR)
      .flatMap((value) => value.split(","))
      .map((part) => readText(part.trim()));
  return { placeholder, help, repeats: true, read };
}

export function readText(text: string): string {
  if (text === "") throw new Error("must not be empty");
  return text;
}
