/**
 * What events do to people, their orgs and what they hold. Removal takes everything with it, so that nothing of a
 * person outlives them.
 */
import type { OrgId, UserId } from "../lib/id-types.ts";
import type { EventType, Recorded } from "./events.ts";
import type { State } from "./state.ts";
import { membershipKey } from "./state.ts";

type IdentityEvent = Extract<
  EventType,
  `org.${string}` | `member.${string}` | `user.${string}` | `session.${string}` | `api_key.${string}`
>;

function endSessions(state: State, userId: UserId, orgId: OrgId | null): void {
  for (const session of state.sessions.group(userId))
    if (orgId === null || session.org_id === orgId) state.sessions.delete(session.token_hash);
}

function revokeKeys(state: State, userId: UserId, orgId: OrgId | null): void {
  for (const key of state.apiKeys.group(userId))
    if (orgId === null || key.org_id === orgId) state.apiKeys.delete(key.token_hash);
}

export const identityReducers: { readonly [T in IdentityEvent]: (state: State, event: Recorded<T>) => void } = {
  "org.created": (state, { data }) => state.orgs.set(data.org.id, data.org),

  "org.quota_set": (state, { data }) => {
    if (Object.keys(data.limits).length === 0) state.quotas.delete(data.org_id);
    else state.quotas.set(data.org_id, data);
  },

  "member.set": (state, { data }) => state.memberships.set(membershipKey(data.org_id, data.user_id), { ...data }),

  "member.removed": (state, { data }) => {
    state.memberships.delete(membershipKey(data.org_id, data.user_id));
    // A host-admin needs no membership to act in an org.
    if (state.users.get(data.user_id)?.host_admin === true) return;
    endSessions(state, data.user_id, data.org_id);
    revokeKeys(state, data.user_id, data.org_id);
  },

  "user.created": (state, { data, at }) => {
    state.users.set(data.user.id, { ...data.user, created_at: at });
    if (data.org_id !== null)
      state.memberships.set(membershipKey(data.org_id, data.user.id), {
        org_id: data.org_id,
        user_id: data.user.id,
        role: "member",
      });
  },

  "user.password_set": (state, { data }) => {
    const user = state.users.get(data.user_id);
    if (user === undefined) return;
    state.users.set(user.id, { ...user, password: data.password });
    if (!data.same_password) endSessions(state, user.id, null);
  },

  "user.removed": (state, { data }) => {
    endSessions(state, data.user_id, null);
    revokeKeys(state, data.user_id, null);
    for (const { org_id } of state.memberships.group(data.user_id))
      state.memberships.delete(membershipKey(org_id, data.user_id));
    state.users.delete(data.user_id);
  },

  "session.created": (state, { data, at }) => {
    for (const hash of data.expired) state.sessions.delete(hash);
    state.sessions.set(data.session.token_hash, { ...data.session, created_at: at });
  },

  "session.renewed": (state, { data }) => {
    const session = state.sessions.get(data.token_hash);
    if (session !== undefined) state.sessions.set(data.token_hash, { ...session, expires_at: data.expires_at });
  },

  "session.ended": (state, { data }) => state.sessions.delete(data.token_hash),

  "api_key.created": (state, { data, at }) => state.apiKeys.set(data.key.token_hash, { ...data.key, created_at: at }),

  "api_key.revoked": (state, { data }) => state.apiKeys.delete(data.token_hash),
};
