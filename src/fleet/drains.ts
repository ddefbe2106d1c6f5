/**
 * Moves drains on, a step at a time: each is an event, and its being on disk brings the next. What the step is,
 * drain.ts decides.
 */
import type { Since } from "../lib/elapsed.ts";
import type { HostId } from "../lib/id-types.ts";
import { SYSTEM } from "../state/events.ts";
import type { Store } from "../state/store.ts";
import { runningDrain } from "./drain-terms.ts";
import { planDrain } from "./drain.ts";
import type { Presence } from "./presence.ts";
import type { Rounds } from "./rounds.ts";

export class Drains {
  readonly #store: Store;
  readonly #presence: Presence;
  readonly #rounds: Rounds;
  readonly #since: Since;

  constructor(store: Store, presence: Presence, rounds: Rounds, since: Since) {
    this.#store = store;
    this.#presence = presence;
    this.#rounds = rounds;
    this.#since = since;
  }

  /** Takes the next step of a host's drain, if there is one. */
  move(hostId: HostId): void {
    const store = this.#store;
    const [host, drain] = [store.state.hosts.get(hostId), runningDrain(store.state, hostId)];
    if (host === undefined || drain === null || !store.writability.writable) return;
    const event = planDrain(store.state, host, drain, this.#presence.reportedMachines(hostId), this.#since);
    if (event === null) return;
    void this.#rounds.attempt("drain", async () => store.change(SYSTEM, () => ({ event, answer: () => undefined })));
  }

  /** For what only time brings: deadlines, retries, and room that came free elsewhere. */
  sweep(): void {
    for (const drain of this.#store.state.drains.values()) if (drain.state === "draining") this.move(drain.host_id);
  }
}
