/** Aligned columns and name-value lists for people; plain text where nobody looks. */
import { wrapText } from "../lib/wrap.ts";
import type { Io, Output } from "./io.ts";
import { printable } from "./io.ts";

export type Colour = "green" | "yellow" | "red" | "cyan" | "bold";
const SGR: Readonly<Record<Colour, number>> = { bold: 1, red: 31, green: 32, yellow: 33, cyan: 36 };

const BETWEEN = "  ";
const EAST_ASIAN = String.raw`\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f`;
const FULL_WIDTH = String.raw`\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}`;
const WIDE = new RegExp(String.raw`[${EAST_ASIAN}${FULL_WIDTH}]|\p{Emoji_Presentation}`, "u");

export interface Cell {
  readonly text: string;
  readonly colour: Colour | null;
}

export interface Column {
  readonly title: string;
  /** Numbers stand at the right. */
  readonly right?: boolean;
  /**
   * Where a terminal is too narrow, columns give way: the one with the most first. One that says nothing here stays to
   * the last.
   */
  readonly yields?: number;
  /** So many characters of it are still of use; a column without this is left out whole. */
  readonly least?: number;
}

const NOTHING: Cell = { text: "", colour: null };

/** https://no-color.org: any value that is not empty turns colours off. */
export function usesColour(output: Output, env: Io["env"]): boolean {
  return output.isTerminal && (env["NO_COLOR"] ?? "") === "" && env["TERM"] !== "dumb";
}

/** A status word in the colour of how much it asks for attention. */
export function statusCell(word: string): Cell {
  switch (word) {
    case "active":
    case "online":
    case "running":
    case "completed":
    case "migrated":
      return { text: word, colour: "green" };
    case "draining":
    case "rolling":
    case "starting":
    case "stopping":
    case "pending":
      return { text: word, colour: "yellow" };
    case "offline":
    case "unknown":
    case "failed":
    case "rolled_back":
    case "blocked":
      return { text: word, colour: "red" };
    default:
      return { text: word, colour: word === "maintenance" ? "cyan" : null };
  }
}

/**
 * A heading and a line for each row, two blanks between columns, none at the ends of lines; no line longer than `room`.
 */
export function renderTable(
  columns: readonly Column[],
  rows: readonly (readonly (string | Cell)[])[],
  colours: boolean,
  room = Infinity,
): string {
  const heading = columns.map(({ title }) => ({ text: title, colour: "bold" as const }));
  const lines = [heading, ...rows.map((row) => row.map(toCell))];
  const natural = columns.map((_column, index) =>
    lines.reduce((most, line) => Math.max(most, widthOf(line[index]?.text ?? "")), 0),
  );
  const widths = fitWidths(columns, natural, room);
  const shown = [...columns.keys()].filter((index) => (widths[index] ?? 0) > 0);
  const last = shown.at(-1);
  const render = (line: readonly Cell[], index: number): string => {
    const width = widths[index] ?? 0;
    const { text, colour } = line[index] ?? NOTHING;
    return renderCell(
      { text: cut(text, width), colour },
      width,
      columns[index]?.right === true,
      index === last,
      colours,
    );
  };
  return lines
    .map(
      (line) =>
        `${shown
          .map((index) => render(line, index))
          .join(BETWEEN)
          .trimEnd()}\n`,
    )
    .join("");
}

/** How wide each column is where all shall fit `room`; 0 for one that is left out. */
function fitWidths(columns: readonly Column[], natural: readonly number[], room: number): readonly number[] {
  const widths = [...natural];
  const excess = (): number =>
    widths.reduce((sum, width) => sum + (width === 0 ? 0 : width + BETWEEN.length), -BETWEEN.length) - room;
  const order = [...columns.keys()].filter((index) => columns[index]?.yields !== undefined);
  order.sort((a, b) => (columns[b]?.yields ?? 0) - (columns[a]?.yields ?? 0));
  const shrink = (index: number, least: number): void => {
    const width = widths[index] ?? 0;
    if (excess() > 0) widths[index] = Math.max(Math.min(width, least), width - excess());
  };
  for (const index of order) shrink(index, columns[index]?.least ?? Infinity);
  // Still too wide: whole columns go, in the same order, and in the end the widest of the rest is cut.
  for (const index of order) if (excess() > 0) widths[index] = 0;
  for (let widest = Math.max(...widths); excess() > 0 && widest > 1; widest = Math.max(...widths))
    shrink(widths.indexOf(widest), Math.ceil(widest / 2));
  // Whole columns went, so there may be room again, for the most important first.
  for (const index of order.reverse()) {
    const [full = 0, width = 0, spare] = [natural[index], widths[index], -excess()];
    const least = Math.min(full, columns[index]?.least ?? full);
    if (width > 0) widths[index] = Math.min(full, width + Math.max(0, spare));
    else if (spare >= least + BETWEEN.length) widths[index] = Math.min(full, spare - BETWEEN.length);
  }
  return widths;
}

/** One `name  value` a line; a value that is longer than `room` goes on below itself. */
export function renderFacts(
  facts: readonly (readonly [name: string, value: string | Cell])[],
  colours: boolean,
  room = Infinity,
): string {
  const width = Math.max(0, ...facts.map(([name]) => name.length)) + BETWEEN.length;
  return facts
    .map(([name, value]) => {
      const { text, colour } = toCell(value);
      const fits = widthOf(text) <= room - width;
      const lines = fits ? [text] : wrapText(text, room - width).split("\n");
      const shown = lines.map((line) => renderCell({ text: line, colour }, 0, false, true, colours));
      return shown.map((line, index) => `${(index === 0 ? name : "").padEnd(width)}${line}\n`).join("");
    })
    .join("");
}

/** The text within `width`; what is missing is marked. */
function cut(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  let kept = "";
  for (const char of text) {
    if (widthOf(kept + char) > width - 1) break;
    kept += char;
  }
  return `${kept}…`;
}

function toCell(value: string | Cell): Cell {
  const { text, colour } = typeof value === "string" ? { text: value, colour: null } : value;
  return { text: printable(text), colour };
}

function renderCell({ text, colour }: Cell, width: number, right: boolean, last: boolean, colours: boolean): string {
  const padding = " ".repeat(Math.max(0, width - widthOf(text)));
  const painted = colours && colour !== null ? `\u001b[${SGR[colour]}m${text}\u001b[0m` : text;
  if (right) return padding + painted;
  return last ? painted : painted + padding;
}

/**
 * In columns of a terminal: marks that stand on another character take none, characters of East Asia and pictures take
 * two.
 */
function widthOf(text: string): number {
  // Nearly all that there is.
  if (/^[ -~]*$/.test(text)) return text.length;
  return [...text].reduce((sum, char) => sum + (/[\p{Mn}\p{Me}\p{Cf}]/u.test(char) ? 0 : WIDE.test(char) ? 2 : 1), 0);
}
