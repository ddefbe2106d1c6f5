/**
 * What agents say, heard and written where it changes anything: registrations and heartbeats. Answers come from what
 * the host shall run.
 */
import type { Clock } from "../lib/clock.ts";
import type { Since } from "../lib/elapsed.ts";
import { ApiError } from "../lib/errors.ts";
import type { HostId } from "../lib/id-types.ts";
import type { Actor } from "../state/events.ts";
import { SYSTEM } from "../state/events.ts";
import type { State } from "../state/state.ts";
import type { Store } from "../state/store.ts";
import type { Heartbeat, HeartbeatAnswer } from "../wire/agents.ts";
import type { HostView } from "../wire/hosts.ts";
import type { Assignments } from "./assignments.ts";
import type { Drains } from "./drains.ts";
import { decideHeard } from "./heartbeat.ts";
import type { Presence } from "./presence.ts";
import type { Registration } from "./registration.ts";
import { checkHostKey, decideRegister, fitsHostKey, getHost } from "./registration.ts";
import type { Rounds } from "./rounds.ts";
import { hostView, isNewConflict } from "./view.ts";

export interface AgentCallsParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly presence: Presence;
  readonly assignments: Assignments;
  readonly drains: Drains;
  readonly rounds: Rounds;
  /** How long ago a time of the log is, by the monotonic clock. */
  readonly since: Since;
  /** Told of each beat that is refused because two agents beat under its host's id. */
  onIdConflict(): void;
}

/** What a registration is answered with; `created` is false for a host that is in the list already. */
export interface Registered {
  readonly created: boolean;
  readonly host: HostView;
}

export class AgentCalls {
  readonly #parts: AgentCallsParts;

  constructor(parts: AgentCallsParts) {
    this.#parts = parts;
  }

  /** A registration: heard, and written where it says anything new. */
  register(registration: Registration, actor: Actor): Registered | Promise<Registered> {
    const { store, clock, presence, since } = this.#parts;
    const done = store.change(actor, (state) => {
      const created = state.hosts.get(registration.host_id) === undefined;
      const event = decideRegister(state, registration);
      return {
        event,
        answer: () => {
          // A host that was not in the list has said nothing yet, whatever an earlier one of this id said.
          if (created) presence.assume(registration.host_id, clock.mono(), clock.wall());
          else presence.hear(registration.host_id, clock.mono(), clock.wall());
          return { created, host: hostView(state, presence, getHost(state, registration.host_id), since) };
        },
      };
    });
    // A registration that was not written leaves nobody behind to be remembered.
    if (done instanceof Promise)
      done.catch(() => store.state.hosts.get(registration.host_id) ?? presence.forget(registration.host_id));
    return done;
  }

  /**
   * A heartbeat, as far as it changes or asks anything; `observed_revision` of the answer tells the caller whether to
   * hold it. Throws host_not_registered, host_key_mismatch, host_id_in_use. While the journal is off it is heard all
   * the same.
   */
  heartbeat(
    hostId: HostId,
    key: string | null,
    beat: Heartbeat,
    actor: Actor,
  ): HeartbeatAnswer | Promise<HeartbeatAnswer> {
    const { store, presence, assignments, drains } = this.#parts;
    const host = store.state.hosts.get(hostId);
    const answer = (state: State): HeartbeatAnswer => assignments.answer(state, hostId, beat.observed_revision);
    // A refusal is an answer too: what it was computed from may still be on its way to the disk.
    if (host === undefined || !fitsHostKey(store.state, hostId, key)) {
      return store.read((state) => {
        const answered = answer(state);
        checkHostKey(state, hostId, key);
        return answered;
      });
    }
    if (!this.#hears(hostId, beat)) return store.read(answer);
    presence.report(hostId, beat.usage, beat.machines?.length ?? null);
    if (beat.machines !== undefined) drains.move(hostId);
    const current = beat.observed_revision === assignments.desired(hostId).revision;
    const event = decideHeard(store.state, host, { key, machines: beat.machines, current });
    if (event === null) return store.read(answer);
    try {
      const done = store.change(actor, () => ({ event, answer }));
      return done instanceof Promise ? done.catch((error: unknown) => this.#heardOnly(error, answer)) : done;
    } catch (error) {
      return this.#heardOnly(error, answer);
    }
  }

  /**
   * False for an older beat. A conflict of two agents is told of, once for as long as it lasts, before it is refused.
   */
  #hears(hostId: HostId, beat: Heartbeat): boolean {
    const { clock, store, presence, rounds, since, onIdConflict } = this.#parts;
    const before = presence.conflictOf(hostId);
    try {
      return presence.hearBeat(hostId, beat, clock.mono(), clock.wall());
    } catch (error) {
      const conflict = presence.conflictOf(hostId);
      onIdConflict();
      if (conflict !== null && isNewConflict(before, since)) {
        const event = { type: "host.id_conflict", data: { host_id: hostId, boot_ids: conflict.bootIds } } as const;
        void rounds.attempt("noting a conflict", async () =>
          store.change(SYSTEM, () => ({ event, answer: () => undefined })),
        );
      }
      throw error;
    }
  }

  /** The change was lost with the journal, the contact was not: the next beat says it again. */
  #heardOnly(error: unknown, answer: (state: State) => HeartbeatAnswer): HeartbeatAnswer | Promise<HeartbeatAnswer> {
    if (error instanceof ApiError && error.code === "storage_failed") return this.#parts.store.read(answer);
    throw error;
  }
}
