/**
 * The host's id: where the configuration has none, one is made and written into its file, whose comments and order stay
 * as they are.
 */
import { chmod, chown, realpath, stat } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { decodeToml, TomlTable } from "../config/toml.ts";
import { messageOf } from "../lib/errors.ts";
import { diskFiles, writeDurably } from "../lib/files.ts";

/** The file's text with the id in it. Throws where that would change anything else. */
export function withHostId(text: string, hostId: string): string {
  const line = `host_id = ${JSON.stringify(hostId)}`;
  const newText = hasKey(text) ? replaceEmpty(text, line) : insertLine(text, line);
  checkOnlyAdded(text, newText, hostId);
  return newText;
}

function hasKey(text: string): boolean {
  return decode(text).has("host_id");
}

/** `host_id = ""`, with whatever comment follows it. */
function replaceEmpty(text: string, line: string): string {
  return text.replace(/^[ \t]*["']?host_id["']?[ \t]*=[ \t]*(?:""|'')/m, () => line);
}

/**
 * Behind a line that shows it commented out, else before the first statement and the comment that belongs to it, else
 * at the end.
 */
function insertLine(text: string, line: string): string {
  const newline = text.includes("\r\n") ? "\r\n" : "\n";
  const lines = text.split(/(?<=\n)/);
  const first = lines.findIndex((each) => /^\ufeff?\s*[^#\s]/.test(each));
  const head = first === -1 ? lines : lines.slice(0, first);
  const shown = head.findLastIndex((each) => /^\s*#\s*host_id\s*=/.test(each));
  let at = shown === -1 ? head.length : shown + 1;
  if (shown === -1 && first !== -1) while (at > 0 && /^\s*#/.test(lines[at - 1] ?? "")) at -= 1;
  // A byte order mark stays where it is.
  const mark = at === 0 && text.startsWith("\ufeff") ? "\ufeff" : "";
  const before = lines.slice(0, at).join("");
  const gap = before === "" || before.endsWith("\n") ? "" : newline;
  return `${mark}${before}${gap}${line}${newline}${lines.slice(at).join("").slice(mark.length)}`;
}

function checkOnlyAdded(before: string, after: string, hostId: string): void {
  const [old, now] = [decode(before), decode(after)];
  const isSet = now.get("host_id") === hostId;
  old.delete("host_id");
  now.delete("host_id");
  if (!isSet || flat(old) !== flat(now)) throw new Error("it is written in a way that leaves no place for it");
}

function decode(text: string): TomlTable {
  return decodeToml(Buffer.from(text, "utf8"));
}

/** Everything that a table says, without where it stands. */
function flat(table: TomlTable): string {
  return JSON.stringify(table, (_key, value: unknown) =>
    value instanceof TomlTable ? [...value] : typeof value === "bigint" ? String(value) : value,
  );
}

/**
 * Writes the id into the file, atomically; its mode and owner stay. A link stays a link. Rejects with a sentence that
 * says what to do.
 */
export async function writeHostId(path: string, bytes: Uint8Array | null, hostId: string): Promise<void> {
  try {
    const newText = withHostId(Buffer.from(bytes ?? []).toString("utf8"), hostId);
    const target = bytes === null ? path : await realpath(path);
    const before = bytes === null ? null : await stat(target);
    const mode = (before?.mode ?? 0o600) & 0o7777;
    await writeDurably(diskFiles, dirname(target), basename(target), Buffer.from(newText), mode);
    await chmod(target, mode);
    if (before !== null && before.uid !== process.getuid?.()) await chown(target, before.uid, before.gid);
  } catch (error) {
    throw new Error(
      `${path}: the host has no host_id, and a new one cannot be written there: ${messageOf(error)}. Write ` +
        `host_id = "${hostId}" into it yourself, or set ZWRM_AGENT_HOST_ID`,
      { cause: error },
    );
  }
}
