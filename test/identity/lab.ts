/** People in a state without a disk, for the tests of identity/. */
import assert from "node:assert/strict";
import type { PersonCaller } from "../../src/identity/access.ts";
import { Logins } from "../../src/identity/login.ts";
import { Passwords } from "../../src/identity/passwords.ts";
import { toRfc3339 } from "../../src/lib/clock.ts";
import { ApiError } from "../../src/lib/errors.ts";
import { sha256Hex } from "../../src/lib/ids.ts";
import type { Event } from "../../src/state/events.ts";
import { State } from "../../src/state/state.ts";
import { Store } from "../../src/state/store.ts";
import type { PasswordHash, Scope } from "../../src/state/identity-types.ts";
import { FakeClock } from "../support/clock.ts";
import { withIds } from "../support/ids.ts";
import type { Plain } from "../support/ids.ts";
import { MemoryLog } from "../support/memory-log.ts";
import { CLUSTER, apply } from "../support/rows.ts";

/** Cheap enough to hash hundreds in a test. */
export const CHEAP = { n: 16, r: 1, p: 1 } as const;
export const TTL_MS = 60 * 60_000;
export const NO_PASSWORD: PasswordHash = { ...CHEAP, salt: "", hash: "" };

export interface Lab {
  readonly clock: FakeClock;
  readonly log: MemoryLog;
  readonly state: State;
  readonly store: Store;
  readonly passwords: Passwords;
  readonly logins: Logins;
}

/** Orgs `default` (o_1) and `acme` (o_2). */
export function createLab(passwords: Passwords = new Passwords(CHEAP)): Lab {
  const clock = new FakeClock();
  const log = new MemoryLog();
  log.automatic = true;
  const state = new State();
  apply(state, CLUSTER, { type: "org.created", data: { org: { id: "o_2", slug: "acme", name: "Acme" } } });
  const store = new Store(state, log, clock);
  return { clock, log, state, store, passwords, logins: new Logins(store, clock, TTL_MS, passwords) };
}

export function userCreated(
  id: string,
  more: { readonly org_id?: string | null; readonly host_admin?: boolean; readonly password?: PasswordHash } = {},
): Event {
  const user = {
    id,
    email: `${id}@example.com`,
    name: id,
    host_admin: more.host_admin ?? false,
    password: more.password ?? NO_PASSWORD,
  };
  return withIds({ type: "user.created", data: { user, org_id: more.org_id ?? null } });
}

/** A user in acme whose password is `<id>'s password`. */
export async function addUser(
  lab: Lab,
  id: string,
  more: { readonly org_id?: string | null; readonly host_admin?: boolean } = { org_id: "o_2" },
): Promise<void> {
  apply(lab.state, userCreated(id, { ...more, password: await lab.passwords.hash(`${id}'s password`) }));
}

/** Logs in as that user. */
export function logIn(
  lab: Lab,
  id: string,
  more: { readonly password?: string; readonly address?: string; readonly org?: string } = {},
): ReturnType<Logins["login"]> {
  return lab.logins.login(
    {
      email: `${id}@example.com`,
      password: more.password ?? `${id}'s password`,
      org: more.org ?? null,
      address: more.address ?? "10.0.0.1",
    },
    "10.0.0.1",
  );
}

export function sessionCreated(
  token: string,
  userId: string,
  orgId: string,
  expiresAtMs: number,
  expired: readonly string[] = [],
): Event {
  return withIds({
    type: "session.created",
    data: {
      session: {
        id: `ses_${token}`,
        token_hash: sha256Hex(token),
        user_id: userId,
        org_id: orgId,
        expires_at: toRfc3339(expiresAtMs),
      },
      expired,
    },
  });
}

export function keyCreated(
  token: string,
  userId: string,
  orgId: string,
  more: { readonly id?: string; readonly scopes?: readonly Scope[] | null; readonly expires_at?: string | null } = {},
): Event {
  const key = {
    id: more.id ?? `key_${token}`,
    token_hash: sha256Hex(token),
    name: "k",
    user_id: userId,
    org_id: orgId,
    scopes: more.scopes ?? null,
    expires_at: more.expires_at ?? null,
  };
  return withIds({ type: "api_key.created", data: { key } });
}

export function callerOf(userId: string, more: Partial<Plain<PersonCaller>> = {}): PersonCaller {
  return withIds({
    kind: "person",
    authMethod: "session",
    access: "member",
    user: { id: userId, email: `${userId}@example.com`, name: userId },
    org: { id: "o_2", slug: "acme", role: "member" },
    scopes: null,
    expiresAt: null,
    tokenHash: null,
    actor: { kind: "user", id: userId, ip: "10.0.0.1" },
    ...more,
  });
}

/** The code of the ApiError that `work` throws or rejects with. */
export async function refusal(work: () => unknown): Promise<string> {
  try {
    await work();
  } catch (error) {
    assert.ok(error instanceof ApiError, String(error));
    return error.code;
  }
  return "nothing was refused";
}
