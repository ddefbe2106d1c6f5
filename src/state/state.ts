/** The whole state as tables, and how it goes into a snapshot and comes back. Changed by reducers only. */
import type { AppId, DeploymentId, HostId, ImageDigest, MachineId, OrgId, UserId } from "../lib/id-types.ts";
import type { IdempotencyKey, ImageRefKey, MembershipKey } from "../lib/id-types.ts";
import type {
  App,
  Cluster,
  DepartedHost,
  Deployment,
  Drain,
  Host,
  IdempotencyRow,
  Image,
  ImageRef,
  Machine,
} from "./types.ts";
import type { ApiKey, Membership, Org, OrgQuota, Session, User } from "./identity-types.ts";
import { Table, UndoLog } from "./table.ts";
import { envBytes } from "./env-bytes.ts";
import { completeRow } from "./upgrade.ts";

/** The key of the one row of the cluster table. */
export const CLUSTER_KEY = "cluster";

/** The key of an org's reference to an image. */
export function imageRefKey(orgId: OrgId, digest: ImageDigest): ImageRefKey {
  return `${orgId}/${digest}`;
}

/** The key of a membership. */
export function membershipKey(orgId: OrgId, userId: UserId): MembershipKey {
  return `${orgId}/${userId}`;
}

/** The key of what an Idempotency-Key led to. */
export function idempotencyKey(orgId: OrgId, key: string): IdempotencyKey {
  return `${orgId}/${key}`;
}

/** The tables by their names in the code: what is said of each table (tables that are total) is keyed by these. */
export type TableName = {
  [K in keyof State]: State[K] extends Table<infer _V, infer _K, infer _G> ? K : never;
}[keyof State];
export type RowOf<N extends TableName> = State[N] extends Table<infer V, infer _K, infer _G> ? V : never;

export class State {
  readonly undo = new UndoLog();
  readonly cluster = new Table<Cluster>("cluster", this.undo);
  readonly orgs = new Table<Org, OrgId>("orgs", this.undo);
  readonly hosts = new Table<Host, HostId>("hosts", this.undo);
  readonly departedHosts = new Table<DepartedHost, HostId>("departed_hosts", this.undo);
  readonly drains = new Table<Drain, HostId>("drains", this.undo);
  readonly apps = new Table<App, AppId, [OrgId]>("apps", this.undo, (app) => app.org_id);
  /** Grouped by app, and by org, where the bytes of env are added up. */
  readonly deployments = new Table<Deployment, DeploymentId, [AppId, OrgId]>(
    "deployments",
    this.undo,
    (deployment) => deployment.app_id,
    { of: (deployment) => deployment.org_id, weight: (deployment) => envBytes(deployment.env) },
  );
  /** Grouped by host, by app, and by app without those that are gone. */
  readonly machines = new Table<Machine, MachineId, [HostId, AppId, AppId]>(
    "machines",
    this.undo,
    (machine) => machine.host_id,
    (machine) => machine.app_id,
    (machine) => (isGone(machine) ? null : machine.app_id),
  );
  /** By `<org_id>/<key>`. */
  readonly idempotency = new Table<IdempotencyRow, IdempotencyKey>("idempotency", this.undo);
  readonly images = new Table<Image, ImageDigest>("images", this.undo);
  /** By `<org_id>/<digest>`, grouped by digest, and by org. */
  readonly imageRefs = new Table<ImageRef, ImageRefKey, [ImageDigest, OrgId]>(
    "image_refs",
    this.undo,
    (ref) => ref.digest,
    (ref) => ref.org_id,
  );
  /** By org. */
  readonly quotas = new Table<OrgQuota, OrgId>("quotas", this.undo);

  readonly users = new Table<User, UserId>("users", this.undo);
  /** By `<org_id>/<user_id>`, grouped by user. */
  readonly memberships = new Table<Membership, MembershipKey, [UserId]>(
    "memberships",
    this.undo,
    (membership) => membership.user_id,
  );
  /** By token hash, which is how a request finds it; grouped by user. */
  readonly sessions = new Table<Session, string, [UserId]>("sessions", this.undo, (session) => session.user_id);
  /** By token hash, grouped by user. */
  readonly apiKeys = new Table<ApiKey, string, [UserId]>("api_keys", this.undo, (key) => key.user_id);

  /** Every table that stands above, in the order of a snapshot: nobody has to remember a new one here. */
  readonly tables: readonly Table<unknown, string, readonly string[]>[] = Object.values(this).filter(
    (value) => value instanceof Table,
  );

  /** All of an app's machines, with those that are gone and only remembered. */
  machinesOf(appId: AppId): Machine[] {
    return this.machines.group(appId, 1);
  }

  /**
   * Those of an app's machines that are not gone. What fails all day leaves a thousand behind; decisions are made from
   * these.
   */
  presentOf(appId: AppId): Machine[] {
    return this.machines.group(appId, 2);
  }

  clear(): void {
    for (const table of this.tables) table.clear();
  }

  /** The state as JSON lines, `["hosts","h-1",{…}]`, in an order that depends on the content only. */
  *lines(): Generator<string> {
    for (const table of this.tables) {
      const keys = [...table.entries()].map(([key]) => key).sort();
      for (const key of keys) yield JSON.stringify([table.name, key, table.get(key)]);
    }
  }

  /** Takes one line of a snapshot. Throws on anything that `lines` does not write. */
  load(line: unknown): void {
    if (!Array.isArray(line) || line.length !== 3)
      throw new Error("snapshot: a line is not a list of table, key and row");
    const [name, key, row]: unknown[] = line;
    const table = this.tables.find((candidate) => candidate.name === name);
    if (
      table === undefined ||
      typeof key !== "string" ||
      typeof row !== "object" ||
      row === null ||
      Array.isArray(row)
    ) {
      throw new Error(
        `snapshot: cannot read a row of table ${JSON.stringify(name)}; it was written by another version of zwrmd`,
      );
    }
    table.set(key, completeRow(table.name, row));
  }
}

/** It was told to go, and went: nothing happens to it any more. */
function isGone(machine: Machine): boolean {
  return machine.removing && machine.ended_at !== null;
}
