/** The command line of zwrm-agent: words in, a command out, or what is wrong with it. */

export type Command =
  | { readonly name: "run"; readonly deregisterOnExit: boolean }
  | { readonly name: "logs"; readonly id: string; readonly follow: boolean }
  | { readonly name: "accept-cluster" | "check-config" | "generate-config" | "version" | "help" };

export interface Arguments {
  readonly command: Command;
  /** Null: the default path, which may be missing. */
  readonly configPath: string | null;
}

/** Wrong usage: exit code 2. */
export class UsageError extends Error {}

export const DEFAULT_CONFIG_PATH = "/etc/zwrm/agent.toml";

export const USAGE = `zwrm-agent: runs the machines of one host for the control plane zwrmd.

usage:
  zwrm-agent [--config FILE] [--deregister-on-exit]   run the agent
  zwrm-agent logs ID [--follow] [--config FILE]       print what a machine of this host wrote to its console
  zwrm-agent accept-cluster [--config FILE]           obey the cluster that answers now, in place of the one this
                                                      host belongs to
  zwrm-agent --check-config [--config FILE]           read the config, say what is wrong with it, and exit
  zwrm-agent --generate-config                        print a config file with every key, its default and what it does
  zwrm-agent --version
  zwrm-agent --help

flags:
  --config FILE          the config file (default ${DEFAULT_CONFIG_PATH}, where it exists)
  --deregister-on-exit   at the end, leave the control plane's list and stop all machines; without it they go
                         on, and a restart is no drain
  --follow, -f           go on with what the machine writes, until Ctrl-C

Every config key has an environment override, ZWRM_AGENT_<KEY> or ZWRM_AGENT_<SECTION>_<KEY>; see --generate-config.
Exit codes: 0 done, 1 failed, 2 wrong usage, 141 whoever reads the output has left, as head does.
`;

const SWITCHES: Readonly<Record<string, string>> = {
  "--deregister-on-exit": "--deregister-on-exit",
  "--follow": "--follow",
  "-f": "--follow",
  "--check-config": "--check-config",
  "--generate-config": "--generate-config",
  "--version": "--version",
  "--help": "--help",
  "-h": "--help",
};

/** Reads the words after the program's name. Throws UsageError. */
export function parseArguments(words: readonly string[]): Arguments {
  const switches = new Set<string>();
  const plain: string[] = [];
  let configPath: string | null = null;
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? "";
    const [name = "", inline] = word.split(/=(.*)/s, 2);
    const known = Object.hasOwn(SWITCHES, word) ? SWITCHES[word] : undefined;
    if (known !== undefined) switches.add(known);
    else if (name === "--config") {
      configPath = inline ?? words[++index] ?? "";
      if (configPath === "") throw new UsageError("--config needs the path of a file");
    } else if (word.startsWith("-")) throw new UsageError(`unknown flag ${word}`);
    else plain.push(word);
  }
  return { command: findCommand(plain, switches), configPath };
}

function findCommand(plain: readonly string[], switches: Set<string>): Command {
  if (switches.has("--help")) return { name: "help" };
  if (switches.has("--version")) return { name: "version" };
  const [verb, ...rest] = plain;
  if ((verb === "version" || verb === "help") && rest.length === 0 && switches.size === 0) return { name: verb };
  const command = verb === undefined ? runOrCheck(switches) : named(verb, rest, switches);
  const [left] = switches;
  if (left !== undefined) throw new UsageError(`${left} does not go with ${verb === undefined ? "this" : verb}`);
  return command;
}

function runOrCheck(switches: Set<string>): Command {
  for (const name of ["check-config", "generate-config"] as const) if (switches.delete(`--${name}`)) return { name };
  return { name: "run", deregisterOnExit: switches.delete("--deregister-on-exit") };
}

function named(verb: string, rest: readonly string[], switches: Set<string>): Command {
  if (verb !== "logs" && verb !== "accept-cluster") throw new UsageError(`unknown command "${verb}"`);
  const [id, extra] = verb === "logs" ? [rest[0], rest[1]] : [undefined, rest[0]];
  if (extra !== undefined) throw new UsageError(`"${extra}" is one word too many`);
  if (verb === "accept-cluster") return { name: verb };
  if (id === undefined) throw new UsageError("logs needs the id of a machine");
  return { name: verb, id, follow: switches.delete("--follow") };
}
