/**
 * The commands of README.md as a reader types them: of console blocks the lines behind `$ `, of sh blocks the whole
 * block.
 */
import { readFileSync } from "node:fs";

export const README = readFileSync(new URL("../../README.md", import.meta.url), "utf8");

/** Below `heading` (`## Five minutes`), up to the next heading of that rank or above. */
export function sectionOf(heading: string): string {
  const at = README.indexOf(`\n${heading}\n`);
  if (at === -1) throw new Error(`README.md has no ${heading}`);
  const rank = /^#+/.exec(heading)?.[0].length ?? 1;
  const rest = README.slice(at + heading.length + 2);
  const end = rest.search(new RegExp(`^#{1,${rank}} `, "m"));
  return end === -1 ? rest : rest.slice(0, end);
}

export function commandsOf(text: string): readonly string[] {
  return [...text.matchAll(/^```(console|sh)\n(.*?)^```$/gms)].flatMap(([, kind, block = ""]) =>
    kind === "sh" ? [block] : typedIn(block),
  );
}

function typedIn(block: string): readonly string[] {
  const commands: string[] = [];
  let goesOn = false;
  for (const line of block.split("\n")) {
    if (goesOn) commands.push(`${commands.pop() ?? ""}\n${line}`);
    else if (line.startsWith("$ ")) commands.push(line.slice(2));
    else continue;
    goesOn = line.endsWith("\\");
  }
  return commands;
}
