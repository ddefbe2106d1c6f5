/**
 * The vocabulary of the log: every fact that can change the state, as one union. A fact carries its times and ids;
 * nothing is computed again at replay.
 */
import type { QuotaLimits } from "../wire/quota.ts";
import type { JournalRecord } from "../journal/types.ts";
import type {
  AppId,
  DeploymentId,
  HostId,
  IdempotencyKey,
  ImageDigest,
  KeyId,
  MachineId,
  OrgId,
  SessionId,
  UserId,
} from "../lib/id-types.ts";
import type {
  Capacity,
  Deployment,
  DeploymentState,
  DrainState,
  HostFacts,
  MachineSpec,
  MachineState,
  Mode,
} from "./types.ts";
import type { ApiKey, Org, PasswordHash, Role, Session, User } from "./identity-types.ts";

/** Who caused a change, and from where. Never a secret. */
export interface Actor {
  readonly kind: "system" | "localhost" | "socket" | "host" | "user";
  /** The host's or user's id; null where the kind says it all. */
  readonly id: string | null;
  readonly ip: string | null;
}

export const SYSTEM: Actor = { kind: "system", id: null, ip: null };

/** What a heartbeat changed of one machine. */
export interface MachineReport {
  readonly id: MachineId;
  readonly state: MachineState;
  readonly ready: boolean;
  readonly reason: string | null;
  readonly exit_code: number | null;
  readonly started_at: string | null;
  /** Absent where its end was no fault of its host's, or nobody says. */
  readonly fault?: "host";
}

/** The Idempotency-Key that a command came with; null where it had none. */
export interface IdempotencyNote {
  readonly key: string;
  readonly body_sum: string;
}

/** Type to data. What one command changes is one event, hence the lists inside. */
export interface EventData {
  /** First line of every segment, written by the journal itself. */
  "journal.segment": Readonly<Record<string, unknown>>;
  "cluster.created": {
    readonly cluster_id: string;
    readonly org: Org;
  };
  /** The first line behind a restore: agents of the cluster before stop nothing on the word of this one. */
  "cluster.restored": { readonly cluster_id: string };
  /** Facts of a host as it registered; mode is decided once, here. `key_hash` is the SHA-256 of X-Zwrm-Host-Key. */
  "host.registered": {
    readonly host_id: HostId;
    readonly facts: HostFacts;
    readonly capacity: Capacity;
    readonly key_hash: string | null;
    readonly mode: Mode;
    readonly mode_reason: string | null;
  };
  /**
   * A heartbeat that changed something: the host came back (`online`; absent or false where it was not away), machines
   * moved on, or (`key_hash` not null) its first key bound its id.
   */
  "host.heard": {
    readonly host_id: HostId;
    readonly online?: boolean;
    readonly key_hash: string | null;
    readonly machines: readonly MachineReport[];
  };
  /**
   * Hosts fell silent. `held`: too many at once, so nothing is replaced until a host-admin says so.
   * `replace_after`: so many others are quiet too that it may become one of those; null where nothing speaks for it.
   */
  "host.lost": {
    readonly host_ids: readonly HostId[];
    readonly held_host_ids: readonly HostId[];
    readonly replace_after: string | null;
  };
  "host.replacement_allowed": { readonly host_ids: readonly HostId[] };
  /** Two agents beat under one id; said once for as long as it lasts. It changes nothing. */
  "host.id_conflict": { readonly host_id: HostId; readonly boot_ids: readonly string[] };
  "host.deregistered": { readonly host_id: HostId; readonly reason: string | null };
  "host.key_removed": { readonly host_id: HostId };
  "host.drain_started": {
    readonly host_id: HostId;
    readonly max_parallel: number;
    readonly deadline_at: string | null;
    readonly force: boolean;
    readonly reason: string | null;
    readonly machine_ids: readonly MachineId[];
  };
  "host.drain_updated": {
    readonly host_id: HostId;
    readonly max_parallel: number;
    readonly deadline_at: string | null;
    readonly force: boolean;
    readonly reason: string | null;
  };
  /** The deadline of a drain with `force` passed: what is left is told to stop. */
  "host.drain_forced": { readonly host_id: HostId; readonly machine_ids: readonly MachineId[] };
  "host.drain_finished": {
    readonly host_id: HostId;
    readonly state: Exclude<DrainState, "draining">;
    readonly mode: Mode;
  };
  "host.activated": { readonly host_id: HostId };
  "app.created": {
    readonly app_id: AppId;
    readonly org_id: OrgId;
    readonly name: string;
    readonly idempotency: IdempotencyNote | null;
  };
  /** Its machines are told to stop, for good. */
  "app.deleted": { readonly app_id: AppId };
  /** Becomes what the app's machines shall be; one that was still rolling is superseded. */
  "deployment.created": {
    readonly deployment: Omit<
      Deployment,
      "state" | "reason" | "created_at" | "asked_at" | "finished_at" | "last_failure"
    >;
    readonly idempotency: IdempotencyNote | null;
  };
  "deployment.scaled": {
    readonly deployment_id: DeploymentId;
    readonly replicas: number;
    readonly idempotency: IdempotencyNote | null;
  };
  /** `target_id`: the deployment that the app's machines shall be of from now on. */
  "deployment.moved": {
    readonly deployment_id: DeploymentId;
    readonly app_id: AppId;
    readonly state: DeploymentState;
    readonly reason: string | null;
    readonly target_id: DeploymentId;
  };
  /** `why`: what spoke for the host, in words and numbers; null with no host. */
  "machine.created": {
    readonly machine: MachineSpec;
    readonly host_id: HostId | null;
    readonly replaces: MachineId | null;
    readonly why: string | null;
  };
  /** A machine that had no host, or was stopped and is started again, is given one. */
  "machine.placed": { readonly machine_id: MachineId; readonly host_id: HostId; readonly why: string };
  /** They have been up without a break for as long as is asked, so that they count from now on. */
  "machine.healthy": { readonly app_id: AppId; readonly machine_ids: readonly MachineId[] };
  /**
   * A replacement came to nothing and goes; its original stays. `failed`: by its own or its host's fault, so that other
   * hosts are tried.
   */
  "machine.given_up": {
    readonly machine_id: MachineId;
    readonly original_id: MachineId;
    readonly host_id: HostId | null;
    readonly failed: boolean;
    readonly reason: string;
  };
  /** Told to stop for good: replaced, too many, or deleted. */
  "machine.removed": { readonly machine_ids: readonly MachineId[]; readonly reason: string };
  /** An operator's stop: it stays a replica, and may be started again. */
  "machine.stop_requested": { readonly machine_id: MachineId; readonly idempotency: IdempotencyNote | null };
  "machine.start_requested": { readonly machine_id: MachineId; readonly idempotency: IdempotencyNote | null };
  /** Ended machines and idempotency keys that were kept long enough. */
  "workload.expired": {
    readonly machine_ids: readonly MachineId[];
    readonly idempotency_keys: readonly IdempotencyKey[];
  };
  "image.added": {
    readonly digest: ImageDigest;
    readonly size_bytes: number;
    readonly org_id: OrgId;
    readonly app_id: string | null;
  };
  "image.removed": { readonly digest: ImageDigest; readonly org_id: OrgId };
  "org.created": { readonly org: Org };
  /** Instead of what the config says; a kind that is absent is what the config says. */
  "org.quota_set": { readonly org_id: OrgId; readonly limits: Partial<QuotaLimits> };
  "member.set": { readonly org_id: OrgId; readonly user_id: UserId; readonly role: Role };
  /** Ends what the user holds in that org. */
  "member.removed": { readonly org_id: OrgId; readonly user_id: UserId };
  /** `org_id`: the org the user is a member of from the start, or null. */
  "user.created": { readonly user: Omit<User, "created_at">; readonly org_id: OrgId | null };
  /** Ends the user's sessions, unless only the parameters were raised (`same_password`). */
  "user.password_set": { readonly user_id: UserId; readonly password: PasswordHash; readonly same_password: boolean };
  /** Ends everything that the user holds. */
  "user.removed": { readonly user_id: UserId };
  /**
   * `expired`: token hashes of the user's sessions that go: those that are over, and the oldest where there are too
   * many.
   */
  "session.created": { readonly session: Omit<Session, "created_at">; readonly expired: readonly string[] };
  "session.renewed": { readonly token_hash: string; readonly expires_at: string };
  "session.ended": { readonly id: SessionId; readonly token_hash: string };
  "api_key.created": { readonly key: Omit<ApiKey, "created_at"> };
  "api_key.revoked": { readonly id: KeyId; readonly token_hash: string };
}

export type EventType = keyof EventData;
export type EventOf<T extends EventType> = { readonly type: T; readonly data: EventData[T] };
export type Event = { [T in EventType]: EventOf<T> }[EventType];

/** An event with its place in the log. */
export type Recorded<T extends EventType = EventType> = T extends EventType
  ? EventOf<T> & { readonly seq: number; readonly at: string; readonly actor: Actor }
  : never;

const TYPES: Readonly<Record<EventType, true>> = {
  "journal.segment": true,
  "cluster.created": true,
  "cluster.restored": true,
  "host.registered": true,
  "host.heard": true,
  "host.lost": true,
  "host.replacement_allowed": true,
  "host.id_conflict": true,
  "host.deregistered": true,
  "host.key_removed": true,
  "host.drain_started": true,
  "host.drain_updated": true,
  "host.drain_forced": true,
  "host.drain_finished": true,
  "host.activated": true,
  "app.created": true,
  "app.deleted": true,
  "deployment.created": true,
  "deployment.scaled": true,
  "deployment.moved": true,
  "machine.created": true,
  "machine.placed": true,
  "machine.healthy": true,
  "machine.given_up": true,
  "machine.removed": true,
  "machine.stop_requested": true,
  "machine.start_requested": true,
  "workload.expired": true,
  "image.added": true,
  "image.removed": true,
  "org.created": true,
  "org.quota_set": true,
  "member.set": true,
  "member.removed": true,
  "user.created": true,
  "user.password_set": true,
  "user.removed": true,
  "session.created": true,
  "session.renewed": true,
  "session.ended": true,
  "api_key.created": true,
  "api_key.revoked": true,
};

/** A log written by a newer version: going on would forget what it says. */
export class UnknownEvent extends Error {
  constructor(record: JournalRecord) {
    super(
      `journal: seq ${record.seq} is a ${JSON.stringify(record.type)}, which this version does not know; it ` +
        "was written by a newer zwrmd, so run that one",
    );
    this.name = "UnknownEvent";
  }
}

/**
 * Reads a line of the log back as the event it was written from. The sum chain vouches for the content, this for the
 * vocabulary.
 */
export function toRecorded(record: JournalRecord): Recorded {
  if (!Object.hasOwn(TYPES, record.type)) throw new UnknownEvent(record);
  return { seq: record.seq, at: record.at, actor: record.actor, type: record.type, data: record.data } as Recorded;
}
