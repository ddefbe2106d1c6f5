/**
 * What handlers are given beside their request: what can be seen. The only way to a change of the state is the request
 * itself, by its kind (request.ts).
 */
import type { Fleet } from "../fleet/fleet.ts";
import type { Logins } from "../identity/login.ts";
import type { ImageLibrary } from "../images/library.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { Writability } from "../journal/types.ts";
import type { Metrics } from "../metrics/catalogue.ts";
import type { Registry } from "../metrics/registry.ts";
import type { EventFeed } from "../state/feed.ts";
import type { QuotaLimits } from "../wire/quota.ts";
import type { Reads, Store } from "../state/store.ts";
import { AgentDoor } from "./agent-door.ts";

/** What every handler may see. Nothing here changes the state: `library` takes a change from a door. */
export interface Services {
  readonly store: Reads;
  readonly fleet: Pick<Fleet, "view"> & { readonly reconciler: Pick<Fleet["reconciler"], "scene"> };
  readonly library: ImageLibrary;
  readonly feed: EventFeed;
  readonly metrics: Metrics;
  readonly registry: Registry;
  readonly clock: Clock;
  readonly log: Log;
  readonly version: string;
  readonly offlineAfterMs: number;
  readonly maxImageBytes: number;
  /** What an org may have where nothing was set for it; a reload changes it. */
  quota(): QuotaLimits;
  /**
   * Looks whether what is written still lands where a start would find it, and gives whether changes can be written;
   * see Journal.look.
   */
  readonly lookAtStorage: () => Promise<Writability>;
  /** Monotonic time of the start. */
  readonly startedAt: number;
  /** The end of the verification of images that was asked for last; `signal` ends them at the stop. */
  readonly verification: { last: Promise<void>; readonly signal: AbortSignal };
  /** The document of the API, as JSON. */
  openApi(): string;
  /** True from SIGTERM on. */
  stopping(): boolean;
}

/** What a protected route's handler is given beside its request. */
export interface App extends Services {
  readonly logins: Pick<Logins, "hash" | "prove">;
}

/** What an internal route's handler is given beside its request. */
export type AgentApp = Services;

/** What a public route's handler is given: a password proves who it is. */
export interface PublicApp extends Services {
  readonly logins: Pick<Logins, "login">;
}

/** What there is to hand out; each kind of row (route.ts) takes its own. */
export interface Hands {
  readonly anyone: PublicApp;
  readonly agents: AgentApp;
  readonly people: App;
  /** Not for handlers: a request has what its kind may change. */
  readonly agentDoor: AgentDoor;
  readonly store: Store;
  readonly clock: Clock;
}

/** What the daemon is made of, as far as the API needs it. */
export interface DaemonParts extends Omit<Services, "store" | "fleet"> {
  readonly store: Store;
  readonly fleet: Fleet;
  readonly logins: Logins;
  /** The licence hashes that are good now. */
  licences(): readonly string[];
}

export function handOut(parts: DaemonParts): Hands {
  const { store, fleet, clock } = parts;
  const agentDoor = new AgentDoor(store, fleet, () => parts.licences());
  return { anyone: parts, agents: parts, people: parts, agentDoor, store, clock };
}
