/**
 * How long a comparison takes tells nobody how much of a guess was right: 100,000 tries each, by a statistic that sees
 * a naive comparison at once.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import test from "node:test";
import { checkLicence } from "../../src/identity/licence.ts";
import { findHolding, newToken } from "../../src/identity/tokens.ts";
import { equalSecrets, sha256Hex } from "../../src/lib/ids.ts";
import { START_WALL } from "../support/clock.ts";
import { CLUSTER, apply, stateAfter } from "../support/rows.ts";
import { keyCreated, userCreated } from "./lab.ts";

const ROUNDS = 500;
const BATCH = 100;

type Check = (guess: string) => unknown;

interface Verdict {
  /** Standard deviations of a sign test from "neither kind of guess takes longer". */
  readonly z: number;
  /** Median of the paired differences, as a part of the median time. */
  readonly effect: number;
}

/** A text of its own in memory, whatever it was cut from. */
function flat(text: string): string {
  return Buffer.from(text, "latin1").toString("latin1");
}

/** Guesses with all of the secret but its end, and guesses without any of it. */
function guessesFor(secret: string, alphabet: string): { readonly near: string[]; readonly far: string[] } {
  const letter = (): string => alphabet[randomBytes(1).readUInt8() % alphabet.length] ?? "";
  const text = (length: number): string => Array.from({ length }, letter).join("");
  const prefix = /^zwrm_key_/.exec(secret)?.[0].length ?? 0;
  const other = alphabet[(alphabet.indexOf(secret[prefix] ?? "") + 1) % alphabet.length] ?? "";
  const near = Array.from({ length: BATCH }, () => flat(secret.slice(0, -2) + text(2)));
  const far = Array.from({ length: BATCH }, () =>
    flat(secret.slice(0, prefix) + other + text(secret.length - prefix - 1)),
  );
  return { near: near.filter((guess) => guess !== secret), far };
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

/** Time of one batch in nanoseconds a try. What it costs to be interrupted is left to the medians. */
function timeOf(check: Check, guesses: readonly string[]): number {
  const began = process.hrtime.bigint();
  for (const guess of guesses) check(guess);
  return Number(process.hrtime.bigint() - began) / guesses.length;
}

/**
 * Batches of both kinds in pairs, each kind first in every other pair, so that neither drift nor order counts for one
 * of them.
 */
function compare(check: Check, secret: string, alphabet: string): Verdict {
  const { near, far } = guessesFor(secret, alphabet);
  for (let round = 0; round < 50; round++) for (const guesses of [near, far]) timeOf(check, guesses);
  const differences: number[] = [];
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const firstNear = round % 2 === 0;
    const first = timeOf(check, firstNear ? near : far);
    const second = timeOf(check, firstNear ? far : near);
    differences.push(firstNear ? first - second : second - first);
    times.push(first, second);
  }
  const longer = differences.filter((difference) => difference > 0).length;
  const ties = differences.filter((difference) => difference === 0).length;
  const pairs = ROUNDS - ties;
  return {
    z: pairs === 0 ? 0 : (longer - pairs / 2) / (Math.sqrt(pairs) / 2),
    effect: median(differences) / median(times),
  };
}

/**
 * More often longer than chance allows (one in a million), and by more than what the place of a text in memory is
 * worth.
 */
function tells({ z, effect }: Verdict): boolean {
  return Math.abs(z) > 5 && Math.abs(effect) > 0.03;
}

/** Noise is not there every time, a leak is: it counts when it was seen three times running. */
function leaks(check: Check, secret: string, alphabet: string): boolean {
  for (let run = 0; run < 3; run++) if (!tells(compare(check, secret, alphabet))) return false;
  return true;
}

const HEX = "0123456789abcdef";
const BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const LICENCE = sha256Hex("a licence key");
const TOKEN = newToken("key");

/** What nobody should write: it returns at the first letter that differs. */
function naive(secret: string, guess: string): boolean {
  if (secret.length !== guess.length) return false;
  for (let index = 0; index < secret.length; index++)
    if (secret.charCodeAt(index) !== guess.charCodeAt(index)) return false;
  return true;
}

function throwing(check: Check): Check {
  return (guess) => {
    try {
      return check(guess);
    } catch {
      return false;
    }
  };
}

function holders(): ReturnType<typeof stateAfter> {
  const state = stateAfter(CLUSTER, userCreated("ann", { org_id: "o_1" }));
  apply(
    state,
    keyCreated(TOKEN, "ann", "o_1"),
    ...Array.from({ length: 1000 }, () => keyCreated(newToken("key"), "ann", "o_1")),
  );
  return state;
}

const state = holders();

test("finding a token takes no longer for a guess that is nearly right", () => {
  assert.equal(findHolding(state, TOKEN, START_WALL)?.user.id, "ann");
  assert.equal(
    leaks((guess) => findHolding(state, guess, START_WALL), TOKEN, BASE64URL),
    false,
  );
});

test("checking the licence takes no longer for a guess that is nearly right", () => {
  const hashes = [sha256Hex("another"), LICENCE];
  assert.equal(
    leaks(
      throwing((guess) => checkLicence(hashes, guess)),
      LICENCE,
      HEX,
    ),
    false,
  );
});

test("equalSecrets takes no longer for a guess that is nearly right", () => {
  assert.equal(
    leaks((guess) => equalSecrets(LICENCE, guess), LICENCE, HEX),
    false,
  );
});

test("the same statistic sees a comparison that stops at the first difference", () => {
  assert.equal(
    leaks((guess) => naive(LICENCE, guess), LICENCE, HEX),
    true,
  );
  assert.equal(
    leaks((guess) => naive(TOKEN, guess), TOKEN, BASE64URL),
    true,
  );
});

test("and sees it behind the hashing of a token, where it is a small part of the time", () => {
  const check = (guess: string): boolean => {
    sha256Hex(guess);
    return naive(TOKEN, guess);
  };
  assert.equal(leaks(check, TOKEN, BASE64URL), true);
});
