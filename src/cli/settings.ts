/** Where the API is and who asks: from flags, then the environment, then the user's file, then the default. */
import { parseAddress } from "../client/address.ts";
import { ConfigError } from "../config/error.ts";
import type { ConfigFile } from "../config/file.ts";
import { permissionsOf } from "../config/file.ts";
import { BadValue } from "../config/kinds.ts";
import type { Entry, Unknown, Words } from "../config/loader.ts";
import { Loader } from "../config/loader.ts";
import { messageOf } from "../lib/errors.ts";
import type { FlagValues } from "./command.ts";
import type { Io } from "./io.ts";
import { CliError, UsageError } from "./io.ts";
import type { GLOBAL_FLAGS } from "./parse.ts";
import type { Kept, Key, Settings } from "./settings-shape.ts";
import { KEYS } from "./settings-shape.ts";

export const DEFAULT_API_URL = "http://127.0.0.1:8080";
/** Throws UsageError for a --config that cannot be read, CliError for a file that is not right. */
export function readSettings(
  flags: FlagValues<typeof GLOBAL_FLAGS>,
  { env, home }: Pick<Io, "env" | "home">,
): Settings {
  const path = flags.config ?? `${home}/.zwrm/config.toml`;
  const file = readFile(path, flags.config !== null);
  const inEnv = (name: string): string | null => env[name]?.trim() || null;
  const inFile = (key: Key): string | null => file.values.get(key) ?? null;
  const [url, apiUrlFrom] = first(
    [flags["api-url"], "--api-url"],
    [inEnv("ZWRM_API_URL"), "ZWRM_API_URL"],
    [inFile("api_url"), path],
  );
  const apiUrl = url ?? DEFAULT_API_URL;
  const keptUrl = inFile("api_url") ?? DEFAULT_API_URL;
  const kept: Kept = { path, apiUrl: keptUrl, token: inFile("token"), isHere: sameAddress(apiUrl, keptUrl) };
  const [token, tokenFrom] = first([inEnv("ZWRM_TOKEN"), "ZWRM_TOKEN"], [kept.isHere ? kept.token : null, path]);
  // The org that was kept with a token goes with that token only.
  const keptOrg = kept.token === null || tokenFrom === path ? inFile("org") : null;
  const [org, orgFrom] = first([flags.org, "--org"], [inEnv("ZWRM_ORG"), "ZWRM_ORG"], [keptOrg, path]);
  const withheld =
    kept.token === null || kept.isHere || token !== null
      ? null
      : `The token in ${path} is for ${kept.apiUrl}, so it is not sent to ${apiUrl}.`;
  return { apiUrl, apiUrlFrom, org, orgFrom, token, tokenFrom, kept, withheld, warnings: file.warnings };
}

/** The first value that is there, and where it is from. */
function first(
  ...candidates: readonly (readonly [value: string | null, from: string])[]
): readonly [value: string | null, from: string | null] {
  return candidates.find(([value]) => value !== null) ?? [null, null];
}

/** Whether two API URLs lead to the same place by their text; `localhost` and `127.0.0.1` are two places. */
function sameAddress(one: string, other: string): boolean {
  try {
    return parseAddress(one).url === parseAddress(other).url;
  } catch {
    return one === other;
  }
}

interface SettingsFile {
  readonly values: ReadonlyMap<Key, string>;
  readonly warnings: readonly string[];
}

/** One sentence for a person, without the line's text, which may be the token. */
const WORDS: Words = {
  unreadable: (path, code, error) =>
    code === "ENOENT" ? `There is no file ${path}.` : `${path} cannot be read: ${messageOf(error)}.`,
  notToml: (path, error) => `${path} is not valid TOML. ${error.message}`,
  unknownSection: noKey,
  unknownKey: noKey,
  noSection: (path, line, name) => `${path}, line ${line}: ${name} must be a section.`,
  place: (path, line) => `${path}, line ${line}`,
};

function noKey({ path, line, name, nearest, known }: Unknown): string {
  const meant = nearest === null ? `There are ${known.join(", ")}.` : `Did you mean "${nearest}"?`;
  return `${path}, line ${line}: there is no key ${JSON.stringify(name)}. ${meant}`;
}

/** The rows of the user's file; from the environment they are read by readSettings, which knows what goes together. */
const ENTRIES = KEYS.map((key) => {
  const read = (value: unknown): string => {
    if (typeof value !== "string" || value.trim() === "")
      throw new BadValue(`${key} must be a text that is not empty.`);
    return value.trim();
  };
  const setting = { fallback: null, secret: key === "token", fromToml: read, fromText: read };
  return { section: "", key, variable: `ZWRM_${key.toUpperCase()}`, setting };
});

function readFile(path: string, asked: boolean): SettingsFile {
  const loader = new Loader({ entries: ENTRIES, words: WORDS });
  const file = readOrExplain(loader, path, asked);
  const [problem] = loader.problems;
  if (problem !== undefined) throw new CliError(problem);
  const values = new Map<Key, string>();
  for (const { key } of ENTRIES) {
    const given = loader.given("", key)?.value;
    if (typeof given === "string") values.set(key, given);
  }
  const isOpen = file !== null && (file.mode & 0o077) !== 0;
  if (!isOpen || !values.has("token")) return { values, warnings: [] };
  const mode = permissionsOf(file.mode & 0o777);
  return { values, warnings: [`${path} holds a token, and others can open it (mode ${mode}): chmod 600 ${path}`] };
}

/** The user asked for a file by name: that it cannot be read is wrong usage. */
function readOrExplain(loader: Loader<Entry>, path: string, asked: boolean): ConfigFile | null {
  try {
    return loader.readFile(path, asked);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw asked ? new UsageError(error.message) : new CliError(error.message);
  }
}
