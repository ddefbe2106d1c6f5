/**
 * The commands of the documents as a reader types them: of console blocks the lines behind `$ `, of sh blocks the whole
 * block.
 */
import { blocksOf, documentAt } from "./documents.ts";

/** Below `heading` (`## A fleet in a box`), up to the next heading of that rank or above. */
export function sectionOf(path: string, heading: string): string {
  const document = documentAt(path);
  const at = document.indexOf(`\n${heading}\n`);
  if (at === -1) throw new Error(`${path} has no ${heading}`);
  const rank = /^#+/.exec(heading)?.[0].length ?? 1;
  const rest = document.slice(at + heading.length + 2);
  const end = rest.search(new RegExp(`^#{1,${rank}} `, "m"));
  return end === -1 ? rest : rest.slice(0, end);
}

export function commandsOf(text: string): readonly string[] {
  return blocksOf(text).flatMap(({ kind, text: block }) => {
    if (kind === "sh") return [block];
    return kind === "console" ? typedIn(block) : [];
  });
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
