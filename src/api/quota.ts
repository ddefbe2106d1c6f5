/** /v1/org/quota and /v1/orgs/{id}/quota: how much an org may have, and has. */
import type { JsonReply } from "../http/respond.ts";
import { json } from "../http/respond.ts";
import type { MaybePromise } from "../http/types.ts";
import { getOrg } from "../identity/people.ts";
import type { OrgId } from "../lib/id-types.ts";
import { limitsOf, usedBy } from "../state/quota.ts";
import type { State } from "../state/state.ts";
import { QUOTA_KIND } from "../wire/quota.ts";
import type { QuotaLimits, QuotaRequest, QuotaView } from "../wire/quota.ts";
import type { App } from "./app.ts";
import type { PersonRequest } from "./request.ts";

function quotaView(state: State, defaults: QuotaLimits, orgId: OrgId): QuotaView {
  const set = state.quotas.get(orgId)?.limits ?? {};
  const own = QUOTA_KIND.words.filter((kind) => set[kind] !== undefined);
  return { org_id: orgId, limits: limitsOf(state, defaults, orgId), used: usedBy(state, orgId), own };
}

export function showQuota({ caller }: PersonRequest, app: App): MaybePromise<JsonReply<200, QuotaView>> {
  return app.store.read((state) => json(200, quotaView(state, app.quota(), caller.org.id)));
}

/** What is not named is what the config says again. */
export function setQuota(
  request: PersonRequest<"id", QuotaRequest>,
  app: App,
): MaybePromise<JsonReply<200, QuotaView>> {
  const limits: Partial<Record<keyof QuotaLimits, number>> = {};
  for (const kind of QUOTA_KIND.words) {
    const limit = request.body[kind];
    if (limit !== undefined) limits[kind] = limit;
  }
  return request.change((state) => {
    const { id } = getOrg(state, request.params.id);
    return {
      event: { type: "org.quota_set", data: { org_id: id, limits } },
      answer: (after) => json(200, quotaView(after, app.quota(), id)),
    };
  });
}
