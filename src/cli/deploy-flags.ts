/**
 * What the flags of `zwrm deploy` hold, read: the image, the environment, the check. No I/O but the file of
 * `--env-file`.
 */
import { readFileSync } from "node:fs";
import { messageOf, systemCode } from "../lib/errors.ts";
import type { ValueFlag } from "./command.ts";
import { readText, VALUE_SEPARATOR } from "./command.ts";
import { readDigest } from "./image-file.ts";
import { CliError } from "./io.ts";

export type ImageChoice = { readonly digest: string } | { readonly file: string };
export type Environment = Readonly<Record<string, string>>;

/** The names that a shell, systemd and the agent's env file can bear. */
const ENV_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** A text of 64 hex characters is a digest; `./` before it makes it a file. */
export const IMAGE: ValueFlag<ImageChoice> = {
  placeholder: "DIGEST|FILE",
  help:
    "what to run, which must be given: an image of the org by its digest, or a file, which is pushed " +
    "where the org does not have it",
  read: (text) => {
    const digest = readDigest(readText(text));
    if (digest === null && text.startsWith("sha256:"))
      throw new Error("must be sha256: and 64 of 0-9 and a-f, or a file");
    return digest === null ? { file: text } : { digest };
  },
};

export const ENV: ValueFlag<Environment> = {
  placeholder: "NAME=VALUE",
  help: "a variable of the machines' environment; may be given again",
  repeats: true,
  secret: true,
  read: (text) =>
    Object.fromEntries(
      text.split(VALUE_SEPARATOR).map((pair, index) => {
        const read = readPair(pair);
        if (read === null)
          throw new Error(`must be NAME=VALUE, with a NAME of A-Z a-z 0-9 _; number ${index + 1} on the line is not`);
        return read;
      }),
    ),
};

/** Null where it is none. The value is all behind the first `=`, as it stands. */
function readPair(text: string): readonly [name: string, value: string] | null {
  const at = text.indexOf("=");
  const name = text.slice(0, Math.max(0, at));
  return ENV_NAME.test(name) ? [name, text.slice(at + 1)] : null;
}

/**
 * NAME=VALUE a line, as Docker's --env-file takes them: no quotes, no escapes. Throws CliError, which tells the line by
 * its number: it may be a secret.
 */
export function readEnvFile(path: string): Environment {
  const lines = textOf(path)
    .replace(/^\ufeff/, "")
    .split(/\r?\n/);
  return Object.fromEntries(
    lines.flatMap((line, index) => {
      if (line.trim() === "" || line.startsWith("#")) return [];
      const pair = readPair(line);
      if (pair === null)
        throw new CliError(`Line ${index + 1} of ${path} is not NAME=VALUE with a NAME of A-Z a-z 0-9 _.`);
      return [pair];
    }),
  );
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new CliError(
      systemCode(error) === "ENOENT" ? `There is no file ${path}.` : `${path} cannot be read: ${messageOf(error)}.`,
      { cause: error },
    );
  }
}

/** As it stands in a deployment. */
export const CHECK: ValueFlag<Readonly<Record<string, unknown>>> = {
  placeholder: "CHECK",
  help: "when a machine is ready: http:PORT[/path], tcp:PORT, or exec:COMMAND (words between blanks, or a JSON list)",
  read: (text) => {
    const [, type, port = "", path = ""] = /^(http|tcp):(\d{1,5})(\/[\x21-\x7e]*)?$/.exec(text) ?? [];
    if (type === undefined || (type === "tcp" && path !== "")) return readExec(text);
    if (Number(port) < 1 || Number(port) > 65_535) throw new Error("must name a port from 1 to 65535");
    return { type, port: Number(port), ...(path === "" ? {} : { path }) };
  },
};

function readExec(text: string): Readonly<Record<string, unknown>> {
  const [, rest] = /^exec:\s*(\S.*)$/s.exec(text) ?? [];
  const words = rest === undefined ? null : rest.startsWith("[") ? readJsonWords(rest) : rest.trim().split(/\s+/);
  if (words === null) throw new Error(`must be http:PORT[/path], tcp:PORT, exec:COMMAND or exec:["COMMAND","WORD"]`);
  return { type: "exec", command: words };
}

/** Null where it is no list of texts with a command in it. */
function readJsonWords(text: string): readonly string[] | null {
  try {
    const words: unknown = JSON.parse(text);
    return Array.isArray(words) && words.length > 0 && words.every((word) => typeof word === "string") ? words : null;
  } catch {
    return null;
  }
}
