/** What each host shall run, as its agent is told it; and the beats that are held until that changes. */
import type { Clock } from "../lib/clock.ts";
import type { HostId } from "../lib/id-types.ts";
import { CLUSTER_KEY } from "../state/state.ts";
import type { State } from "../state/state.ts";
import type { Store } from "../state/store.ts";
import type { HeartbeatAnswer } from "../wire/agents.ts";
import type { Desired } from "./desired.ts";
import { DesiredLists } from "./desired.ts";
import { statusOf } from "./modes.ts";
import { hostNotRegistered } from "./registration.ts";
import { Waiters } from "./waiters.ts";

export class Assignments {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #lists = new DesiredLists();
  readonly #waiters: Waiters;

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
    this.#waiters = new Waiters(clock);
  }

  /** What a host is told. Throws host_not_registered. */
  answer(state: State, hostId: HostId, observed: string | undefined): HeartbeatAnswer {
    const host = state.hosts.get(hostId);
    if (host === undefined) throw hostNotRegistered(hostId);
    const { revision, machines } = this.#lists.of(state, hostId);
    const head = {
      host_id: hostId,
      cluster_id: state.cluster.get(CLUSTER_KEY)?.id ?? "",
      status: statusOf(host),
      revision,
    };
    return observed === revision ? head : { ...head, machines };
  }

  desired(hostId: HostId): Desired {
    return this.#lists.of(this.#store.state, hostId);
  }

  /**
   * Holds until the host's list is another than `revision`, the host is not in the list of hosts any more, the time is
   * over, or the client is gone.
   */
  async waitForChange(
    hostId: HostId,
    revision: string,
    ms: number,
    onCancel: (cancel: () => void) => void,
  ): Promise<void> {
    const { state } = this.#store;
    const until = this.#clock.mono() + ms;
    let gone = false;
    const isToWait = (): boolean =>
      !gone && state.hosts.get(hostId) !== undefined && this.desired(hostId).revision === revision;
    while (isToWait() && this.#clock.mono() < until) {
      const left = until - this.#clock.mono();
      await this.#waiters.wait(hostId, left, (cancel) => onCancel(() => ((gone = true), cancel())));
      if (this.#waiters.closed) return;
    }
  }

  /** Something that the host's list may depend on has changed. */
  wake(hostId: HostId): void {
    this.#waiters.wake(hostId);
  }

  /** The host has left. */
  forget(hostId: HostId): void {
    this.#lists.forget(hostId);
  }

  /** Lets all who wait go, and holds nobody any more. */
  close(): void {
    this.#waiters.close();
  }
}
