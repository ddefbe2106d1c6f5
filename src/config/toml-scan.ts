/**
 * The characters of a TOML document: blanks, comments, newlines, strings and keys. It knows no tables and no numbers.
 */
import { errorAt } from "./toml-error.ts";

// Sticky patterns carry no state between calls: `match` sets where each begins. Loops are over one character class
// each, which V8 runs without a stack.
const BLANKS = /[\t ]*/y;
const COMMENT = /#[^\u0000-\u0008\u000a-\u001f\u007f]*/y;
const BARE_KEY = /[A-Za-z0-9_-]+/y;
const BASIC_RUN = /[^"\\\u0000-\u0008\u000a-\u001f\u007f]*/y;
const LITERAL_RUN = /[^'\u0000-\u0008\u000a-\u001f\u007f]*/y;
const DOUBLE_QUOTES = /"{1,5}/y;
const SINGLE_QUOTES = /'{1,5}/y;
const LINE_CONTINUATION = /\\[\t ]*\r?\n/y;
const UNICODE_ESCAPE = /u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}/y;

const ESCAPES: ReadonlyMap<string, string> = new Map(
  Object.entries({ b: "\b", t: "\t", n: "\n", f: "\f", r: "\r", '"': '"', "\\": "\\" }),
);

type Quote = '"' | "'";

/** Reads forward through one document. Every method either consumes what it names or throws a TomlError. */
export class Scanner {
  readonly text: string;
  /** UTF-16 offset of the next character. */
  pos: number;
  readonly #lineStarts: readonly number[];

  constructor(text: string) {
    this.text = text;
    // A byte order mark is allowed at the very start, where Windows editors put it.
    this.pos = text.startsWith("\ufeff") ? 1 : 0;
    this.#lineStarts = findLineStarts(text);
  }

  fail(reason: string, at = this.pos): never {
    throw errorAt(this.text, at, reason);
  }

  /** Says what was expected and what stands there instead. */
  expected(what: string): never {
    return this.fail(`expected ${what}, found ${describe(this.text.codePointAt(this.pos))}`);
  }

  /** The line of an offset, from 1. */
  lineAt(offset: number): number {
    let low = 0;
    let high = this.#lineStarts.length;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if ((this.#lineStarts[middle] ?? 0) <= offset) low = middle;
      else high = middle;
    }
    return low + 1;
  }

  atEnd(): boolean {
    return this.pos >= this.text.length;
  }

  startsWith(part: string): boolean {
    return this.text.startsWith(part, this.pos);
  }

  eat(part: string): boolean {
    if (!this.startsWith(part)) return false;
    this.pos += part.length;
    return true;
  }

  /** What a sticky pattern matches here, consumed; empty where it matches nothing. */
  match(sticky: RegExp): string {
    sticky.lastIndex = this.pos;
    const found = sticky.exec(this.text)?.[0] ?? "";
    this.pos += found.length;
    return found;
  }

  skipBlanks(): void {
    this.match(BLANKS);
  }

  newline(): boolean {
    return this.eat("\n") || this.eat("\r\n");
  }

  /** Blanks, comments and newlines, as they may stand between the elements of an array or between statements. */
  skipLines(): void {
    do {
      this.skipBlanks();
      this.match(COMMENT);
    } while (this.newline());
  }

  /** The rest of a line after a statement: blanks, a comment, and its end. */
  endLine(after: string): void {
    this.skipBlanks();
    this.match(COMMENT);
    if (!this.atEnd() && !this.newline()) this.expected(`the end of the line after ${after}`);
  }

  /** The parts of a key, dotted or not. */
  key(): string[] {
    const parts: string[] = [];
    do {
      this.skipBlanks();
      parts.push(this.#keyPart());
      this.skipBlanks();
    } while (this.eat("."));
    return parts;
  }

  #keyPart(): string {
    if (this.startsWith('"')) return this.#oneLine('"');
    if (this.startsWith("'")) return this.#oneLine("'");
    const bare = this.match(BARE_KEY);
    return bare === "" ? this.expected("a key") : bare;
  }

  /** A string value of any of the four kinds, or null where none begins. */
  string(): string | null {
    if (this.startsWith('"')) return this.startsWith('"""') ? this.#multiLine('"') : this.#oneLine('"');
    if (this.startsWith("'")) return this.startsWith("'''") ? this.#multiLine("'") : this.#oneLine("'");
    return null;
  }

  #oneLine(quote: Quote): string {
    const start = this.pos;
    this.pos += 1;
    let value = "";
    for (;;) {
      value += this.match(quote === '"' ? BASIC_RUN : LITERAL_RUN);
      if (this.eat(quote)) return value;
      if (this.startsWith("\\")) value += this.#escape();
      else if (this.atEnd() || this.newline())
        this.fail(`a text that begins with ${quote} must end with ${quote} on the same line`, start);
      else this.#controlCharacter();
    }
  }

  #multiLine(quote: Quote): string {
    const start = this.pos;
    this.pos += 3;
    // A newline right after the opening is no part of the text.
    this.newline();
    let value = "";
    for (;;) {
      value += this.match(quote === '"' ? BASIC_RUN : LITERAL_RUN);
      const quotes = this.match(quote === '"' ? DOUBLE_QUOTES : SINGLE_QUOTES);
      // Up to two quotes may stand right before the closing three.
      if (quotes.length >= 3) return value + quotes.slice(3);
      if (quotes !== "") value += quotes;
      else if (this.startsWith("\\")) value += this.#escapeInLines();
      else if (this.atEnd())
        this.fail(`a text that begins with ${quote.repeat(3)} must end with ${quote.repeat(3)}`, start);
      else value += this.#newlineInText();
    }
  }

  #newlineInText(): string {
    const start = this.pos;
    if (!this.newline()) this.#controlCharacter();
    return this.text.slice(start, this.pos);
  }

  /** A backslash at the end of a line eats all blanks and newlines up to the next character. */
  #escapeInLines(): string {
    if (this.match(LINE_CONTINUATION) === "") return this.#escape();
    do this.skipBlanks();
    while (this.newline());
    return "";
  }

  #escape(): string {
    const start = this.pos;
    this.pos += 1;
    const simple = ESCAPES.get(this.text.charAt(this.pos));
    if (simple !== undefined) {
      this.pos += 1;
      return simple;
    }
    const unicode = this.match(UNICODE_ESCAPE);
    if (unicode === "")
      return this.fail(
        'a backslash must be followed by one of b t n f r " \\ uXXXX UXXXXXXXX; write \\\\ for a backslash',
        start,
      );
    const code = Number.parseInt(unicode.slice(1), 16);
    if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
      return this.fail(`\\${unicode} is no Unicode character`, start);
    return String.fromCodePoint(code);
  }

  #controlCharacter(): never {
    return this.fail(`${describe(this.text.codePointAt(this.pos))} must be written as an escape in a text`);
  }
}

function findLineStarts(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return starts;
}

function describe(code: number | undefined): string {
  if (code === undefined) return "the end of the file";
  if (code === 0x0a) return "the end of the line";
  if (code === 0x0d) return "a carriage return without a newline";
  if (code <= 0x20 || code >= 0x7f) return `the character U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
  return `"${String.fromCodePoint(code)}"`;
}
