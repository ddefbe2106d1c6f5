/**
 * Puts the agent's configuration together from its file and the environment, and says all that is wrong with it. It
 * changes nothing.
 */
import { ConfigError } from "../config/error.ts";
import { readConfigFile } from "../config/file.ts";
import { BadValue } from "../config/kinds.ts";
import { nearestName } from "../config/nearest.ts";
import type { TomlValue } from "../config/toml.ts";
import { decodeToml, TomlError, TomlTable } from "../config/toml.ts";
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

/** Loads the configuration. Throws ConfigError with every problem. */
export function loadAgentConfig({ path, required, env }: LoadOptions): Loaded {
  const file = readConfigFile(path, false);
  if (file === null && required)
    throw new ConfigError([`${path}: there is no such file: make one with "zwrm-agent --generate-config > ${path}"`]);
  const draft = new Draft(path);
  if (file !== null) draft.readFile(file.bytes);
  const warnings = [...(file?.warnings ?? []), ...draft.readEnvironment(env)];
  draft.requireSet("control_plane_url");
  draft.requireSet("license_key");
  if (draft.problems.length > 0) throw new ConfigError(draft.problems);
  return { config: draft.config(), warnings, file: file?.bytes ?? null };
}

class Draft {
  readonly problems: string[] = [];
  readonly #path: string;
  readonly #entries = listSettings();
  readonly #values = new Map<SettingEntry, unknown>();
  #labels: Record<string, string> = {};

  constructor(path: string) {
    this.#path = path;
  }

  readFile(bytes: Uint8Array): void {
    let root: TomlTable;
    try {
      root = decodeToml(bytes);
    } catch (error) {
      if (!(error instanceof TomlError)) throw error;
      // Without the line itself, which may hold the licence.
      this.problems.push(`${this.#path}:${error.line}: column ${error.column}: ${error.reason}`);
      return;
    }
    const sections = new Set(this.#entries.map(({ section }) => section));
    for (const [key, value] of root) {
      if (key === "labels") this.#readLabels(`${this.#path}:${root.lineOf(key)}`, value);
      else if (value instanceof TomlTable && sections.has(key))
        for (const [inner, item] of value) this.#readKey(key, inner, item, value.lineOf(inner));
      else this.#readKey("", key, value, root.lineOf(key));
    }
  }

  #readKey(section: string, key: string, value: TomlValue, line: number): void {
    const source =
      `${this.#path}:${line}: ` +
      `${section === "" ? "" : `[${section}] `}${JSON.stringify(key).slice(1, -1).slice(0, 64)}`;
    const entry = this.#entries.find((known) => known.section === section && known.key === key);
    if (entry !== undefined) return this.#take(entry, source, () => entry.setting.fromToml(value));
    const isSection = section === "" && value instanceof TomlTable;
    const home = this.#entries.find((known) => known.key === key);
    if (!isSection && home !== undefined) {
      this.problems.push(
        `${source}: there is no such key here; it belongs ` +
          `${home.section === "" ? "before the first section" : `to [${home.section}]`}`,
      );
      return;
    }
    const known = isSection
      ? ["runtime", "labels", "log"]
      : this.#entries.filter((other) => other.section === section).map((other) => other.key);
    const near = nearestName(key, known);
    this.problems.push(
      `${source}: there is no such ${isSection ? "section" : "key"}; ` +
        `${near === null ? `known are ${known.join(", ")}` : `did you mean "${near}"?`}`,
    );
  }

  #take(entry: SettingEntry, source: string, read: () => unknown): void {
    try {
      this.#values.set(entry, read());
    } catch (error) {
      if (!(error instanceof BadValue)) throw error;
      this.problems.push(`${source}: ${error.message}`);
    }
  }

  #readLabels(source: string, value: TomlValue): void {
    if (!(value instanceof TomlTable))
      return void this.problems.push(`${source}: labels: must be a section: write [labels] on a line of its own`);
    for (const [name, text] of value) this.#label(`${this.#path}:${value.lineOf(name)}: [labels]`, name, text);
  }

  /** As the control plane takes them. */
  #label(source: string, name: string, text: unknown): void {
    if (!/^[\x21-\x7e]{1,128}$/.test(name))
      this.problems.push(`${source}: a label's name must be 1 to 128 printable characters without blanks`);
    else if (typeof text !== "string" || text.length > 1024 || /\p{Cc}/u.test(text))
      this.problems.push(`${source} ${name}: must be a text of at most 1024 characters on one line`);
    else this.#labels[name] = text;
    if (Object.keys(this.#labels).length > 64) this.problems.push(`${source}: there may be at most 64 labels`);
  }

  /** Returns warnings for variables that name nothing. */
  readEnvironment(env: LoadOptions["env"]): string[] {
    const warnings: string[] = [];
    const known = new Map(this.#entries.map((entry) => [entry.variable, entry]));
    for (const [variable, text] of Object.entries(env)) {
      if (text === undefined || !variable.startsWith("ZWRM_AGENT_")) continue;
      const entry = known.get(variable);
      if (entry !== undefined) this.#take(entry, variable, () => entry.setting.fromText(text));
      else if (variable === LABELS_VARIABLE) this.#labelsOf(text);
      else {
        const near = nearestName(variable, known.keys());
        warnings.push(
          `${variable}: names no setting and is ignored${near === null ? "" : `; did you mean "${near}"?`}`,
        );
      }
    }
    return warnings;
  }

  /** `rack=r1,disk=nvme`; they take the place of the file's. */
  #labelsOf(text: string): void {
    this.#labels = {};
    for (const pair of text.split(",").filter((part) => part.trim() !== "")) {
      const [name = "", value] = pair.trim().split(/=(.*)/s, 2);
      this.#label(LABELS_VARIABLE, name, value);
    }
  }

  requireSet(key: string): void {
    const entry = this.#entries.find((known) => known.section === "" && known.key === key);
    if (
      entry === undefined ||
      (this.#values.get(entry) ?? "") !== "" ||
      this.problems.some((problem) => problem.includes(key))
    )
      return;
    this.problems.push(`${this.#path}: ${key}: must be set, here or as ${entry.variable}`);
  }

  config(): AgentConfig {
    const config: Record<string, unknown> = { labels: this.#labels };
    for (const entry of this.#entries) {
      const value = this.#values.has(entry) ? this.#values.get(entry) : entry.setting.fallback;
      if (entry.section === "") config[entry.key] = value;
      else config[entry.section] = { ...(config[entry.section] ?? {}), [entry.key]: value };
    }
    // The loop above has put there exactly the rows of the table from which the type is derived, each read by its own
    // row.
    return config as unknown as AgentConfig;
  }
}
