/** People as the state knows them, their orgs and what they hold: flat rows, never changed, only replaced. */
import type { KeyId, OrgId, SessionId, UserId } from "../lib/id-types.ts";
import type { Role, Scope } from "../wire/people.ts";
import type { QuotaLimits } from "../wire/quota.ts";

export type { Role, Scope };

export interface Org {
  readonly id: OrgId;
  readonly slug: string;
  readonly name: string;
}

/** What was set of an org's quota, instead of what the config says. */
export interface OrgQuota {
  readonly org_id: OrgId;
  readonly limits: Partial<QuotaLimits>;
}

/** A password by scrypt; its parameters stand beside, so that they can be raised later. Salt and hash are base64url. */
export interface PasswordHash {
  /** CPU and memory cost, a power of two. */
  readonly n: number;
  readonly r: number;
  readonly p: number;
  readonly salt: string;
  readonly hash: string;
}

export interface User {
  readonly id: UserId;
  /** Lower-case. */
  readonly email: string;
  readonly name: string;
  readonly host_admin: boolean;
  readonly password: PasswordHash;
  readonly created_at: string;
}

export interface Membership {
  readonly org_id: OrgId;
  readonly user_id: UserId;
  readonly role: Role;
}

/** A login. Only the SHA-256 of its token is kept. */
export interface Session {
  readonly id: SessionId;
  readonly token_hash: string;
  readonly user_id: UserId;
  readonly org_id: OrgId;
  readonly created_at: string;
  readonly expires_at: string;
}

/** A token for programs. Only its SHA-256 is kept. */
export interface ApiKey {
  readonly id: KeyId;
  readonly token_hash: string;
  readonly name: string;
  readonly user_id: UserId;
  readonly org_id: OrgId;
  /** null: all that its user may. */
  readonly scopes: readonly Scope[] | null;
  readonly created_at: string;
  readonly expires_at: string | null;
}
