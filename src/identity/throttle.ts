/**
 * Slows failed logins by address and by email, in bounded memory; a login that succeeds, and every token, is never
 * slowed by it.
 */
import { isIP } from "node:net";
import { ApiError } from "../lib/errors.ts";
import { emailKey } from "../wire/email.ts";
import { sha256Hex } from "../lib/ids.ts";

/** So many failures are free: a person mistypes. */
const FREE_FAILURES = 5;
/** The first wait; each further failure doubles it. */
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 5 * 60_000;
/** A name that failed nothing for this long is forgotten. */
const FORGET_MS = 15 * 60_000;
/**
 * Names remembered at once, the oldest forgotten first. A name is a network or a hash, never what a client sent: some
 * 200 bytes each, 4 MiB in all.
 */
const CAPACITY = 20_000;

interface Failures {
  count: number;
  lastMono: number;
}

export class LoginThrottle {
  readonly #names = new Map<string, Failures>();

  /** Throws `login_throttled` where the address or the email failed too often lately. */
  check(address: string, email: string, nowMono: number): void {
    const waitMs = Math.max(this.#wait(addressName(address), nowMono), this.#wait(emailName(email), nowMono));
    if (waitMs <= 0) return;
    const seconds = Math.ceil(waitMs / 1000);
    throw new ApiError(
      "login_throttled",
      `Too many failed logins from this address or for this email; try again in ${seconds} s.`,
      { headers: { "Retry-After": String(seconds) } },
    );
  }

  /** Notes a failure of both names. */
  failed(address: string, email: string, nowMono: number): void {
    for (const name of [addressName(address), emailName(email)]) {
      const before = this.#names.get(name);
      const count = before === undefined || nowMono - before.lastMono > FORGET_MS ? 1 : before.count + 1;
      // Taken out and put in again: the Map's order is then the order of the last failure.
      this.#names.delete(name);
      this.#names.set(name, { count, lastMono: nowMono });
    }
    while (this.#names.size > CAPACITY) {
      const [oldest] = this.#names.keys();
      if (oldest === undefined) return;
      this.#names.delete(oldest);
    }
  }

  /**
   * A login succeeded: its email starts from nothing again. The address does not, or one own account would free it to
   * try others.
   */
  succeeded(email: string): void {
    this.#names.delete(emailName(email));
  }

  get size(): number {
    return this.#names.size;
  }

  #wait(name: string, nowMono: number): number {
    const failures = this.#names.get(name);
    if (failures === undefined || failures.count <= FREE_FAILURES || nowMono - failures.lastMono > FORGET_MS) return 0;
    const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(20, failures.count - FREE_FAILURES - 1));
    return failures.lastMono + wait - nowMono;
  }
}

/** One name for all ways to write an address, or each would have its own free failures. */
function emailName(email: string): string {
  return `e:${sha256Hex(emailKey(email.trim()))}`;
}

/**
 * An address of IPv4, plain or mapped, by itself; of IPv6 by its /64, which is what one customer has to choose from.
 */
function addressName(address: string): string {
  const mapped = /^::ffff:([0-9.]+)$/i.exec(address)?.[1];
  if (mapped !== undefined || isIP(address) !== 6) return `a:${mapped ?? address}`;
  const [before = "", after] = address.split("::");
  const left = before.split(":").filter((group) => group !== "");
  const right = after?.split(":").filter((group) => group !== "") ?? [];
  const zeros = Array<string>(Math.max(0, 8 - left.length - right.length)).fill("0");
  return `a:${[...left, ...zeros, ...right].slice(0, 4).join(":")}::/64`;
}
