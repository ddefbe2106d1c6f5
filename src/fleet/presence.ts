/**
 * Who was heard when, in memory only: a heartbeat that changes nothing costs no disk. Monotonic time decides, wall time
 * is shown.
 */
import { toRfc3339 } from "../lib/clock.ts";
import { ApiError } from "../lib/errors.ts";
import type { HostId } from "../lib/id-types.ts";
import type { Heartbeat, Usage as UsageReport } from "../wire/agents.ts";

/** null: never said since the daemon started. */
export interface Usage {
  readonly cpus: number | null;
  readonly memory_mb: number | null;
  readonly disk_mb: number | null;
}

/** Two agents beat under one id. */
export interface IdConflict {
  readonly bootIds: readonly [string, string];
  /** When that was seen last, RFC 3339. */
  readonly at: string;
  /** Beats that were refused for it. */
  readonly refused: number;
}

/** A beat of a former agent's may still have been on its way; an agent that is there beats on. */
const REFUSED_BEFORE_TOLD = 3;

interface Contact {
  heardMono: number;
  heardWall: number;
  usage: Usage | null;
  /** Machines in the newest complete report, known or not; null while there was none since the daemon started. */
  reported: number | null;
  bootId: string | null;
  beat: number;
  /** The boot id before this one: one that comes back while the newer is alive is a second agent. */
  formerBootId: string | null;
  conflict: IdConflict | null;
}

/** What a heartbeat says of its own order. */
export type BeatOrder = Pick<Heartbeat, "boot_id" | "beat">;

export class Presence {
  readonly #offlineAfterMs: number;
  readonly #contacts = new Map<HostId, Contact>();

  constructor(offlineAfterMs: number) {
    this.#offlineAfterMs = offlineAfterMs;
  }

  /** After a restart every host has a full offline_after again. */
  assume(hostId: HostId, nowMono: number, heardWall: number): void {
    this.#contacts.set(hostId, {
      heardMono: nowMono,
      heardWall,
      usage: null,
      reported: null,
      bootId: null,
      beat: -1,
      formerBootId: null,
      conflict: null,
    });
  }

  forget(hostId: HostId): void {
    this.#contacts.delete(hostId);
  }

  /** The host was heard now (a registration, which has no order of its own). */
  hear(hostId: HostId, nowMono: number, nowWall: number): void {
    const contact = this.#contacts.get(hostId);
    if (contact === undefined) return this.assume(hostId, nowMono, nowWall);
    contact.heardMono = nowMono;
    contact.heardWall = nowWall;
  }

  /**
   * A heartbeat arrived. False: it is older than one already seen, so it is answered and otherwise ignored.
   * Throws `host_id_in_use` where two boot ids alternate within offline_after.
   */
  hearBeat(hostId: HostId, order: BeatOrder, nowMono: number, nowWall: number): boolean {
    const contact = this.#contacts.get(hostId);
    if (contact === undefined) {
      this.assume(hostId, nowMono, nowWall);
      return this.hearBeat(hostId, order, nowMono, nowWall);
    }
    if (order.boot_id !== undefined && order.boot_id !== contact.bootId)
      this.#switchBoot(hostId, contact, order.boot_id, nowMono, nowWall);
    else if (order.boot_id !== undefined && order.beat !== undefined && order.beat <= contact.beat) return false;
    // Without a boot id a beat orders nothing.
    if (order.boot_id !== undefined && order.beat !== undefined) contact.beat = order.beat;
    contact.heardMono = nowMono;
    contact.heardWall = nowWall;
    return true;
  }

  #switchBoot(hostId: HostId, contact: Contact, bootId: string, nowMono: number, nowWall: number): void {
    if (bootId === contact.formerBootId && nowMono - contact.heardMono < this.#offlineAfterMs) {
      const refused = contact.conflict?.bootIds[1] === bootId ? contact.conflict.refused + 1 : 1;
      contact.conflict = { bootIds: [contact.bootId ?? "none", bootId], at: toRfc3339(nowWall), refused };
      throw new ApiError(
        "host_id_in_use",
        `Two agents beat as host ${hostId}: boot ids ${contact.bootId ?? "none"} and ${bootId} alternate. ` +
          "Give one of them another host_id.",
      );
    }
    contact.formerBootId = contact.bootId;
    contact.bootId = bootId;
    contact.beat = -1;
  }

  /**
   * What the newest report said: usage as given (a field that is absent keeps the last), and the number of machines
   * where the list was there.
   */
  report(hostId: HostId, usage: UsageReport | undefined, machines: number | null): void {
    const contact = this.#contacts.get(hostId);
    if (contact === undefined) return;
    if (usage !== undefined) contact.usage = merged(contact.usage, usage);
    if (machines !== null) contact.reported = machines;
  }

  usageOf(hostId: HostId): Usage | null {
    return this.#contacts.get(hostId)?.usage ?? null;
  }

  /** Machines in the host's newest complete report since the daemon started; null while there was none. */
  reportedMachines(hostId: HostId): number | null {
    return this.#contacts.get(hostId)?.reported ?? null;
  }

  /** The newest time that two agents beat under the id, since the daemon started; null where that is not sure. */
  conflictOf(hostId: HostId): IdConflict | null {
    const conflict = this.#contacts.get(hostId)?.conflict ?? null;
    return conflict !== null && conflict.refused >= REFUSED_BEFORE_TOLD ? conflict : null;
  }

  heardWall(hostId: HostId): number | null {
    return this.#contacts.get(hostId)?.heardWall ?? null;
  }

  /** Whether nothing was heard for offline_after. A host that nobody knows anything of was not heard. */
  isSilent(hostId: HostId, nowMono: number): boolean {
    return this.silenceOf(hostId, nowMono) >= this.#offlineAfterMs;
  }

  /** How long nothing was heard of the host, in milliseconds. */
  silenceOf(hostId: HostId, nowMono: number): number {
    const contact = this.#contacts.get(hostId);
    return contact === undefined ? Infinity : nowMono - contact.heardMono;
  }

  /**
   * Time in which the daemon itself could hear nobody is no silence of theirs; who was heard since is heard now, not
   * later.
   */
  forgive(ms: number, nowMono: number): void {
    for (const contact of this.#contacts.values()) contact.heardMono = Math.min(contact.heardMono + ms, nowMono);
  }
}

function merged(before: Usage | null, { cpus, memory_mb, disk_mb }: UsageReport): Usage {
  return {
    cpus: cpus ?? before?.cpus ?? null,
    memory_mb: memory_mb ?? before?.memory_mb ?? null,
    disk_mb: disk_mb ?? before?.disk_mb ?? null,
  };
}
