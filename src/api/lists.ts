/** Lists on the wire: whole and sorted by id, or a page at a time with `?limit=` and `?after=`. */
import { json } from "../http/respond.ts";
import type { JsonReply } from "../http/respond.ts";
import type { Page, PageQuery } from "../wire/common.ts";

/** The rows under `name`; with `?limit=` only so many after `?after=`, and `next_after` (null at the end). */
export function listReply<K extends string, T>(
  { limit: limitText, after }: PageQuery,
  name: K,
  rows: readonly T[],
  idOf: (row: T) => string,
): JsonReply<200, Page<K, T>> {
  const sorted = [...rows].sort((a, b) => (idOf(a) < idOf(b) ? -1 : 1));
  if (limitText === undefined && after === undefined) return json(200, pageOf(name, sorted));
  const limit = limitText === undefined ? Infinity : Number(limitText);
  const rest = after === undefined ? sorted : sorted.filter((row) => idOf(row) > after);
  const page = rest.slice(0, limit);
  const last = page.at(-1);
  const next = rest.length > page.length && last !== undefined ? idOf(last) : null;
  return json(200, { ...pageOf(name, page), next_after: next });
}

function pageOf<K extends string, T>(name: K, rows: readonly T[]): Page<K, T> {
  // The type checker does not see through a computed key.
  return { [name]: rows } as Page<K, T>;
}
