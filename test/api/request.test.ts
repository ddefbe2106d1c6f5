/**
 * What a person's request may change: judged in the decision, by what the state says then, and carried out once for
 * each Idempotency-Key.
 */
import assert from "node:assert/strict";
import { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import test from "node:test";
import type { GuardedRoute } from "../../src/api/context.ts";
import { PersonRequest } from "../../src/api/request.ts";
import { Context } from "../../src/http/context.ts";
import { json } from "../../src/http/respond.ts";
import type { Caller } from "../../src/identity/access.ts";
import { decidePassword } from "../../src/identity/login.ts";
import { callerNow } from "../../src/identity/standing.ts";
import type { ProtectedAccess } from "../../src/identity/standing.ts";
import { sha256Hex } from "../../src/lib/ids.ts";
import type { Event } from "../../src/state/events.ts";
import { idOf } from "../support/ids.ts";
import { apply } from "../support/rows.ts";
import { addUser, callerOf, createLab, refusal, sessionCreated } from "../identity/lab.ts";
import type { Lab } from "../identity/lab.ts";

const TOKEN = `zwrm_ses_${"s".repeat(43)}`;
const ADMINS: ProtectedAccess = { kind: "protected", scope: "admin", hostAdmin: true };
const ANYONE: ProtectedAccess = { kind: "protected", scope: null, hostAdmin: false };

/** A request that Auth has let in, by a session of `userId` in acme. */
function request(
  lab: Lab,
  userId: string,
  access: ProtectedAccess,
  headers: Readonly<Record<string, string>> = {},
): PersonRequest {
  const req = new IncomingMessage(new Socket());
  req.method = "POST";
  Object.assign(req.headers, headers);
  const route: GuardedRoute = { method: "POST", pattern: "/v1/things", access, body: "json" };
  const peer = { unixSocket: false, remoteAddress: "10.0.0.1", localAddress: "10.0.0.2" };
  const context = new Context<GuardedRoute, Caller>(
    req,
    new ServerResponse(req),
    "r-1",
    "/v1/things",
    "",
    { kind: "found", route, params: {} },
    peer,
  );
  apply(lab.state, sessionCreated(TOKEN, userId, "o_2", lab.clock.wall() + 3_600_000));
  context.caller = callerNow(lab.state, access, callerOf(userId, { tokenHash: sha256Hex(TOKEN) }), lab.clock.wall());
  context.body = {};
  return new PersonRequest(context, { params: {}, body: {}, query: {} }, access, lab.store, lab.clock);
}

/** A change that would be written if its sender may make it. */
function orgCreated(slug: string): Event {
  return { type: "org.created", data: { org: { id: idOf(`o_${slug}`), slug, name: slug } } };
}

test("a host-admin who is removed while the new password is hashed sets none", async () => {
  const lab = createLab();
  await addUser(lab, "ann");
  await addUser(lab, "root", { host_admin: true });
  const asked = request(lab, "root", ADMINS);
  const hash = await lab.logins.hash("a new password");
  apply(lab.state, { type: "user.removed", data: { user_id: "root" } });
  const change = (): unknown =>
    asked.change((state, caller) => ({
      event: decidePassword(state, caller, idOf("ann"), hash, null),
      answer: () => undefined,
    }));
  assert.equal(await refusal(change), "unauthorized");
  assert.equal(lab.log.records.length, 0);
});

test("the decision is given the caller as they stand then, and never runs for one who does not", async () => {
  const lab = createLab();
  await addUser(lab, "ann");
  const asked = request(lab, "ann", ANYONE);
  apply(lab.state, { type: "member.set", data: { org_id: "o_2", user_id: "ann", role: "owner" } });
  const roles: unknown[] = [];
  const decide = (
    _state: unknown,
    { org }: { readonly org: { readonly role: unknown } },
  ): { event: Event; answer: () => string } => {
    roles.push(org.role);
    return { event: orgCreated("made"), answer: () => "made" };
  };
  assert.equal(await asked.change(decide), "made");
  apply(lab.state, { type: "session.ended", data: { id: "ses_x", token_hash: sha256Hex(TOKEN) } });
  assert.equal(await refusal(() => asked.change(decide)), "unauthorized");
  assert.equal(
    await refusal(() => asked.changing(() => ({ event: orgCreated("more"), answer: () => "" }))),
    "unauthorized",
  );
  assert.equal(await refusal(() => asked.look(() => "seen")), "unauthorized");
  assert.equal(asked.stands(), false);
  assert.deepEqual([roles, lab.log.records.map(({ type }) => type)], [["owner"], ["org.created"]]);
});

test("what an Idempotency-Key led to is shown again to whoever still stands, and to nobody else", async () => {
  const lab = createLab();
  await addUser(lab, "ann");
  const asked = request(lab, "ann", ANYONE, { "idempotency-key": "k-1" });
  let decided = 0;
  const ask = (): unknown =>
    asked.once(
      (_state, note) => {
        decided += 1;
        return {
          event: {
            type: "app.created",
            data: { app_id: idOf("app_1"), org_id: idOf("o_2"), name: "web", idempotency: note },
          },
          answer: () => json(201, {}),
        };
      },
      (_state, id) => json(201, { again: id }),
    );
  assert.deepEqual([await ask(), await ask()], [json(201, {}), json(201, { again: "app_1" })]);
  apply(lab.state, { type: "user.removed", data: { user_id: "ann" } });
  assert.equal(await refusal(ask), "unauthorized");
  assert.deepEqual([decided, lab.log.records.length], [1, 1]);
});

test("a body ends with what let its sender in, at the next piece", async () => {
  const lab = createLab();
  await addUser(lab, "ann");
  const asked = request(lab, "ann", ANYONE);
  const taken: number[] = [];
  const sent = async function* (): AsyncGenerator<Uint8Array> {
    for (let piece = 1; piece <= 3; piece += 1) {
      if (piece === 2) apply(lab.state, { type: "member.removed", data: { org_id: "o_2", user_id: "ann" } });
      yield Buffer.from([piece]);
    }
  };
  const take = async (): Promise<void> => {
    for await (const [byte] of asked.whileStanding(sent())) taken.push(byte ?? 0);
  };
  assert.equal(await refusal(take), "unauthorized");
  assert.deepEqual(taken, [1]);
});

test("a route that is not of people has no use of the door", () => {
  const lab = createLab();
  const context = new Context<GuardedRoute, Caller>(
    new IncomingMessage(new Socket()),
    new ServerResponse(new IncomingMessage(new Socket())),
    "r",
    "/",
    "",
    { kind: "none" },
    { unixSocket: true, remoteAddress: null, localAddress: null },
  );
  assert.throws(
    () => new PersonRequest(context, { params: {}, body: {}, query: {} }, ANYONE, lab.store, lab.clock),
    /was reached by nobody/,
  );
});
