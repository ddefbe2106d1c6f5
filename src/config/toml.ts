/**
 * The TOML 1.0.0 decoder: documents, tables and arrays (https://toml.io/en/v1.0.0). It reads text and bytes, never
 * files, and knows no configuration key.
 */
import { errorAt, TomlError } from "./toml-error.ts";
import type { TomlInteger } from "./toml-scalar.ts";
import { readScalar, TomlDate, TomlFloat } from "./toml-scalar.ts";
import { Scanner } from "./toml-scan.ts";

export type { TomlDateKind, TomlInteger } from "./toml-scalar.ts";
export { TomlDate, TomlError, TomlFloat };

/**
 * Tables and arrays within each other. More is refused, so that neither this decoder nor who walks its result runs out
 * of stack.
 */
export const MAX_DEPTH = 128;

export type TomlValue = string | TomlInteger | TomlFloat | boolean | TomlDate | TomlValue[] | TomlTable;

/** A table in the order of the document. It is a Map, so a key such as `__proto__` is data like any other. */
export class TomlTable extends Map<string, TomlValue> {
  readonly #lines = new Map<string, number>();

  /** Sets a key that was written on `line`. */
  define(key: string, value: TomlValue, line: number): void {
    this.set(key, value);
    this.#lines.set(key, line);
  }

  /** The line, from 1, on which a key was first written; 0 where the document does not have it. */
  lineOf(key: string): number {
    return this.#lines.get(key) ?? 0;
  }
}

/** Decodes a document. Throws TomlError and nothing else. */
export function parseToml(text: string): TomlTable {
  const surrogate = text.search(/\p{Surrogate}/u);
  if (surrogate !== -1) throw errorAt(text, surrogate, "half a surrogate pair is no character");
  return new Parser(new Scanner(text)).document();
}

/** Decodes a document that must be UTF-8. Throws TomlError and nothing else. */
export function decodeToml(bytes: Uint8Array): TomlTable {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw notUtf8(bytes);
  }
  return parseToml(text);
}

/** Decoded loosely, what is no UTF-8 becomes U+FFFD: encoded again, the first byte that differs is where it stands. */
function notUtf8(bytes: Uint8Array): TomlError {
  const loose = new TextDecoder("utf-8", { ignoreBOM: true });
  const text = loose.decode(bytes);
  const again = Buffer.from(text, "utf8");
  const wrong = bytes.findIndex((byte, at) => byte !== again[at]);
  // `stream` leaves out a character that the cut goes through.
  const offset = loose.decode(again.subarray(0, wrong === -1 ? bytes.length : wrong), { stream: true }).length;
  return errorAt(text, offset, "the file is not UTF-8 here; save it as UTF-8");
}

/**
 * How a table came to be, which decides who may add to it: `implied` as a parent in a header (one header may still
 * define it),
 * `header` by its own header, `dotted` by a dotted key (more of them may follow), `inline` in braces (nobody may).
 */
type Origin = "implied" | "header" | "dotted" | "inline";

class Parser {
  readonly #scanner: Scanner;
  readonly #origins = new Map<TomlTable, Origin>();
  /** Arrays made by `[[name]]`, the only ones that such a header may extend. */
  readonly #tableArrays = new Set<TomlValue>();

  constructor(scanner: Scanner) {
    this.#scanner = scanner;
  }

  document(): TomlTable {
    const root = this.#newTable("header");
    let section = root;
    let depth = 0;
    for (;;) {
      this.#scanner.skipLines();
      if (this.#scanner.atEnd()) return root;
      if (this.#scanner.startsWith("[")) {
        ({ table: section, depth } = this.#header(root));
        this.#scanner.endLine("a table header");
      } else {
        this.#assignment(section, depth);
        this.#scanner.endLine("a value");
      }
    }
  }

  /** `[a.b]` or `[[a.b]]`: the table that the lines below it fill. */
  #header(root: TomlTable): { table: TomlTable; depth: number } {
    const start = this.#scanner.pos;
    const isArray = this.#scanner.eat("[[");
    if (!isArray) this.#scanner.eat("[");
    const path = this.#scanner.key();
    if (!this.#scanner.eat(isArray ? "]]" : "]")) this.#scanner.expected(isArray ? '"]]"' : '"]"');
    this.#checkDepth(path.length, start);
    const name = path.at(-1) ?? "";
    const parent = this.#headerParent(root, path, start);
    return {
      table: isArray ? this.#appendTable(parent, name, start) : this.#openTable(parent, name, start),
      depth: path.length,
    };
  }

  /** Walks to the table that holds the last part of a header, making the ones between. */
  #headerParent(root: TomlTable, path: readonly string[], start: number): TomlTable {
    let table = root;
    for (const part of path.slice(0, -1)) {
      const found = table.get(part);
      const next = Array.isArray(found) && this.#tableArrays.has(found) ? found.at(-1) : found;
      if (next === undefined) table = this.#addTable(table, part, "implied", start);
      else if (next instanceof TomlTable && this.#origins.get(next) !== "inline") table = next;
      else this.#cannotExtend(table, part, start);
    }
    return table;
  }

  #openTable(parent: TomlTable, name: string, start: number): TomlTable {
    const found = parent.get(name);
    if (found === undefined) return this.#addTable(parent, name, "header", start);
    if (!(found instanceof TomlTable) || this.#origins.get(found) !== "implied")
      return this.#defined(parent, name, start);
    this.#origins.set(found, "header");
    return found;
  }

  #appendTable(parent: TomlTable, name: string, start: number): TomlTable {
    const table = this.#newTable("header");
    const found = parent.get(name);
    if (found === undefined) {
      const array = [table];
      this.#tableArrays.add(array);
      parent.define(name, array, this.#scanner.lineAt(start));
    } else if (Array.isArray(found) && this.#tableArrays.has(found)) found.push(table);
    else this.#defined(parent, name, start);
    return table;
  }

  /** `a.b = value`, in a section or in an inline table. `depth` is that of `table`. */
  #assignment(table: TomlTable, depth: number): void {
    const start = this.#scanner.pos;
    const path = this.#scanner.key();
    if (!this.#scanner.eat("=")) this.#scanner.expected('"=" after a key');
    this.#scanner.skipBlanks();
    let parent = table;
    for (const part of path.slice(0, -1)) {
      const found = parent.get(part);
      if (found === undefined) parent = this.#addTable(parent, part, "dotted", start);
      else if (found instanceof TomlTable && this.#origins.get(found) === "dotted") parent = found;
      else this.#cannotExtend(parent, part, start);
    }
    const name = path.at(-1) ?? "";
    if (parent.has(name)) this.#defined(parent, name, start);
    const inner = depth + path.length;
    this.#checkDepth(inner, start);
    const line = this.#scanner.lineAt(start);
    parent.define(name, this.#value(inner), line);
  }

  #value(depth: number): TomlValue {
    if (this.#scanner.startsWith("[")) return this.#array(depth + 1);
    if (this.#scanner.startsWith("{")) return this.#inlineTable(depth);
    return this.#scanner.string() ?? readScalar(this.#scanner);
  }

  #array(depth: number): TomlValue[] {
    const start = this.#scanner.pos;
    this.#checkDepth(depth, start);
    this.#scanner.pos += 1;
    const array: TomlValue[] = [];
    for (;;) {
      this.#scanner.skipLines();
      if (this.#scanner.eat("]")) return array;
      if (this.#scanner.atEnd()) this.#scanner.fail('this array is not closed by "]"', start);
      array.push(this.#value(depth));
      this.#scanner.skipLines();
      if (this.#scanner.eat(",")) continue;
      if (this.#scanner.atEnd()) this.#scanner.fail('this array is not closed by "]"', start);
      if (!this.#scanner.startsWith("]")) this.#scanner.expected('"," or "]" after a value in an array');
    }
  }

  /** `depth` is that of the key whose value the table is, as in a section. */
  #inlineTable(depth: number): TomlTable {
    this.#scanner.pos += 1;
    const table = this.#newTable("inline");
    this.#scanner.skipBlanks();
    if (this.#scanner.eat("}")) return table;
    do {
      this.#scanner.skipBlanks();
      if (this.#scanner.startsWith("}")) this.#scanner.fail("the last entry of an inline table bears no comma");
      this.#assignment(table, depth);
      this.#scanner.skipBlanks();
    } while (this.#scanner.eat(","));
    if (!this.#scanner.eat("}"))
      this.#scanner.expected('"," or "}" after a value in an inline table (it must stand on one line)');
    return table;
  }

  #newTable(origin: Origin): TomlTable {
    const table = new TomlTable();
    this.#origins.set(table, origin);
    return table;
  }

  #addTable(parent: TomlTable, name: string, origin: Origin, start: number): TomlTable {
    const table = this.#newTable(origin);
    parent.define(name, table, this.#scanner.lineAt(start));
    return table;
  }

  #checkDepth(depth: number, start: number): void {
    if (depth > MAX_DEPTH)
      this.#scanner.fail(`arrays and tables lie within each other deeper than ${MAX_DEPTH} levels`, start);
  }

  #defined(table: TomlTable, key: string, start: number): never {
    return this.#scanner.fail(`${JSON.stringify(key)} is defined already on line ${table.lineOf(key)}`, start);
  }

  #cannotExtend(table: TomlTable, key: string, start: number): never {
    return this.#scanner.fail(
      `${JSON.stringify(key)} is defined on line ${table.lineOf(key)} as something that cannot be added to here`,
      start,
    );
  }
}
