/**
 * Reads the agent's own small JSON files through a schema; a file that says nothing usable is as good as none, and the
 * log says so.
 */
import { messageOf } from "../lib/errors.ts";
import type { Files } from "../lib/files.ts";
import { readWhole, writeDurably } from "../lib/files.ts";
import type { Log } from "../lib/log.ts";
import type { Schema } from "../wire/schema.ts";
import { readBody } from "../wire/schema.ts";

/** Throws where the bytes are no JSON, or not what `read` takes. */
export function parseJson<T>(bytes: Buffer, schema: Schema<T, unknown>): T {
  const parsed: unknown = JSON.parse(bytes.toString("utf8"));
  return readBody(schema, parsed);
}

/** Null where there is no such file, or nothing in it that can be read. Rejects where the disk fails. */
export async function readJsonFile<T>(
  files: Files,
  log: Log,
  path: string,
  schema: Schema<T, unknown>,
): Promise<T | null> {
  if ((await files.stat(path)) === null) return null;
  const bytes = await readWhole(files, path);
  try {
    return parseJson(bytes, schema);
  } catch (error) {
    log.warn("a file of the agent's own cannot be read and is taken for absent", { path, reason: messageOf(error) });
    return null;
  }
}

/** After any crash the file is the old one or the whole new one. Only the agent's user may read it. */
export async function writeJsonFile(files: Files, folder: string, name: string, value: unknown): Promise<void> {
  const line = `${JSON.stringify(value)}\n`;
  await writeDurably(files, folder, name, Buffer.from(line), 0o600);
}
