/** The exec driver's command line: placeholders filled in, and the environment written as a file. Pure. */
import { LaunchError } from "./runtime.ts";
import type { DesiredMachine } from "./wire.ts";

/** What a word of `runtime.command` may hold in braces, and what stands there then. */
export const PLACEHOLDERS = {
  image: "the verified image's path; the file is shared and read-only",
  id: "the machine's id",
  app_id: "its app's id",
  cpus: "how many CPUs it shall have",
  memory_mb: "how much memory it shall have, in MiB",
  env_file: "a file with its environment, a line NAME='value' each, as sh and systemd read it, then empty lines up to whole sectors of 512 bytes: a guest may have it as a disk",
  console: "the file that its standard output and error go to; write there by appending only",
  dir: "its own folder, kept between restarts of the machine and removed with it",
} as const;

export type Placeholder = keyof typeof PLACEHOLDERS;
export type Values = Readonly<Record<Placeholder, string>>;

const SECTOR = 512;

const BRACES = /\{([a-z_]+)\}/g;

/** Names in braces that are none of `known`, as a sentence's end, or null. */
export function unknownPlaceholder(words: readonly string[], known: readonly string[]): string | null {
  for (const word of words) {
    for (const [, name = ""] of word.matchAll(BRACES)) if (!known.includes(name)) return name;
  }
  return null;
}

export function fillIn(words: readonly string[], values: Readonly<Record<string, string>>): string[] {
  // Looked up as its own property: {constructor} is no placeholder.
  return words.map((word) => word.replace(BRACES, (all, name: string) => (Object.hasOwn(values, name) ? (values[name] ?? all) : all)));
}

/** Where `{check}` stands alone, the words of a machine's exec check are put in. */
export function fillInCheck(words: readonly string[], check: readonly string[], values: Readonly<Record<string, string>>): string[] {
  return words.flatMap((word) => (word === "{check}" ? check : fillIn([word], values)));
}

/**
 * Throws a final LaunchError where a machine has an environment and neither its process nor `{env_file}` would hand it
 * over.
 */
export function requireHandover({ env }: DesiredMachine, command: readonly string[], passEnv: boolean): void {
  if (passEnv || Object.keys(env).length === 0 || command.some((word) => word.includes("{env_file}"))) return;
  const setting = "set pass_env = true in [runtime] of its agent.toml, or put {env_file} into the command there";
  throw new LaunchError(`it has env, and the runtime of this host would hand none of it over: ${setting}`, true);
}

/** Throws a final LaunchError for a name that no environment can hold. */
export function environmentFile({ env }: DesiredMachine): string {
  const lines = Object.entries(env)
    .map(([name, value]) => {
      if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) throw new LaunchError(`env: ${JSON.stringify(name)} is no name for a variable`, true);
      return `${name}='${value.replaceAll("'", `'\\''`)}'\n`;
    })
    .join("");
  const bytes = Buffer.byteLength(lines);
  // Monitors cut a disk at its last whole sector, and take none that has no sector.
  return lines + "\n".repeat(Math.max(1, Math.ceil(bytes / SECTOR)) * SECTOR - bytes);
}
