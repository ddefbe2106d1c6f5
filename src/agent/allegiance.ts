/** Whose word this agent takes: its own cluster's, and another's only once an operator has said so. It calls nobody. */
import type { Log } from "../lib/log.ts";

/** The cluster that this agent belongs to, kept on disk. */
export interface Membership {
  /** Null until the first one was met. */
  readonly clusterId: string | null;
  /** After how long its control plane calls a silent host offline, as far as is known. */
  readonly offlineAfterMs: number;
  /** Durable when it resolves. */
  join(clusterId: string): Promise<void>;
  /** Keeps its control plane's offline_after for the next start. */
  learn(offlineAfterMs: number): Promise<void>;
  /** Notes that another cluster answers, for `accept-cluster`. */
  offer(clusterId: string): Promise<void>;
  /** What an operator has accepted since, or null. */
  accepted(): Promise<string | null>;
}

export class Allegiance {
  readonly #membership: Membership;
  readonly #log: Log;
  /** The other cluster that answers, of which has been told. */
  #foreign: string | null = null;

  constructor(membership: Membership, log: Log) {
    this.#membership = membership;
    this.#log = log;
  }

  /** Whether this agent obeys that cluster. The first one that it meets is its own. */
  async isOurs(clusterId: string): Promise<boolean> {
    const membership = this.#membership;
    const own = membership.clusterId;
    if (own !== clusterId && (own === null || (await membership.accepted()) === clusterId)) {
      await membership.join(clusterId);
      this.#log.info("joined the cluster", { cluster: clusterId, before: own });
    }
    if (membership.clusterId === clusterId) {
      this.#foreign = null;
      return true;
    }
    if (this.#foreign !== clusterId) {
      this.#foreign = clusterId;
      const what = "another cluster answers than the one this host belongs to";
      const until = "nothing is started or stopped on its word until an operator says: zwrm-agent accept-cluster";
      this.#log.error(`${what}: ${until}`, { own, answers: clusterId });
      await membership.offer(clusterId);
    }
    return false;
  }
}
