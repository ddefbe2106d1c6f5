/**
 * Text that fits a width: broken between words, never within one. Pure; a word that is wider than the width stays whole
 * on a line of its own.
 */

/** Below this a second column is no help: what it says then stands under the first. */
const LEAST_RIGHT = 24;
const GAP = 3;
/** How far in that then begins. */
const UNDER = 6;
/** In a usage text, a line that begins further in goes on with the line before. */
const CONTINUES = 12;

/**
 * The words of `text` in lines of at most `width` characters; each but the first begins with `indent`. Its own line
 * ends count as blanks.
 */
export function wrapText(text: string, width: number, indent = ""): string {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/)) {
    const longer = line === "" ? word : `${line}${line.trim() === "" ? "" : " "}${word}`;
    if (longer.length <= width || line.trim() === "") {
      line = longer;
      continue;
    }
    lines.push(line);
    line = indent + word;
  }
  return [...lines, line].join("\n");
}

/**
 * `  left   right`, a row a line, the right side wrapped below itself; where that would be too narrow, below the left
 * side.
 */
export function wrapRows(rows: readonly (readonly [left: string, right: string])[], width: number): string {
  const left = Math.max(0, ...rows.map(([text]) => text.length)) + GAP;
  const start = 2 + left;
  const isNarrow = width - start < LEAST_RIGHT;
  return rows
    .map(([name, text]) => {
      if (!isNarrow || text === "") return `  ${name.padEnd(left)}${indented(text, width, start)}`.trimEnd();
      return `  ${wrapText(name, width - 2, "    ")}\n${" ".repeat(UNDER)}${indented(text, width, UNDER)}`;
    })
    .join("\n");
}

/** The text from column `start` on, its first line being there already. */
function indented(text: string, width: number, start: number): string {
  return wrapText(text, width - start).replaceAll("\n", `\n${" ".repeat(start)}`);
}

/**
 * A usage text, written for a wide terminal as sections of `  left  right` rows, made to fit `width`; as it stands
 * where it fits already.
 */
export function wrapUsage(usage: string, width: number): string {
  if (usage.split("\n").every((line) => line.length <= width)) return usage;
  return usage
    .split("\n\n")
    .map((block) => wrapBlock(block.split("\n"), width))
    .join("\n\n");
}

function wrapBlock(lines: readonly string[], width: number): string {
  const parts: (string | [string, string][])[] = [];
  for (const line of lines) {
    const rows = parts.at(-1);
    const row = Array.isArray(rows) ? rows.at(-1) : undefined;
    const further = (/^ */.exec(line)?.[0].length ?? 0) >= CONTINUES;
    if (row !== undefined && further) row[1] = `${row[1]} ${line.trim()}`.trim();
    else if (line.startsWith("  ")) {
      const [left = "", right = ""] = line.trim().split(/ {2,}(.*)/s);
      if (Array.isArray(rows)) rows.push([left, right]);
      else parts.push([[left, right]]);
    } else parts.push(wrapText(line, width));
  }
  return parts.map((part) => (typeof part === "string" ? part : wrapRows(part, width))).join("\n");
}
