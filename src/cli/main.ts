/**
 * One run of zwrm: command line in, exit code out (0 done, 1 failed, 2 wrong usage). Everything outside comes through
 * `io`.
 */
import { ClientError } from "../client/errors.ts";
import { Client } from "../client/http.ts";
import { messageOf } from "../lib/errors.ts";
import { VERSION } from "../lib/version.ts";
import { adviceOn, inFlags } from "./advice.ts";
import { readFlags } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { helpFor } from "./help.ts";
import type { Io } from "./io.ts";
import { CliError, printable, UsageError } from "./io.ts";
import type { Parsed } from "./parse.ts";
import { GLOBAL_FLAGS, parse } from "./parse.ts";
import type { Credentials } from "./session.ts";
import { Session } from "./session.ts";
import type { Settings } from "./settings-shape.ts";
import { readSettings } from "./settings.ts";

/** Longer lines of prose are hard to read; a terminal may be wider, a pipe has no width. */
const HELP_WIDTH = 100;

export async function main(argv: readonly string[], io: Io): Promise<number> {
  const parsed = parse(argv, COMMANDS);
  try {
    if (parsed.globals.has("help") && !parsed.unknownCommand) {
      io.stdout.write(helpFor(parsed.topic, COMMANDS, Math.min(io.stdout.columns, HELP_WIDTH)));
      return 0;
    }
    if (parsed.globals.has("version")) {
      io.stdout.write(`zwrm ${VERSION}\n`);
      return 0;
    }
    return await run(parsed, io);
  } catch (error) {
    return complain(error, parsed, io);
  }
}

async function run({ command, given, globals, problem }: Parsed, io: Io): Promise<number> {
  if (problem !== null) throw problem;
  if (command === null) throw new UsageError("zwrm needs a command.");
  const flags = readFlags(GLOBAL_FLAGS, globals, command.name.split(" "));
  const start = command.prepare(given);
  const settings = readSettings(flags, io);
  for (const warning of settings.warnings) io.stderr.write(`zwrm: warning: ${printable(warning)}\n`);
  if (settings.withheld !== null && flags.verbose) io.stderr.write(`${printable(settings.withheld)}\n`);
  const clients: Client[] = [];
  const connectAs = (as: Credentials): Client => {
    const client = connect(settings, as, io);
    clients.push(client);
    return client;
  };
  try {
    return await start(new Session({ io, settings, connect: connectAs, json: flags.json, verbose: flags.verbose }));
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    return complainOfApi(error, settings, { io, json: flags.json, verbose: flags.verbose });
  } finally {
    for (const client of clients) client.close();
  }
}

/** What was wrong on the command line itself is wrong usage; what came from elsewhere has failed. */
function connect(settings: Settings, { token, org }: Credentials, io: Io): Client {
  const headers = org === null ? {} : { "X-Zwrm-Org": org };
  try {
    return new Client({ apiUrl: settings.apiUrl, token, headers, clock: io.clock, userAgent: `zwrm/${VERSION}` });
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    const sentence = [error.message, adviceOn(error, settings)].filter((part) => part !== null).join(" ");
    throw error.code === "bad_url" && settings.apiUrlFrom === "--api-url"
      ? new UsageError(sentence)
      : new CliError(sentence, { cause: error });
  }
}

interface Voice {
  readonly io: Io;
  readonly json: boolean;
  readonly verbose: boolean;
}

function complainOfApi(error: ClientError, settings: Settings, { io, json, verbose }: Voice): number {
  if (json) {
    const { message, code, field, requestId } = error;
    io.stderr.write(
      `${JSON.stringify({ error: message, code, ...(field === null ? {} : { field }), request_id: requestId })}\n`,
    );
    return 1;
  }
  // Of a failure inside the daemon nothing else is of use.
  const id =
    error.requestId !== null && (verbose || (error.status ?? 0) >= 500) ? ` (request id ${error.requestId})` : "";
  const advice = adviceOn(error, settings);
  const message = inFlags(error.message);
  const sentence = advice === null || /[.!?]$/.test(message) ? message : `${message}.`;
  io.stderr.write(`${printable([`zwrm: ${sentence}${id}`, advice].filter((part) => part !== null).join(" "))}\n`);
  return 1;
}

function complain(error: unknown, { globals }: Parsed, io: Io): number {
  if (error instanceof UsageError) {
    io.stderr.write(
      `zwrm: ${printable(error.message)}\nRun "${["zwrm", ...error.topic, "--help"].join(" ")}" for what there is.\n`,
    );
    return 2;
  }
  const isBug = !(error instanceof CliError);
  const trace = isBug && globals.has("verbose") && error instanceof Error ? `\n${error.stack ?? ""}` : "";
  io.stderr.write(`zwrm: ${isBug ? "a mistake in zwrm itself: " : ""}${printable(messageOf(error))}${trace}\n`);
  return 1;
}
