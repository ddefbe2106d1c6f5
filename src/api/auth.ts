/** /v1/auth: log in and out, who am I, and the API keys of one's own. */
import { empty, json } from "../http/respond.ts";
import type { MaybePromise, Reply } from "../http/types.ts";
import { userView } from "../identity/people.ts";
import { decideKey, decideRevoke, keyView, newToken, ownKeys } from "../identity/tokens.ts";
import { ApiError } from "../lib/errors.ts";
import { sha256Hex } from "../lib/ids.ts";
import { list, object, oneOf, optional, readBody, string, timestamp } from "../lib/schema.ts";
import { visibleText } from "../lib/visible.ts";
import { SCOPES } from "../state/types.ts";
import type { ApiContext, App, PublicApp } from "./app.ts";
import { param, personOf } from "./app.ts";
import { listReply } from "./lists.ts";

const LOGIN_BODY = object({
  email: string({ min: 1, max: 254 }),
  password: string({ min: 1, max: 1024 }),
  org: optional(string({ min: 1, max: 64 })),
});

const TOKEN_BODY = object({
  name: visibleText({ min: 1, max: 128 }),
  scopes: optional(list(oneOf(...SCOPES), SCOPES.length)),
  expires_at: optional(timestamp),
});

export async function logIn(context: ApiContext, app: PublicApp): Promise<Reply> {
  const body = readBody(LOGIN_BODY, context.body);
  const ip = context.peer.remoteAddress;
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
export function logOut(context: ApiContext, app: App): MaybePromise<Reply> {
  return app.door.change(context, (state, { authMethod, tokenHash }) => {
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

export function showWhoami(context: ApiContext, app: App): MaybePromise<Reply> {
  const { user, org, access, authMethod, scopes, expiresAt } = personOf(context);
  return app.store.read(() => json(200, { user, org, access, auth_method: authMethod, scopes, expires_at: expiresAt }));
}

export function listTokens(context: ApiContext, app: App): MaybePromise<Reply> {
  const caller = personOf(context);
  return app.store.read((state) => listReply(context, "tokens", ownKeys(state, caller).map(keyView), (row) => row.id));
}

export function createToken(context: ApiContext, app: App): MaybePromise<Reply> {
  const body = readBody(TOKEN_BODY, context.body);
  const token = newToken("key");
  return app.door.change(context, (state, caller) => ({
    event: decideKey(state, caller, body, token, app.clock.wall()),
    answer: (after) => {
      const key = after.apiKeys.get(sha256Hex(token));
      if (key === undefined) throw new Error("the key that was just made is gone");
      return json(201, { ...keyView(key), token });
    },
  }));
}

export function revokeToken(context: ApiContext, app: App): MaybePromise<Reply> {
  const id = param(context, "id");
  return app.door.change(context, (state, caller) => ({
    event: decideRevoke(state, caller, id),
    answer: () => empty(204),
  }));
}
