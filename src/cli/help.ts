/** Help, written from the table of commands and flags. */
import { VERSION } from "../lib/version.ts";
import { wrapRows, wrapText } from "../lib/wrap.ts";
import type { Command, Flags } from "./command.ts";
import { GLOBAL_FLAGS } from "./parse.ts";

const FORMS =
  'Obvious forms are understood too: a group alone lists ("zwrm host", "zwrm image"), plural or singular ' +
  '("zwrm hosts", "zwrm app"), ls is list, remove and delete are rm, "zwrm version" is --version.';

/**
 * The help of a command, of a group of commands, or of all (an empty topic), in lines of at most `width` characters.
 */
export function helpFor(topic: readonly string[], commands: readonly Command[], width = Infinity): string {
  const name = topic.join(" ");
  const one = commands.find((command) => command.name === name);
  const members = commands.filter((command) => name === "" || command.name.startsWith(`${name} `));
  const list = members.map((command) => [usageOf(command), command.summary] as const);
  if (one !== undefined) return commandHelp(one, list, width);
  const title =
    name === ""
      ? `zwrm ${VERSION}: the command line of the control plane zwrmd`
      : `zwrm ${name}: ${members.length} commands`;
  const usage = `Usage: zwrm ${name === "" ? "" : `${name} `}COMMAND [flags]`;
  const files =
    "Settings are taken from flags, then from ZWRM_API_URL, ZWRM_TOKEN and ZWRM_ORG, then from " +
    "~/.zwrm/config.toml (api_url, token, org), whose token goes to that api_url only.";
  const codes = "Exit codes: 0 done, 1 failed, 2 wrong usage, 141 whoever reads the output has left, as head does.";
  const more = `"zwrm COMMAND --help" tells more about one command.`;
  const alone = members.some((command) => command.name === `${name} list`)
    ? `"zwrm ${name}" alone is "zwrm ${name} list".`
    : "";
  const prose = (name === "" ? [files, codes, FORMS] : [alone]).map((text) => wrapText(text, width));
  return join([
    wrapText(title, width),
    wrapText(usage, width),
    section("Commands", list, width),
    globalSection(width),
    ...prose,
    wrapText(more, width),
  ]);
}

/** `members` are the commands of the group whose bare name this command is. */
function commandHelp(command: Command, members: readonly (readonly [string, string])[], width: number): string {
  const args = Object.values(command.args).map(({ placeholder, help }) => [placeholder, help] as const);
  const further = members.filter(([usage]) => usage !== usageOf(command));
  const title = `zwrm ${command.name}: ${command.summary}`;
  const usage = `Usage: zwrm ${usageOf(command)}`;
  const head = [title, usage, command.details].map((text) => wrapText(text, width));
  const sections = [
    section("Arguments", args, width),
    section("Flags", flagRows(command.flags), width),
    section("Further commands", further, width),
  ];
  return join([...head, ...sections, globalSection(width)]);
}

/** `host drain ID [flags]` */
function usageOf({ name, args, flags }: Command): string {
  const words = [name, ...Object.values(args).map(({ placeholder }) => placeholder)];
  return [...words, ...(Object.keys(flags).length === 0 ? [] : ["[flags]"])].join(" ");
}

function globalSection(width: number): string {
  return section("Global flags, anywhere on the line", flagRows(GLOBAL_FLAGS), width);
}

function flagRows(flags: Flags): (readonly [string, string])[] {
  return Object.entries(flags).map(([name, { placeholder, short, help }]) => {
    const names = short === undefined ? `--${name}` : `-${short}, --${name}`;
    return [placeholder === null ? names : `${names} ${placeholder}`, help];
  });
}

function section(title: string, rows: readonly (readonly [string, string])[], width: number): string {
  return rows.length === 0 ? "" : `${title}:\n${wrapRows(rows, width)}`;
}

function join(parts: readonly string[]): string {
  return `${parts.filter((part) => part !== "").join("\n\n")}\n`;
}
