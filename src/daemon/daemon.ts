/**
 * The one place where things are put together: journal, state, fleet, images, identity and the API over them; and the
 * order in which they stop.
 */
import { join } from "node:path";
import type { Hands } from "../api/app.ts";
import { handOut } from "../api/app.ts";
import { openApiText } from "../api/openapi.ts";
import type { ApiRoute } from "../api/route.ts";
import { callWith } from "../api/route.ts";
import { ROUTES } from "../api/routes.ts";
import type { Config } from "../config/schema.ts";
import { Fleet } from "../fleet/fleet.ts";
import { compose } from "../http/compose.ts";
import { dispatch } from "../http/dispatch.ts";
import { auth } from "../http/middleware/auth.ts";
import type { Cors } from "../http/middleware/cors.ts";
import { createCors } from "../http/middleware/cors.ts";
import { createAccessLog, logger } from "../http/middleware/logger.ts";
import { metrics as countRequests } from "../http/middleware/metrics.ts";
import { recovery } from "../http/middleware/recovery.ts";
import { Router } from "../http/router.ts";
import type { HttpServer } from "../http/server.ts";
import { createHttpServer } from "../http/server.ts";
import type { Caller } from "../identity/access.ts";
import type { AuthSettings } from "../identity/authenticate.ts";
import { Door } from "../identity/door.ts";
import { Logins } from "../identity/login.ts";
import { hideTokens } from "../identity/tokens.ts";
import { ImageLibrary } from "../images/library.ts";
import { ImageStore } from "../images/store.ts";
import type { Journal } from "../journal/journal.ts";
import type { Lock } from "../journal/lock.ts";
import type { Cancel, Clock } from "../lib/clock.ts";
import type { Closing } from "../lib/closing.ts";
import { diskFiles } from "../lib/files.ts";
import { newId } from "../lib/ids.ts";
import type { LineSink, Log } from "../lib/log.ts";
import { VERSION } from "../lib/version.ts";
import type { Metrics } from "../metrics/catalogue.ts";
import { recordRequests } from "../metrics/recorders.ts";
import type { Registry } from "../metrics/registry.ts";
import { JournalBackground } from "../state/background.ts";
import { EventFeed } from "../state/feed.ts";
import { Quota } from "../state/quota.ts";
import { State } from "../state/state.ts";
import type { Store } from "../state/store.ts";
import { collectFromState } from "./gauges.ts";
import { openListener } from "./listen.ts";
import { openState } from "./open-state.ts";
import { quotaLimits } from "./quota-limits.ts";
import type { Listener } from "./sockets.ts";
import { readTls } from "./tls.ts";

export interface DaemonOptions {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Log;
  /** Where access lines go. */
  readonly sink: LineSink;
  readonly registry: Registry;
  readonly metrics: Metrics;
  /** Of the data folder; released after the daemon is closed. */
  readonly lock: Lock;
  /** Where everything that is opened is noted; whoever made it closes it, after a failed start too. */
  readonly opened: Closing;
  /** How long the requests that run at the stop may go on, in milliseconds. */
  readonly graceMs: number;
}

/**
 * How often a full disk is tried again, and the files are looked for in their places, so that health and the metric are
 * right without anyone writing.
 */
const PROBE_MS = 1_000;

export class Daemon {
  readonly #options: DaemonOptions;
  readonly #journal: Journal;
  readonly #quota: Quota;
  readonly #fleet: Fleet;
  readonly #feed: EventFeed;
  readonly #background: JournalBackground;
  readonly #cors: Cors<ApiRoute, Caller>;
  readonly #door: Door;
  readonly #http: HttpServer;
  #config: Config;
  #stopping = false;
  readonly #verifying = new AbortController();
  #probe: Cancel = () => undefined;

  /**
   * Replays the log, opens the image store and starts the sweeps; listens to nobody yet. Throws JournalDamaged,
   * UnknownEvent and the disk's own errors.
   */
  static async open(options: DaemonOptions): Promise<Daemon> {
    const { config, log } = options;
    const state = new State();
    const quota = new Quota(quotaLimits(config.quota), (kind) => options.metrics.quotaRefusals.labels(kind).inc());
    const { journal, store } = await openState(state, { ...options, admit: quota.admit });
    const images = new ImageStore({ files: diskFiles, imagesDir: config.build.imagesDir, log });
    await images.open();
    return new Daemon(options, journal, store, images, quota);
  }

  private constructor(options: DaemonOptions, journal: Journal, store: Store, images: ImageStore, quota: Quota) {
    const { config, clock, log, registry, metrics } = options;
    this.#options = options;
    this.#config = config;
    this.#journal = journal;
    this.#quota = quota;
    this.#fleet = new Fleet({
      store,
      clock,
      log,
      offlineAfterMs: config.hosts.offlineAfterMs,
      checkIntervalMs: config.hosts.checkIntervalMs,
      strategy: config.scheduler.strategy,
      newMachineId: () => newId("m"),
      onPlacement: (result) => metrics.placements.labels(result).inc(),
      onIdConflict: () => metrics.hostIdConflicts.inc(),
    });
    this.#background = new JournalBackground(join(config.state.dataDir, "journal"), log);
    this.#feed = new EventFeed(store, diskFiles, join(config.state.dataDir, "journal"), () => journal.durable.seq);
    this.#cors = createCors(config.cors.allowedOrigins);
    collectFromState(registry, metrics, store.state, journal);
    journal.onSegmentClosed(({ file, head }) => {
      log.info("segment closed; note its head elsewhere to prove the past later", {
        file,
        head: `${head.seq}:${head.sum}`,
      });
      this.#background.request("snapshot");
    });
    let document: string | null = null;
    const hands = handOut({
      store,
      fleet: this.#fleet,
      library: new ImageLibrary(store, images, log),
      feed: this.#feed,
      logins: new Logins(store, clock, config.auth.sessionTtlMs),
      metrics,
      registry,
      clock,
      log,
      version: VERSION,
      offlineAfterMs: config.hosts.offlineAfterMs,
      maxImageBytes: config.images.maxBytes,
      quota: () => quota.defaults,
      lookAtStorage: () => journal.look(),
      startedAt: clock.mono(),
      openApi: () => (document ??= openApiText()),
      stopping: () => this.#stopping,
      verification: { last: Promise.resolve(), signal: this.#verifying.signal },
      licences: () => this.#config.license.keyHashes,
    });
    this.#door = new Door({
      store,
      clock,
      log,
      sessionTtlMs: config.auth.sessionTtlMs,
      settings: authSettings(config),
      onFailure: (method) => metrics.authFailures.labels(method).inc(),
    });
    this.#http = this.#createServer(hands);
    this.#start(options);
  }

  /**
   * What runs from here on by itself, each with its end; the API's streams are told first, since they never end by
   * themselves.
   */
  #start({ opened, graceMs }: DaemonOptions): void {
    opened.add("work on closed segments", () => this.#background.stop());
    opened.add("the listeners", () => this.#http.close(graceMs));
    this.#fleet.start();
    opened.add("the fleet", () => this.#fleet.stop());
    this.#armProbe();
    opened.add("the streams", () => {
      this.#stopping = true;
      this.#probe();
      this.#feed.close();
      this.#verifying.abort();
    });
    this.#background.request("snapshot");
    this.#background.request("verify");
  }

  /** Opens one listener. Resolves with its address as people write it. */
  listen(listener: Listener): Promise<string> {
    return openListener(this.#http, listener, readTls(this.#config.server));
  }

  /**
   * Takes what SIGHUP may change: certificates, origins, licence hashes, quotas. Throws and changes nothing where a
   * file cannot be read.
   */
  reload(config: Config): void {
    const { tlsCert, tlsKey } = config.server;
    // TLS is on or off from the start; a listener cannot become the other.
    const server =
      this.#config.server.tlsCert === "" ? this.#config.server : { ...this.#config.server, tlsCert, tlsKey };
    const { license, cors, quota } = config;
    const next = { ...this.#config, server, license, cors, quota };
    const tls = readTls(next.server);
    this.#cors.replace(config.cors.allowedOrigins);
    this.#quota.replace(quotaLimits(config.quota));
    this.#door.replace(authSettings(next));
    if (tls !== null) this.#http.reload(tls);
    this.#config = next;
  }

  #createServer(hands: Hands): HttpServer {
    const { config, clock, log, sink, metrics } = this.#options;
    const accessLog = createAccessLog(
      { write: (line, level) => sink.write(hideTokens(line), level) },
      clock,
      config.log.format,
    );
    const middlewares = [
      logger<ApiRoute, Caller>(accessLog),
      recovery<ApiRoute, Caller>(log),
      this.#cors.middleware,
      countRequests<ApiRoute, Caller>(recordRequests(metrics)),
      auth<ApiRoute, Caller>(this.#door.letIn),
    ];
    const terminal = dispatch<ApiRoute, Caller>(callWith(hands), {
      maxBytes: config.server.maxBodyBytes,
      timeoutMs: config.server.readTimeoutMs,
      clock,
    });
    return createHttpServer<ApiRoute, Caller>({
      router: new Router(ROUTES),
      handle: compose(middlewares, terminal),
      clock,
      log,
      limits: {
        idleTimeoutMs: config.server.idleTimeoutMs,
        writeTimeoutMs: config.server.writeTimeoutMs,
        maxConnections: config.server.maxConnections,
      },
      onRefused: accessLog,
    });
  }

  #armProbe(): void {
    this.#probe = this.#options.clock.after(PROBE_MS, () => {
      const done = this.#journal.probe().then(
        () => undefined,
        () => undefined,
      );
      void done.then(() => this.#stopping || this.#armProbe());
    });
  }
}

function authSettings({ license, auth: { localhostBypass } }: Config): AuthSettings {
  return { licenceKeyHashes: license.keyHashes, localhostBypass };
}
