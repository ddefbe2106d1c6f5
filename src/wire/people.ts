/** Who there is and who asks: orgs, users, members, sessions and API keys. */
import type { Calls } from "./call.ts";
import { list, named, nullable, object, optional, added } from "./compound.ts";
import { page, time, PAGE_QUERY } from "./common.ts";
import { newEmail } from "./email.ts";
import type { Received, TypeOf } from "./schema.ts";
import { anything, about, boolean, oneOf, pattern, string, text } from "./schema.ts";
import { timestamp } from "./time.ts";
import { visibleText } from "./visible.ts";

/** What an API key may be narrowed to; the route table names each route's scope. */
export const SCOPES = [
  "hosts:read",
  "hosts:write",
  "images:read",
  "images:write",
  "apps:read",
  "apps:write",
  "status:read",
  "admin",
] as const;
export type Scope = (typeof SCOPES)[number];
const SCOPE = oneOf(...SCOPES);

export const ROLE = oneOf("owner", "member");
export type Role = TypeOf<typeof ROLE>;

const SLUG = pattern(
  /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/,
  "1 to 63 of a-z 0-9 -, not starting or ending with a hyphen",
);
/** Long enough that scrypt's cost counts; what it is made of is the person's choice (NIST SP 800-63B). */
const PASSWORD = string({ min: 8, max: 1024 });
const NAME = visibleText({ min: 1, max: 128 });

export const ORG_BODY = object({ slug: SLUG, name: optional(NAME) });
export type NewOrg = TypeOf<typeof ORG_BODY>;
export const MEMBER_BODY = object({ role: ROLE });
export const USER_BODY = object({
  email: newEmail,
  name: NAME,
  password: PASSWORD,
  host_admin: optional(boolean),
  org: optional(about(string({ min: 1, max: 64 }), "The org that the user is a member of from the start.")),
});
export type NewUser = TypeOf<typeof USER_BODY>;
export const PASSWORD_BODY = object({
  password: PASSWORD,
  current_password: optional(about(string({ min: 1, max: 1024 }), "Asked for where it is one's own.")),
});

export type NewPassword = TypeOf<typeof PASSWORD_BODY>;

export const LOGIN_BODY = object({
  email: string({ min: 1, max: 254 }),
  password: string({ min: 1, max: 1024 }),
  org: optional(string({ min: 1, max: 64 })),
});
export type LoginRequest = TypeOf<typeof LOGIN_BODY>;
export const TOKEN_BODY = object({
  name: NAME,
  scopes: optional(about(list(SCOPE, SCOPES.length), "Absent, all that its user may.")),
  expires_at: optional(timestamp),
});

export type TokenRequest = TypeOf<typeof TOKEN_BODY>;

export const ORG = named("Org", object({ id: text, slug: text, name: text, created_at: optional(time) }));
export type OrgView = TypeOf<typeof ORG>;
export const ORGS = page("orgs", ORG);

const USER_FIELDS = { id: text, email: text, name: text, host_admin: added(boolean) };
export const USER = named("User", object(USER_FIELDS));
export type UserView = TypeOf<typeof USER>;
export const USERS = page("users", USER);
export const MEMBER = named("Member", object({ ...USER_FIELDS, role: ROLE }));
export type MemberView = TypeOf<typeof MEMBER>;
export const MEMBERS = page("members", MEMBER);
export const MEMBERSHIP = object({ org_id: text, user_id: text, role: ROLE });

export type MembershipView = TypeOf<typeof MEMBERSHIP>;

const KEY_FIELDS = {
  id: text,
  name: text,
  scopes: nullable(list(SCOPE)),
  expires_at: nullable(time),
  created_at: added(time),
};
export const API_KEY = named("ApiKey", object(KEY_FIELDS));
export type KeyView = TypeOf<typeof API_KEY>;
export const API_KEYS = page("tokens", API_KEY);
export const NEW_API_KEY = object({ ...KEY_FIELDS, token: about(text, "Shown this once.") });

export type NewKeyView = TypeOf<typeof NEW_API_KEY>;

export const CALLERS_ORG = object({ id: text, slug: text, role: nullable(ROLE) });
export const WHOAMI = named(
  "Whoami",
  object({
    user: nullable(object({ id: text, email: text, name: text })),
    org: CALLERS_ORG,
    access: oneOf("host-admin", "member"),
    auth_method: oneOf("session", "api_key", "localhost"),
    scopes: nullable(about(list(SCOPE), "null: all that the user may.")),
    expires_at: nullable(time),
  }),
);
export type WhoamiView = TypeOf<typeof WHOAMI>;
export type ReceivedWhoami = Received<typeof WHOAMI>;
export const LOGIN = object({ token: text, expires_at: time, user: USER, org: CALLERS_ORG });
export type LoginView = TypeOf<typeof LOGIN>;

/** What is called of who is who. */
export const PEOPLE_CALLS = {
  logIn: {
    summary: "Log in with a password",
    body: LOGIN_BODY,
    answers: { 200: LOGIN },
    refusals: ["unauthorized", "org_not_found", "login_throttled", "too_many_logins"],
  },
  logOut: { summary: "End the session that asks", body: anything, answers: { 204: null } },
  whoami: { summary: "Who the caller is", answers: { 200: WHOAMI } },
  listTokens: { summary: "List one's own API keys", query: PAGE_QUERY, answers: { 200: API_KEYS } },
  createToken: {
    summary: "Make an API key",
    body: TOKEN_BODY,
    answers: { 201: NEW_API_KEY },
    refusals: ["too_many_tokens"],
  },
  revokeToken: { summary: "Revoke an API key", answers: { 204: null }, refusals: ["token_not_found"] },
  listOrgs: { summary: "List the caller's orgs", query: PAGE_QUERY, answers: { 200: ORGS } },
  createOrg: { summary: "Create an org", body: ORG_BODY, answers: { 201: ORG }, refusals: ["org_exists"] },
  listMembers: { summary: "List an org's members", query: PAGE_QUERY, answers: { 200: MEMBERS } },
  setMember: {
    summary: "Make a user a member, or set the role",
    body: MEMBER_BODY,
    answers: { 200: MEMBERSHIP },
    refusals: ["user_not_found"],
  },
  removeMember: { summary: "Take a user out of an org", answers: { 204: null }, refusals: ["user_not_found"] },
  listUsers: { summary: "List all users", query: PAGE_QUERY, answers: { 200: USERS } },
  createUser: {
    summary: "Create a user",
    body: USER_BODY,
    answers: { 201: USER },
    refusals: ["user_exists", "too_many_logins"],
  },
  removeUser: {
    summary: "Remove a user with all that they hold",
    answers: { 204: null },
    refusals: ["user_not_found", "last_host_admin"],
  },
  setPassword: {
    summary: "Set a password",
    body: PASSWORD_BODY,
    answers: { 204: null },
    refusals: ["user_not_found", "login_throttled", "too_many_logins"],
  },
} as const satisfies Calls;
