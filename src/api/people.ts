/** /v1/orgs and /v1/users: who there is, and who is in which org. */
import type { EmptyReply, JsonReply } from "../http/respond.ts";
import { empty, json } from "../http/respond.ts";
import type { MaybePromise } from "../http/types.ts";
import { decidePassword, getSettableUser } from "../identity/login.ts";
import {
  decideMember,
  decideMemberRemoval,
  decideOrg,
  decideUser,
  decideUserRemoval,
  getUser,
  listMembers,
  refuseTaken,
  userView,
  visibleOrgs,
} from "../identity/people.ts";
import { ApiError } from "../lib/errors.ts";
import type { UserId } from "../lib/id-types.ts";
import type { Event } from "../state/events.ts";
import type { Decision } from "../state/store.ts";
import type { PasswordHash } from "../state/identity-types.ts";
import type { Page, PageQuery } from "../wire/common.ts";
import type {
  MemberView,
  MembershipView,
  NewOrg,
  NewPassword,
  NewUser,
  OrgView,
  Role,
  UserView,
} from "../wire/people.ts";
import type { App } from "./app.ts";
import { listReply } from "./lists.ts";
import type { PersonRequest } from "./request.ts";

type List<K extends string, T> = MaybePromise<JsonReply<200, Page<K, T>>>;

function deletion(event: Event): Decision<EmptyReply<204>> {
  return { event, answer: () => empty(204) };
}

export function listOrgs({ caller, query }: PersonRequest<never, unknown, PageQuery>, app: App): List<"orgs", OrgView> {
  return app.store.read((state) => listReply(query, "orgs", visibleOrgs(state, caller), (row) => row.id));
}

export function createOrg(request: PersonRequest<never, NewOrg>): MaybePromise<JsonReply<201, OrgView>> {
  const { slug, name } = request.body;
  return request.change((state) => {
    const event = decideOrg(state, slug, name ?? slug);
    return { event, answer: () => json(201, event.data.org) };
  });
}

export function listOrgMembers(
  { caller, params, query }: PersonRequest<"id", unknown, PageQuery>,
  app: App,
): List<"members", MemberView> {
  return app.store.read((state) => listReply(query, "members", listMembers(state, caller, params.id), (row) => row.id));
}

export function setMember(
  request: PersonRequest<"id" | "user_id", { readonly role: Role }>,
): MaybePromise<JsonReply<200, MembershipView>> {
  const { body, params } = request;
  return request.change((state, caller) => {
    const event = decideMember(state, caller, params.id, params.user_id, body.role);
    return { event, answer: () => json(200, event.data) };
  });
}

export function removeMember(request: PersonRequest<"id" | "user_id">): MaybePromise<EmptyReply<204>> {
  const { params } = request;
  return request.change((state, caller) => deletion(decideMemberRemoval(state, caller, params.id, params.user_id)));
}

export function listUsers({ query }: PersonRequest<never, unknown, PageQuery>, app: App): List<"users", UserView> {
  return app.store.read((state) => listReply(query, "users", [...state.users.values()].map(userView), (row) => row.id));
}

export async function createUser(request: PersonRequest<never, NewUser>, app: App): Promise<JsonReply<201, UserView>> {
  const { body } = request;
  // Asked before the hash, which is dear, and again in the decision, which counts.
  await request.look((state) => refuseTaken(state, body.email));
  const password = await app.logins.hash(body.password);
  const user = { email: body.email, name: body.name, host_admin: body.host_admin ?? false, org: body.org ?? null };
  return request.change((state) => {
    const event = decideUser(state, user, password);
    return { event, answer: (after) => json(201, userView(getUser(after, event.data.user.id))) };
  });
}

export function removeUser(request: PersonRequest<"users/{id}">): MaybePromise<EmptyReply<204>> {
  return request.change((state, caller) => deletion(decideUserRemoval(state, caller, request.params.id)));
}

/** One's own with the current one, or anybody's for a host-admin. Ends the user's sessions. */
export async function setPassword(
  request: PersonRequest<"users/{id}", NewPassword>,
  app: App,
): Promise<EmptyReply<204>> {
  const { body, caller, params } = request;
  // Asked before the proof and the hash, which are dear, and again in the decision, which counts.
  await request.look((state, now) => getSettableUser(state, now, params.id));
  const address = request.transport.peer.remoteAddress ?? "socket";
  const isOwn = caller.user?.id === params.id;
  const proven = isOwn ? await proveOwn(app, params.id, body.current_password, address) : null;
  const password = await app.logins.hash(body.password);
  return request.change((state, now) => ({
    event: decidePassword(state, now, params.id, password, proven),
    answer: () => empty(204),
  }));
}

async function proveOwn(app: App, userId: UserId, current: string | undefined, address: string): Promise<PasswordHash> {
  const field = "current_password";
  if (current === undefined)
    throw new ApiError("invalid_field", "current_password is required to change one's own password.", { field });
  const proven = await app.logins.prove(userId, current, address);
  if (proven === null) throw new ApiError("forbidden", "The current password is wrong.", { field });
  return proven;
}
