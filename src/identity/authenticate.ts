/**
 * Who is calling: the licence hash on internal routes; a bearer token or the localhost bypass on protected ones. Reads
 * no body.
 */
import { ApiError } from "../lib/errors.ts";
import type { State } from "../state/state.ts";
import { CLUSTER_KEY } from "../state/state.ts";
import type { Access, AgentCaller, Caller, PersonCaller } from "./access.ts";
import { checkLicence } from "./licence.ts";
import type { PeerFacts } from "./localhost.ts";
import { whyNotLocal } from "./localhost.ts";
import { getOrg } from "./people.ts";
import { authorize, toCaller } from "./standing.ts";
import { findHolding, invalidToken } from "./tokens.ts";

/** What may change at SIGHUP. */
export interface AuthSettings {
  readonly licenceKeyHashes: readonly string[];
  readonly localhostBypass: boolean;
}

export interface Credentials {
  readonly peer: PeerFacts;
  /** The Authorization header as sent, or null. */
  readonly authorization: string | null;
  /** X-Zwrm-Org as sent, or null. */
  readonly org: string | null;
  /** Tokens expire by wall time, in milliseconds. */
  readonly nowWall: number;
}

/** Counts refusals by the way that was tried. */
export type CountFailure = (method: "licence" | "token" | "localhost") => void;

/** Null on public routes. Throws 401, 403, 404 (org) or 503 (no licence configured). */
export function authenticate(
  access: Access,
  credentials: Credentials,
  state: State,
  settings: AuthSettings,
  countFailure: CountFailure,
): Caller | null {
  switch (access.kind) {
    case "public":
      return null;
    case "internal":
      return authenticateAgent(credentials, settings, countFailure);
    case "protected":
      return authorize(access, authenticatePerson(credentials, state, settings, countFailure));
  }
}

function authenticateAgent(credentials: Credentials, settings: AuthSettings, countFailure: CountFailure): AgentCaller {
  const licence = bearerToken(credentials.authorization);
  try {
    checkLicence(settings.licenceKeyHashes, licence);
  } catch (error) {
    countFailure("licence");
    throw error;
  }
  return { kind: "agent", ip: credentials.peer.remoteAddress, licence };
}

/** A token that was sent counts, right or wrong: a wrong one is never upgraded to the bypass. */
function authenticatePerson(
  credentials: Credentials,
  state: State,
  settings: AuthSettings,
  countFailure: CountFailure,
): PersonCaller {
  if (credentials.authorization === null) return authenticateLocal(credentials, state, settings, countFailure);
  const token = bearerToken(credentials.authorization);
  const holding = token === null ? null : findHolding(state, token, credentials.nowWall);
  if (holding === null) {
    countFailure("token");
    throw invalidToken();
  }
  return toCaller(state, holding, credentials.org, credentials.peer.remoteAddress);
}

function authenticateLocal(
  { peer, org: wanted }: Credentials,
  state: State,
  settings: AuthSettings,
  countFailure: CountFailure,
): PersonCaller {
  const obstacle =
    whyNotLocal(peer) ?? (!peer.unixSocket && !settings.localhostBypass ? "auth.localhost_bypass is off" : null);
  if (obstacle !== null) {
    countFailure("localhost");
    throw new ApiError(
      "unauthorized",
      "This needs a session token or an API key (Authorization: Bearer …); the localhost bypass does not " +
        `apply: ${obstacle}.`,
    );
  }
  const org = getOrg(state, wanted ?? state.cluster.get(CLUSTER_KEY)?.default_org_id ?? "");
  return {
    kind: "person",
    authMethod: "localhost",
    access: "host-admin",
    user: null,
    org: { id: org.id, slug: org.slug, role: null },
    scopes: null,
    expiresAt: null,
    tokenHash: null,
    actor: { kind: peer.unixSocket ? "socket" : "localhost", id: null, ip: peer.remoteAddress },
  };
}

/** The token of `Authorization: Bearer …`; null where there is none or another scheme. */
export function bearerToken(authorization: string | null): string | null {
  return /^Bearer +([A-Za-z0-9._~+/=-]+) *$/i.exec(authorization ?? "")?.[1] ?? null;
}
