/** /v1/auth: log in and out, who am I, and the API keys of one's own. */
import type { EmptyReply, JsonReply } from "../http/respond.ts";
import { empty, json } from "../http/respond.ts";
import type { MaybePromise } from "../http/types.ts";
import { userView } from "../identity/people.ts";
import { decideKey, decideRevoke, keyView, newToken, ownKeys } from "../identity/tokens.ts";
import { ApiError } from "../lib/errors.ts";
import { sha256Hex } from "../lib/ids.ts";
import type { Page, PageQuery } from "../wire/common.ts";
import type { KeyView, LoginRequest, LoginView, NewKeyView, TokenRequest, WhoamiView } from "../wire/people.ts";
import type { App, PublicApp } from "./app.ts";
import { listReply } from "./lists.ts";
import type { PersonRequest, Request } from "./request.ts";

export async function logIn(
  { body, transport }: Request<never, LoginRequest>,
  app: PublicApp,
): Promise<JsonReply<200, LoginView>> {
  const ip = transport.peer.remoteAddress;
  try {
    const { token, expiresAt, user, org, role } = await app.logins.login(
      { email: body.email, password: body.password, org: body.org ?? null, address: ip ?? "socket" },
      ip,
    );
    return json(200, { token, expires_at: expiresAt, user: userView(user), org: { id: org.id, slug: org.slug, role } });
  } catch (error) {
    if (error instanceof ApiError && (error.status === 401 || error.status === 429))
      app.metrics.authFailures.labels("password").inc();
    throw error;
  }
}

/** Ends the session that asks. A key or the localhost caller has none to end. */
export function logOut(request: PersonRequest): MaybePromise<EmptyReply<204>> {
  return request.change((state, { authMethod, tokenHash }) => {
    if (authMethod !== "session" || tokenHash === null) {
      throw new ApiError("forbidden", "Only a session logs out; a key is revoked: zwrm auth tokens revoke ID");
    }
    const session = state.sessions.get(tokenHash);
    return {
      event:
        session === undefined
          ? null
          : { type: "session.ended", data: { id: session.id, token_hash: session.token_hash } },
      answer: () => empty(204),
    };
  });
}

export function showWhoami({ caller }: PersonRequest, app: App): MaybePromise<JsonReply<200, WhoamiView>> {
  const { user, org, access, authMethod, scopes, expiresAt } = caller;
  return app.store.read(() => json(200, { user, org, access, auth_method: authMethod, scopes, expires_at: expiresAt }));
}

export function listTokens(
  { caller, query }: PersonRequest<never, unknown, PageQuery>,
  app: App,
): MaybePromise<JsonReply<200, Page<"tokens", KeyView>>> {
  return app.store.read((state) => listReply(query, "tokens", ownKeys(state, caller).map(keyView), (row) => row.id));
}

export function createToken(
  request: PersonRequest<never, TokenRequest>,
  app: App,
): MaybePromise<JsonReply<201, NewKeyView>> {
  const token = newToken("key");
  return request.change((state, caller) => ({
    event: decideKey(state, caller, request.body, token, app.clock.wall()),
    answer: (after) => {
      const key = after.apiKeys.get(sha256Hex(token));
      if (key === undefined) throw new Error("the key that was just made is gone");
      return json(201, { ...keyView(key), token });
    },
  }));
}

export function revokeToken(request: PersonRequest<"tokens/{id}">): MaybePromise<EmptyReply<204>> {
  return request.change((state, caller) => ({
    event: decideRevoke(state, caller, request.params.id),
    answer: () => empty(204),
  }));
}
