/**
 * Puts the agent's configuration together from its file and the environment, and says all that is wrong with it. It
 * changes nothing.
 */
import type { Entry, OwnSection, Words } from "../config/loader.ts";
import { Loader } from "../config/loader.ts";
import { TomlTable } from "../config/toml.ts";
import { printKey, SERVICE_WORDS, suggest, warnOfMode } from "../config/words.ts";
import type { AgentConfig, SettingEntry } from "./settings.ts";
import { LABELS_VARIABLE, listSettings } from "./settings.ts";

export interface LoadOptions {
  readonly path: string;
  /** Whether a missing file is an error, because an operator named it. */
  readonly required: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface Loaded {
  readonly config: AgentConfig;
  readonly warnings: readonly string[];
  /** The file's bytes; null where there is no file. */
  readonly file: Uint8Array | null;
}

const MUST_BE_SET: ReadonlySet<string> = new Set(["control_plane_url", "license_key"]);

/** A line that is no TOML is never shown: it may hold the licence. */
const WORDS: Words = {
  ...SERVICE_WORDS,
  unreadable: (path, code, error) =>
    code === "ENOENT" || code === "ENOTDIR"
      ? `${path}: there is no such file: make one with "zwrm-agent --generate-config > ${path}"`
      : SERVICE_WORDS.unreadable(path, code, error),
  unknownSection: (unknown) =>
    `${unknown.path}:${unknown.line}: ${printKey(unknown.name)}: there is no such section${suggest(unknown)}`,
  unknownKey: (unknown, home) =>
    `${SERVICE_WORDS.place(unknown.path, unknown.line, unknown.section, unknown.name)}: there is no such key` +
    (home === null ? suggest(unknown) : ` here; it belongs ${placeOf(home)}`),
};

function placeOf({ section }: Entry): string {
  return section === "" ? "before the first section" : `to [${section}]`;
}

/** Loads the configuration. Throws ConfigError with every problem. */
export function loadAgentConfig({ path, required, env }: LoadOptions): Loaded {
  const labels = new Labels();
  const entries = listSettings();
  const loader = new Loader({ entries, words: WORDS, ownSection: labels });
  const file = loader.readFile(path, required);
  const warnings = file === null ? [] : warnOfMode(path, file);
  warnings.push(...loader.readEnvironment(env, "ZWRM_AGENT_"));
  for (const entry of entries) if (MUST_BE_SET.has(entry.key)) requireSet(loader, path, entry);
  return { config: toConfig(loader.settle(), labels.values), warnings, file: file?.bytes ?? null };
}

function requireSet(loader: Loader<SettingEntry>, path: string, { section, key, variable }: SettingEntry): void {
  const isSet = (loader.given(section, key)?.value ?? "") !== "";
  if (isSet || loader.problems.some((problem) => problem.includes(key))) return;
  loader.problems.push(`${path}: ${key}: must be set, here or as ${variable}`);
}

function toConfig(
  values: ReturnType<Loader<SettingEntry>["settle"]>,
  labels: Readonly<Record<string, string>>,
): AgentConfig {
  const config: Record<string, unknown> = { labels };
  for (const [{ section, key }, value] of values) {
    if (section === "") config[key] = value;
    else config[section] = { ...(config[section] ?? {}), [key]: value };
  }
  // The loop above has put there exactly the rows of the table from which the type is derived, each read by its own
  // row.
  return config as unknown as AgentConfig;
}

/** Names and texts of the operator's own choice, as the control plane takes them. */
class Labels implements OwnSection {
  readonly section = "labels";
  readonly variable = LABELS_VARIABLE;
  values: Record<string, string> = {};

  fromToml(path: string, line: number, value: unknown): string[] {
    if (!(value instanceof TomlTable))
      return [`${path}:${line}: labels: must be a section: write [labels] on a line of its own`];
    return [...value].flatMap(([name, text]) => this.#take(`${path}:${value.lineOf(name)}: [labels]`, name, text));
  }

  /** `rack=r1,disk=nvme`; they take the place of the file's. */
  fromText(text: string): string[] {
    this.values = {};
    return text
      .split(",")
      .filter((part) => part.trim() !== "")
      .flatMap((pair) => {
        const [name = "", value] = pair.trim().split(/=(.*)/s, 2);
        return this.#take(LABELS_VARIABLE, name, value);
      });
  }

  /** Gives what is wrong with it. */
  #take(source: string, name: string, text: unknown): string[] {
    const problems: string[] = [];
    if (!/^[\x21-\x7e]{1,128}$/.test(name))
      problems.push(`${source}: a label's name must be 1 to 128 printable characters without blanks`);
    else if (typeof text !== "string" || text.length > 1024 || /\p{Cc}/u.test(text))
      problems.push(`${source} ${name}: must be a text of at most 1024 characters on one line`);
    else this.values[name] = text;
    if (Object.keys(this.values).length > 64) problems.push(`${source}: there may be at most 64 labels`);
    return problems;
  }
}
