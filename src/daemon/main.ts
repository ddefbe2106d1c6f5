/**
 * zwrmd's commands: reads arguments and config, runs the one that was asked for, and turns every failure into one line
 * and an exit code.
 */
import { openApiText } from "../api/openapi.ts";
import { existsSync } from "node:fs";
import type { Config } from "../config/schema.ts";
import { generateConfig } from "../config/generate.ts";
import { ConfigError, loadConfig } from "../config/load.ts";
import { JournalDamaged } from "../journal/errors.ts";
import { DataDirLocked } from "../journal/lock.ts";
import { systemClock } from "../lib/clock.ts";
import { messageOf, systemCode } from "../lib/errors.ts";
import { leadsToJournal, priorityMark } from "../lib/journald.ts";
import type { LogLevel } from "../lib/log.ts";
import type { ResultOutput } from "../lib/stdout.ts";
import { forgiveStderr, openStdout } from "../lib/stdout.ts";
import { VERSION } from "../lib/version.ts";
import { wrapUsage } from "../lib/wrap.ts";
import type { Arguments, Tool } from "./arguments.ts";
import { DEFAULT_CONFIG_PATH, parseArguments, USAGE, UsageError } from "./arguments.ts";
import { backUp } from "./backup.ts";
import type { Notifier } from "./notify.ts";
import { createNotifier } from "./notify.ts";
import { OwnPaths } from "./own-paths.ts";
import { restore } from "./restore.ts";
import { runDaemon } from "./run.ts";
import { readTls } from "./tls.ts";
import type { Say } from "./tools.ts";
import { compactChain, dumpChain, verifyChain, verifyStore } from "./tools.ts";

const STDERR = 2;

type Env = Readonly<Record<string, string | undefined>>;

/** Runs zwrmd with the words after its name. Resolves to the exit code: 0 done, 1 failed, 2 wrong usage. */
export async function main(words: readonly string[], env: Env): Promise<number> {
  forgiveStderr();
  const onLost = (reason: string): void =>
    complain("warn", `systemd does not hear the daemon any more: ${reason}`, env);
  const notifier = createNotifier({ env, pid: process.pid, clock: systemClock, onLost });
  try {
    return await run(parseArguments(words), env, notifier, openStdout("zwrmd", env));
  } catch (error) {
    const reason = explain(error);
    notifier.failed(reason);
    complain("error", reason, env);
    if (error instanceof UsageError) process.stderr.write("Try: zwrmd --help\n");
    return error instanceof UsageError ? 2 : 1;
  }
}

async function run(given: Arguments, env: Env, notifier: Notifier, stdout: ResultOutput): Promise<number> {
  const { command } = given;
  const print = (text: string): Promise<number> => stdout.write(text).then(() => 0);
  const say = (line: string): Promise<void> => stdout.write(`${line}\n`);
  switch (command.name) {
    case "help":
      return print(wrapUsage(USAGE, stdout.columns));
    case "version":
      return print(`zwrmd ${VERSION}\n`);
    case "openapi":
      return print(openApiText());
    case "generate-config":
      return print(generateConfig());
    case "check-config":
      readServed(given, env);
      return print(checked(given.configPath ?? DEFAULT_CONFIG_PATH));
    case "run":
      abortOnCrash(env);
      return runDaemon(() => readServed(given, env), env, notifier);
    default:
      return runTool(command, readConfig(given, env), given.configPath ?? DEFAULT_CONFIG_PATH, stdout, say);
  }
}

/** Without a file there is only the environment to be good. */
function checked(path: string): string {
  return existsSync(path) ? `${path}: good\n` : `there is no ${path}; the defaults and the environment are good\n`;
}

/**
 * A tool beside the daemon. None of them begins before it is known that its output goes to nothing that the daemon
 * lives on.
 */
async function runTool(
  command: Tool,
  config: Config,
  configPath: string,
  stdout: ResultOutput,
  say: Say,
): Promise<number> {
  const own = new OwnPaths(config, configPath);
  await own.refuseOutput("-");
  switch (command.name) {
    case "journal-verify":
      return verifyChain(config, command.head, say);
    case "journal-dump":
      return dumpChain(config, command.filter, command.secrets, say);
    case "journal-compact":
      return compactChain(config, say);
    case "images-verify":
      return verifyStore(config, say);
    case "backup":
      return backUp(config, own, command.file, stdout);
    case "restore":
      return restore(config, command.file, say);
  }
}

/** The config of the file, the environment and the flags, in rising order. Its warnings go to stderr. */
function readConfig(given: Arguments, env: Env): Config {
  const { config, warnings } = loadConfig({
    path: given.configPath ?? DEFAULT_CONFIG_PATH,
    required: given.configPath !== null,
    env,
    overrides: given.dataDir === null ? {} : { "state.data_dir": given.dataDir },
  });
  for (const warning of warnings) complain("warn", `warning: ${warning}`, env);
  return config;
}

/** The same for who listens: the files that the config names are looked at before anything is begun. */
function readServed(given: Arguments, env: Env): Config {
  const config = readConfig(given, env);
  readTls(config.server);
  return config;
}

/**
 * A crash ends by SIGABRT, so that systemd tells it from a start that failed and starts the daemon again. What was
 * acknowledged is on disk.
 */
function abortOnCrash(env: Env): void {
  process.on("uncaughtException", (error: unknown) => {
    complain("error", `crashed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`, env);
    process.abort();
  });
}

/** To stderr, each line with its level where journald reads it. */
function complain(level: LogLevel, text: string, env: Env): void {
  const mark = leadsToJournal(env, STDERR) ? priorityMark(level) : "";
  process.stderr.write(`zwrmd: ${text}\n`.replace(/^(?!$)/gm, mark));
}

/** One sentence that says what is wrong and, where we know, what to do. */
function explain(error: unknown): string {
  if (
    error instanceof UsageError ||
    error instanceof ConfigError ||
    error instanceof JournalDamaged ||
    error instanceof DataDirLocked
  )
    return error.message;
  const path = error instanceof Error && "path" in error ? ` (${String(error.path)})` : "";
  switch (systemCode(error)) {
    case "EADDRINUSE":
      return `${messageOf(error)}: another program listens there; stop it or set server.port`;
    case "EAFNOSUPPORT":
      return (
        `${messageOf(error)}: this process may open no sockets of its own, and systemd passed none: ` +
        "systemctl enable --now zwrmd.socket zwrmd-unix.socket"
      );
    case "EACCES":
    case "EPERM":
      return `${messageOf(error)}${path}: run zwrmd as a user who may, or set state.data_dir / server.port`;
    case "ENOSPC":
      return `${messageOf(error)}${path}: the disk is full; make room and start again`;
    default:
      return messageOf(error);
  }
}
