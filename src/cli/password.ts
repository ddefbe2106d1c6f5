/**
 * Asks the person at the terminal: passwords hidden, a line, a yes. What is no terminal is read only where a flag said
 * so.
 */
import type { Io } from "./io.ts";
import { CliError, UsageError } from "./io.ts";

/** More than any password or token; whoever pipes in a disk image by mistake is told early. */
const MAX_CHARS = 64 * 1024;
const TRIES = 3;
/** One key: an escape sequence, as arrows and function keys send them, or a character. */
const KEY = /\u001b(?:\[[0-?]*[ -/]*[@-~]|O.)?|[^]/gu;

export interface Secret {
  /** What the terminal shows, without the colon: `New password`. */
  readonly prompt: string;
  /** Typed a second time, because nobody could see it. */
  readonly twice: boolean;
}

/**
 * Secrets, in their order: asked for at a terminal, else one a line from stdin, where `piped` says that they are there.
 * `flag` is that flag's name, `topic` the command. Throws UsageError where there is neither, CliError where the person
 * gave up.
 */
export async function askSecrets(
  io: Io,
  secrets: readonly Secret[],
  piped: boolean,
  flag: string,
  topic: readonly string[],
): Promise<readonly string[]> {
  if (!io.stdin.isTerminal) {
    if (!piped) throw new UsageError(`There is no terminal to ask at; pipe it in with ${flag}.`, topic);
    return readLines(io, secrets, topic);
  }
  const answers: string[] = [];
  for (const secret of secrets)
    answers.push(secret.twice ? await askTwice(io, secret.prompt) : await askHidden(io, secret.prompt));
  return answers;
}

/** A line that may be seen. */
export async function askLine(io: Io, prompt: string): Promise<string> {
  io.stderr.write(`${prompt}: `);
  let text = "";
  for (;;) {
    const piece = await io.stdin.read();
    if (piece === null) throw ended();
    text += piece;
    const end = text.indexOf("\n");
    if (end !== -1) {
      io.stdin.unread(text.slice(end + 1));
      return text.slice(0, end).trim();
    }
    refuseEndless(text);
  }
}

/** True for yes; anything else is a no. */
export async function askYes(io: Io, question: string): Promise<boolean> {
  return /^y(?:es)?$/i.test(await askLine(io, `${question} [y/N]`));
}

async function askTwice(io: Io, prompt: string): Promise<string> {
  for (let attempt = 1; ; attempt += 1) {
    const first = await askHidden(io, prompt);
    if (first === (await askHidden(io, `${prompt} again`))) return first;
    if (attempt === TRIES) throw new CliError("The two differ; nothing was changed.");
    io.stderr.write("The two differ. Once more:\n");
  }
}

/** Raw from before the prompt is shown until after the last key, whatever ends it. */
async function askHidden(io: Io, prompt: string): Promise<string> {
  io.stdin.setRaw(true);
  try {
    io.stderr.write(`${prompt}: `);
    let typed: readonly string[] = [];
    for (;;) {
      const piece = await io.stdin.read();
      if (piece === null) throw ended();
      const next = typeKeys(typed, piece);
      typed = next.typed;
      refuseEndless(typed);
      if (next.rest === null) continue;
      io.stdin.unread(next.rest);
      if (typed.length === 0) throw new CliError("Nothing was typed; nothing was changed.");
      return typed.join("");
    }
  } finally {
    io.stdin.setRaw(false);
    io.stderr.write("\n");
  }
}

/** What is typed once these keys are pressed too, and what came after Enter (null: it was not pressed). */
function typeKeys(
  before: readonly string[],
  keys: string,
): { readonly typed: readonly string[]; readonly rest: string | null } {
  const typed = [...before];
  for (const { 0: key, index } of keys.matchAll(KEY)) {
    switch (key) {
      case "\r":
      case "\n":
        return { typed, rest: keys.slice(index).replace(/^(?:\r\n?|\n)/, "") };
      case "\u0003":
        throw new CliError("Interrupted; nothing was changed.");
      case "\u0004":
        if (typed.length === 0) throw ended();
        break;
      case "\u007f":
      case "\b":
        typed.pop();
        break;
      // Ctrl-U, as the terminal itself takes it.
      case "\u0015":
        typed.length = 0;
        break;
      default:
        if (!/^\p{Cc}/u.test(key)) typed.push(key);
    }
  }
  return { typed, rest: null };
}

async function readLines(io: Io, secrets: readonly Secret[], topic: readonly string[]): Promise<readonly string[]> {
  let text = "";
  for (;;) {
    const piece = await io.stdin.read();
    if (piece === null) break;
    text += piece;
    refuseEndless(text);
  }
  const lines = text.replace(/\r?\n$/, "").split(/\r?\n/);
  const names = secrets.map(({ prompt }) => prompt.toLowerCase()).join(", then ");
  if (lines.length !== secrets.length || lines.includes(""))
    throw new UsageError(
      `Stdin must hold ${secrets.length === 1 ? "one line" : `${secrets.length} lines`}: ${names}.`,
      topic,
    );
  // The decoder puts this character for bytes that are none: a password would be another than was meant.
  if (text.includes("\ufffd")) throw new UsageError("What stdin holds is not UTF-8.", topic);
  return lines;
}

function refuseEndless({ length }: { readonly length: number }): void {
  if (length > MAX_CHARS) throw new CliError(`That is longer than ${MAX_CHARS} characters.`);
}

function ended(): CliError {
  return new CliError("The input ended before the answer; nothing was changed.");
}
