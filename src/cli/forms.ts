/**
 * Other words for the words of commands, so that the obvious form of a command is understood; the table of commands
 * knows one name for each.
 */
import type { Command } from "./command.ts";

/** By the group's name in the table. */
const GROUPS: Readonly<Record<string, readonly string[]>> = {
  host: ["hosts"],
  image: ["images"],
  org: ["orgs"],
  user: ["users"],
  apps: ["app"],
  machines: ["machine"],
  events: ["event"],
};

/** Words that mean the same behind a group. */
const SAME: readonly (readonly string[])[] = [
  ["list", "ls"],
  ["rm", "remove", "delete"],
  ["show", "status", "info"],
  ["tokens", "token", "keys"],
  ["members", "member"],
];

/** `word` as the table has it where it stands behind `topic`; itself where nothing there is called so. */
export function tableWord(word: string, topic: readonly string[], commands: readonly Command[]): string {
  if (topic.length === 0) return Object.keys(GROUPS).find((name) => GROUPS[name]?.includes(word)) ?? word;
  const isThere = (one: string): boolean => leadsTo([...topic, one], commands);
  const same = SAME.find((words) => words.includes(word)) ?? [];
  return isThere(word) ? word : (same.find(isThere) ?? word);
}

/** Whether the words are a command, or the first ones of some. */
export function leadsTo(words: readonly string[], commands: readonly Command[]): boolean {
  const name = words.join(" ");
  return commands.some((one) => one.name === name || one.name.startsWith(`${name} `));
}

/** The command that the words are; of a group's bare name, the one that lists. */
export function commandOf(words: readonly string[], commands: readonly Command[]): Command | null {
  const name = words.join(" ");
  return commands.find((one) => one.name === name) ?? commands.find((one) => one.name === `${name} list`) ?? null;
}

/** Whether `word` asks a group's bare name, which lists, to list. */
export function asksToList(word: string, command: Command | null): boolean {
  return (word === "list" || word === "ls") && command !== null && Object.keys(command.args).length === 0;
}
