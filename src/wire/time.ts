/** Times on the wire: RFC 3339, kept as UTC with milliseconds. */
import type { Schema } from "./schema.ts";
import { fail, scalar } from "./schema.ts";

const TIME = /^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/;

const NORMAL_LENGTH = "2026-01-02T03:04:05.678Z".length;

/** RFC 3339 as UTC with milliseconds, or null. */
function normaliseTime(text: string): string | null {
  // What this daemon and its agents write is normal already; every heartbeat has a time for each of its machines.
  if (text.length === NORMAL_LENGTH && text.endsWith("Z") && isNormal(text)) return text;
  const [, date = "", time = "", fraction = "", zone = ""] = TIME.exec(text) ?? [];
  const local = new Date(`${date}T${time}Z`);
  // Date takes 30 February and 24:00 for a day later: only a time that comes back as it was written is one.
  if (Number.isNaN(local.getTime()) || !local.toISOString().startsWith(`${date}T${time}`)) return null;
  const ms = Date.parse(`${date}T${time}${fraction}${zone.toUpperCase()}`);
  if (Number.isNaN(ms)) return null;
  const utc = new Date(ms).toISOString();
  // The offset may lead out of the years that RFC 3339 can write.
  return utc.length === NORMAL_LENGTH ? utc : null;
}

function isNormal(text: string): boolean {
  const ms = Date.parse(text);
  return !Number.isNaN(ms) && new Date(ms).toISOString() === text;
}

/** RFC 3339, given back normalised to UTC milliseconds. */
export const timestamp: Schema<string> = scalar(
  (value) => (typeof value === "string" ? normaliseTime(value) : null) ?? fail("must be an RFC 3339 time"),
  { type: "string", format: "date-time" },
);
