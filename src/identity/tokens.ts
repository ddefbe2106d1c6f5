/**
 * Sessions and API keys: how they are made, found, renewed and ended. Only hashes of tokens are kept; a token is seen
 * once, by whom it is for.
 */
import { randomBytes } from "node:crypto";
import { ApiError } from "../lib/errors.ts";
import { toRfc3339 } from "../lib/clock.ts";
import type { OrgId } from "../lib/id-types.ts";
import type { KeyId } from "../lib/id-types.ts";
import { newId, sha256Hex } from "../lib/ids.ts";
import type { EventOf } from "../state/events.ts";
import type { State } from "../state/state.ts";
import { membershipKey } from "../state/state.ts";
import type { ApiKey, Scope, Session, User } from "../state/identity-types.ts";
import type { KeyView, TokenRequest } from "../wire/people.ts";
import type { PersonCaller } from "./access.ts";

/** One login more ends the oldest: a script that logs in and never out must not grow the state. */
const MAX_SESSIONS = 100;
/** A user's API keys, expired ones among them. */
const MAX_KEYS = 1_000;
/** 32 random bytes, 43 characters of base64url. */
const TOKEN_SHAPE = /^zwrm_(?:ses|key)_[A-Za-z0-9_-]{43}$/;

export function newToken(kind: "ses" | "key"): string {
  return `zwrm_${kind}_${randomBytes(32).toString("base64url")}`;
}

/**
 * A line for the log without the tokens that someone put where they do not belong: `DELETE /v1/auth/tokens/zwrm_key_…`
 * with the token for its id.
 */
export function hideTokens(line: string): string {
  return line.includes("zwrm_") ? line.replace(/zwrm_(ses|key)_[A-Za-z0-9_-]{22,}/g, "zwrm_$1_[redacted]") : line;
}

/** What a token stands for. */
export type Holding =
  | { readonly kind: "session"; readonly row: Session; readonly user: User }
  | { readonly kind: "api_key"; readonly row: ApiKey; readonly user: User };

/**
 * Finds a token by its hash, so that no comparison depends on how much of a guess is right. Null where it is unknown,
 * expired, or its user is gone or has left its org.
 */
export function findHolding(state: State, token: string, nowWall: number): Holding | null {
  return TOKEN_SHAPE.test(token) ? findByHash(state, sha256Hex(token), nowWall) : null;
}

/** The same by the token's SHA-256. */
export function findByHash(state: State, hash: string, nowWall: number): Holding | null {
  const session = state.sessions.get(hash);
  const key = state.apiKeys.get(hash);
  const row = session ?? key;
  if (row === undefined || isOver(row.expires_at, nowWall)) return null;
  const user = state.users.get(row.user_id);
  if (user === undefined || !mayActIn(state, user, row.org_id)) return null;
  if (session !== undefined) return { kind: "session", row: session, user };
  return key === undefined ? null : { kind: "api_key", row: key, user };
}

export function invalidToken(): ApiError {
  return new ApiError(
    "unauthorized",
    "The token is not valid: it is unknown, revoked or expired. Log in again with: zwrm auth login",
  );
}

function isOver(expiresAt: string | null, nowWall: number): boolean {
  return expiresAt !== null && Date.parse(expiresAt) <= nowWall;
}

/** A host-admin acts in every org, everyone else where they are a member. */
export function mayActIn(state: State, user: User, orgId: OrgId): boolean {
  return user.host_admin || state.memberships.get(membershipKey(orgId, user.id)) !== undefined;
}

/** A login that is proven already. What is over goes, and beyond the cap the oldest. */
export function decideSession(
  state: State,
  user: User,
  orgId: OrgId,
  token: string,
  ttlMs: number,
  nowWall: number,
): EventOf<"session.created"> {
  const own = state.sessions.group(user.id).sort((a, b) => (a.created_at < b.created_at ? -1 : 1));
  const open = own.filter((session) => !isOver(session.expires_at, nowWall)).slice(-(MAX_SESSIONS - 1));
  const expired = own.filter((session) => !open.includes(session));
  const session = {
    id: newId("ses"),
    token_hash: sha256Hex(token),
    user_id: user.id,
    org_id: orgId,
    expires_at: toRfc3339(nowWall + ttlMs),
  };
  return { type: "session.created", data: { session, expired: expired.map((row) => row.token_hash) } };
}

/** A session in use slides on: once half of its time is over it gets all of it again. Null where it is too early. */
export function decideRenewal(session: Session, ttlMs: number, nowWall: number): EventOf<"session.renewed"> | null {
  if (Date.parse(session.expires_at) - nowWall > ttlMs / 2) return null;
  return { type: "session.renewed", data: { token_hash: session.token_hash, expires_at: toRfc3339(nowWall + ttlMs) } };
}

/**
 * A key for the caller itself. Throws `forbidden` where there is no user, or the key would be wider or longer-lived
 * than the key that asks; `too_many_tokens`.
 */
export function decideKey(
  state: State,
  caller: PersonCaller,
  request: TokenRequest,
  token: string,
  nowWall: number,
): EventOf<"api_key.created"> {
  if (caller.user === null)
    throw new ApiError(
      "forbidden",
      "A key belongs to a user, and the localhost caller is none. Log in first: zwrm auth login",
    );
  if (request.expires_at !== undefined && Date.parse(request.expires_at) <= nowWall)
    throw new ApiError("invalid_field", "expires_at lies in the past.", { field: "expires_at" });
  if (state.apiKeys.group(caller.user.id).length >= MAX_KEYS)
    throw new ApiError(
      "too_many_tokens",
      `You have ${MAX_KEYS} API keys; revoke one first: zwrm auth tokens revoke ID`,
    );
  const scopes = request.scopes === undefined ? null : [...new Set(request.scopes)].sort();
  refuseWider(caller, scopes, request.expires_at ?? null);
  const key = {
    id: newId("key"),
    token_hash: sha256Hex(token),
    name: request.name,
    user_id: caller.user.id,
    org_id: caller.org.id,
    scopes,
    expires_at: request.expires_at ?? null,
  };
  return { type: "api_key.created", data: { key } };
}

function refuseWider(caller: PersonCaller, scopes: readonly Scope[] | null, expiresAt: string | null): void {
  if (caller.authMethod !== "api_key") return;
  if (isWider(scopes, caller.scopes))
    throw new ApiError(
      "forbidden",
      `A key never mints a wider one; this one has ${caller.scopes?.join(", ") ?? "all"}.`,
      { field: "scopes" },
    );
  if (caller.expiresAt !== null && (expiresAt === null || expiresAt > caller.expiresAt)) {
    throw new ApiError("forbidden", `A key never mints a longer-lived one; this one ends at ${caller.expiresAt}.`, {
      field: "expires_at",
    });
  }
}

/** The scope `admin` opens every route, so it holds any other scope, but not the lack of all. */
function isWider(scopes: readonly Scope[] | null, own: readonly Scope[] | null): boolean {
  return own !== null && (scopes === null || (!own.includes("admin") && scopes.some((scope) => !own.includes(scope))));
}

/** A key on the wire. */
export function keyView({ id, name, scopes, expires_at, created_at }: ApiKey): KeyView {
  return { id, name, scopes, expires_at, created_at };
}

/** The caller's own keys in its org. */
export function ownKeys(state: State, caller: PersonCaller): ApiKey[] {
  return caller.user === null ? [] : state.apiKeys.group(caller.user.id).filter((key) => key.org_id === caller.org.id);
}

/** The keys that the caller may end: a session its user's of every org, a key those of its own. */
function reachedKeys(state: State, caller: PersonCaller): ApiKey[] {
  return caller.authMethod === "session" && caller.user !== null
    ? state.apiKeys.group(caller.user.id)
    : ownKeys(state, caller);
}

/**
 * Ends one key: one's own, or any for a host-admin. A key with scopes ends itself and none that can do more; others'
 * keys only with `admin`. Throws `token_not_found`, also for a key of somebody else, and `forbidden`.
 */
export function decideRevoke(state: State, caller: PersonCaller, id: KeyId): EventOf<"api_key.revoked"> {
  const administers = caller.access === "host-admin" && (caller.scopes === null || caller.scopes.includes("admin"));
  const candidates = administers ? [...state.apiKeys.values()] : reachedKeys(state, caller);
  const key = candidates.find((row) => row.id === id);
  if (key === undefined)
    throw new ApiError("token_not_found", "There is no token of yours with this id; zwrm auth tokens list shows them.");
  if (!administers && isWider(key.scopes, caller.scopes))
    throw new ApiError("forbidden", "A key never revokes a wider one; log in for that: zwrm auth login");
  return { type: "api_key.revoked", data: { id, token_hash: key.token_hash } };
}
