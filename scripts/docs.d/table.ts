/**
 * Writes tables of Markdown that can be read without a renderer: a column is as wide as its widest cell, but for the
 * last one, and for cells that are too long for a screen anyway.
 */

export type Row = readonly string[];

const WIDEST = 60;

export function table(head: Row, rows: readonly Row[]): string {
  const cells = [head, ...rows].map((row) => row.map((cell) => cell.replaceAll("|", "\\|")));
  const lengths = (column: number): number[] => cells.map((row) => row[column]?.length ?? 0);
  const widths = head.map((_name, column) => Math.max(3, ...lengths(column).filter((length) => length <= WIDEST)));
  const last = head.length - 1;
  const line = (row: Row): string =>
    `| ${row.map((cell, column) => (column === last ? cell : cell.padEnd(widths[column] ?? 0))).join(" | ")} |`.replace(
      /\|  \|$/,
      "| |",
    );
  const rule = head.map((_name, column) => "-".repeat(column === last ? 3 : (widths[column] ?? 3)));
  const [names = [], ...body] = cells;
  return [names, rule, ...body].map(line).join("\n");
}
