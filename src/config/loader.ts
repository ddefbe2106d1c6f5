/**
 * The one way from a file, the environment and a command line to settings, for whoever has a table of them: zwrmd, its
 * agent and the command line. It finds all that is wrong and where; how that is said is the words' (words.ts), and what
 * is made of the values its caller's. It changes nothing.
 */
import { ConfigError } from "./error.ts";
import type { ConfigFile, Unreadable } from "./file.ts";
import { readConfigFile } from "./file.ts";
import type { Setting } from "./kinds.ts";
import { BadValue } from "./kinds.ts";
import { nearestName } from "./nearest.ts";
import type { TomlValue } from "./toml.ts";
import { decodeToml, TomlError, TomlTable } from "./toml.ts";

/** A row of a table of settings. */
export interface Entry {
  /** Empty before the first section. */
  readonly section: string;
  readonly key: string;
  /** The environment variable that overrides it. */
  readonly variable: string;
  readonly setting: Pick<Setting<unknown, "" | "Ms">, "fallback" | "secret" | "fromToml" | "fromText">;
}

/** A key or a section that nobody knows, and what may have been meant. */
export interface Unknown {
  readonly path: string;
  readonly line: number;
  /** Empty before the first section. */
  readonly section: string;
  readonly name: string;
  readonly nearest: string | null;
  /** All that there are in its place. */
  readonly known: readonly string[];
}

/** How that which is wrong is said. */
export interface Words {
  readonly unreadable: Unreadable;
  readonly notToml: (path: string, error: TomlError, mayQuote: boolean) => string;
  readonly unknownSection: (unknown: Unknown) => string;
  /** `home` is where a key of this name belongs, where it is another one's. */
  readonly unknownKey: (unknown: Unknown, home: Entry | null) => string;
  readonly noSection: (path: string, line: number, name: string) => string;
  /** The beginning of what is said of a key's value; its end is a BadValue's. */
  readonly place: (path: string, line: number, section: string, key: string) => string;
}

/** A section whose keys are the operator's own; what is wrong with them it says itself. */
export interface OwnSection {
  readonly section: string;
  readonly variable: string;
  /** Gives what is wrong. */
  readonly fromToml: (path: string, line: number, value: TomlValue) => readonly string[];
  readonly fromText: (text: string) => readonly string[];
}

export interface LoaderOptions<E extends Entry> {
  /** In the order of the table. */
  readonly entries: readonly E[];
  readonly words: Words;
  readonly ownSection?: OwnSection;
}

export interface Given {
  readonly value: unknown;
  /** Where it was given, as the start of a message: `FILE:LINE: [section] key`, or the variable. */
  readonly source: string;
}

export type Env = Readonly<Record<string, string | undefined>>;

/** The values read so far, of which a later one takes the place of an earlier one, and what was wrong with them. */
export class Loader<E extends Entry> {
  readonly problems: string[] = [];
  readonly #entries: readonly E[];
  readonly #words: Words;
  readonly #own: OwnSection | undefined;
  readonly #given = new Map<E, Given>();
  readonly #sections: readonly string[];

  constructor({ entries, words, ownSection }: LoaderOptions<E>) {
    this.#entries = entries;
    this.#words = words;
    this.#own = ownSection;
    const own = ownSection === undefined ? [] : [ownSection.section];
    this.#sections = [...new Set([...entries.map(({ section }) => section), ...own])].filter((name) => name !== "");
  }

  /** Null where there is no file and none is required. Throws ConfigError for one that cannot be read. */
  readFile(path: string, required: boolean): ConfigFile | null {
    const file = readConfigFile(path, required, this.#words.unreadable);
    if (file !== null) this.#readToml(path, file.bytes);
    return file;
  }

  /** Reads every variable with this prefix, but for `others`. Returns warnings for those that name nothing. */
  readEnvironment(env: Env, prefix: string, others: ReadonlySet<string> = new Set()): string[] {
    const known = new Map(this.#entries.map((entry) => [entry.variable, entry]));
    const warnings: string[] = [];
    for (const [variable, text] of Object.entries(env)) {
      if (text === undefined || !variable.startsWith(prefix) || others.has(variable)) continue;
      const entry = known.get(variable);
      if (entry !== undefined) this.take(entry, variable, () => entry.setting.fromText(text));
      else if (variable === this.#own?.variable) this.problems.push(...this.#own.fromText(text));
      else {
        const nearest = nearestName(variable, known.keys());
        const meant = nearest === null ? "" : `; did you mean "${nearest}"?`;
        warnings.push(`${variable}: names no setting and is ignored${meant}`);
      }
    }
    return warnings;
  }

  /** Takes a value over any earlier one, or notes why it is none. */
  take(entry: E, source: string, read: () => unknown): void {
    try {
      this.#given.set(entry, { value: read(), source });
    } catch (error) {
      if (!(error instanceof BadValue)) throw error;
      this.problems.push(`${source}: ${error.message}`);
    }
  }

  /** What was given last for this key; undefined for nothing. */
  given(section: string, key: string): Given | undefined {
    const entry = this.#entries.find((known) => known.section === section && known.key === key);
    return entry && this.#given.get(entry);
  }

  /** Every setting with its value, or its fallback. Throws ConfigError with every problem. */
  settle(): readonly (readonly [entry: E, value: unknown])[] {
    if (this.problems.length > 0) throw new ConfigError(this.problems);
    return this.#entries.map((entry) => {
      const given = this.#given.get(entry);
      return [entry, given === undefined ? entry.setting.fallback : given.value];
    });
  }

  #readToml(path: string, bytes: Uint8Array): void {
    let root: TomlTable;
    try {
      root = decodeToml(bytes);
    } catch (error) {
      if (!(error instanceof TomlError)) throw error;
      this.problems.push(this.#words.notToml(path, error, mayQuote(this.#entries, error.source)));
      return;
    }
    const rootKeys = new Set(this.#entries.filter(({ section }) => section === "").map(({ key }) => key));
    for (const [name, value] of root) {
      const line = root.lineOf(name);
      // Where there are no sections at all, a table is a key like any other.
      const looksLikeSection = value instanceof TomlTable && this.#sections.length > 0;
      if (name === this.#own?.section) this.problems.push(...this.#own.fromToml(path, line, value));
      else if (this.#sections.includes(name)) this.#readSection(path, line, name, value);
      else if (rootKeys.has(name)) this.#readKey(path, line, "", name, value);
      else if (looksLikeSection) this.#unknownSection(path, line, name);
      else if (rootKeys.size > 0) this.#readKey(path, line, "", name, value);
      else this.#unknownKey(path, line, "", name, this.#sections);
    }
  }

  #readSection(path: string, line: number, section: string, table: TomlValue): void {
    if (!(table instanceof TomlTable)) return void this.problems.push(this.#words.noSection(path, line, section));
    for (const [key, value] of table) this.#readKey(path, table.lineOf(key), section, key, value);
  }

  #readKey(path: string, line: number, section: string, key: string, value: TomlValue): void {
    const rows = this.#entries.filter((entry) => entry.section === section);
    const entry = rows.find((known) => known.key === key);
    if (entry !== undefined)
      this.take(entry, this.#words.place(path, line, section, key), () => entry.setting.fromToml(value));
    else
      this.#unknownKey(
        path,
        line,
        section,
        key,
        rows.map((row) => row.key),
      );
  }

  #unknownSection(path: string, line: number, name: string): void {
    const [known, nearest] = [this.#sections, nearestName(name, this.#sections)];
    this.problems.push(this.#words.unknownSection({ path, line, section: "", name, nearest, known }));
  }

  #unknownKey(path: string, line: number, section: string, name: string, known: readonly string[]): void {
    const home = this.#entries.find(({ key }) => key === name) ?? null;
    const nearest = nearestName(name, known);
    this.problems.push(this.#words.unknownKey({ path, line, section, name, nearest, known }, home));
  }
}

/** Whether a line that TOML does not take can be shown: it must set a known key and hold no sign of a secret one. */
function mayQuote(entries: readonly Entry[], line: string): boolean {
  const key = /^\s*([a-z_]+)\s*=/.exec(line)?.[1];
  const isKnown = entries.some((entry) => entry.key === key);
  return isKnown && !entries.some((entry) => entry.setting.secret && line.includes(entry.key));
}
