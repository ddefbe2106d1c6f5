/**
 * Writes the parts of the documents that the code itself knows (routes, calls, errors, metrics, settings) between their
 * markers: `node --import tsx scripts/docs.ts`. With --check it only says which are not as the code has them.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { generateTables } from "./docs.d/tables.ts";

const ROOT = new URL("../", import.meta.url);

/** The document with the text between `<!-- name -->` and `<!-- /name -->`. Throws where it has no such place. */
export function withRegion(document: string, name: string, text: string): string {
  const open = `<!-- ${name} -->\n`;
  const from = document.indexOf(open);
  const to = document.indexOf(`<!-- /${name} -->`, from);
  if (from === -1 || to === -1) throw new Error(`there is no place for ${name}`);
  return `${document.slice(0, from + open.length)}${text}\n${document.slice(to)}`;
}

function main(isCheck: boolean): number {
  let wrong = 0;
  for (const [path, regions] of Object.entries(generateTables())) {
    const before = readFileSync(new URL(path, ROOT), "utf8");
    const after = Object.entries(regions).reduce((text, [name, part]) => withRegion(text, name, part), before);
    if (after === before) continue;
    wrong += 1;
    process.stdout.write(`${path}${isCheck ? " is not as the code has it" : ""}\n`);
    if (!isCheck) writeFileSync(new URL(path, ROOT), after);
  }
  return isCheck && wrong > 0 ? 1 : 0;
}

if (process.argv[1] === import.meta.filename) process.exitCode = main(process.argv.includes("--check"));
