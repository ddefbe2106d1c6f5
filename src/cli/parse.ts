/** Splits a command line into command, flags and words, by the table of commands; reads no value and prints nothing. */
import { nearestName } from "../config/nearest.ts";
import type { Command, Flags, Given } from "./command.ts";
import { switchFlag, textFlag, VALUE_SEPARATOR } from "./command.ts";
import { asksToList, commandOf, leadsTo, tableWord } from "./forms.ts";
import { UsageError } from "./io.ts";

/** Taken anywhere on the line. */
export const GLOBAL_FLAGS = {
  "api-url": textFlag(
    "URL",
    "where zwrmd is: http(s)://HOST:PORT or unix:/PATH (ZWRM_API_URL; default http://127.0.0.1:8080)",
  ),
  config: textFlag("FILE", "settings with api_url, org and token (default ~/.zwrm/config.toml)"),
  org: textFlag("ORG", "act in this org, by slug or id (ZWRM_ORG)"),
  verbose: { ...switchFlag("show requests and request ids on stderr"), short: "v" },
  json: switchFlag("print the API's answer as JSON"),
  help: { ...switchFlag("show help and do nothing else"), short: "h" },
  version: switchFlag("show the version and do nothing else"),
} as const satisfies Flags;

export interface Parsed {
  /** The command that was named, if it was named whole; a group that lists is named whole. */
  readonly command: Command | null;
  /** The words that begin some command: whose help is meant. */
  readonly topic: readonly string[];
  readonly globals: ReadonlyMap<string, string | true>;
  readonly given: Given;
  /** The first thing that is wrong; the rest of the line was read all the same, so that --help is found. */
  readonly problem: UsageError | null;
  /** True where the problem is that there is no such command, so there is no help of it either. */
  readonly unknownCommand: boolean;
}

export function parse(argv: readonly string[], commands: readonly Command[]): Parsed {
  const line = new Line(commands);
  for (let index = 0; index < argv.length; index += 1) {
    const token = argv[index] ?? "";
    if (line.flagsEnded || token === "-" || !token.startsWith("-")) line.word(token);
    else if (token === "--") line.flagsEnded = true;
    else index += line.flag(token, argv[index + 1]);
  }
  return line.finish();
}

/** The line as far as it was read. */
class Line {
  flagsEnded = false;
  readonly #commands: readonly Command[];
  readonly #globals = new Map<string, string | true>();
  readonly #flags = new Map<string, string | true>();
  readonly #words: string[] = [];
  #topic: readonly string[] = [];
  #command: Command | null = null;
  #problem: UsageError | null = null;
  #unknownCommand = false;
  /** `zwrm apps list`: the group's bare name does that, and no word turns it into another command any more. */
  #toldToList = false;

  constructor(commands: readonly Command[]) {
    this.#commands = commands;
  }

  word(word: string): void {
    if (this.#unknownCommand) return;
    if (this.#topic.length === 0 && (word === "help" || word === "version") && !this.#globals.has("help"))
      return void this.#globals.set(word, true);
    const longer = [...this.#topic, tableWord(word, this.#topic, this.#commands)];
    const extends_ = !this.#toldToList && leadsTo(longer, this.#commands);
    // After `--` no word names a command any more, so that an org may be called "set".
    if (extends_ && this.#words.length === 0 && !(this.flagsEnded && this.#command !== null)) {
      this.#topic = longer;
      this.#command = commandOf(longer, this.#commands);
    } else if (
      this.#words.length === 0 &&
      this.#command !== null &&
      this.#leadsOn(this.#command) &&
      asksToList(word, this.#command)
    ) {
      this.#toldToList = true;
    } else if (this.#command !== null && !this.#leadsOn(this.#command)) {
      this.#words.push(word);
    } else {
      this.#unknownCommand = true;
      const known = this.#commands.flatMap((one) =>
        startsWith(one.name.split(" "), this.#topic) ? [one.name.split(" ")[this.#topic.length] ?? ""] : [],
      );
      const alone = this.#command === null ? "" : ` "zwrm ${this.#command.name}" alone does: ${this.#command.summary}.`;
      const hint =
        suggest(
          word,
          [...known, "help"].filter((one) => one !== ""),
          "",
        ) || alone;
      this.#problem ??= new UsageError(
        `There is no command ${JSON.stringify(["zwrm", ...this.#topic, word].join(" "))}.${hint}`,
        this.#topic,
      );
    }
  }

  /** Takes a flag; gives 1 where the next token was its value, else 0. */
  flag(token: string, next: string | undefined): 0 | 1 {
    const [, dashes = "", typed = "", inline] = /^(--?)([^=]*)(?:=(.*))?$/s.exec(token) ?? [];
    const own: Flags = this.#command?.flags ?? {};
    const all: Flags = { ...own, ...GLOBAL_FLAGS };
    const name = dashes === "--" ? typed : (Object.keys(all).find((one) => all[one]?.short === typed) ?? "");
    const flag = Object.hasOwn(all, name) ? all[name] : undefined;
    if (flag === undefined) {
      const where = this.#command === null ? "" : ` for zwrm ${this.#command.name}`;
      this.#complain(`There is no flag ${dashes}${typed}${where}.${suggest(typed, Object.keys(all), "--")}`);
      return 0;
    }
    const place = Object.hasOwn(own, name) ? this.#flags : this.#globals;
    if (flag.placeholder === null) {
      if (inline !== undefined) this.#complain(`--${name} takes no value.`);
      place.set(name, true);
      return 0;
    }
    // A lone dash is a value: stdin.
    const value = inline ?? (next !== "-" && next?.startsWith("-") === true ? undefined : next);
    const before = flag.repeats === true ? place.get(name) : undefined;
    if (value === undefined) this.#complain(`--${name} needs a value: --${name}=${flag.placeholder}.`);
    else place.set(name, before === undefined ? value : `${before}${VALUE_SEPARATOR}${value}`);
    return inline === undefined && value !== undefined ? 1 : 0;
  }

  finish(): Parsed {
    if (this.#command === null && this.#problem === null) {
      const what = this.#topic.length === 0 ? "zwrm" : `zwrm ${this.#topic.join(" ")}`;
      this.#problem = new UsageError(`${what} needs a command.`, this.#topic);
    }
    // A group's own flags may stand before the word that turns it into another command, which may not have them.
    const lost =
      this.#command === null
        ? undefined
        : [...this.#flags.keys()].find((name) => !Object.hasOwn(this.#command?.flags ?? {}, name));
    if (lost !== undefined) this.#complain(`There is no flag --${lost} for zwrm ${this.#topic.join(" ")}.`);
    const given = { words: this.#words, flags: this.#flags };
    return {
      command: this.#command,
      topic: this.#topic,
      globals: this.#globals,
      given,
      problem: this.#problem,
      unknownCommand: this.#unknownCommand,
    };
  }

  /**
   * True for a command that is a group's bare name (`zwrm apps`): it takes no words, so one behind it was to be a
   * command of the group.
   */
  #leadsOn({ args }: Command): boolean {
    const isGroup = this.#commands.some((one) => one.name.startsWith(`${this.#topic.join(" ")} `));
    return !this.flagsEnded && !this.#toldToList && Object.keys(args).length === 0 && isGroup;
  }

  #complain(message: string): void {
    this.#problem ??= new UsageError(message, this.#topic);
  }
}

function startsWith(words: readonly string[], prefix: readonly string[]): boolean {
  return prefix.every((word, index) => words[index] === word);
}

/** ` Did you mean "…"?`, or nothing where no known name is near. */
function suggest(typed: string, known: readonly string[], before: string): string {
  // nearestName takes `-` and `_` for the same.
  const names = new Map(known.map((name) => [name.replaceAll("-", "_"), name]));
  const nearest = names.get(nearestName(typed, names.keys()) ?? "");
  return nearest === undefined ? "" : ` Did you mean "${before}${nearest}"?`;
}
