/** The running daemon: takes the lock, opens the log, starts and stops everything in order, and follows signals. */
import { statSync } from "node:fs";
import type { Config } from "../config/schema.ts";
import { systemClock, toRfc3339 } from "../lib/clock.ts";
import { Closing } from "../lib/closing.ts";
import { messageOf } from "../lib/errors.ts";
import { leadsToJournal, priorityMark } from "../lib/journald.ts";
import type { LineSink, Log } from "../lib/log.ts";
import { createLog } from "../lib/log.ts";
import { createLineSink } from "../lib/log-sink.ts";
import { VERSION } from "../lib/version.ts";
import { lockDataDir } from "../journal/lock.ts";
import { createMetrics } from "../metrics/catalogue.ts";
import { addProcessMetrics } from "../metrics/process.ts";
import { Registry } from "../metrics/registry.ts";
import { Daemon } from "./daemon.ts";
import type { Notifier } from "./notify.ts";
import { configuredListeners, inheritedListeners } from "./sockets.ts";

const STDOUT = 1;
/** A stalled reader of the log does not hold up the end. */
const GRACE_MS = 30_000;

/** Runs until SIGTERM or SIGINT. Resolves to the exit code. `readConfig` is called again at SIGHUP. */
export async function runDaemon(
  readConfig: () => Config,
  env: Readonly<Record<string, string | undefined>>,
  notifier: Notifier,
): Promise<number> {
  const config = readConfig();
  const registry = new Registry();
  const metrics = createMetrics(registry, { version: VERSION, node: process.version });
  addProcessMetrics(registry);
  // A line of JSON has its level inside.
  const mark = config.log.format === "text" && leadsToJournal(env, STDOUT) ? priorityMark : (): string => "";
  const sink = createLineSink(STDOUT, {
    clock: systemClock,
    onDrop: (count) => metrics.logDroppedLines.inc(count),
    describeDrop: dropLine(config),
    mark,
  });
  const log = createLog(sink, systemClock, config.log.format, config.log.level);
  // Every thing that is opened is noted here, so a start that fails half way closes the same things as a stop, in the
  // same order.
  const opened = new Closing((what, error) => {
    log.error("could not be closed in order", { what, reason: messageOf(error) });
  });
  opened.add("the log's output", () => sink.flush());
  const signals = followSignals(opened);
  try {
    let running: Daemon | null = null;
    // From the first moment on: without a handler the signal would end a daemon that is still replaying.
    signals.onReload(() => {
      if (running === null) log.info("still starting; the config that is being read is the newest");
      else reload(running, readConfig, log);
    });
    // Before anything is read: two daemons on one data_dir would destroy it. So it is let go after the last writer.
    const lock = lockDataDir(config.state.dataDir, systemClock);
    opened.add("the lock", () => lock.release());
    warnOfRoot(config.state.dataDir, log);
    const logs = { log, sink: accessSink(sink, config) };
    const around = { config, clock: systemClock, registry, metrics, lock, opened, graceMs: GRACE_MS };
    const daemon = await Daemon.open({ ...around, ...logs });
    await listen(daemon, config, log, env);
    running = daemon;
    notifier.ready();
    const signal = await signals.stopped;
    notifier.stopping();
    log.info("stopping", { signal });
    return 0;
  } finally {
    await opened.close();
  }
}

/** What root writes into the folder of another user, that user's daemon cannot read later. */
function warnOfRoot(dataDir: string, log: Log): void {
  const { uid } = statSync(dataDir);
  if (process.getuid?.() !== 0 || uid === 0) return;
  const what = "this daemon runs as root on the data_dir of another user";
  log.warn(`${what}, whose own daemon cannot use what this one makes there`, { data_dir: dataDir, uid });
}

/** What stands where lines are missing, in the log's own format. */
function dropLine(config: Config): (count: number) => string {
  const at = (): string => toRfc3339(systemClock.wall());
  if (config.log.format === "json")
    return (count) =>
      JSON.stringify({
        at: at(),
        level: "warn",
        message: "log lines were dropped: their reader stalled",
        lines: count,
      });
  return (count) => `${at()} WARN log lines were dropped: their reader stalled lines=${count}`;
}

/** Requests are logged at info; a threshold above it silences them. */
function accessSink(sink: LineSink, config: Config): LineSink {
  return config.log.level === "warn" || config.log.level === "error" ? { write: () => undefined } : sink;
}

async function listen(
  daemon: Daemon,
  config: Config,
  log: Log,
  env: Readonly<Record<string, string | undefined>>,
): Promise<void> {
  const inherited = inheritedListeners(env, process.pid);
  if (inherited.length > 0)
    log.info("systemd passed the sockets; server.host, server.port and server.socket are ignored", {
      sockets: inherited.length,
    });
  const listeners = inherited.length > 0 ? inherited : configuredListeners(config);
  for (const listener of listeners) log.info("listening", { address: await daemon.listen(listener) });
}

function reload(daemon: Daemon, readConfig: () => Config, log: Log): void {
  try {
    daemon.reload(readConfig());
    log.info("reloaded: certificates, origins, licence hashes and quotas");
  } catch (error) {
    log.error("the config was not reloaded; the daemon goes on with the old one", { reason: messageOf(error) });
  }
}

interface Signals {
  /** Resolves with the name of the first stop signal; a second one ends the process at once. */
  readonly stopped: Promise<string>;
  onReload(listener: () => void): void;
}

/**
 * Takes the signals until everything is closed; from then on they do what they do by themselves, so nobody is left
 * deaf.
 */
function followSignals(opened: Closing): Signals {
  const handlers = new Map<NodeJS.Signals, () => void>();
  const handle = (signal: NodeJS.Signals, handler: () => void): void => {
    handlers.set(signal, handler);
    process.on(signal, handler);
  };
  opened.add("the signals", () => {
    for (const [signal, handler] of handlers) process.off(signal, handler);
  });
  const stopped = new Promise<string>((resolve) => {
    let asked = false;
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      handle(signal, () => {
        if (asked) process.exit(1);
        asked = true;
        resolve(signal);
      });
    }
  });
  return { stopped, onReload: (listener) => handle("SIGHUP", listener) };
}
