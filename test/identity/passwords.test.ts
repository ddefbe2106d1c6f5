/** Passwords: scrypt one at a time with a queue of 16, and parameters that stand beside the hash. */
import assert from "node:assert/strict";
import { scryptSync } from "node:crypto";
import test from "node:test";
import type { Deriver } from "../../src/identity/scrypt-thread.ts";
import { ScryptThread } from "../../src/identity/scrypt-thread.ts";
import { PARAMETERS, Passwords, QUEUE_LENGTH } from "../../src/identity/passwords.ts";
import { ApiError } from "../../src/lib/errors.ts";
import { CHEAP, refusal } from "./lab.ts";

test("a stored password is scrypt's, with its parameters and a salt of its own beside it", async () => {
  const passwords = new Passwords(CHEAP);
  const [first, second] = [await passwords.hash("open sesame"), await passwords.hash("open sesame")];
  assert.deepEqual([first.n, first.r, first.p], [CHEAP.n, CHEAP.r, CHEAP.p]);
  assert.notEqual(first.salt, second.salt);
  const expected = scryptSync("open sesame", Buffer.from(first.salt, "base64url"), 32, { N: 16, r: 1, p: 1 });
  assert.equal(first.hash, expected.toString("base64url"));
  assert.equal(Buffer.from(first.salt, "base64url").length, 16);
});

test(
  "only the password matches: not a longer, a shorter, another case, none, nor anything where there is " + "no user",
  async () => {
    const passwords = new Passwords(CHEAP);
    const stored = await passwords.hash("open sesame");
    assert.equal(await passwords.matches("open sesame", stored), true);
    for (const guess of ["open sesam", "open sesame ", "Open sesame", "", stored.hash])
      assert.equal(await passwords.matches(guess, stored), false, guess);
    for (const guess of ["open sesame", ""]) assert.equal(await passwords.matches(guess, null), false);
  },
);

test("a password is the same however its letters are composed", async () => {
  const passwords = new Passwords(CHEAP);
  assert.equal(await passwords.matches("cafe\u0301 e\u0301te\u0301", await passwords.hash("café été")), true);
});

test("a password that was stored with other parameters still matches, and weaker ones are outdated", async () => {
  const [old, today] = [new Passwords({ n: 16, r: 1, p: 1 }), new Passwords({ n: 32, r: 1, p: 1 })];
  const stored = await old.hash("open sesame");
  assert.equal(await today.matches("open sesame", stored), true);
  assert.deepEqual(
    [today.isOutdated(stored), today.isOutdated(await today.hash("x")), old.isOutdated(await today.hash("x"))],
    [true, false, false],
  );
});

test("today's parameters are 32 MiB and at most OWASP's lower bound away: 2^15 x 8", () => {
  assert.deepEqual(PARAMETERS, { n: 32_768, r: 8, p: 1 });
  assert.equal(128 * PARAMETERS.n * PARAMETERS.r, 32 * 1024 * 1024);
});

test("one at a time and sixteen in the queue; the rest are told when to come back", async () => {
  const passwords = new Passwords(CHEAP);
  const stored = await passwords.hash("open sesame");
  const outcomes = await Promise.allSettled(
    Array.from({ length: 200 }, (_, index) =>
      index % 2 === 0 ? passwords.matches("wrong", stored) : passwords.hash("new"),
    ),
  );
  const refused = outcomes
    .filter((outcome) => outcome.status === "rejected")
    .map((outcome) => outcome.reason as unknown);
  assert.equal(outcomes.length - refused.length, 1 + QUEUE_LENGTH);
  for (const error of refused) {
    assert.ok(error instanceof ApiError);
    assert.deepEqual([error.code, error.status], ["too_many_logins", 429]);
    assert.match(error.headers["Retry-After"] ?? "", /^[1-9]\d*$/);
  }
  assert.equal(await passwords.matches("open sesame", stored), true, "when the queue is through there is room again");
});

test(
  "there is never more than one scrypt at work, whoever asks, and the queue goes in " + "the order of asking",
  async () => {
    let [now, most] = [0, 0];
    const thread = new ScryptThread();
    const counting: Deriver = {
      async derive(task) {
        most = Math.max(most, ++now);
        const key = await thread.derive(task);
        now--;
        return key;
      },
    };
    const passwords = new Passwords(CHEAP, counting);
    const stored = await passwords.hash("x");
    const done: number[] = [];
    const work = [
      (): Promise<unknown> => passwords.hash("x"),
      (): Promise<unknown> => passwords.matches("x", stored),
      (): Promise<unknown> => passwords.matches("x", null),
    ];
    await Promise.all(Array.from({ length: 17 }, (_, index) => work[index % 3]?.().then(() => done.push(index))));
    assert.equal(most, 1);
    assert.deepEqual(
      done,
      Array.from({ length: 17 }, (_, index) => index),
    );
  },
);

test("a hash that fails lets the next one take its turn", async () => {
  const passwords = new Passwords(CHEAP);
  const broken = { ...(await passwords.hash("x")), n: 3 };
  await assert.rejects(passwords.matches("x", broken));
  assert.equal(await refusal(() => passwords.hash("y")), "nothing was refused");
});
