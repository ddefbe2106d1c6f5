/** /v1/orgs and /v1/users: who there is, and who is in which org. */
import { empty, json } from "../http/respond.ts";
import type { MaybePromise, Reply } from "../http/types.ts";
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
import { newEmail } from "../lib/email.ts";
import { ApiError } from "../lib/errors.ts";
import { boolean, object, oneOf, optional, pattern, readBody, string } from "../lib/schema.ts";
import { visibleText } from "../lib/visible.ts";
import type { Event } from "../state/events.ts";
import type { Decision } from "../state/store.ts";
import type { PasswordHash } from "../state/types.ts";
import type { ApiContext, App } from "./app.ts";
import { param, personOf } from "./app.ts";
import { listReply } from "./lists.ts";

const SLUG = pattern(
  /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/,
  "1 to 63 of a-z 0-9 -, not starting or ending with a hyphen",
);
/** Long enough that scrypt's cost counts; what it is made of is the person's choice (NIST SP 800-63B). */
const PASSWORD = string({ min: 8, max: 1024 });

const ORG_BODY = object({ slug: SLUG, name: optional(visibleText({ min: 1, max: 128 })) });
const MEMBER_BODY = object({ role: oneOf("owner", "member") });
const USER_BODY = object({
  email: newEmail,
  name: visibleText({ min: 1, max: 128 }),
  password: PASSWORD,
  host_admin: optional(boolean),
  org: optional(string({ min: 1, max: 64 })),
});
const PASSWORD_BODY = object({ password: PASSWORD, current_password: optional(string({ min: 1, max: 1024 })) });

function deletion(event: Event): Decision<Reply> {
  return { event, answer: () => empty(204) };
}

export function listOrgs(context: ApiContext, app: App): MaybePromise<Reply> {
  const caller = personOf(context);
  return app.store.read((state) => listReply(context, "orgs", visibleOrgs(state, caller), (row) => row.id));
}

export function createOrg(context: ApiContext, app: App): MaybePromise<Reply> {
  const body = readBody(ORG_BODY, context.body);
  return app.door.change(context, (state) => {
    const event = decideOrg(state, body.slug, body.name ?? body.slug);
    return { event, answer: () => json(201, event.data.org) };
  });
}

export function listOrgMembers(context: ApiContext, app: App): MaybePromise<Reply> {
  const caller = personOf(context);
  return app.store.read((state) =>
    listReply(context, "members", listMembers(state, caller, param(context, "id")), (row) => row.id),
  );
}

export function setMember(context: ApiContext, app: App): MaybePromise<Reply> {
  const { role } = readBody(MEMBER_BODY, context.body);
  return app.door.change(context, (state, caller) => {
    const event = decideMember(state, caller, param(context, "id"), param(context, "user_id"), role);
    return { event, answer: () => json(200, event.data) };
  });
}

export function removeMember(context: ApiContext, app: App): MaybePromise<Reply> {
  return app.door.change(context, (state, caller) =>
    deletion(decideMemberRemoval(state, caller, param(context, "id"), param(context, "user_id"))),
  );
}

export function listUsers(context: ApiContext, app: App): MaybePromise<Reply> {
  return app.store.read((state) =>
    listReply(context, "users", [...state.users.values()].map(userView), (row) => row.id),
  );
}

export async function createUser(context: ApiContext, app: App): Promise<Reply> {
  const body = readBody(USER_BODY, context.body);
  // Asked before the hash, which is dear, and again in the decision, which counts.
  await app.door.look(context, (state) => refuseTaken(state, body.email));
  const password = await app.logins.hash(body.password);
  const request = { email: body.email, name: body.name, host_admin: body.host_admin ?? false, org: body.org ?? null };
  return app.door.change(context, (state) => {
    const event = decideUser(state, request, password);
    return { event, answer: (after) => json(201, userView(getUser(after, event.data.user.id))) };
  });
}

export function removeUser(context: ApiContext, app: App): MaybePromise<Reply> {
  return app.door.change(context, (state, caller) => deletion(decideUserRemoval(state, caller, param(context, "id"))));
}

/** One's own with the current one, or anybody's for a host-admin. Ends the user's sessions. */
export async function setPassword(context: ApiContext, app: App): Promise<Reply> {
  const caller = personOf(context);
  const id = param(context, "id");
  const body = readBody(PASSWORD_BODY, context.body);
  // Asked before the proof and the hash, which are dear, and again in the decision, which counts.
  await app.door.look(context, (state, now) => getSettableUser(state, now, id));
  const proven = caller.user?.id === id ? await proveOwn(context, app, id, body.current_password) : null;
  const password = await app.logins.hash(body.password);
  return app.door.change(context, (state, now) => ({
    event: decidePassword(state, now, id, password, proven),
    answer: () => empty(204),
  }));
}

async function proveOwn(
  context: ApiContext,
  app: App,
  userId: string,
  current: string | undefined,
): Promise<PasswordHash> {
  if (current === undefined)
    throw new ApiError("invalid_field", "current_password is required to change one's own password.", {
      field: "current_password",
    });
  const proven = await app.logins.prove(userId, current, context.peer.remoteAddress ?? "socket");
  if (proven === null) throw new ApiError("forbidden", "The current password is wrong.", { field: "current_password" });
  return proven;
}
