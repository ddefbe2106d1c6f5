/**
 * Puts the configuration together from file, environment and command line, and says all that is wrong with it. It
 * changes nothing: SIGHUP calls it again.
 */
import { join, resolve } from "node:path";
import { sha256Hex } from "../lib/ids.ts";
import { ConfigError } from "./error.ts";
import { readConfigFile } from "./file.ts";
import { BadValue } from "./kinds.ts";
import { nearestName } from "./nearest.ts";
import type { Config, SettingEntry, Settings } from "./schema.ts";
import { listSettings, MAX_SOCKET_PATH_BYTES } from "./schema.ts";
import { decodeToml, TomlError, TomlTable } from "./toml.ts";

export { ConfigError } from "./error.ts";

export interface LoadOptions {
  /** The file, or null to read none. */
  readonly path: string | null;
  /** Whether a missing file is an error (it was named by the operator) or means the defaults. */
  readonly required: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  /**
   * What the command line sets, as text under `section.key`; it wins over the environment, which wins over the file.
   */
  readonly overrides: Readonly<Record<string, string>>;
}

export interface Loaded {
  readonly config: Config;
  /** Sentences for the operator about what works but should not stay. */
  readonly warnings: readonly string[];
}

/** Variables with our prefix that are the client's (zwrm), not the daemon's. */
const CLIENT_VARIABLES: ReadonlySet<string> = new Set([
  "ZWRM_API_URL",
  "ZWRM_TOKEN",
  "ZWRM_CONFIG",
  "ZWRM_ORG",
  "ZWRM_API_KEY",
]);

/** Loads the configuration. Throws ConfigError with every problem. */
export function loadConfig({ path, required, env, overrides }: LoadOptions): Loaded {
  const entries = listSettings();
  const draft = new Draft(entries);
  const warnings: string[] = [];
  const file = path === null ? null : readConfigFile(path, required);
  if (path !== null && file !== null) {
    warnings.push(...file.warnings);
    readFile(draft, entries, path, file.bytes);
  }
  warnings.push(...readEnvironment(draft, entries, env));
  readOverrides(draft, entries, overrides);
  draft.checkPairs();
  if (draft.problems.length > 0) throw new ConfigError(draft.problems);
  return { config: toConfig(draft.settings()), warnings };
}

interface Given {
  readonly value: unknown;
  /** Where it was given, as the start of a message: `FILE:LINE: [section] key`, or the variable. */
  readonly source: string;
}

/** The values read so far, and what was wrong with them. */
class Draft {
  readonly problems: string[] = [];
  readonly #entries: readonly SettingEntry[];
  readonly #given = new Map<SettingEntry, Given>();

  constructor(entries: readonly SettingEntry[]) {
    this.#entries = entries;
  }

  /** Takes a value over any earlier one, or notes why it is none. */
  take(entry: SettingEntry, source: string, read: () => unknown): void {
    try {
      this.#given.set(entry, { value: read(), source });
    } catch (error) {
      if (!(error instanceof BadValue)) throw error;
      this.problems.push(`${source}: ${error.message}`);
    }
  }

  /** Settings that mean nothing without each other. */
  checkPairs(): void {
    for (const [one, other] of [
      ["tls_cert", "tls_key"],
      ["tls_key", "tls_cert"],
    ] as const) {
      const given = this.#server(one);
      const isAlone = given !== undefined && given.value !== "" && (this.#server(other)?.value ?? "") === "";
      if (isAlone) this.problems.push(`${given.source}: needs [server] ${other} as well: TLS takes both or neither`);
    }
  }

  #server(key: "tls_cert" | "tls_key"): Given | undefined {
    const entry = this.#entries.find((known) => known.section === "server" && known.key === key);
    return entry && this.#given.get(entry);
  }

  settings(): Settings {
    const settings: Record<string, Record<string, unknown>> = {};
    for (const entry of this.#entries) {
      const section = (settings[entry.section] ??= {});
      const given = this.#given.get(entry);
      section[entry.name] = given === undefined ? entry.setting.fallback : given.value;
    }
    // The loop above has put there exactly the rows of the table from which the type is derived, each read by its own
    // row.
    return settings as unknown as Settings;
  }
}

/**
 * The path by which any process reaches the socket; a whole path that the kernel would not take stays as it was given.
 */
function wholeSocket(socket: string): string {
  const whole = socket === "" ? "" : resolve(socket);
  return Buffer.byteLength(whole) > MAX_SOCKET_PATH_BYTES ? socket : whole;
}

function toConfig({ license, ...settings }: Settings): Config {
  const ownHash = license.key === "" ? [] : [sha256Hex(license.key)];
  const imagesDir = settings.build.imagesDir === "" ? join(settings.state.dataDir, "images") : settings.build.imagesDir;
  const server = { ...settings.server, socket: wholeSocket(settings.server.socket) };
  const keyHashes = [...new Set([...ownHash, ...license.keyHashes])];
  return { ...settings, server, build: { imagesDir }, license: { keyHashes } };
}

function readFile(draft: Draft, entries: readonly SettingEntry[], path: string, bytes: Uint8Array): void {
  let root: TomlTable;
  try {
    root = decodeToml(bytes);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const drawing = mayQuote(entries, error.source) ? error.caret.slice(error.message.length) : "";
    draft.problems.push(`${path}:${error.line}: column ${error.column}: ${error.reason}${drawing}`);
    return;
  }
  const sections = new Set(entries.map(({ section }) => section));
  for (const [section, table] of root) {
    const line = `${path}:${root.lineOf(section)}`;
    if (!sections.has(section))
      draft.problems.push(`${line}: ${explainSection(entries, section, table instanceof TomlTable)}`);
    else if (table instanceof TomlTable) readSection(draft, entries, path, section, table);
    else draft.problems.push(`${line}: ${section}: must be a section: write [${section}] on a line of its own, once`);
  }
}

function readSection(
  draft: Draft,
  entries: readonly SettingEntry[],
  path: string,
  section: string,
  table: TomlTable,
): void {
  for (const [key, value] of table) {
    const source = `${path}:${table.lineOf(key)}: [${section}] ${printKey(key)}`;
    const entry = entries.find((known) => known.section === section && known.key === key);
    if (entry === undefined) draft.problems.push(`${source}: ${explainKey(entries, section, key)}`);
    else draft.take(entry, source, () => entry.setting.fromToml(value));
  }
}

/** Whether a line that TOML does not take can be shown: it must set a known key and hold no sign of a secret one. */
function mayQuote(entries: readonly SettingEntry[], line: string): boolean {
  const key = /^\s*([a-z_]+)\s*=/.exec(line)?.[1];
  const isKnown = entries.some((entry) => entry.key === key);
  return isKnown && !entries.some((entry) => entry.setting.secret && line.includes(entry.key));
}

/** Reads every variable with our prefix. Returns warnings for those that name nothing. */
function readEnvironment(draft: Draft, entries: readonly SettingEntry[], env: LoadOptions["env"]): string[] {
  const known = new Map(entries.map((entry) => [entry.variable, entry]));
  const warnings: string[] = [];
  for (const [variable, text] of Object.entries(env)) {
    if (text === undefined || !variable.startsWith("ZWRM_") || CLIENT_VARIABLES.has(variable)) continue;
    const entry = known.get(variable);
    if (entry !== undefined) draft.take(entry, variable, () => entry.setting.fromText(text));
    else
      warnings.push(
        `${variable}: names no setting and is ignored${suggest(nearestName(variable, known.keys()), (name) => name)}`,
      );
  }
  return warnings;
}

function readOverrides(draft: Draft, entries: readonly SettingEntry[], overrides: LoadOptions["overrides"]): void {
  for (const [name, text] of Object.entries(overrides)) {
    const entry = entries.find(({ section, key }) => `${section}.${key}` === name);
    if (entry === undefined) throw new Error(`the command line sets ${name}, which is no setting`);
    draft.take(entry, `command line: [${entry.section}] ${entry.key}`, () => entry.setting.fromText(text));
  }
}

function explainSection(entries: readonly SettingEntry[], name: string, isTable: boolean): string {
  const sections = [...new Set(entries.map(({ section }) => section))];
  if (isTable)
    return (
      `[${printKey(name)}]: there is no such ` +
      `section${suggest(nearestName(name, sections), (known) => `[${known}]`, sections)}`
    );
  const owner = entries.find(({ key }) => key === name);
  const home =
    owner === undefined
      ? `; the sections are ${sections.join(", ")}`
      : `; did you mean "${name}" in [${owner.section}]?`;
  return `${printKey(name)}: stands before the first section, where no key belongs${home}`;
}

function explainKey(entries: readonly SettingEntry[], section: string, name: string): string {
  const elsewhere = entries.find(({ key }) => key === name);
  if (elsewhere !== undefined) return `there is no such key here; did you mean "${name}" in [${elsewhere.section}]?`;
  const keys = entries.filter((entry) => entry.section === section).map(({ key }) => key);
  return `there is no such key${suggest(nearestName(name, keys), (known) => known, keys)}`;
}

/** The end of a sentence about an unknown name: the nearest known one, or all of them where none is near. */
function suggest(nearest: string | null, print: (name: string) => string, all: readonly string[] = []): string {
  if (nearest !== null) return `; did you mean "${print(nearest)}"?`;
  return all.length === 0 ? "" : `; known are ${all.map(print).join(", ")}`;
}

/** A key as it would be written, short and on one line whatever it holds. */
function printKey(key: string): string {
  return /^[A-Za-z0-9_-]{1,64}$/.test(key) ? key : JSON.stringify(key.slice(0, 64));
}
