/** Users, orgs and who is in which: pure decisions. Whether the caller may ask at all stands in the route table. */
import { ApiError } from "../lib/errors.ts";
import type { OrgId, UserId } from "../lib/id-types.ts";
import { emailKey, normalizeEmail } from "../wire/email.ts";
import { newId } from "../lib/ids.ts";
import type { EventOf } from "../state/events.ts";
import type { State } from "../state/state.ts";
import { membershipKey } from "../state/state.ts";
import type { Membership, Org, PasswordHash, Role, User } from "../state/identity-types.ts";
import type { UserView } from "../wire/people.ts";
import type { PersonCaller } from "./access.ts";
import { mayActIn } from "./tokens.ts";

/** A user on the wire. */
export function userView({ id, email, name, host_admin }: User): UserView {
  return { id, email, name, host_admin };
}

/**
 * The user of an address, however its letters are encoded. Logs from before may have two whose addresses are one by
 * now: each is found by the very letters that it was made with, and by other ones nobody, since it cannot be told which
 * of them is meant.
 */
export function findUserByEmail(state: State, email: string): User | null {
  const asMade = email.trim().toLowerCase();
  const wanted = emailKey(email.trim());
  const alike: User[] = [];
  for (const user of state.users.values()) {
    if (user.email === asMade) return user;
    if (emailKey(user.email) === wanted) alike.push(user);
  }
  const [found, another] = alike;
  return found !== undefined && another === undefined ? found : null;
}

/** Throws `user_exists` where an address is somebody's already, if only by letters that look the same. */
export function refuseTaken(state: State, email: string): void {
  const wanted = emailKey(email);
  for (const user of state.users.values()) {
    if (emailKey(user.email) !== wanted) continue;
    const why = user.email === email ? "" : " The two differ in how their letters are encoded, or in what nobody sees.";
    throw new ApiError("user_exists", `There is a user ${email} already.${why}`, { field: "email" });
  }
}

/** By id or slug. Throws `org_not_found`. */
export function getOrg(state: State, name: string): Org {
  const org = state.orgs.find(name) ?? [...state.orgs.values()].find((candidate) => candidate.slug === name);
  if (org === undefined) throw orgNotFound(name);
  return org;
}

export function orgNotFound(name: string): ApiError {
  return new ApiError("org_not_found", `There is no org ${JSON.stringify(name)}, or you are not in it.`);
}

/** An API key that asks for another org than its own; the same sentence whether that org is there or not. */
export function keyIsBound(own: string, wanted: string): ApiError {
  const remedy =
    "ask without --org (X-Zwrm-Org), or with a session, which acts in every org of its user's: zwrm auth login";
  return new ApiError(
    "org_not_found",
    `This API key acts in the org ${own} only, not in ${JSON.stringify(wanted)}: ${remedy}`,
  );
}

export function getUser(state: State, id: UserId): User {
  const user = state.users.get(id);
  if (user === undefined) throw new ApiError("user_not_found", `There is no user ${id}.`);
  return user;
}

export interface NewUser {
  readonly email: string;
  readonly name: string;
  readonly host_admin: boolean;
  /** Slug or id of the org to be a member of from the start, or null. */
  readonly org: string | null;
}

/** Throws `user_exists`, `org_not_found`. */
export function decideUser(state: State, request: NewUser, password: PasswordHash): EventOf<"user.created"> {
  const email = normalizeEmail(request.email);
  refuseTaken(state, email);
  const orgId = request.org === null ? null : getOrg(state, request.org).id;
  return {
    type: "user.created",
    data: {
      user: { id: newId("usr"), email, name: request.name, host_admin: request.host_admin, password },
      org_id: orgId,
    },
  };
}

/**
 * Throws `user_not_found`; `last_host_admin` where the last one removes itself. The localhost caller may remove anyone:
 * it stays host-admin without a user.
 */
export function decideUserRemoval(state: State, caller: PersonCaller, id: UserId): EventOf<"user.removed"> {
  const user = getUser(state, id);
  const others = [...state.users.values()].some((other) => other.host_admin && other.id !== id);
  if (caller.user?.id === id && !others)
    throw new ApiError("last_host_admin", "You are the last host-admin; make another one before you go.");
  return { type: "user.removed", data: { user_id: user.id } };
}

/** Throws `org_exists`. */
export function decideOrg(state: State, slug: string, name: string): EventOf<"org.created"> {
  if ([...state.orgs.values()].some((org) => org.slug === slug))
    throw new ApiError("org_exists", `There is an org ${slug} already.`, { field: "slug" });
  return { type: "org.created", data: { org: { id: newId("org"), slug, name } } };
}

/**
 * An org that a path names, where the caller may act in it: any for a host-admin, a session's user's own, an API key's
 * one. Throws `org_not_found`.
 */
function getReachedOrg(state: State, caller: PersonCaller, name: string): Org {
  if (caller.access === "host-admin") return getOrg(state, name);
  if (caller.authMethod === "api_key" && name !== caller.org.id && name !== caller.org.slug) {
    throw keyIsBound(caller.org.slug, name);
  }
  const org = getOrg(state, name);
  if (roleOf(state, org.id, caller.user?.id ?? null) === null) throw orgNotFound(name);
  return org;
}

/**
 * The org whose members the caller may set: its owner's, or any for a host-admin. Throws `org_not_found` to strangers,
 * `forbidden` to mere members.
 */
export function getManagedOrg(state: State, caller: PersonCaller, name: string): Org {
  const org = getReachedOrg(state, caller, name);
  if (caller.access === "host-admin") return org;
  const role = roleOf(state, org.id, caller.user?.id ?? null);
  if (role !== "owner")
    throw new ApiError("forbidden", `Members of ${org.slug} are its owner's or a host-admin's to set.`);
  return org;
}

export function decideMember(
  state: State,
  caller: PersonCaller,
  orgName: string,
  userId: UserId,
  role: Role,
): EventOf<"member.set"> {
  const org = getManagedOrg(state, caller, orgName);
  return { type: "member.set", data: { org_id: org.id, user_id: getUser(state, userId).id, role } };
}

export function decideMemberRemoval(
  state: State,
  caller: PersonCaller,
  orgName: string,
  userId: UserId,
): EventOf<"member.removed"> {
  const org = getManagedOrg(state, caller, orgName);
  if (roleOf(state, org.id, userId) === null)
    throw new ApiError("user_not_found", `User ${userId} is not in ${org.slug}.`);
  return { type: "member.removed", data: { org_id: org.id, user_id: userId } };
}

export function roleOf(state: State, orgId: OrgId, userId: UserId | null): Role | null {
  return userId === null ? null : (state.memberships.get(membershipKey(orgId, userId))?.role ?? null);
}

/**
 * The orgs that the caller may act in: all for a host-admin, those that its user is in for a session, its own for a
 * key.
 */
export function visibleOrgs(state: State, caller: PersonCaller): Org[] {
  if (caller.access === "host-admin") return [...state.orgs.values()];
  if (caller.authMethod === "api_key") return [getOrg(state, caller.org.id)];
  const userId = caller.user?.id ?? null;
  return [...state.orgs.values()].filter((org) => roleOf(state, org.id, userId) !== null);
}

/** The members of an org that the caller may act in. Throws `org_not_found`. */
export function listMembers(
  state: State,
  caller: PersonCaller,
  orgName: string,
): (UserView & { readonly role: Role })[] {
  const org = getReachedOrg(state, caller, orgName);
  const rows: Membership[] = [...state.memberships.values()].filter((membership) => membership.org_id === org.id);
  return rows.map((row) => ({ ...userView(getUser(state, row.user_id)), role: row.role }));
}

/**
 * The org of a login: the one asked for; else the user's only one, or `default` where it is among several. Throws
 * `org_not_found`.
 */
export function loginOrg(state: State, user: User, wanted: string | null, defaultOrgId: OrgId | null): Org {
  if (wanted !== null) {
    const org = getOrg(state, wanted);
    if (!mayActIn(state, user, org.id)) throw orgNotFound(wanted);
    return org;
  }
  const own = state.memberships
    .group(user.id)
    .map((membership) => membership.org_id)
    .sort();
  const isDefault = own.length === 0 ? user.host_admin : own.some((id) => id === defaultOrgId);
  const org = state.orgs.get(isDefault ? defaultOrgId : (own[0] ?? null));
  if (org === undefined)
    throw new ApiError("org_not_found", "You are in no org yet; ask an owner or a host-admin to add you.");
  return org;
}
