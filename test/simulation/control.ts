/**
 * The daemon without sockets and disks: the real routes, handlers, fleet, store and reducers, started, killed and
 * replayed in virtual time.
 */
import { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import type { Hands } from "../../src/api/app.ts";
import type { ApiRoute } from "../../src/api/route.ts";
import { handOut } from "../../src/api/app.ts";
import { ROUTES } from "../../src/api/routes.ts";
import { Fleet } from "../../src/fleet/fleet.ts";
import { Context } from "../../src/http/context.ts";
import { errorReply } from "../../src/http/respond.ts";
import { Router } from "../../src/http/router.ts";
import type { Match, Outcome, Peer, Reply } from "../../src/http/types.ts";
import type { Caller } from "../../src/identity/access.ts";
import { Logins } from "../../src/identity/login.ts";
import { ImageLibrary } from "../../src/images/library.ts";
import { ImageStore } from "../../src/images/store.ts";
import { ApiError } from "../../src/lib/errors.ts";
import { diskFiles } from "../../src/lib/files.ts";
import { newId, newUuid } from "../../src/lib/ids.ts";
import type { Log } from "../../src/lib/log.ts";
import { createMetrics } from "../../src/metrics/catalogue.ts";
import { Registry } from "../../src/metrics/registry.ts";
import type { Event, Recorded } from "../../src/state/events.ts";
import { SYSTEM } from "../../src/state/events.ts";
import { EventFeed } from "../../src/state/feed.ts";
import { Quota } from "../../src/state/quota.ts";
import { CLUSTER_KEY, State } from "../../src/state/state.ts";
import { Replay, Store } from "../../src/state/store.ts";
import { idOf, withIds } from "../support/ids.ts";
import type { Chance } from "./chance.ts";
import type { SimClock } from "./clock.ts";
import { ProcessClock } from "./clock.ts";
import type { Disk } from "./disk-log.ts";
import { DiskLog } from "./disk-log.ts";
import { IMAGES } from "./images.ts";
import type { Trace } from "./trace.ts";

export const OFFLINE_AFTER_MS = 30_000;
const CHECK_INTERVAL_MS = 15_000;

export interface Request {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  /** JSON as it goes over the wire; "" for none. */
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The host that asks; null for an operator on the daemon's own machine. */
  readonly hostId: string | null;
}

/** `refused`: nobody listens. `closed`: the daemon died in the middle. */
export type Answer =
  { readonly kind: "answer"; readonly status: number; readonly text: string } | { readonly kind: "refused" | "closed" };

/** What the world wants to know of the daemon. */
export interface Observer {
  /** Lines are on disk, and in the state. */
  durable(events: readonly Recorded[]): void;
  /** A start has replayed the log. */
  restored(state: State): void;
  broken(error: unknown): void;
}

/** One process of the daemon. */
interface Life {
  readonly clock: ProcessClock;
  readonly journal: DiskLog;
  readonly store: Store;
  readonly fleet: Fleet;
  readonly hands: Hands;
  readonly open: Set<() => void>;
  ended: boolean;
}

const LICENCE = "a licence";
const LOOPBACK: Peer = { unixSocket: false, remoteAddress: "127.0.0.1", localAddress: "127.0.0.1" };
const REQ = new IncomingMessage(new Socket());
const RES = new ServerResponse(REQ);
const QUIET: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

class SimContext extends Context<ApiRoute, Caller> {
  constructor(request: Request, id: string, match: Match<ApiRoute>) {
    const [path = "", query = ""] = request.path.split("?");
    // A request like any other, but for what came with it.
    const req: IncomingMessage = Object.create(REQ, { headers: { value: request.headers } });
    const peer = request.hostId === null ? LOOPBACK : { ...LOOPBACK, remoteAddress: "10.0.0.1" };
    super(req, RES, id, path, query, match, peer);
  }
}

export class Control {
  /** Outlives every process. */
  readonly disk: Disk = { lines: [], isFull: false };
  readonly #time: SimClock;
  readonly #chance: Chance;
  readonly #trace: Trace;
  readonly #observer: Observer;
  readonly #router = new Router(ROUTES);
  #life: Life | null = null;
  #requests = 0;
  starts = 0;

  constructor(time: SimClock, chance: Chance, trace: Trace, observer: Observer) {
    this.#time = time;
    this.#chance = chance;
    this.#trace = trace;
    this.#observer = observer;
  }

  /** A check that found something while it asked the daemon. */
  fail(error: unknown): void {
    this.#observer.broken(error);
  }

  get isUp(): boolean {
    return this.#life !== null;
  }

  /** The state of the running daemon, writes in flight and all; null while it is down. */
  get state(): State | null {
    return this.#life?.store.state ?? null;
  }

  /** Replays what is on disk and listens; the first start makes the cluster and puts the images there. */
  start(): void {
    if (this.#life !== null) return;
    this.starts += 1;
    const state = this.replay();
    const clock = new ProcessClock(this.#time, this.#chance.whole(-500, 500));
    const journal = new DiskLog(this.disk, clock, this.#chance.of(`disk-${this.starts}`));
    const store = new Store(state, journal, clock, new Quota(QUOTA, () => undefined).admit);
    const fleet = new Fleet({
      store,
      clock,
      log: QUIET,
      offlineAfterMs: OFFLINE_AFTER_MS,
      checkIntervalMs: CHECK_INTERVAL_MS,
      strategy: this.#chance.is(0.7) ? "spread" : "pack",
      newMachineId: () => newId("m"),
      onPlacement: () => undefined,
      onIdConflict: () => undefined,
    });
    const life: Life = {
      clock,
      journal,
      store,
      fleet,
      hands: createHands(store, fleet, clock),
      open: new Set(),
      ended: false,
    };
    store.onDurable((events) => {
      for (const event of events)
        this.#trace.note("daemon", `${event.seq} ${event.type} ${JSON.stringify(event.data)}`);
      this.#observer.durable(events);
    });
    this.#life = life;
    this.#trace.note("daemon", `starts with ${this.disk.lines.length} lines`);
    if (state.cluster.get(CLUSTER_KEY) === undefined) this.#found(store);
    this.#observer.restored(state);
    fleet.start();
  }

  /** SIGKILL: what was not on disk is lost, and everyone who waited for an answer sees the connection close. */
  kill(): void {
    const life = this.#life;
    if (life === null) return;
    const lost = life.journal.cut();
    this.#end(life, `is killed, ${lost} lines lost`);
  }

  /** SIGTERM: held heartbeats are answered, what runs is answered, then it ends. One that is paused is killed. */
  stop(): void {
    const life = this.#life;
    if (life === null) return;
    if (life.clock.isPaused) return this.kill();
    life.fleet.stop();
    this.#time.after(200, () => {
      if (this.#life !== life) return;
      life.journal.cut();
      this.#end(life, "stops");
    });
  }

  /** SIGSTOP, and SIGCONT after so long. */
  pause(ms: number): void {
    this.#life?.clock.pause(ms);
    this.#trace.note("daemon", `is paused for ${Math.round(ms)} ms`);
  }

  /** The disk has no room until the function that it gives is called. */
  fillDisk(): () => void {
    this.disk.isFull = true;
    this.#trace.note("daemon", "its disk is full");
    return () => {
      this.disk.isFull = false;
      this.#trace.note("daemon", "its disk has room again");
    };
  }

  /** A sync fails: the journal is off until a restart. */
  breakDisk(): void {
    this.#life?.journal.break();
    this.#trace.note("daemon", "its disk fails a sync");
  }

  /** It runs, and can write. */
  get isWell(): boolean {
    return (
      this.#life !== null && !this.#life.clock.isPaused && !this.disk.isFull && this.#life.journal.writability.writable
    );
  }

  /** Virtual time of what the running daemon writes as a time. */
  timeOf(at: string): number {
    return Date.parse(at) - (this.#life?.clock.wall() ?? 0) + Math.floor(this.#time.now);
  }

  /** A sync has failed: what it should have written may be on disk all the same, and the next start decides. */
  get isUnsure(): boolean {
    const writability = this.#life?.journal.writability;
    return writability?.writable === false && writability.untilRestart;
  }

  /** One request. `answer` is called once, or never where the caller hangs up first by the function that this gives. */
  serve(request: Request, answer: (answer: Answer) => void): () => void {
    const life = this.#life;
    if (life === null) {
      answer({ kind: "refused" });
      return () => undefined;
    }
    if (life.clock.isPaused) return this.#serveLater(life, request, answer);
    const context = this.#contextOf(request, life);
    const close = (): boolean => life.open.delete(broken);
    const broken = (): void => void (close() && answer({ kind: "closed" }));
    life.open.add(broken);
    const { lastSeq: before, failures } = life.journal;
    const finish = (reply: Reply): void => {
      if (life.ended || !close()) return;
      context.finish(outcome(reply.status, false));
      if (life.journal.failures === failures && life.journal.durable.seq < before)
        this.#observer.broken(
          new Error(`${request.method} ${request.path} was answered before line ${before} was on disk`),
        );
      answer({ kind: "answer", status: reply.status, text: typeof reply.body === "string" ? reply.body : "" });
    };
    const fail = (error: unknown): void => {
      if (error instanceof ApiError) finish(errorReply(error, context.requestId));
      else if (!life.ended) this.#observer.broken(error);
    };
    try {
      if (context.match.kind !== "found")
        throw new ApiError("route_not_found", `There is no ${request.method} ${request.path}.`);
      const reply = context.match.route.handler(context, life.hands);
      if (reply instanceof Promise) reply.then(finish).catch(fail);
      else finish(reply);
    } catch (error) {
      fail(error);
    }
    return () => {
      if (close()) context.finish(outcome(499, true));
    };
  }

  /** The kernel takes the connection of a process that is paused; it is read when the process runs again. */
  #serveLater(life: Life, request: Request, answer: (answer: Answer) => void): () => void {
    const broken = (): void => void (life.open.delete(broken) && answer({ kind: "closed" }));
    life.open.add(broken);
    let hangUp: (() => void) | null = null;
    let isGone = false;
    life.clock.whenAwake(() => {
      if (!life.open.delete(broken)) return;
      hangUp = this.serve(request, answer);
      if (isGone) hangUp();
    });
    return () => {
      isGone = true;
      hangUp?.();
    };
  }

  /** Whether every line is on disk. */
  get isAtRest(): boolean {
    return this.#life !== null && this.#life.journal.lastSeq === this.#life.journal.durable.seq;
  }

  /** What a start would find now. */
  replay(): State {
    const replay = new Replay(new State());
    for (const record of this.disk.lines) replay.record(record);
    return replay.state;
  }

  #contextOf(request: Request, life: Life): SimContext {
    this.#requests += 1;
    const [path = ""] = request.path.split("?");
    const context = new SimContext(request, `r-${this.#requests}`, this.#router.match(request.method, path));
    context.body = request.body === "" ? {} : JSON.parse(request.body);
    context.caller =
      request.hostId === null ? operator(life.store.state) : { kind: "agent", ip: "10.0.0.1", licence: LICENCE };
    return context;
  }

  #end(life: Life, how: string): void {
    life.ended = true;
    life.clock.end();
    this.#life = null;
    this.#trace.note("daemon", how);
    for (const broken of [...life.open]) broken();
  }

  /** What the daemon's first start does, and images as if they had been pushed. */
  #found(store: Store): void {
    const org = { id: newId("org"), slug: "default", name: "Default" };
    const write = (event: Event): void => {
      void Promise.resolve(store.change(SYSTEM, () => ({ event, answer: () => undefined }))).catch((error: unknown) =>
        this.#observer.broken(error),
      );
    };
    write({ type: "cluster.created", data: { cluster_id: newUuid(), org } });
    for (const digest of IMAGES.keys())
      write(withIds({ type: "image.added", data: { digest, size_bytes: 1, org_id: org.id, app_id: null } }));
  }
}

function outcome(status: number, aborted: boolean): Outcome {
  return { status, bytes: 0, seconds: 0, aborted };
}

/** Who the localhost bypass makes of a caller. */
function operator(state: State): Caller {
  const id = state.cluster.get(CLUSTER_KEY)?.default_org_id ?? "";
  const actor = { kind: "localhost", id: null, ip: "127.0.0.1" } as const;
  return {
    kind: "person",
    authMethod: "localhost",
    access: "host-admin",
    user: null,
    org: { id: idOf(id), slug: "default", role: null },
    scopes: null,
    expiresAt: null,
    tokenHash: null,
    actor,
  };
}

/** Wide enough that nothing here is refused; what refuses is tested by itself. */
const QUOTA = {
  apps: 10_000,
  replicas: 1_000_000,
  cpus: 100_000_000,
  memory_mb: 100_000_000_000,
  env_bytes: 2 ** 30,
  images: 10_000,
  image_bytes: 2 ** 40,
  labels: 64,
};

function createHands(store: Store, fleet: Fleet, clock: ProcessClock): Hands {
  const registry = new Registry();
  const metrics = createMetrics(registry, { version: "0", node: "0" });
  return handOut({
    store,
    fleet,
    library: new ImageLibrary(store, new ImageStore({ files: diskFiles, imagesDir: "/nowhere", log: QUIET }), QUIET),
    feed: new EventFeed(store, diskFiles, "/nowhere", () => 0),
    logins: new Logins(store, clock, 1),
    metrics,
    registry,
    clock,
    log: QUIET,
    version: "0",
    offlineAfterMs: OFFLINE_AFTER_MS,
    maxImageBytes: 1,
    quota: () => QUOTA,
    lookAtStorage: () => Promise.resolve(store.writability),
    startedAt: clock.mono(),
    openApi: () => "{}",
    stopping: () => false,
    verification: { last: Promise.resolve(), signal: new AbortController().signal },
    licences: () => [LICENCE],
  });
}
