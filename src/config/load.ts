/**
 * Puts zwrmd's configuration together from file, environment and command line, and says all that is wrong with it. It
 * changes nothing: SIGHUP calls it again.
 */
import { join, resolve } from "node:path";
import { sha256Hex } from "../lib/ids.ts";
import type { Entry, Unknown, Words } from "./loader.ts";
import { Loader } from "./loader.ts";
import type { Config, SettingEntry, Settings } from "./schema.ts";
import { listSettings, MAX_SOCKET_PATH_BYTES } from "./schema.ts";
import { printKey, SERVICE_WORDS, suggest, warnOfMode } from "./words.ts";

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

const WORDS: Words = {
  ...SERVICE_WORDS,
  unreadable: (path, code, error) =>
    code === "ENOENT" || code === "ENOTDIR"
      ? `${path}: there is no such file: make one with "zwrmd --generate-config > ${path}", or start without --config`
      : SERVICE_WORDS.unreadable(path, code, error),
  notToml: (path, error, mayQuote) =>
    SERVICE_WORDS.notToml(path, error) + (mayQuote ? error.caret.slice(error.message.length) : ""),
  unknownSection: (unknown) =>
    `${unknown.path}:${unknown.line}: [${printKey(unknown.name)}]: there is no such ` +
    `section${suggest(unknown, (known) => `[${known}]`)}`,
  unknownKey: (unknown, home) =>
    `${SERVICE_WORDS.place(unknown.path, unknown.line, unknown.section, unknown.name)}: ${explainKey(unknown, home)}`,
};

function explainKey(unknown: Unknown, home: Entry | null): string {
  const { section, name, known } = unknown;
  const meant = home === null ? null : `; did you mean "${name}" in [${home.section}]?`;
  if (section === "")
    return `stands before the first section, where no key belongs${meant ?? `; the sections are ${known.join(", ")}`}`;
  return meant === null ? `there is no such key${suggest(unknown)}` : `there is no such key here${meant}`;
}

/** Loads the configuration. Throws ConfigError with every problem. */
export function loadConfig({ path, required, env, overrides }: LoadOptions): Loaded {
  const entries = listSettings();
  const loader = new Loader({ entries, words: WORDS });
  const file = path === null ? null : loader.readFile(path, required);
  const warnings = path === null || file === null ? [] : warnOfMode(path, file);
  warnings.push(...loader.readEnvironment(env, "ZWRM_", CLIENT_VARIABLES));
  readOverrides(loader, entries, overrides);
  checkPairs(loader);
  return { config: toConfig(toSettings(loader.settle())), warnings };
}

function readOverrides(
  loader: Loader<SettingEntry>,
  entries: readonly SettingEntry[],
  overrides: LoadOptions["overrides"],
): void {
  for (const [name, text] of Object.entries(overrides)) {
    const entry = entries.find(({ section, key }) => `${section}.${key}` === name);
    if (entry === undefined) throw new Error(`the command line sets ${name}, which is no setting`);
    loader.take(entry, `command line: [${entry.section}] ${entry.key}`, () => entry.setting.fromText(text));
  }
}

/** Settings that mean nothing without each other. */
function checkPairs(loader: Loader<SettingEntry>): void {
  for (const [one, other] of [
    ["tls_cert", "tls_key"],
    ["tls_key", "tls_cert"],
  ] as const) {
    const given = loader.given("server", one);
    const isAlone = given !== undefined && given.value !== "" && (loader.given("server", other)?.value ?? "") === "";
    if (isAlone) loader.problems.push(`${given.source}: needs [server] ${other} as well: TLS takes both or neither`);
  }
}

function toSettings(values: ReturnType<Loader<SettingEntry>["settle"]>): Settings {
  const settings: Record<string, Record<string, unknown>> = {};
  for (const [{ section, name }, value] of values) (settings[section] ??= {})[name] = value;
  // The loop above has put there exactly the rows of the table from which the type is derived, each read by its own
  // row.
  return settings as unknown as Settings;
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
