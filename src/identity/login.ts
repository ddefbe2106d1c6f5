/**
 * Logging in, and setting passwords: the only places where a password is seen. Holds scrypt's queue and the memory of
 * failed logins.
 */
import type { Clock } from "../lib/clock.ts";
import { ApiError } from "../lib/errors.ts";
import type { UserId } from "../lib/id-types.ts";
import type { EventOf } from "../state/events.ts";
import type { Store } from "../state/store.ts";
import type { State } from "../state/state.ts";
import { CLUSTER_KEY } from "../state/state.ts";
import type { Org, PasswordHash, Role, User } from "../state/identity-types.ts";
import type { PersonCaller } from "./access.ts";
import { Passwords } from "./passwords.ts";
import { findUserByEmail, getUser, loginOrg, roleOf } from "./people.ts";
import { LoginThrottle } from "./throttle.ts";
import { decideSession, newToken } from "./tokens.ts";

export interface LoginRequest {
  readonly email: string;
  readonly password: string;
  /** Slug or id; null takes the user's own. */
  readonly org: string | null;
  /** Where the login comes from, for the throttle. */
  readonly address: string;
}

export interface Login {
  /** Seen this once. */
  readonly token: string;
  readonly expiresAt: string;
  readonly user: User;
  readonly org: Org;
  readonly role: Role | null;
}

export class Logins {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #ttlMs: number;
  readonly #passwords: Passwords;
  readonly #throttle = new LoginThrottle();

  constructor(store: Store, clock: Clock, sessionTtlMs: number, passwords: Passwords = new Passwords()) {
    this.#store = store;
    this.#clock = clock;
    this.#ttlMs = sessionTtlMs;
    this.#passwords = passwords;
  }

  /**
   * Throws `login_throttled`, `too_many_logins`, `unauthorized` (it never tells which of email and password was wrong),
   * `org_not_found`, `storage_failed`.
   */
  async login(request: LoginRequest, ip: string | null): Promise<Login> {
    for (;;) {
      const user = await this.#prove(request);
      const proven = this.#passwords.isOutdated(user.password)
        ? await this.#upgrade(user, request.password, ip)
        : user.password;
      const login = await this.#begin(user.id, proven, request.org, ip);
      if (login !== null) return login;
    }
  }

  async #prove({ email, password, address }: LoginRequest): Promise<User> {
    this.#throttle.check(address, email, this.#clock.mono());
    const user = findUserByEmail(this.#store.state, email);
    if (!(await this.#passwords.matches(password, user?.password ?? null)) || user === null) {
      this.#throttle.failed(address, email, this.#clock.mono());
      throw wrong();
    }
    this.#throttle.succeeded(email);
    return user;
  }

  /** Null where the password was changed while it was being checked: then it has to be checked against the new one. */
  #begin(
    userId: UserId,
    proven: PasswordHash,
    wantedOrg: string | null,
    ip: string | null,
  ): Login | null | Promise<Login | null> {
    const token = newToken("ses");
    return this.#store.change<Login | null>({ kind: "user", id: userId, ip }, (state) => {
      const user = state.users.get(userId);
      // Removed meanwhile.
      if (user === undefined) throw wrong();
      if (user.password.hash !== proven.hash) return { event: null, answer: () => null };
      const org = loginOrg(state, user, wantedOrg, state.cluster.get(CLUSTER_KEY)?.default_org_id ?? null);
      const event = decideSession(state, user, org.id, token, this.#ttlMs, this.#clock.wall());
      return {
        event,
        answer: () => ({
          token,
          expiresAt: event.data.session.expires_at,
          user,
          org,
          role: roleOf(state, org.id, user.id),
        }),
      };
    });
  }

  /**
   * The parameters were raised since the password was set: only a login knows the password to hash it anew. Resolves
   * with the hash that it proved.
   */
  async #upgrade(user: User, password: string, ip: string | null): Promise<PasswordHash> {
    let raised: PasswordHash;
    try {
      raised = await this.#passwords.hash(password);
    } catch (error) {
      // The queue is full: the next login tries again, and this one is right as it is.
      if (error instanceof ApiError && error.code === "too_many_logins") return user.password;
      throw error;
    }
    return this.#store.change<PasswordHash>({ kind: "user", id: user.id, ip }, (state) => {
      if (state.users.get(user.id)?.password.hash !== user.password.hash)
        return { event: null, answer: () => user.password };
      return {
        event: { type: "user.password_set", data: { user_id: user.id, password: raised, same_password: true } },
        answer: () => raised,
      };
    });
  }

  /** Hashes a new password, in the queue. Throws `too_many_logins`. */
  hash(password: string): Promise<PasswordHash> {
    return this.#passwords.hash(password);
  }

  /** The user's password where this is it, else null; throttled like a login. Throws as `login`. */
  async prove(userId: UserId, password: string, address: string): Promise<PasswordHash | null> {
    const user = getUser(this.#store.state, userId);
    this.#throttle.check(address, user.email, this.#clock.mono());
    if (await this.#passwords.matches(password, user.password)) return user.password;
    this.#throttle.failed(address, user.email, this.#clock.mono());
    return null;
  }
}

/**
 * Sets a password and ends the user's sessions: one's own (`proven` is what `prove` gave), or anybody's for a
 * host-admin. Throws `user_not_found`, and `forbidden` where another change since the proof refuses this one.
 */
export function decidePassword(
  state: State,
  caller: PersonCaller,
  userId: UserId,
  password: PasswordHash,
  proven: PasswordHash | null,
): EventOf<"user.password_set"> {
  const user = getSettableUser(state, caller, userId);
  if (proven !== null && user.password.hash !== proven.hash) {
    throw new ApiError("forbidden", "The password was changed meanwhile.", { field: "current_password" });
  }
  return { type: "user.password_set", data: { user_id: user.id, password, same_password: false } };
}

/** The user whose password the caller may set; to everyone else there is none. Throws `user_not_found`. */
export function getSettableUser(state: State, caller: PersonCaller, userId: UserId): User {
  if (caller.user?.id !== userId && caller.access !== "host-admin") {
    throw new ApiError("user_not_found", `There is no user ${userId}.`);
  }
  return getUser(state, userId);
}

function wrong(): ApiError {
  return new ApiError("unauthorized", "The email or the password is wrong.");
}
