/** Who fell silent, and whether so many at once that nothing may be replaced: pure decisions for the sweep. */
import type { HostId } from "../lib/id-types.ts";
import type { Host } from "../state/types.ts";
import type { State } from "../state/state.ts";
import type { EventOf } from "../state/events.ts";

/** max(1, floor(offline_after / 3)): a host may miss two beats before it is called offline. */
export function heartbeatIntervalSeconds(offlineAfterMs: number): number {
  return Math.max(1, Math.floor(offlineAfterMs / 3000));
}

/**
 * How often the sweep runs: often enough that a host is called offline at most a quarter of offline_after late, and at
 * least every check_interval.
 */
export function sweepInterval(offlineAfterMs: number, checkIntervalMs: number): number {
  return Math.max(50, Math.min(checkIntervalMs, offlineAfterMs / 4));
}

/**
 * How long the daemon was paused (SIGSTOP, a busy machine) where a timer that runs every `intervalMs` runs `gapMs`
 * after it ran last; 0 where it is hardly late. Nobody knows when in the gap the pause began, so all of it counts:
 * heartbeats of that time may be waiting unread.
 */
export function pausedFor(gapMs: number, intervalMs: number): number {
  return gapMs - intervalMs > Math.max(200, intervalMs / 2) ? gapMs : 0;
}

/**
 * A storm: more than a third of the hosts that were online, and more than 3, fell silent within one offline_after.
 * Only hosts that were ever given a machine count: ids that come and go without one, as anybody with the licence can
 * make them, neither hold up the replacement of what was lost nor hide that too much was.
 */
export function isStorm(lostInWindow: number, onlineAtStart: number): boolean {
  return lostInWindow > Math.max(3, onlineAtStart / 3);
}

/** Hosts of one failure are not heard last at one time, but within a heartbeat interval of each other. */
export interface Suspicion {
  /** Whether a host has been silent so long that it may be one of those. */
  isQuiet(hostId: HostId): boolean;
  /** When all of those will have been called offline, or heard. */
  readonly until: string;
}

/**
 * How long a host is silent at least when another one of the same failure is called offline. A tenth of offline_after
 * is for the jitter of beats.
 */
export function quietAfter(offlineAfterMs: number, intervalMs: number): number {
  return Math.max(0, offlineAfterMs * 0.9 - intervalMs);
}

/**
 * The event for hosts that fell silent, or null. `recentlyLost` are hosts that went offline within the last
 * offline_after; in a storm they are held too, since they belong to it. Where those that are quiet would make it a
 * storm, replacement waits until that is known.
 */
export function decideLost(
  state: State,
  isSilent: (hostId: HostId) => boolean,
  recentlyLost: ReadonlySet<HostId>,
  suspicion: Suspicion,
): EventOf<"host.lost"> | null {
  const lost: HostId[] = [];
  let online = 0;
  let quiet = 0;
  for (const host of state.hosts.values()) {
    if (host.health !== "online") continue;
    const isSilentNow = isSilent(host.id);
    if (isSilentNow) lost.push(host.id);
    if (!host.ever_assigned) continue;
    online++;
    if (!isSilentNow && suspicion.isQuiet(host.id)) quiet++;
  }
  if (lost.length === 0) return null;
  const counts = (id: HostId): boolean => state.hosts.get(id)?.ever_assigned === true;
  const stillGone = [...recentlyLost].filter((id) => counts(id) && state.hosts.get(id)?.health === "offline");
  const window = [...lost.filter(counts), ...stillGone].sort();
  const held = isStorm(window.length, online + stillGone.length) ? window : [];
  const suspected = held.length === 0 && isStorm(window.length + quiet, online + stillGone.length);
  return {
    type: "host.lost",
    data: { host_ids: lost.sort(), held_host_ids: held, replace_after: suspected ? suspicion.until : null },
  };
}

/** Lifts the hold of a storm, or null where nothing is held. */
export function decideReplaceLost(state: State): EventOf<"host.replacement_allowed"> | null {
  const held: Host[] = [...state.hosts.values()].filter((host) => host.replacement_held);
  return held.length === 0
    ? null
    : { type: "host.replacement_allowed", data: { host_ids: held.map((host) => host.id).sort() } };
}
