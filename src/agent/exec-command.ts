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
  env_file: "a file with its environment, a line NAME='value' each, as sh and systemd read it",
  console: "the file that its standard output and error go to; write there by appending only",
  dir: "its own folder, kept between restarts of the machine and removed with it",
} as const;

export type Placeholder = keyof typeof PLACEHOLDERS;
export type Values = Readonly<Record<Placeholder, string>>;

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

/** Throws a final LaunchError for a name that no environment can hold. */
export function environmentFile({ env }: DesiredMachine): string {
  return Object.entries(env)
    .map(([name, value]) => {
      if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) throw new LaunchError(`env: ${JSON.stringify(name)} is no name for a variable`, true);
      return `${name}='${value.replaceAll("'", `'\\''`)}'\n`;
    })
    .join("");
}
