/** Lists on the wire: whole and sorted by id, or a page at a time with `?limit=` and `?after=`. */
import { json } from "../http/respond.ts";
import type { Reply } from "../http/types.ts";
import { pattern, readField } from "../lib/schema.ts";
import type { ApiContext } from "./app.ts";

const MAX_LIMIT = 10_000;
const LIMIT = pattern(/^(?:[1-9]\d{0,3}|10000)$/, `a whole number from 1 to ${MAX_LIMIT}`);

/** The rows under `name`; with `?limit=` only so many after `?after=`, and `next_after` (null at the end). */
export function listReply<T>(context: ApiContext, name: string, rows: readonly T[], idOf: (row: T) => string): Reply {
  const sorted = [...rows].sort((a, b) => (idOf(a) < idOf(b) ? -1 : 1));
  const limitText = context.query.get("limit");
  const after = context.query.get("after");
  if (limitText === null && after === null) return json(200, { [name]: sorted });
  const limit = limitText === null ? Infinity : Number(readField(LIMIT, "limit", limitText));
  const rest = after === null ? sorted : sorted.filter((row) => idOf(row) > after);
  const page = rest.slice(0, limit);
  const last = page.at(-1);
  return json(200, { [name]: page, next_after: rest.length > page.length && last !== undefined ? idOf(last) : null });
}
