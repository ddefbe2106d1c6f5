/** Who may call what: the access that a route names, and the caller that a request turned out to be. */
import type { OrgId, UserId } from "../lib/id-types.ts";
import type { Actor } from "../state/events.ts";
import type { Role, Scope } from "../state/identity-types.ts";

/**
 * `public`: anyone. `internal`: agents, by the licence hash and nothing else.
 * `protected`: a session, an API key or the localhost bypass; `scope` null asks for no scope; `hostAdmin` for the
 * host-admin mark.
 */
export type Access =
  | { readonly kind: "public" }
  | { readonly kind: "internal" }
  | { readonly kind: "protected"; readonly scope: Scope | null; readonly hostAdmin: boolean };

/** An agent, let in by the licence hash. */
export interface AgentCaller {
  readonly kind: "agent";
  readonly ip: string | null;
  /** The hash that it came in with: it may be rotated out while the body comes in. */
  readonly licence: string | null;
}

/** A person or a program that acts for one, in one org. */
export interface PersonCaller {
  readonly kind: "person";
  readonly authMethod: "session" | "api_key" | "localhost";
  readonly access: "host-admin" | "member";
  readonly user: { readonly id: UserId; readonly email: string; readonly name: string } | null;
  readonly org: { readonly id: OrgId; readonly slug: string; readonly role: Role | null };
  /** null: everything the user may. */
  readonly scopes: readonly Scope[] | null;
  readonly expiresAt: string | null;
  /** The key of the session or API key in the state; null for the localhost caller. */
  readonly tokenHash: string | null;
  readonly actor: Actor;
}

export type Caller = AgentCaller | PersonCaller;
