/** Help, written from the table of commands and flags. */
import { VERSION } from "../lib/version.ts";
import type { Command, Flags } from "./command.ts";
import { GLOBAL_FLAGS } from "./parse.ts";

const GAP = 3;

/** The help of a command, of a group of commands, or of all (an empty topic). */
export function helpFor(topic: readonly string[], commands: readonly Command[]): string {
  const name = topic.join(" ");
  const one = commands.find((command) => command.name === name);
  const members = commands.filter((command) => name === "" || command.name.startsWith(`${name} `));
  const list = members.map((command) => [usageOf(command), command.summary] as const);
  if (one !== undefined) return commandHelp(one, list);
  const title = name === "" ? `zwrm ${VERSION}: the command line of the control plane zwrmd` : `zwrm ${name}: ${members.length} commands`;
  const usage = `Usage: zwrm ${name === "" ? "" : `${name} `}COMMAND [flags]`;
  const files = "Settings are taken from flags, then from ZWRM_API_URL, ZWRM_TOKEN and ZWRM_ORG, then from ~/.zwrm/config.toml (api_url, token, org), whose token goes to that api_url only.";
  const codes = "Exit codes: 0 done, 1 failed, 2 wrong usage.";
  const more = `"zwrm COMMAND --help" tells more about one command.`;
  return join([title, usage, section("Commands", list), globalSection(), ...(name === "" ? [files, codes] : []), more]);
}

/** `members` are the commands of the group whose bare name this command is. */
function commandHelp(command: Command, members: readonly (readonly [string, string])[]): string {
  const args = Object.values(command.args).map(({ placeholder, help }) => [placeholder, help] as const);
  const title = `zwrm ${command.name}: ${command.summary}`;
  const usage = `Usage: zwrm ${usageOf(command)}`;
  return join([title, usage, command.details, section("Arguments", args), section("Flags", flagRows(command.flags)), section("Further commands", members), globalSection()]);
}

/** `host drain ID [flags]` */
function usageOf({ name, args, flags }: Command): string {
  const words = [name, ...Object.values(args).map(({ placeholder }) => placeholder)];
  return [...words, ...(Object.keys(flags).length === 0 ? [] : ["[flags]"])].join(" ");
}

function globalSection(): string {
  return section("Global flags, anywhere on the line", flagRows(GLOBAL_FLAGS));
}

function flagRows(flags: Flags): (readonly [string, string])[] {
  return Object.entries(flags).map(([name, { placeholder, short, help }]) => {
    const names = short === undefined ? `--${name}` : `-${short}, --${name}`;
    return [placeholder === null ? names : `${names} ${placeholder}`, help];
  });
}

function section(title: string, rows: readonly (readonly [string, string])[]): string {
  if (rows.length === 0) return "";
  const width = Math.max(...rows.map(([left]) => left.length)) + GAP;
  return [`${title}:`, ...rows.map(([left, right]) => `  ${left.padEnd(width)}${right}`)].join("\n");
}

function join(parts: readonly string[]): string {
  return `${parts.filter((part) => part !== "").join("\n\n")}\n`;
}
