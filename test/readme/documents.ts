/** Every document of the repository, and what tests look at in one: prose, code, headings and links. */
import { readFileSync, readdirSync } from "node:fs";
import { posix } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** The folders that are ours; what a build or a run leaves beside them is not. */
const FOLDERS = ["src", "test", "scripts"];

/** Text by path from the root. */
export const DOCUMENTS: ReadonlyMap<string, string> = new Map(
  [
    ...readdirSync(ROOT),
    ...FOLDERS.flatMap((folder) =>
      readdirSync(posix.join(ROOT, folder), { recursive: true, encoding: "utf8" }).map((path) =>
        posix.join(folder, path),
      ),
    ),
  ]
    .filter((path) => path.endsWith(".md"))
    .sort()
    .map((path) => [path, readFileSync(posix.join(ROOT, path), "utf8")]),
);

/** Throws where there is none. */
export function documentAt(path: string): string {
  const text = DOCUMENTS.get(path);
  if (text === undefined) throw new Error(`there is no document ${path}`);
  return text;
}

export interface Block {
  /** The word behind the fence: `console`, `sh`, or nothing. */
  readonly kind: string;
  readonly text: string;
}

/** The fenced blocks. */
export function blocksOf(text: string): readonly Block[] {
  return [...text.matchAll(/^```([a-z]*)\n(.*?)^```$/gms)].map(([, kind = "", block = ""]) => ({ kind, text: block }));
}

/** The text without its fenced blocks. */
export function proseOf(text: string): string {
  return text.replace(/^```[a-z]*\n.*?^```$/gms, "");
}

/** Paragraphs, list items and rows of tables, each on one line. */
export function paragraphsOf(text: string): readonly string[] {
  return proseOf(text)
    .split(/\n\s*\n|\n(?=\s*(?:[-*] |\d+\. |\|))/)
    .map((part) => part.replace(/\s+/g, " ").trim())
    .filter((part) => part !== "");
}

/** What stands between single backticks in the prose, each on one line. */
export function spansOf(text: string): readonly string[] {
  return [...proseOf(text).matchAll(/`([^`]+)`/g)].map(([, span = ""]) => span.replace(/\s+/g, " "));
}

/** The names that a link can point at within a document, as GitHub makes them of its headings. */
export function anchorsOf(text: string): readonly string[] {
  return [...proseOf(text).matchAll(/^#{1,6} (.+)$/gm)].map(([, title = ""]) =>
    title
      .trim()
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .replace(/\s/g, "-"),
  );
}

/** The targets of the links, but those that lead out of the repository. */
export function linksOf(text: string): readonly string[] {
  const prose = proseOf(text).replace(/`[^`]*`/g, "");
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = ""]) => target)
    .filter((target) => !/^[a-z]+:/.test(target));
}
