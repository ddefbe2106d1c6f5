/** Aligned columns and name-value lists for people; plain text where nobody looks. */
import type { Io, Output } from "./io.ts";
import { printable } from "./io.ts";

export type Colour = "green" | "yellow" | "red" | "cyan" | "bold";
const SGR: Readonly<Record<Colour, number>> = { bold: 1, red: 31, green: 32, yellow: 33, cyan: 36 };

export interface Cell {
  readonly text: string;
  readonly colour: Colour | null;
}

export interface Column {
  readonly title: string;
  /** Numbers stand at the right. */
  readonly right?: boolean;
}

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

/** A heading and a line for each row, two blanks between columns, none at the ends of lines. */
export function renderTable(columns: readonly Column[], rows: readonly (readonly (string | Cell)[])[], colours: boolean): string {
  const heading = columns.map(({ title }) => ({ text: title, colour: "bold" as const }));
  const lines = [heading, ...rows.map((row) => row.map(toCell))];
  const widths = columns.map((_column, index) => Math.max(...lines.map((line) => widthOf(line[index]?.text ?? ""))));
  const last = columns.length - 1;
  const render = (cell: Cell, index: number): string => renderCell(cell, widths[index] ?? 0, columns[index]?.right === true, index === last, colours);
  return lines.map((line) => `${line.map(render).join("  ").trimEnd()}\n`).join("");
}

/** One `name  value` a line. */
export function renderFacts(facts: readonly (readonly [name: string, value: string | Cell])[], colours: boolean): string {
  const width = Math.max(0, ...facts.map(([name]) => name.length));
  return facts.map(([name, value]) => `${name.padEnd(width)}  ${renderCell(toCell(value), 0, false, true, colours)}\n`).join("");
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

/** In characters, each taken to be one column wide. */
function widthOf(text: string): number {
  return [...text].length;
}
