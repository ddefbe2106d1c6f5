/** The data of an event in one short line, whatever its type: `name=ci scopes=images:read,status:read`. Leaves out what is empty or redacted. */

/** Some two lines of a terminal. */
const LONGEST = 160;
/** Of a list, so many are named. */
const NAMED = 3;

interface Part {
  readonly path: readonly string[];
  readonly value: string;
}

export function summaryOf(data: unknown): string {
  const parts = partsOf([], data);
  const names = parts.map(({ path }) => path.at(-1) ?? "");
  // The event's type tells what the id is of; the path is needed only where two would bear one name.
  const isClear = (name: string): boolean => names.indexOf(name) === names.lastIndexOf(name);
  const words = parts.map(({ path, value }, index) => `${isClear(names[index] ?? "") ? (names[index] ?? "") : path.join(".")}=${value}`);
  const letters = [...words.join(" ")];
  return letters.length <= LONGEST ? letters.join("") : `${letters.slice(0, LONGEST - 1).join("")}…`;
}

function partsOf(path: readonly string[], value: unknown): readonly Part[] {
  if (isEmpty(value)) return [];
  if (Array.isArray(value)) return listParts(path, value);
  if (typeof value === "object") return Object.entries(value ?? {}).flatMap(([key, inner]: [string, unknown]) => partsOf([...path, key], inner));
  return [{ path, value: wordOf(value) }];
}

/** Words are named, things are counted. */
function listParts(path: readonly string[], values: readonly unknown[]): readonly Part[] {
  const shown = values.filter((value) => !isEmpty(value));
  if (shown.length === 0) return [];
  if (shown.some((value) => typeof value === "object")) return [{ path, value: String(shown.length) }];
  const more = shown.length > NAMED ? [`+${shown.length - NAMED}`] : [];
  return [{ path, value: [...shown.slice(0, NAMED).map(wordOf), ...more].join(",") }];
}

function isEmpty(value: unknown): boolean {
  return value === null || value === undefined || value === "" || value === "[redacted]";
}

function wordOf(value: unknown): string {
  const text = String(value);
  return /[\s"=,]/.test(text) ? JSON.stringify(text) : text;
}
