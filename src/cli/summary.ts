/**
 * The data of an event in one short line, whatever its type: `name=ci scopes=images:read,status:read`. Leaves out what
 * is empty or redacted.
 */

/** On a terminal some two lines of it, and of a list so many are named; elsewhere nothing is cut. */
const LONGEST = 160;
const NAMED = 3;

interface Part {
  readonly path: readonly string[];
  readonly value: string;
}

export interface Terms {
  /** Whether a person looks at it on a terminal. */
  readonly brief: boolean;
  /** What is shown in place of the id of something else. */
  readonly nameOf: (id: string) => string;
}

export function summaryOf(data: unknown, terms: Terms): string {
  const parts = partsOf([], data, terms);
  const names = parts.map(({ path }) => path.at(-1) ?? "");
  // The event's type tells what the id is of; the path is needed only where two would bear one name.
  const isClear = (name: string): boolean => names.indexOf(name) === names.lastIndexOf(name);
  const words = parts.map(
    ({ path, value }, index) => `${isClear(names[index] ?? "") ? (names[index] ?? "") : path.join(".")}=${value}`,
  );
  const letters = [...words.join(" ")];
  return !terms.brief || letters.length <= LONGEST ? letters.join("") : `${letters.slice(0, LONGEST - 1).join("")}…`;
}

function partsOf(path: readonly string[], value: unknown, terms: Terms): readonly Part[] {
  if (isEmpty(value)) return [];
  if (Array.isArray(value)) return listParts(path, value, terms);
  if (typeof value === "object")
    return Object.entries(value ?? {}).flatMap(([key, inner]: [string, unknown]) =>
      partsOf([...path, key], inner, terms),
    );
  // Its own id stays what it is: that is what the event is of, and what commands take.
  const isOther = typeof value === "string" && path.at(-1)?.endsWith("_id") === true;
  return [{ path, value: wordOf(isOther ? terms.nameOf(value) : value) }];
}

/** Words are named, things are counted. */
function listParts(path: readonly string[], values: readonly unknown[], { brief }: Terms): readonly Part[] {
  const shown = values.filter((value) => !isEmpty(value));
  if (shown.length === 0) return [];
  if (shown.some((value) => typeof value === "object")) return [{ path, value: String(shown.length) }];
  const named = brief ? NAMED : shown.length;
  const more = shown.length > named ? [`+${shown.length - named}`] : [];
  return [{ path, value: [...shown.slice(0, named).map(wordOf), ...more].join(",") }];
}

function isEmpty(value: unknown): boolean {
  return value === null || value === undefined || value === "" || value === "[redacted]";
}

function wordOf(value: unknown): string {
  const text = String(value);
  return /[\s"=,]/.test(text) ? JSON.stringify(text) : text;
}
