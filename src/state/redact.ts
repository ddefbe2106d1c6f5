/** What of a record people may see: secrets are replaced by what they are, never shortened or hashed again. */
import type { JournalRecord } from "../journal/types.ts";

/** Field names whose values are secrets wherever they stand. */
const SECRET_FIELDS: ReadonlySet<string> = new Set([
  "key_hash",
  "token_hash",
  "expired",
  "password",
  "password_hash",
  "salt",
  "body_sum",
]);

/**
 * A copy of the record with key hashes, password hashes and env values taken out. The `sum` stays: it is of the whole
 * line.
 */
export function redactRecord(record: JournalRecord): JournalRecord {
  return { ...record, data: redact(record.data) };
}

function redact(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(redact);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([name, item]: [string, unknown]) => [name, redactField(name, item)]);
  return Object.fromEntries(entries);
}

function redactField(name: string, value: unknown): unknown {
  if (SECRET_FIELDS.has(name) && value !== null)
    return Array.isArray(value) ? value.map(() => "[redacted]") : "[redacted]";
  if (name === "env" && typeof value === "object" && value !== null)
    return Object.fromEntries(Object.keys(value).map((key) => [key, "[redacted]"]));
  return redact(value);
}
