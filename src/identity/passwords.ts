/**
 * Passwords by scrypt, one at a time and in a thread of its own: in the pool it would share threads with the journal's
 * syncs, and a flood of logins must never hold those up.
 */
import { randomBytes, timingSafeEqual } from "node:crypto";
import { ApiError } from "../lib/errors.ts";
import type { PasswordHash } from "../state/identity-types.ts";
import type { Deriver } from "./scrypt-thread.ts";
import { ScryptThread } from "./scrypt-thread.ts";

/** 32 MiB and some 80 ms a password (128 * n * r bytes); OWASP's second choice for scrypt. */
export const PARAMETERS = { n: 2 ** 15, r: 8, p: 1 } as const;
/** Logins that wait for their turn; beyond it they are told to come back. */
export const QUEUE_LENGTH = 16;
const HASH_BYTES = 32;
const SALT_BYTES = 16;

type Cost = Pick<PasswordHash, "n" | "r" | "p">;

export class Passwords {
  readonly #cost: Cost;
  readonly #deriver: Deriver;
  #waiting = 0;
  #turn: Promise<unknown> = Promise.resolve();
  /** Checked where there is no user, so that an unknown email costs what a known one does. */
  readonly #decoy: PasswordHash;

  constructor(cost: Cost = PARAMETERS, deriver: Deriver = new ScryptThread()) {
    this.#cost = cost;
    this.#deriver = deriver;
    this.#decoy = {
      ...cost,
      salt: randomBytes(SALT_BYTES).toString("base64url"),
      hash: randomBytes(HASH_BYTES).toString("base64url"),
    };
  }

  /** Throws `too_many_logins` where the queue is full. */
  async hash(password: string): Promise<PasswordHash> {
    const salt = randomBytes(SALT_BYTES);
    const hash = await this.#inTurn(() => this.#derive(password, salt, this.#cost));
    return { ...this.#cost, salt: salt.toString("base64url"), hash: hash.toString("base64url") };
  }

  /**
   * Whether the password is the stored one; null (no such user) takes as long and is false. Throws `too_many_logins`.
   */
  async matches(password: string, stored: PasswordHash | null): Promise<boolean> {
    const against = stored ?? this.#decoy;
    const expected = Buffer.from(against.hash, "base64url");
    const actual = await this.#inTurn(() => this.#derive(password, Buffer.from(against.salt, "base64url"), against));
    return timingSafeEqual(actual, expected) && stored !== null;
  }

  /**
   * Whether a stored password was hashed with weaker parameters than today's; a login that succeeds then hashes it
   * anew.
   */
  isOutdated(stored: PasswordHash): boolean {
    return stored.n < this.#cost.n || stored.r < this.#cost.r || stored.p < this.#cost.p;
  }

  #derive(password: string, salt: Buffer, { n, r, p }: Cost): Promise<Buffer> {
    // NFKC: the same password typed on another keyboard is the same password (RFC 8265).
    return this.#deriver.derive({ password: password.normalize("NFKC"), salt, bytes: HASH_BYTES, n, r, p });
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#waiting > QUEUE_LENGTH)
      throw new ApiError("too_many_logins", "Too many logins are waiting for their turn; try again in a moment.", {
        headers: { "Retry-After": "2" },
      });
    this.#waiting++;
    const mine = this.#turn.then(work);
    this.#turn = mine.catch(() => undefined);
    try {
      return await mine;
    } finally {
      this.#waiting--;
    }
  }
}
