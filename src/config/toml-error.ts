/** Where and why a TOML document is wrong, for people; it never decides that something is. */

const SHOWN = 100;
const CONTROL = /[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/g;

interface Place {
  /** From 1. */
  readonly line: number;
  /** From 1, in characters (code points). */
  readonly column: number;
  /** The line's text without its newline. */
  readonly source: string;
}

/**
 * The one error that the decoder throws. `message` is a sentence with line and column; it quotes nothing of the
 * document beyond one character and key names.
 */
export class TomlError extends Error {
  readonly line: number;
  readonly column: number;
  /** The message without its place. */
  readonly reason: string;
  /** The message, the line, and a caret under the column, as three lines. It quotes the document, secrets included. */
  readonly caret: string;
  /** The line's text. */
  readonly source: string;

  constructor(reason: string, { line, column, source }: Place) {
    super(`Line ${line}, column ${column}: ${reason}.`);
    this.name = "TomlError";
    this.line = line;
    this.column = column;
    this.reason = reason;
    this.source = source;
    this.caret = `${this.message}\n${drawCaret(line, column, source)}`;
  }
}

/** The error at a UTF-16 offset of `text`. */
export function errorAt(text: string, offset: number, reason: string): TomlError {
  const before = text.slice(0, offset);
  const lineStart = before.lastIndexOf("\n") + 1;
  const lineEnd = text.indexOf("\n", lineStart);
  const source = text.slice(lineStart, lineEnd === -1 ? undefined : lineEnd).replace(/\r$/, "");
  return new TomlError(reason, {
    line: before.split("\n").length,
    column: countCharacters(before.slice(lineStart)) + 1,
    source,
  });
}

/**
 * A long line is cut to a window around the column; control characters become one visible mark each, so that the caret
 * stays in place.
 */
function drawCaret(line: number, column: number, source: string): string {
  const from = Math.max(0, column - SHOWN / 2);
  const characters = Array.from(source.slice(0, (from + SHOWN) * 2)).slice(from, from + SHOWN);
  const shown = characters.join("").replace(CONTROL, "\ufffd");
  const margin = String(line);
  const pad = characters.slice(0, column - 1 - from).map((character) => (character === "\t" ? "\t" : " "));
  return `${margin} | ${shown}\n${" ".repeat(margin.length)} | ${pad.join("")}^`;
}

function countCharacters(text: string): number {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}
