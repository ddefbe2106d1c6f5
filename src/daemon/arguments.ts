/**
 * The command line of zwrmd: words in, a command out, or what is wrong with it. One table, from which --help is printed
 * too.
 */

export type Command =
  { readonly name: "run" | "generate-config" | "check-config" | "openapi" | "version" | "help" } | Tool;

/** What works on the data folder of a daemon, beside it or while it is stopped. */
export type Tool =
  | { readonly name: "journal-verify"; readonly head: { readonly seq: number; readonly sum: string } | null }
  | { readonly name: "journal-dump"; readonly filter: DumpFilter; readonly secrets: boolean }
  | { readonly name: "journal-compact" }
  | { readonly name: "images-verify" }
  /** `file` is `-` for stdout and stdin. */
  | { readonly name: "backup" | "restore"; readonly file: string };

/** Which lines of the log are wanted; null is no condition. */
export interface DumpFilter {
  readonly after: number;
  /** `user`, `host:h-1`, `localhost`: a kind of actor, or one of them. */
  readonly actor: string | null;
  /** RFC 3339. */
  readonly since: string | null;
  /** `host.registered`, or `host` for all of them. */
  readonly type: string | null;
}

export interface Arguments {
  readonly command: Command;
  /** null: the default path, which may be missing. */
  readonly configPath: string | null;
  readonly dataDir: string | null;
}

/** Wrong usage: exit code 2. */
export class UsageError extends Error {}

export const DEFAULT_CONFIG_PATH = "/etc/zwrm/config.toml";

export const USAGE = `zwrmd: the control plane for fleets of bare-metal hosts that run microVMs.

usage:
  zwrmd [--config FILE] [--data-dir DIR]     run the daemon
  zwrmd --check-config [--config FILE]       read the config, say what is wrong with it, and exit
  zwrmd --generate-config                    print a config file with every key, its default and what it does
  zwrmd --openapi                            print the API as an OpenAPI 3.1 document, as GET /v1/openapi.json does
  zwrmd journal verify [--head SEQ:SUM]      walk the whole log and its snapshots; with --head, against a head
                                             noted elsewhere
  zwrmd journal dump [--after SEQ] [--since TIME] [--actor WHO] [--type TYPE] [--secrets]
                                             print the log, redacted unless --secrets; WHO is a kind of actor
                                             (user, host, localhost, socket, system) or one of them (host:h-1),
                                             TYPE an event's type (host.registered) or its first word (host)
  zwrmd journal compact                      remove closed segments that a snapshot covers, as journal.retain allows
  zwrmd images verify                        hash every image again; what is wrong goes to quarantine
  zwrmd backup FILE                          write the log and its snapshots, as far as they are on disk, into one file
                                             (- is stdout); beside a running daemon too. Images are not in it
  zwrmd restore FILE                         make the log anew from a backup (- is stdin), in a data folder that
                                             has none, under a new cluster_id
  zwrmd --version
  zwrmd --help

flags:
  --config FILE    the config file (default ${DEFAULT_CONFIG_PATH}, where it exists)
  --data-dir DIR   overrides state.data_dir

Every config key has an environment override, ZWRM_<SECTION>_<KEY>; see --generate-config.
Exit codes: 0 done, 1 failed, 2 wrong usage, 141 whoever reads the output has left, as head does.
`;

/** Reads the words after the program's name. Throws UsageError. */
export function parseArguments(words: readonly string[]): Arguments {
  const flags = new Map<string, string>();
  const plain: string[] = [];
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? "";
    if (!word.startsWith("-") || word === "-") {
      plain.push(word);
      continue;
    }
    const [name = "", inline] = word.split(/=(.*)/s, 2);
    if (SWITCHES.has(name)) flags.set(name, "");
    else if (VALUED.has(name)) {
      const value = inline ?? words[++index];
      if (value === undefined) throw new UsageError(`${name} needs a value`);
      flags.set(name, value);
    } else throw new UsageError(`unknown flag ${word}`);
  }
  return {
    command: findCommand(plain, flags),
    configPath: flags.get("--config") ?? null,
    dataDir: flags.get("--data-dir") ?? null,
  };
}

const SWITCHES = new Set([
  "--generate-config",
  "--check-config",
  "--openapi",
  "--version",
  "--help",
  "-h",
  "--secrets",
]);
const VALUED = new Set(["--config", "--data-dir", "--head", "--after", "--actor", "--since", "--type"]);
/** Flags that go with one command only. */
const OWN_FLAGS: Readonly<Record<string, string>> = {
  "--head": "journal verify",
  "--after": "journal dump",
  "--actor": "journal dump",
  "--since": "journal dump",
  "--type": "journal dump",
  "--secrets": "journal dump",
};

function findCommand(plain: readonly string[], flags: ReadonlyMap<string, string>): Command {
  const words = plain.join(" ");
  if (flags.has("--help") || flags.has("-h") || words === "help") return { name: "help" };
  for (const [flag, owner] of Object.entries(OWN_FLAGS)) {
    if (flags.has(flag) && words !== owner)
      throw new UsageError(`${flag} does not go with ${words === "" ? "zwrmd" : words}`);
  }
  const [command = "", file] = plain;
  if (command === "backup" || command === "restore") {
    if (file === undefined || file === "" || plain.length > 2)
      throw new UsageError(`${command} takes one file, or - for ${command === "backup" ? "stdout" : "stdin"}`);
    return { name: command, file };
  }
  switch (words) {
    case "":
      if (flags.has("--version")) return { name: "version" };
      if (flags.has("--generate-config")) return { name: "generate-config" };
      if (flags.has("--openapi")) return { name: "openapi" };
      return { name: flags.has("--check-config") ? "check-config" : "run" };
    case "version":
      return { name: "version" };
    case "journal verify":
      return { name: "journal-verify", head: parseHead(flags.get("--head")) };
    case "journal dump":
      return { name: "journal-dump", filter: parseFilter(flags), secrets: flags.has("--secrets") };
    case "journal compact":
      return { name: "journal-compact" };
    case "images verify":
      return { name: "images-verify" };
    default:
      throw new UsageError(`unknown command "${words}"`);
  }
}

function parseHead(text: string | undefined): { seq: number; sum: string } | null {
  if (text === undefined) return null;
  const found = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text);
  if (found === null) throw new UsageError("--head is SEQ:SUM, a number and 64 lower-case hex, as the daemon logs it");
  return { seq: Number(found[1]), sum: found[2] ?? "" };
}

function parseFilter(flags: ReadonlyMap<string, string>): DumpFilter {
  const since = flags.get("--since") ?? null;
  if (since !== null && Number.isNaN(Date.parse(since)))
    throw new UsageError("--since is a time such as 2026-01-31T08:00:00Z");
  return {
    after: parseSeq(flags.get("--after") ?? "0"),
    actor: flags.get("--actor") ?? null,
    since,
    type: flags.get("--type") ?? null,
  };
}

function parseSeq(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new UsageError("--after is a sequence number");
  return Number(text);
}
