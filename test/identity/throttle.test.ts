/** Failed logins: slowed by address and by email, forgotten in time, and held in bounded memory whatever comes. */
import assert from "node:assert/strict";
import test from "node:test";
import { LoginThrottle } from "../../src/identity/throttle.ts";
import { ApiError } from "../../src/lib/errors.ts";

const MINUTE = 60_000;

/** Seconds to wait; 0 where the login may go ahead. */
function waitOf(throttle: LoginThrottle, address: string, email: string, now: number): number {
  try {
    throttle.check(address, email, now);
    return 0;
  } catch (error) {
    assert.ok(error instanceof ApiError);
    assert.deepEqual([error.code, error.status], ["login_throttled", 429]);
    return Number(error.headers["Retry-After"]);
  }
}

function fail(throttle: LoginThrottle, address: string, email: string, now: number, times: number): void {
  for (let count = 0; count < times; count++) throttle.failed(address, email, now);
}

test("five failures are free; from the sixth on the wait is 1 s and doubles up to five minutes", () => {
  const throttle = new LoginThrottle();
  const waits: number[] = [];
  for (let count = 0; count < 17; count++) {
    throttle.failed("10.0.0.1", "ann", 0);
    waits.push(waitOf(throttle, "10.0.0.1", "bob", 0));
  }
  assert.deepEqual(waits, [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
});

test("an address is slowed for every email, an email from every address, and nobody else", () => {
  const throttle = new LoginThrottle();
  fail(throttle, "10.0.0.1", "ann", 0, 7);
  assert.deepEqual(
    [
      waitOf(throttle, "10.0.0.1", "bob", 0),
      waitOf(throttle, "10.0.0.2", "ann", 0),
      waitOf(throttle, "10.0.0.2", "bob", 0),
    ],
    [2, 2, 0],
  );
});

test("an email is one however it is written: no way to write it has failures of its own", () => {
  const throttle = new LoginThrottle();
  const written = [
    "zo\u00eb@x",
    "Zoe\u0308@X",
    " zo\u00eb@x",
    "zo\u00eb\u200b@x",
    "\uff5ao\u00eb@x",
    "ZO\u00cb@x",
    "zo\u00ad\u00eb@x",
  ];
  written.forEach((email, index) => throttle.failed(`10.0.1.${index}`, email, 0));
  for (const email of written) assert.equal(waitOf(throttle, "10.0.0.1", email, 0), 2, email);
  throttle.succeeded("ZOE\u0308@x");
  assert.equal(waitOf(throttle, "10.0.0.1", "zo\u00eb@x", 0), 0);
});

test("the wait counts down, and is over when it says", () => {
  const throttle = new LoginThrottle();
  fail(throttle, "10.0.0.1", "ann", 1_000, 10);
  assert.deepEqual(
    [1_000, 2_001, 16_999, 17_000].map((now) => waitOf(throttle, "10.0.0.1", "ann", now)),
    [16, 15, 1, 0],
  );
});

test("a quarter of an hour without a failure forgets it", () => {
  const throttle = new LoginThrottle();
  fail(throttle, "10.0.0.1", "ann", 0, 30);
  throttle.failed("10.0.0.1", "ann", 15 * MINUTE + 1);
  assert.equal(waitOf(throttle, "10.0.0.1", "ann", 15 * MINUTE + 1), 0, "it counts from one again");
});

test("a success frees the email and not the address: an account of one's own buys no more guesses", () => {
  const throttle = new LoginThrottle();
  fail(throttle, "10.0.0.1", "ann", 0, 7);
  throttle.succeeded("ann");
  assert.deepEqual([waitOf(throttle, "10.0.0.2", "ann", 0), waitOf(throttle, "10.0.0.1", "ann", 0)], [0, 2]);
});

const SAME_NETWORK: readonly [one: string, other: string, same: boolean][] = [
  ["2001:db8:1:2::1", "2001:db8:1:2:aaaa:bbbb:cccc:dddd", true],
  ["2001:db8:1:2::1", "2001:db8:1:3::1", false],
  ["2001:db8::1", "2001:db8:0:0:5::1", true],
  ["::1", "::2", true],
  ["fe80::1%eth0", "fe80::2%eth0", true],
  ["::ffff:10.0.0.1", "10.0.0.1", true],
  ["::ffff:10.0.0.1", "::ffff:10.0.0.2", false],
  ["10.0.0.1", "10.0.0.2", false],
  ["socket", "10.0.0.1", false],
];

for (const [one, other, same] of SAME_NETWORK) {
  test(
    `${one} and ${other} are ${same ? "" : "not "}slowed together: whoever has one address of a /64 has ` + "them all",
    () => {
      const throttle = new LoginThrottle();
      for (let count = 0; count < 7; count++) throttle.failed(one, `user ${count}`, 0);
      assert.equal(waitOf(throttle, other, "ann", 0) > 0, same);
    },
  );
}

test("its memory is bounded whatever comes: in names, and in the length of each", () => {
  const throttle = new LoginThrottle();
  for (let index = 0; index < 60_000; index++)
    throttle.failed(`10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`, `${index}@example.com`, index);
  assert.equal(throttle.size, 20_000);
  const heap = new LoginThrottle();
  globalThis.gc?.();
  const before = process.memoryUsage().heapUsed;
  for (let index = 0; index < 20_000; index++) heap.failed("10.0.0.1", `${index}${"x".repeat(10_000)}`, index);
  assert.ok(process.memoryUsage().heapUsed - before < 100 * 1024 * 1024, "200 MB of emails are not kept");
  assert.ok(heap.size <= 20_000);
});

test("when it is full the names that failed longest ago go first", () => {
  const throttle = new LoginThrottle();
  fail(throttle, "10.0.0.1", "ann", 0, 8);
  fail(throttle, "10.0.0.2", "bob", 1, 8);
  for (let index = 0; index < 9_999; index++) throttle.failed(`11.0.${index >> 8}.${index & 255}`, `${index}`, 2);
  assert.equal(throttle.size, 20_000);
  assert.deepEqual(
    [waitOf(throttle, "1.1.1.1", "ann", 2) > 0, waitOf(throttle, "1.1.1.1", "bob", 2) > 0],
    [false, true],
  );
});
