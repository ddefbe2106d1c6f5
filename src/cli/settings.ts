/** Where the API is and who asks: from flags, then the environment, then the user's file, then the default. */
import { closeSync, fstatSync, openSync, readFileSync } from "node:fs";
import { parseAddress } from "../client/address.ts";
import { nearestName } from "../config/nearest.ts";
import type { TomlTable } from "../config/toml.ts";
import { decodeToml, TomlError } from "../config/toml.ts";
import { messageOf, systemCode } from "../lib/errors.ts";
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

function readFile(path: string, asked: boolean): SettingsFile {
  const found = readBytes(path, asked);
  if (found === null) return { values: new Map(), warnings: [] };
  const table = decode(path, found.bytes);
  const values = new Map<Key, string>();
  for (const [name, value] of table) {
    const where = `${path}, line ${table.lineOf(name)}`;
    const key = KEYS.find((known) => known === name);
    if (key === undefined) {
      const near = nearestName(name, KEYS);
      throw new CliError(
        `${where}: there is no key ${JSON.stringify(name)}. ` +
          `${near === null ? `There are ${KEYS.join(", ")}.` : `Did you mean "${near}"?`}`,
      );
    }
    if (typeof value !== "string" || value.trim() === "")
      throw new CliError(`${where}: ${key} must be a text that is not empty.`);
    values.set(key, value.trim());
  }
  const isOpen = (found.mode & 0o077) !== 0;
  const warning =
    `${path} holds a token, and others can open it (mode ` +
    `${(found.mode & 0o777).toString(8).padStart(4, "0")}): chmod 600 ${path}`;
  return { values, warnings: isOpen && values.has("token") ? [warning] : [] };
}

function readBytes(path: string, asked: boolean): { readonly bytes: Uint8Array; readonly mode: number } | null {
  try {
    const fd = openSync(path, "r");
    try {
      return { bytes: readFileSync(fd), mode: fstatSync(fd).mode };
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    const code = systemCode(error);
    if (!asked && (code === "ENOENT" || code === "ENOTDIR")) return null;
    const sentence = code === "ENOENT" ? `There is no file ${path}.` : `${path} cannot be read: ${messageOf(error)}.`;
    throw asked ? new UsageError(sentence) : new CliError(sentence);
  }
}

function decode(path: string, bytes: Uint8Array): TomlTable {
  try {
    return decodeToml(bytes);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // Without the line's text, which may be the token.
    throw new CliError(`${path} is not valid TOML. ${error.message}`);
  }
}
