/**
 * zwrm-agent's commands: reads arguments and config, runs the one that was asked for, and turns every failure into one
 * line and an exit code.
 */
import { randomInt } from "node:crypto";
import { join } from "node:path";
import { ClientError } from "../client/errors.ts";
import { ConfigError } from "../config/error.ts";
import type { Clock } from "../lib/clock.ts";
import { messageOf } from "../lib/errors.ts";
import { diskFiles } from "../lib/files.ts";
import { newUuid } from "../lib/ids.ts";
import { leadsToJournal, priorityMark } from "../lib/journald.ts";
import type { Log } from "../lib/log.ts";
import { createLog } from "../lib/log.ts";
import type { FlushableSink } from "../lib/log-sink.ts";
import { createLineSink } from "../lib/log-sink.ts";
import type { ResultOutput } from "../lib/stdout.ts";
import { forgiveStderr, openStdout } from "../lib/stdout.ts";
import { VERSION } from "../lib/version.ts";
import { wrapUsage } from "../lib/wrap.ts";
import { Agent } from "./agent.ts";
import type { Arguments } from "./arguments.ts";
import { DEFAULT_CONFIG_PATH, parseArguments, USAGE, UsageError } from "./arguments.ts";
import { readConsole } from "./console.ts";
import { writeHostId } from "./host-id.ts";
import { acceptCluster } from "./membership.ts";
import type { AgentConfig } from "./settings.ts";
import { generateAgentConfig } from "./settings-generate.ts";
import type { Loaded } from "./settings-load.ts";
import { loadAgentConfig } from "./settings-load.ts";
import { MACHINE_ID_PATTERN } from "../wire/agents.ts";

const STDOUT = 1;
const STDERR = 2;
const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** How long the end waits for whoever reads the log. */
const LAST_LINES_MS = 500;

type Env = Readonly<Record<string, string | undefined>>;

/** Runs zwrm-agent with the words after its name. Resolves to the exit code: 0 done, 1 failed, 2 wrong usage. */
export async function main(words: readonly string[], env: Env, clock: Clock): Promise<number> {
  forgiveStderr();
  try {
    return await run(parseArguments(words), env, clock, openStdout("zwrm-agent", env));
  } catch (error) {
    const isUsage = error instanceof UsageError;
    const isKnown = isUsage || error instanceof ConfigError || error instanceof ClientError;
    complain("error", isKnown ? error.message : messageOf(error), env);
    if (isUsage) process.stderr.write("Try: zwrm-agent --help\n");
    return isUsage ? 2 : 1;
  }
}

async function run(given: Arguments, env: Env, clock: Clock, stdout: ResultOutput): Promise<number> {
  const { command } = given;
  const print = (text: string): Promise<number> => stdout.write(text).then(() => 0);
  switch (command.name) {
    case "help":
      return print(wrapUsage(USAGE, stdout.columns));
    case "version":
      return print(`zwrm-agent ${VERSION}\n`);
    case "generate-config":
      return print(generateAgentConfig());
    case "check-config":
      readConfig(given, env);
      return print(`${given.configPath ?? DEFAULT_CONFIG_PATH}: good\n`);
    case "accept-cluster":
      return accept(readConfig(given, env).config, clock, print);
    case "logs":
      return printLogs(readConfig(given, env).config, command, clock, stdout);
    case "run":
      return runAgent(given, env, clock, command.deregisterOnExit);
  }
}

/** Its warnings go to stderr. */
function readConfig(given: Arguments, env: Env): Loaded {
  const loaded = loadAgentConfig({
    path: given.configPath ?? DEFAULT_CONFIG_PATH,
    required: given.configPath !== null,
    env,
  });
  for (const warning of loaded.warnings) complain("warn", `warning: ${warning}`, env);
  return loaded;
}

async function runAgent(given: Arguments, env: Env, clock: Clock, deregisterOnExit: boolean): Promise<number> {
  const loaded = readConfig(given, env);
  const { config } = loaded;
  const sink = createSink(config, env, clock);
  const log = createLog(sink, clock, config.log.format, config.log.level);
  const release = stayAlive();
  const stopped = stopSignal();
  try {
    const hostId = await hostIdOf(loaded, given.configPath ?? DEFAULT_CONFIG_PATH, log);
    if (config.runtime.command.length === 0) log.warn("[runtime] command is not set: this host can run no machines");
    const chance = (): number => randomInt(2 ** 32) / 2 ** 32;
    const agent = await Agent.start({ config, hostId, clock, log, path: env["PATH"] ?? DEFAULT_PATH, chance });
    log.info("running", { version: VERSION, host: hostId, control_plane: config.control_plane_url });
    const signal = await stopped;
    log.info(deregisterOnExit ? "stopping: this host leaves" : "stopping; machines go on", { signal });
    const isDone = deregisterOnExit ? await agent.leave("deregister-on-exit") : true;
    await agent.stop();
    await sink.flush(LAST_LINES_MS);
    // All is written down; whatever still holds this process, such as a log that nobody reads, holds up no restart.
    process.exit(isDone ? 0 : 1);
  } finally {
    release();
    await sink.flush();
  }
}

/** The configured id, or a new one that stands in the file from now on. */
async function hostIdOf({ config, file }: Loaded, path: string, log: Log): Promise<string> {
  if (config.host_id !== "") return config.host_id;
  const hostId = newUuid();
  await writeHostId(path, file, hostId);
  log.info("this host had no id; a new one was written into the config", { host: hostId, path });
  return hostId;
}

async function accept(
  { state_dir: folder }: AgentConfig,
  clock: Clock,
  print: (text: string) => Promise<number>,
): Promise<number> {
  const log = createLog({ write: (line) => void process.stderr.write(`${line}\n`) }, clock, "text", "warn");
  const result = await acceptCluster(diskFiles, folder, log);
  if (result.done)
    return print(
      `accepted: ${result.accepted}. At its next heartbeat this host obeys it in place of ${result.own}, ` +
        "and stops what it does not list.\n",
    );
  const none =
    result.own === null
      ? "this host has met no cluster yet"
      : `no other cluster than its own (${result.own}) has answered`;
  process.stderr.write(`zwrm-agent: there is nothing to accept: ${none}\n`);
  return 1;
}

async function printLogs(
  { state_dir: folder }: AgentConfig,
  { id, follow }: { readonly id: string; readonly follow: boolean },
  clock: Clock,
  stdout: ResultOutput,
): Promise<number> {
  if (!MACHINE_ID_PATTERN.test(id)) throw new UsageError(`${JSON.stringify(id)} is no machine's id`);
  const write = (bytes: Uint8Array): Promise<void> => stdout.write(bytes);
  const release = stayAlive();
  const found = await readConsole(join(folder, "machines", id), clock, write, () => !follow).finally(release);
  if (found) return 0;
  process.stderr.write(
    `zwrm-agent: machine ${id} has no console on this host: it never ran here, or ended more than a day ago\n`,
  );
  return 1;
}

function createSink(config: AgentConfig, env: Env, clock: Clock): FlushableSink {
  const mark = config.log.format === "text" && leadsToJournal(env, STDOUT) ? priorityMark : (): string => "";
  return createLineSink(STDOUT, { clock, mark });
}

/** To stderr, each line with its level where journald reads it. */
function complain(level: "warn" | "error", text: string, env: Env): void {
  const mark = leadsToJournal(env, STDERR) ? priorityMark(level) : "";
  process.stderr.write(`zwrm-agent: ${text}\n`.replace(/^(?!$)/gm, mark));
}

/** Timers of the system clock keep no process alive, and between two calls there is nothing else. */
function stayAlive(): () => void {
  const { port1 } = new MessageChannel();
  port1.ref();
  return () => port1.close();
}

/** Resolves with the name of the first stop signal; a second one ends the process at once, and machines go on. */
function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    let asked = false;
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      process.on(signal, () => {
        if (asked) process.exit(1);
        asked = true;
        resolve(signal);
      });
    }
  });
}
