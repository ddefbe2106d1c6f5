/** The one way in which a host agent changes something: under a licence that is still good when its body is here. */
import type { Fleet } from "../fleet/fleet.ts";
import { decideDeregister } from "../fleet/registration.ts";
import type { Registration } from "../fleet/registration.ts";
import type { MaybePromise } from "../http/types.ts";
import { checkLicence } from "../identity/licence.ts";
import type { HostId } from "../lib/id-types.ts";
import type { Actor } from "../state/events.ts";
import type { Store } from "../state/store.ts";
import type { Heartbeat, HeartbeatAnswer } from "../wire/agents.ts";
import type { ApiContext } from "./context.ts";

/** What a registration is answered with. */
export type { Registered } from "../fleet/agent-calls.ts";

export class AgentDoor {
  readonly #store: Store;
  readonly #fleet: Fleet;
  readonly #licences: () => readonly string[];

  /** `licences`: the hashes that are good now; a reload changes them. */
  constructor(store: Store, fleet: Fleet, licences: () => readonly string[]) {
    this.#store = store;
    this.#fleet = fleet;
    this.#licences = licences;
  }

  /** Throws `unauthorized`, and as AgentCalls.register. */
  register(context: ApiContext, registration: Registration): ReturnType<Fleet["agentCalls"]["register"]> {
    return this.#fleet.agentCalls.register(registration, this.#actor(context, registration.host_id));
  }

  /** Throws `unauthorized`, and as AgentCalls.heartbeat. */
  heartbeat(
    context: ApiContext,
    hostId: HostId,
    key: string | null,
    beat: Heartbeat,
  ): ReturnType<Fleet["agentCalls"]["heartbeat"]> {
    return this.#fleet.agentCalls.heartbeat(hostId, key, beat, this.#actor(context, hostId));
  }

  /** The answer to a heartbeat, held until there is something new to tell or `ms` are over. */
  async answerLater(context: ApiContext, hostId: HostId, observed: string, ms: number): Promise<HeartbeatAnswer> {
    await this.#fleet.assignments.waitForChange(hostId, observed, ms, (cancel) => context.onFinish(cancel));
    this.#requireLicence(context);
    return this.#store.read((state) => this.#fleet.assignments.answer(state, hostId, observed));
  }

  /** Throws `unauthorized`, `host_not_registered`, `host_key_mismatch`. */
  deregister(context: ApiContext, hostId: HostId, key: string | null, reason: string | null): MaybePromise<void> {
    return this.#store.change(this.#actor(context, hostId), (state) => ({
      event: decideDeregister(state, hostId, key, reason),
      answer: () => undefined,
    }));
  }

  #actor(context: ApiContext, hostId: HostId): Actor {
    this.#requireLicence(context);
    return { kind: "host", id: hostId, ip: context.peer.remoteAddress };
  }

  #requireLicence(context: ApiContext): void {
    const { caller } = context;
    if (caller?.kind !== "agent") throw new Error(`${context.pattern} is not a route of agents`);
    checkLicence(this.#licences(), caller.licence);
  }
}
