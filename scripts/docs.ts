/**
 * Writes the parts of the documents that the code itself knows (routes, calls, errors, metrics, settings) between their
 * markers, wherever those stand: `node --import tsx scripts/docs.ts`. With --check it only says which documents are not
 * as the code has them.
 */
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { documentTables } from "./docs.d/tables.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

/** The documents, by their paths from the root. */
function documents(): readonly string[] {
  const inSrc = readdirSync(join(ROOT, "src"), { recursive: true, encoding: "utf8" });
  return ["README.md", ...inSrc.filter((path) => path.endsWith(".md")).map((path) => join("src", path))];
}

/** Puts the text between `<!-- name -->` and `<!-- /name -->`, where the document has them. */
export function withTable(document: string, name: string, text: string): string {
  const open = `<!-- ${name} -->\n`;
  const from = document.indexOf(open);
  const to = document.indexOf(`<!-- /${name} -->`, from);
  if (from === -1 || to === -1) return document;
  return `${document.slice(0, from + open.length)}${text}\n${document.slice(to)}`;
}

function main(isCheck: boolean): number {
  const tables = Object.entries(documentTables());
  let wrong = 0;
  for (const path of documents()) {
    const before = readFileSync(join(ROOT, path), "utf8");
    const after = tables.reduce((text, [name, table]) => withTable(text, name, table), before);
    if (after === before) continue;
    wrong += 1;
    process.stdout.write(`${path}${isCheck ? " is not as the code has it" : ""}\n`);
    if (!isCheck) writeFileSync(join(ROOT, path), after);
  }
  return isCheck && wrong > 0 ? 1 : 0;
}

if (process.argv[1] === import.meta.filename) process.exitCode = main(process.argv.includes("--check"));
