/** Logging in and setting passwords: what it answers, what it writes, and what may happen meanwhile. */
import assert from "node:assert/strict";
import test from "node:test";
import { Passwords } from "../../src/identity/passwords.ts";
import { findHolding } from "../../src/identity/tokens.ts";
import { toRfc3339 } from "../../src/lib/clock.ts";
import { ApiError } from "../../src/lib/errors.ts";
import { turn } from "../support/clock.ts";
import { idOf } from "../support/ids.ts";
import { apply } from "../support/rows.ts";
import type { PersonCaller } from "../../src/identity/access.ts";
import { decidePassword } from "../../src/identity/login.ts";
import type { PasswordHash } from "../../src/state/identity-types.ts";
import type { Lab } from "./lab.ts";
import { CHEAP, TTL_MS, addUser, callerOf, createLab, logIn, refusal } from "./lab.ts";

/** As PUT /v1/users/{id}/password does it. */
async function setPassword(
  lab: Lab,
  caller: PersonCaller,
  userId: string,
  password: string,
  proven: PasswordHash | null,
): Promise<void> {
  const hash = await lab.logins.hash(password);
  await lab.store.change(caller.actor, (state) => ({
    event: decidePassword(state, caller, idOf(userId), hash, proven),
    answer: () => undefined,
  }));
}

test(
  "a login gives a session that holds for its time, in the user's org, and one line in the log with the " + "actor",
  async () => {
    const lab = createLab();
    await addUser(lab, "ann");
    const { token, expiresAt, user, org, role } = await logIn(lab, "ann");
    assert.deepEqual(
      [user.id, org.slug, role, expiresAt],
      ["ann", "acme", "member", toRfc3339(lab.clock.wall() + TTL_MS)],
    );
    assert.equal(findHolding(lab.state, token, lab.clock.wall())?.user.id, "ann");
    assert.deepEqual(
      lab.log.records.map(({ type, actor }) => ({ type, actor })),
      [{ type: "session.created", actor: { kind: "user", id: "ann", ip: "10.0.0.1" } }],
    );
    const line = JSON.stringify(lab.log.records);
    assert.ok(!line.includes(token) && !line.includes(token.slice(9)) && !line.includes("password"));
  },
);

test("a wrong password and an unknown email are one answer, to the letter, and write nothing", async () => {
  const lab = createLab();
  await addUser(lab, "ann");
  const messages = await Promise.all(
    ["ann", "nobody"].map((id) => logIn(lab, id, { password: "wrong" }).then(String, (error: unknown) => error)),
  );
  for (const error of messages) assert.ok(error instanceof ApiError && error.code === "unauthorized");
  const [one, other] = messages.map((error) =>
    error instanceof ApiError
      ? JSON.stringify([error.message, error.status, error.field, error.headers, error.extra])
      : "",
  );
  assert.equal(one, other);
  assert.equal(lab.log.records.length, 0);
});

test("an unknown email costs the scrypt that a known one costs", async () => {
  class Counting extends Passwords {
    asked: boolean[] = [];
    override matches(password: string, stored: Parameters<Passwords["matches"]>[1]): Promise<boolean> {
      this.asked.push(stored !== null);
      return super.matches(password, stored);
    }
  }
  const passwords = new Counting(CHEAP);
  const lab = createLab(passwords);
  await addUser(lab, "ann");
  await refusal(() => logIn(lab, "ann", { password: "wrong" }));
  await refusal(() => logIn(lab, "nobody", { password: "wrong" }));
  assert.deepEqual(passwords.asked, [true, false]);
});

test("after five failures logins are slowed, the right password too; a session that is there is not", async () => {
  const lab = createLab();
  await addUser(lab, "ann");
  const { token } = await logIn(lab, "ann");
  for (let count = 0; count < 6; count++)
    assert.equal(await refusal(() => logIn(lab, "ann", { password: "wrong" })), "unauthorized");
  assert.equal(await refusal(() => logIn(lab, "ann")), "login_throttled");
  assert.equal(findHolding(lab.state, token, lab.clock.wall())?.user.id, "ann");
  lab.clock.advance(1_000);
  assert.equal((await logIn(lab, "ann")).user.id, "ann");
});

test("a login that passes the throttle is refused where the queue is full, and is no failure of its user", async () => {
  const lab = createLab();
  await addUser(lab, "ann");
  const outcomes = await Promise.all(Array.from({ length: 60 }, () => refusal(() => logIn(lab, "ann"))));
  assert.equal(outcomes.filter((code) => code === "too_many_logins").length, 60 - 17);
  assert.equal(outcomes.filter((code) => code === "nothing was refused").length, 17);
  assert.equal(await refusal(() => logIn(lab, "ann")), "nothing was refused");
});

test("a password hashed with weaker parameters is hashed anew at a login, and ends no session", async () => {
  const lab = createLab(new Passwords({ n: 32, r: 1, p: 1 }));
  apply(lab.state, {
    type: "user.created",
    data: {
      user: {
        id: "ann",
        email: "ann@example.com",
        name: "ann",
        host_admin: false,
        password: await new Passwords(CHEAP).hash("ann's password"),
      },
      org_id: "o_2",
    },
  });
  const { token } = await logIn(lab, "ann");
  assert.equal(lab.state.users.get(idOf("ann"))?.password.n, 32);
  assert.deepEqual(
    lab.log.records.map((record) => record.type),
    ["user.password_set", "session.created"],
  );
  await logIn(lab, "ann");
  assert.equal(lab.log.records.length, 3, "once");
  assert.ok(findHolding(lab.state, token, lab.clock.wall()) !== null);
});

test("two logins at once of a password that is outdated both succeed", async () => {
  const lab = createLab(new Passwords({ n: 32, r: 1, p: 1 }));
  apply(lab.state, {
    type: "user.created",
    data: {
      user: {
        id: "ann",
        email: "ann@example.com",
        name: "ann",
        host_admin: false,
        password: await new Passwords(CHEAP).hash("ann's password"),
      },
      org_id: "o_2",
    },
  });
  const both = await Promise.all([logIn(lab, "ann"), logIn(lab, "ann")]);
  for (const { token } of both) assert.ok(findHolding(lab.state, token, lab.clock.wall()) !== null);
});

test("an upgrade that finds the queue full is left for the next login", async () => {
  class Full extends Passwords {
    full = false;
    override hash(password: string): ReturnType<Passwords["hash"]> {
      return this.full ? Promise.reject(new ApiError("too_many_logins", "full")) : super.hash(password);
    }
  }
  const passwords = new Full({ n: 32, r: 1, p: 1 });
  const lab = createLab(passwords);
  apply(lab.state, {
    type: "user.created",
    data: {
      user: {
        id: "ann",
        email: "ann@example.com",
        name: "ann",
        host_admin: false,
        password: await new Passwords(CHEAP).hash("ann's password"),
      },
      org_id: "o_2",
    },
  });
  passwords.full = true;
  assert.equal((await logIn(lab, "ann")).user.id, "ann");
  assert.equal(lab.state.users.get(idOf("ann"))?.password.n, 16);
});

test("a password that is changed while a login checks the old one lets nobody in by the old one", async () => {
  const lab = createLab();
  await addUser(lab, "ann");
  const password = await lab.passwords.hash("a new one");
  const login = refusal(() => logIn(lab, "ann"));
  apply(lab.state, { type: "user.password_set", data: { user_id: "ann", password, same_password: false } });
  assert.equal(await login, "unauthorized");
  assert.equal(lab.state.sessions.size, 0);
  assert.equal((await logIn(lab, "ann", { password: "a new one" })).user.id, "ann");
});

test("a user who is removed while their password is checked is not logged in", async () => {
  const lab = createLab();
  await addUser(lab, "ann");
  const login = refusal(() => logIn(lab, "ann"));
  apply(lab.state, { type: "user.removed", data: { user_id: "ann" } });
  assert.equal(await login, "unauthorized");
  assert.equal(lab.state.sessions.size, 0);
});

test("a login while the disk refuses to write is a 503, and neither a session nor a failure of the user", async () => {
  const lab = createLab();
  await addUser(lab, "ann");
  lab.log.automatic = false;
  const login = refusal(() => logIn(lab, "ann"));
  while (lab.log.lastSeq === lab.log.durable.seq) await turn();
  lab.log.fail("no space left on device");
  assert.equal(await login, "storage_failed");
  assert.equal(lab.state.sessions.size, 0);
  lab.log.automatic = true;
  assert.equal((await logIn(lab, "ann")).user.id, "ann");
});

test("a new password ends the user's sessions and no one else's; keys stay", async () => {
  const lab = createLab();
  await addUser(lab, "ann");
  await addUser(lab, "bob");
  const [ann, bob] = [await logIn(lab, "ann"), await logIn(lab, "bob")];
  await setPassword(lab, callerOf("root", { access: "host-admin" }), "ann", "a new one", null);
  assert.equal(findHolding(lab.state, ann.token, lab.clock.wall()), null);
  assert.ok(findHolding(lab.state, bob.token, lab.clock.wall()) !== null);
  assert.equal(await refusal(() => logIn(lab, "ann")), "unauthorized");
  assert.equal((await logIn(lab, "ann", { password: "a new one" })).user.id, "ann");
});

test("one's own password is changed with the current one, throttled like a login", async () => {
  const lab = createLab();
  await addUser(lab, "ann");
  assert.ok((await lab.logins.prove(idOf("ann"), "ann's password", "10.0.0.1")) !== null);
  for (let count = 0; count < 6; count++) assert.equal(await lab.logins.prove(idOf("ann"), "wrong", "10.0.0.1"), null);
  assert.equal(await refusal(() => lab.logins.prove(idOf("ann"), "ann's password", "10.0.0.1")), "login_throttled");
});

test("of two changes of one password that prove the same old one, the second is refused", async () => {
  const lab = createLab();
  await addUser(lab, "ann");
  const proven = await lab.logins.prove(idOf("ann"), "ann's password", "10.0.0.1");
  await setPassword(lab, callerOf("ann"), "ann", "the owner's new one", proven);
  assert.equal(
    await refusal(() => setPassword(lab, callerOf("ann"), "ann", "the thief's new one", proven)),
    "forbidden",
  );
});

test("another's password is a host-admin's to set; to everyone else there is no such user", async () => {
  const lab = createLab();
  await addUser(lab, "ann");
  assert.equal(await refusal(() => setPassword(lab, callerOf("bob"), "ann", "a new one", null)), "user_not_found");
  assert.equal(
    await refusal(() => setPassword(lab, callerOf("root", { access: "host-admin" }), "nobody", "a new one", null)),
    "user_not_found",
  );
});

test("a user of an old log, whose email was kept as it was typed, logs in however it is typed now", async () => {
  const lab = createLab();
  const user = { id: "zoe", email: "zoe\u0308@example.com", name: "Zoe", host_admin: false };
  const password = await lab.passwords.hash("zoe's password");
  apply(lab.state, { type: "user.created", data: { user: { ...user, password }, org_id: "o_2" } });
  for (const email of ["zoe\u0308@example.com", "Zo\u00eb@Example.com", " \uff5ao\u00eb@example.com"]) {
    const login = await lab.logins.login({ email, password: "zoe's password", org: null, address: "10.0.0.1" }, null);
    assert.equal(login.user.id, "zoe");
  }
});
