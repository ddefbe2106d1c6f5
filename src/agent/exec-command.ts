/** The exec driver's command line: placeholders filled in, and the environment written as a file. Pure. */
import { LaunchError } from "./runtime.ts";
import type { DesiredMachine } from "../wire/agents.ts";

/** What a word of `runtime.command` may hold in braces, and what stands there then. */
export const PLACEHOLDERS = {
  image: "the verified image's path; the file is shared and read-only",
  id: "the machine's id",
  app_id: "its app's id",
  cpus: "how many CPUs it shall have",
  memory_mb: "how much memory it shall have, in MiB",
  env_file:
    "a file with its environment, a line NAME='value' each, as sh and systemd read it, then empty lines up " +
    "to whole sectors of 512 bytes: a guest may have it as a disk",
  console: "the file that its standard output and error go to; write there by appending only",
  dir: "its own folder, in which it works; kept between restarts of the machine and removed with it",
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
  return words.map((word) =>
    word.replace(BRACES, (all, name: string) => (Object.hasOwn(values, name) ? (values[name] ?? all) : all)),
  );
}

/** Where `{check}` stands alone, the words of a machine's exec check are put in. */
export function fillInCheck(
  words: readonly string[],
  check: readonly string[],
  values: Readonly<Record<string, string>>,
): string[] {
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
      if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
        throw new LaunchError(`env: ${JSON.stringify(name)} is no name for a variable`, true);
      return `${name}='${value.replaceAll("'", `'\\''`)}'\n`;
    })
    .join("");
  const bytes = Buffer.byteLength(lines);
  // Monitors cut a disk at its last whole sector, and take none that has no sector.
  return lines + "\n".repeat(Math.max(1, Math.ceil(bytes / SECTOR)) * SECTOR - bytes);
}

/** Names that dash, bash, busybox or ksh set, read or report of by themselves: a shell's own environment has none. */
const SHELL_NAMES: ReadonlySet<string> = new Set(
  [
    "_ ATTY CDPATH CHILD_MAX COLUMNS COPROC DIRSTACK EDITOR EMACS ENV EPOCHREALTIME EPOCHSECONDS ERRNO EUID",
    "EXECIGNORE FCEDIT FIGNORE FPATH FUNCNAME FUNCNEST GLOBIGNORE GLOBSORT GROUPS IFS IGNOREEOF INPUTRC",
    "INSIDE_EMACS LINENO LINES MAIL MAILCHECK MAILPATH MAPFILE OLDPWD OPTARG OPTERR OPTIND PIPESTATUS",
    "POSIXLY_CORRECT POSIX_PEDANTIC PPID PROMPT_COMMAND PROMPT_DIRTRIM PS0 PS1 PS2 PS3 PS4 PWD RANDOM REPLY",
    "SECONDS SHELLOPTS SHLVL SRANDOM TIMEFORMAT TMOUT UID USERGROUPS VISUAL auto_resume histchars KSH_VERSION",
    "COMPREPLY COMP_CWORD COMP_KEY COMP_LINE COMP_POINT COMP_TYPE COMP_WORDBREAKS COMP_WORDS HISTCMD HISTCONTROL",
    "HISTFILE HISTFILESIZE HISTIGNORE HISTSIZE HISTTIMEFORMAT READLINE_ARGUMENT READLINE_LINE READLINE_MARK",
    "READLINE_POINT BASH BASHOPTS BASHPID BASH_ALIASES BASH_ARGC BASH_ARGV BASH_ARGV0 BASH_CMDS BASH_COMMAND",
    "BASH_COMPAT BASH_ENV BASH_EXECUTION_STRING BASH_LINENO BASH_LOADABLES_PATH BASH_MONOSECONDS BASH_REMATCH",
    "BASH_SOURCE BASH_SUBSHELL BASH_TRAPSIG BASH_VERSINFO BASH_VERSION BASH_XTRACEFD",
    // What the dynamic linker and the C library make of them, they shall make of the command only.
    "LD_AUDIT LD_BIND_NOW LD_DEBUG LD_DEBUG_OUTPUT LD_LIBRARY_PATH LD_PRELOAD LD_PROFILE LANG LANGUAGE LC_ADDRESS",
    "LC_ALL LC_COLLATE LC_CTYPE LC_IDENTIFICATION LC_MEASUREMENT LC_MESSAGES LC_MONETARY LC_NAME LC_NUMERIC",
    "LC_PAPER LC_TELEPHONE LC_TIME",
  ].flatMap((line) => line.split(" ")),
);
export interface Command {
  readonly words: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** What shells put into the environment of what they start. */
const SHELL_MADE = ["PWD", "OLDPWD", "SHLVL", "_"];

/**
 * A command with its environment for a shell that waits for it: the shell is given all but what it would change, or be
 * changed by; those few are put back, and its own taken away, by env(1) right before the command. They stand in its
 * words, so no name of a secret is among them. Pure.
 */
export function forShell(words: readonly string[], env: Readonly<Record<string, string>>): Command {
  const entries = Object.entries(env);
  const given = entries.filter(([name]) => SHELL_NAMES.has(name)).map(([name, value]) => `${name}=${value}`);
  const unset = SHELL_MADE.flatMap((name) => ["-u", name]);
  // env(1) would take a program with "=" in its name for another variable.
  const guard = words[0]?.includes("=") === true ? ["/usr/bin/nice", "-n", "0"] : [];
  const rest = entries.filter(([name]) => !SHELL_NAMES.has(name));
  return { words: ["/usr/bin/env", ...unset, ...given, ...guard, ...words], env: Object.fromEntries(rest) };
}
