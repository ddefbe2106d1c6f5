/**
 * What of an org's quota each event takes, and whether there is as much left. A total table: a new event does not
 * compile until somebody has said so here. The store asks it for every change that is not the daemon's own, so no
 * route can forget to.
 */
import { ApiError } from "../lib/errors.ts";
import type { OrgId } from "../lib/id-types.ts";
import { QUOTA_KIND, QUOTA_MEANING } from "../wire/quota.ts";
import type { QuotaKind, QuotaLimits } from "../wire/quota.ts";
import { envBytes } from "./env-bytes.ts";
import type { Event, EventData, EventType } from "./events.ts";
import type { State } from "./state.ts";
import { imageRefKey } from "./state.ts";
import type { Admission } from "./store.ts";
import type { Deployment } from "./types.ts";

/** What an event adds to an org, by kind. What is less than before, or as much, is always allowed. */
interface Growth {
  readonly orgId: OrgId;
  readonly more: Partial<QuotaLimits>;
  /** Of a kind that is not counted over the whole org: how many there are where these are added. */
  readonly there?: Partial<QuotaLimits>;
}

const nothing = (): null => null;

const GROWTH: { readonly [T in EventType]: (state: State, data: EventData[T]) => Growth | null } = {
  "journal.segment": nothing,
  "cluster.created": nothing,
  "cluster.restored": nothing,
  "host.registered": nothing,
  "host.heard": nothing,
  "host.lost": nothing,
  "host.replacement_allowed": nothing,
  "host.id_conflict": nothing,
  "host.deregistered": nothing,
  "host.key_removed": nothing,
  "host.drain_started": nothing,
  "host.drain_updated": nothing,
  "host.drain_forced": nothing,
  "host.drain_finished": nothing,
  "host.activated": nothing,
  "app.created": (_state, { org_id: orgId }) => ({ orgId, more: { apps: 1 } }),
  "app.deleted": nothing,
  // It takes the place of the deployment that is current.
  "deployment.created": (state, { deployment }) => {
    const current = state.deployments.get(state.apps.get(deployment.app_id)?.deployment_id ?? null);
    return {
      orgId: deployment.org_id,
      more: { ...less(askedBy(deployment), askedBy(current)), env_bytes: envBytes(deployment.env) },
    };
  },
  "deployment.scaled": (state, { deployment_id, replicas }) => {
    const deployment = state.deployments.get(deployment_id);
    if (deployment === undefined) return null;
    return { orgId: deployment.org_id, more: less(askedBy({ ...deployment, replicas }), askedBy(deployment)) };
  },
  "deployment.moved": nothing,
  "machine.created": nothing,
  "machine.placed": nothing,
  "machine.healthy": nothing,
  "machine.given_up": nothing,
  "machine.removed": nothing,
  "machine.stop_requested": nothing,
  "machine.start_requested": nothing,
  "workload.expired": nothing,
  "image.added": (state, { digest, size_bytes, org_id, app_id }) => {
    const ref = state.imageRefs.get(imageRefKey(org_id, digest));
    const labels = { labels: ref?.app_ids.length ?? 0 };
    return {
      orgId: org_id,
      more: { ...(ref === undefined ? { images: 1, image_bytes: size_bytes } : {}), labels: app_id === null ? 0 : 1 },
      there: labels,
    };
  },
  "image.removed": nothing,
  "org.created": nothing,
  "org.quota_set": nothing,
  "member.set": nothing,
  "member.removed": nothing,
  "user.created": nothing,
  "user.password_set": nothing,
  "user.removed": nothing,
  "session.created": nothing,
  "session.renewed": nothing,
  "session.ended": nothing,
  "api_key.created": nothing,
  "api_key.revoked": nothing,
};

/** How much an org has of each. A total table. */
const USED: { readonly [K in QuotaKind]: (state: State, orgId: OrgId) => number } = {
  apps: (state, orgId) => state.apps.groupSize(orgId),
  replicas: (state, orgId) => sumOf(state, orgId, "replicas"),
  cpus: (state, orgId) => sumOf(state, orgId, "cpus"),
  memory_mb: (state, orgId) => sumOf(state, orgId, "memory_mb"),
  env_bytes: (state, orgId) => state.deployments.groupWeight(orgId, 1),
  images: (state, orgId) => state.imageRefs.groupSize(orgId, 1),
  image_bytes: (state, orgId) =>
    state.imageRefs.group(orgId, 1).reduce((sum, { digest }) => sum + (state.images.get(digest)?.size_bytes ?? 0), 0),
  labels: (state, orgId) =>
    state.imageRefs.group(orgId, 1).reduce((most, { app_ids: labels }) => Math.max(most, labels.length), 0),
};

/** What holds for an org: what was set for it, else `defaults`. */
export function limitsOf(state: State, defaults: QuotaLimits, orgId: OrgId): QuotaLimits {
  return { ...defaults, ...state.quotas.get(orgId)?.limits };
}

export function usedBy(state: State, orgId: OrgId): QuotaLimits {
  const used = QUOTA_KIND.words.map((kind) => [kind, USED[kind](state, orgId)]);
  // The words are exactly the keys.
  return Object.fromEntries(used) as unknown as QuotaLimits;
}

/** Of what an event would give an org more than it may have, and by how much. */
interface Lack {
  readonly orgId: OrgId;
  readonly kind: QuotaKind;
  readonly limit: number;
  readonly used: number;
  readonly asked: number;
}

function lackOf(state: State, defaults: QuotaLimits, event: Event): Lack | null {
  const growth = growthOf(state, event);
  if (growth === null) return null;
  const { orgId, more, there } = growth;
  for (const kind of QUOTA_KIND.words) {
    const asked = more[kind] ?? 0;
    if (asked <= 0) continue;
    const limit = limitsOf(state, defaults, orgId)[kind];
    const used = there?.[kind] ?? USED[kind](state, orgId);
    if (used + asked > limit) return { orgId, kind, limit, used, asked };
  }
  return null;
}

function quotaExceeded(state: State, { orgId, kind, limit, used, asked }: Lack): ApiError {
  const slug = state.orgs.get(orgId)?.slug ?? orgId;
  return new ApiError(
    "quota_exceeded",
    `Org ${slug} may have ${limit} ${QUOTA_MEANING[kind]}, has ${used}, and this asks for ${asked} more. Remove ` +
      `what is not needed, or have a host-admin raise it: zwrm quota set ${slug} --${kind.replaceAll("_", "-")} N`,
    { extra: { quota: kind, limit, used, asked } },
  );
}

function growthOf<T extends EventType>(state: State, event: Event & { readonly type: T }): Growth | null {
  // The type checker does not see that an event's type and data belong together.
  return (GROWTH[event.type] as (state: State, data: unknown) => Growth | null)(state, event.data);
}

type Asked = Pick<QuotaLimits, "replicas" | "cpus" | "memory_mb">;

/** What all replicas of a deployment ask for. */
function askedBy(deployment: Pick<Deployment, "replicas" | "cpus" | "memory_mb"> | undefined): Asked {
  if (deployment === undefined) return { replicas: 0, cpus: 0, memory_mb: 0 };
  const { replicas, cpus, memory_mb } = deployment;
  return { replicas, cpus: replicas * cpus, memory_mb: replicas * memory_mb };
}

function less(a: Asked, b: Asked): Asked {
  return { replicas: a.replicas - b.replicas, cpus: a.cpus - b.cpus, memory_mb: a.memory_mb - b.memory_mb };
}

function sumOf(state: State, orgId: OrgId, kind: keyof Asked): number {
  let sum = 0;
  for (const app of state.apps.group(orgId)) sum += askedBy(state.deployments.get(app.deployment_id ?? null))[kind];
  return sum;
}

/** What the store asks before a change: the limits where nothing was set for an org, which a reload replaces. */
export class Quota {
  #defaults: QuotaLimits;
  readonly #onRefused: (kind: QuotaKind) => void;

  /** `onRefused` is told of what an org has all that it may have. */
  constructor(defaults: QuotaLimits, onRefused: (kind: QuotaKind) => void) {
    this.#defaults = defaults;
    this.#onRefused = onRefused;
  }

  get defaults(): QuotaLimits {
    return this.#defaults;
  }

  replace(defaults: QuotaLimits): void {
    this.#defaults = defaults;
  }

  /** Throws `quota_exceeded`. */
  readonly admit: Admission = (state, event) => {
    const lack = lackOf(state, this.#defaults, event);
    if (lack === null) return;
    this.#onRefused(lack.kind);
    throw quotaExceeded(state, lack);
  };
}
