/**
 * Whether a person may do this now: whom a token stands for, in which org, and whether that is enough for a route.
 * Asked at the door, and again by every decision.
 */
import { ApiError } from "../lib/errors.ts";
import type { State } from "../state/state.ts";
import type { Org } from "../state/identity-types.ts";
import type { Access, PersonCaller } from "./access.ts";
import { getOrg, keyIsBound, orgNotFound, roleOf } from "./people.ts";
import type { Holding } from "./tokens.ts";
import { findByHash, invalidToken, mayActIn } from "./tokens.ts";

export type ProtectedAccess = Extract<Access, { kind: "protected" }>;

/**
 * The user behind a token, in the org that is wanted (slug or id), or else the token's own: a session acts in every org
 * that its user is in, an API key in its own, a host-admin's session or key in all. Throws `org_not_found`.
 */
export function toCaller(state: State, holding: Holding, wanted: string | null, ip: string | null): PersonCaller {
  const { row, user } = holding;
  const org = orgOf(state, holding, wanted);
  return {
    kind: "person",
    authMethod: holding.kind,
    access: user.host_admin ? "host-admin" : "member",
    user: { id: user.id, email: user.email, name: user.name },
    org: { id: org.id, slug: org.slug, role: roleOf(state, org.id, user.id) },
    scopes: holding.kind === "session" ? null : holding.row.scopes,
    expiresAt: row.expires_at,
    tokenHash: row.token_hash,
    actor: { kind: "user", id: user.id, ip },
  };
}

function orgOf(state: State, { kind, row, user }: Holding, wanted: string | null): Org {
  const own = getOrg(state, row.org_id);
  if (wanted === null || wanted === own.id || wanted === own.slug) return own;
  // Whether the other org is there, and whether the user is in it, the key's bearer is not told.
  if (kind === "api_key" && !user.host_admin) throw keyIsBound(own.slug, wanted);
  const org = getOrg(state, wanted);
  if (!mayActIn(state, user, org.id)) throw orgNotFound(wanted);
  return org;
}

/** Throws `host_admin_required`, or `forbidden` where a key lacks the scope. */
export function authorize(access: ProtectedAccess, caller: PersonCaller): PersonCaller {
  if (access.hostAdmin && caller.access !== "host-admin") {
    throw new ApiError("host_admin_required", "This is for host-admins; ask one of them.");
  }
  const { scope } = access;
  if (scope !== null && caller.scopes !== null && !caller.scopes.includes(scope) && !caller.scopes.includes("admin")) {
    throw new ApiError("forbidden", `This key lacks the scope ${scope}.`);
  }
  return caller;
}

/**
 * The caller as they stand now. A body takes its time, a stream days, a password its turn: meanwhile the token may have
 * been ended, its user removed, the membership or the host-admin mark taken away. Throws what would be thrown to a
 * request that came in now.
 */
export function callerNow(state: State, access: ProtectedAccess, caller: PersonCaller, nowWall: number): PersonCaller {
  // Whoever came in by the machine itself holds nothing that could have been taken away.
  if (caller.tokenHash === null) return authorize(access, caller);
  const holding = findByHash(state, caller.tokenHash, nowWall);
  if (holding === null) throw invalidToken();
  return authorize(access, toCaller(state, holding, caller.org.id, caller.actor.ip));
}

/** Whether the caller may still do it. */
export function mayStill(state: State, access: ProtectedAccess, caller: PersonCaller, nowWall: number): boolean {
  try {
    callerNow(state, access, caller, nowWall);
    return true;
  } catch (error) {
    if (error instanceof ApiError) return false;
    throw error;
  }
}
