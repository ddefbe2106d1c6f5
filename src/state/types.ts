/** The things that the state knows, as flat rows; a row is never changed, only replaced. */

import type { AppId, DeploymentId, HostId, ImageDigest, MachineId, OrgId } from "../lib/id-types.ts";
import type { ResourceId } from "../lib/id-types.ts";
import type { DEPLOYMENT_STATE } from "../wire/apps.ts";
import type { DRAIN_STATE, HEALTH, HOST_STATUS, MODE } from "../wire/hosts.ts";
import type { MACHINE_STATE } from "../wire/machines.ts";
import type { TypeOf } from "../wire/schema.ts";

export type Mode = TypeOf<typeof MODE>;
export type Health = TypeOf<typeof HEALTH>;
/** The one word for people: `offline` where offline, else the mode. */
export type HostStatus = TypeOf<typeof HOST_STATUS>;

export interface Capacity {
  readonly cpus: number;
  readonly memory_mb: number;
  readonly disk_mb: number;
}

/** What a host says of itself when it registers. */
export interface HostFacts {
  readonly hostname: string;
  readonly region: string;
  readonly datacenter: string;
  readonly ip_address: string;
  readonly grpc_port: number;
  readonly agent_version: string | null;
  readonly labels: Readonly<Record<string, string>>;
}

export interface Host extends HostFacts {
  readonly id: HostId;
  readonly capacity: Capacity;
  readonly health: Health;
  readonly mode: Mode;
  readonly mode_reason: string | null;
  /** SHA-256 of the X-Zwrm-Host-Key that bound this id; null while unbound. */
  readonly key_hash: string | null;
  readonly registered_at: string;
  /** The last contact that the log knows of; contacts since then are in memory only (fleet/presence.ts). */
  readonly heard_at: string;
  readonly offline_since: string | null;
  /** Lost in a storm: its machines are not replaced until a host-admin says so. */
  readonly replacement_held: boolean;
  /**
   * Until then it is not known whether its silence is part of a storm, and nothing of it is replaced; null where it is
   * known.
   */
  readonly replace_after: string | null;
  /** Whether a machine was ever placed here; a host without one drains without asking its agent. */
  readonly ever_assigned: boolean;
  /**
   * The newest machine that could not be started here for what is this host's fault; null where one has been well
   * since.
   */
  readonly trouble: Trouble | null;
}

/** What is wrong with a host, as its agent says. */
export interface Trouble {
  readonly reason: string;
  readonly machine_id: MachineId;
  readonly at: string;
}

/** A host that deregistered: what its id must find again when it comes back. */
export interface DepartedHost {
  readonly id: HostId;
  readonly mode: Mode;
  readonly mode_reason: string | null;
  readonly key_hash: string | null;
  readonly ever_assigned: boolean;
}

export type DrainState = TypeOf<typeof DRAIN_STATE>;

/** A host's latest drain. */
export interface Drain {
  readonly host_id: HostId;
  readonly state: DrainState;
  readonly started_at: string;
  readonly finished_at: string | null;
  readonly deadline_at: string | null;
  /** The moment from which the time until `deadline_at` counts; null without a deadline. */
  readonly deadline_from: string | null;
  readonly max_parallel: number;
  readonly force: boolean;
  readonly forced: boolean;
  readonly reason: string | null;
  /** The machines that the host had when the drain started, sorted. */
  readonly machine_ids: readonly MachineId[];
}

export type MachineState = TypeOf<typeof MACHINE_STATE>;

/** What runs where the deployment asks for it, and how; a machine takes it over as it stands at its creation. */
export interface Workload {
  readonly image: ImageDigest;
  readonly cpus: number;
  readonly memory_mb: number;
  readonly env: Readonly<Record<string, string>>;
  /** null: any region. */
  readonly region: string | null;
  readonly restart: "always" | "on-failure" | "never";
  readonly check: Readonly<Record<string, unknown>> | null;
  readonly on_host_loss: "replace" | "wait";
  /** How long a machine may take to be ready. */
  readonly progress_deadline_seconds: number;
  /** How long a machine has to be up without a break before it counts; may be a fraction, 0 for at once. */
  readonly min_healthy_seconds: number;
}

/**
 * What a machine shall be; decided when it is created. Its env is its deployment's: a copy for each would make a log of
 * gigabytes out of one request.
 */
export interface MachineSpec extends Omit<Workload, "env"> {
  readonly id: MachineId;
  readonly app_id: AppId;
  readonly org_id: OrgId;
  readonly deployment_id: DeploymentId;
  /** How many machines before it, each replacing the one before, gave up soon after their start. */
  readonly streak: number;
}

/** The replacements of a machine that came to nothing. */
export interface Retry {
  /** Hosts tried in this round. */
  readonly tried: readonly HostId[];
  /** Rounds in which every host that fitted was tried. */
  readonly rounds: number;
  /** All of them. */
  readonly count: number;
  /** When the last of them was given up, and why. */
  readonly at: string;
  readonly reason: string;
}

export interface Machine extends MachineSpec {
  readonly host_id: HostId | null;
  readonly state: MachineState;
  readonly ready: boolean;
  readonly desired_state: "running" | "stopped";
  /** How often it was started anew after it had ended. */
  readonly starts: number;
  /** It goes for good: it is told to stop and never started again. An operator's stop is not that. */
  readonly removing: boolean;
  readonly reason: string | null;
  readonly exit_code: number | null;
  readonly replaces: MachineId | null;
  readonly replaced_by: MachineId | null;
  readonly retry: Retry | null;
  readonly created_at: string;
  /** When it was given its host, and what spoke for that host. */
  readonly placed_at: string | null;
  readonly placed_why: string | null;
  readonly started_at: string | null;
  /** When it was ready first. */
  readonly ready_at: string | null;
  /** Since when it runs and is ready without a break; null while it does not. */
  readonly up_since: string | null;
  /** It has been up for as long as is asked, and still is. */
  readonly healthy: boolean;
  /** When it was healthy first. */
  readonly healthy_at: string | null;
  /** Whose fault its last end was, where its agent says so. */
  readonly fault: "host" | null;
  readonly ended_at: string | null;
}

export interface App {
  readonly id: AppId;
  readonly name: string;
  readonly org_id: OrgId;
  readonly created_at: string;
  /** The deployment that its machines shall be of. */
  readonly deployment_id: DeploymentId | null;
  /** The last one that completed: where a roll-back goes. */
  readonly stable_id: DeploymentId | null;
}

export type DeploymentState = TypeOf<typeof DEPLOYMENT_STATE>;

export interface Deployment extends Workload {
  readonly id: DeploymentId;
  readonly app_id: AppId;
  readonly org_id: OrgId;
  readonly replicas: number;
  readonly state: DeploymentState;
  readonly reason: string | null;
  readonly created_at: string;
  /** When what it asks for was changed last: its creation or a scale. The progress deadline counts from here. */
  readonly asked_at: string;
  readonly finished_at: string | null;
  /** What kept one of its machines from being up last; it stays when that machine goes, for the verdict to say. */
  readonly last_failure: LastFailure | null;
}

export interface LastFailure {
  readonly machine_id: MachineId;
  /** A sentence that names the machine and its host. */
  readonly reason: string;
}

/** What an Idempotency-Key led to. */
export interface IdempotencyRow {
  readonly key: string;
  readonly org_id: OrgId;
  /** SHA-256 of method, path and body. */
  readonly body_sum: string;
  readonly resource_id: ResourceId;
  readonly at: string;
}

/** Bytes on disk, shared between orgs. */
export interface Image {
  readonly digest: ImageDigest;
  readonly size_bytes: number;
  readonly created_at: string;
}

/** One org's own reference to an image. */
export interface ImageRef {
  readonly org_id: OrgId;
  readonly digest: ImageDigest;
  /** Sorted, without repeats. */
  readonly app_ids: readonly string[];
  readonly created_at: string;
}

export interface Cluster {
  readonly id: string;
  readonly default_org_id: OrgId;
}
