/**
 * People and keys from outside: the bodies of the contract, what is another org's, and that an end takes effect at once
 * and stays.
 */
import assert from "node:assert/strict";
import * as http from "node:http";
import * as net from "node:net";
import { test } from "node:test";
import { eventually } from "../support/daemon.ts";
import { assertError, parseAnswers, request } from "../support/http.ts";
import type { Answer } from "../support/http.ts";
import {
  conforms,
  exactly,
  flag,
  like,
  listAt,
  listOf,
  nullOr,
  oneOf,
  pick,
  shape,
  text,
  textAt,
  time,
} from "../support/json.ts";
import type { Json } from "../support/json.ts";
import { appendSession, bearer, expect, login, makeKey, makePerson, makeWorld, randomToken } from "./identity-world.ts";

const TTL_MS = 60_000;
const world = await makeWorld({ config: `[auth]\nsession_ttl = "60s"` });
const { daemon, acme, rival, digest, admin, owner, member, stranger } = world;

const USER = shape({ id: text, email: text, name: text, host_admin: flag });
const KEY = { id: text, name: text, scopes: nullOr(listOf(text)), expires_at: nullOr(time), created_at: time };

async function whoami(token: string): Promise<Answer> {
  return daemon.request("GET", "/v1/auth/whoami", bearer(token));
}

test("whoami says who, in which org and role, by what and until when", async () => {
  const key = await makeKey(daemon, member.session, ["status:read"]);
  const user = { id: member.id, email: member.email, name: "bob" };
  const org = { id: acme, slug: "acme", role: "member" };
  const bySession = expect(await whoami(member.session), 200);
  conforms(
    bySession,
    shape({
      user: exactly(user),
      org: exactly(org),
      access: exactly("member"),
      auth_method: exactly("session"),
      scopes: exactly(null),
      expires_at: time,
    }),
  );
  assert.deepEqual(expect(await whoami(key.token), 200), {
    user,
    org,
    access: "member",
    auth_method: "api_key",
    scopes: ["status:read"],
    expires_at: null,
  });
  assert.deepEqual(pick((await whoami(owner.session)).json, "org.role"), "owner");
  assert.deepEqual(
    [pick((await whoami(admin.session)).json, "access"), pick((await whoami(admin.session)).json, "org")],
    ["host-admin", { id: pick((await whoami(admin.session)).json, "org.id"), slug: "default", role: null }],
  );
});

test("the bodies of orgs, users, members, logins and keys are the contract's, to the key", async () => {
  const org = expect(await daemon.request("POST", "/v1/orgs", { body: { slug: "shape", name: "Shape" } }), 201);
  conforms(org, shape({ id: text, slug: exactly("shape"), name: exactly("Shape") }));
  const user = expect(
    await daemon.request("POST", "/v1/users", {
      body: { email: "Cy@Example.com", name: "Cy", password: "long enough", org: "shape" },
    }),
    201,
  );
  conforms(user, USER);
  assert.deepEqual([pick(user, "email"), pick(user, "host_admin")], ["cy@example.com", false]);
  const session = expect(
    await daemon.request("POST", "/v1/auth/login", { body: { email: " CY@example.COM ", password: "long enough" } }),
    200,
  );
  conforms(
    session,
    shape({
      token: like(/^zwrm_ses_[A-Za-z0-9_-]{43}$/),
      expires_at: time,
      user: USER,
      org: shape({ id: text, slug: exactly("shape"), role: oneOf("member") }),
    }),
  );
  const token = textAt(session, "token");
  const key = expect(
    await daemon.request(
      "POST",
      "/v1/auth/tokens",
      bearer(token, { body: { name: "ci", scopes: ["images:read"], expires_at: "2099-01-01T02:00:00+02:00" } }),
    ),
    201,
  );
  conforms(key, shape({ ...KEY, token: like(/^zwrm_key_[A-Za-z0-9_-]{43}$/) }));
  assert.deepEqual([pick(key, "scopes"), pick(key, "expires_at")], [["images:read"], "2099-01-01T00:00:00.000Z"]);
  const listed = expect(await daemon.request("GET", "/v1/auth/tokens", bearer(token)), 200);
  conforms(listed, shape({ tokens: listOf(shape(KEY)) }));
  conforms(
    expect(await daemon.request("GET", `/v1/orgs/${textAt(org, "id")}/members`), 200),
    shape({ members: listOf(shape({ id: text, email: text, name: text, host_admin: flag, role: text })) }),
  );
  conforms(expect(await daemon.request("GET", "/v1/users"), 200), shape({ users: listOf(USER) }));
  assertError(await daemon.request("POST", "/v1/orgs", { body: { slug: "shape" } }), 409, "org_exists", "slug");
  assertError(
    await daemon.request("POST", "/v1/users", {
      body: { email: "CY@example.com", name: "x", password: "long enough" },
    }),
    409,
    "user_exists",
    "email",
  );
});

test(
  "an email logs in however its letters are encoded, and nothing that tells things apart has invisible " + "characters",
  async () => {
    expect(
      await daemon.request("POST", "/v1/users", {
        body: { email: "Zo\u00eb@example.com", name: "Zo\u00eb", password: "long enough", org: "acme" },
      }),
      201,
    );
    for (const email of ["zoe\u0308@example.com", "\uff3aO\u00cb@example.com", "zo\u00eb\u200b@example.com"]) {
      expect(await daemon.request("POST", "/v1/auth/login", { body: { email, password: "long enough" } }), 200);
    }
    const user = { email: "new@example.com", name: "x", password: "long enough" };
    const host = { host_id: "h-hidden", hostname: "h", capacity: { cpus: 1, memory_mb: 1 } };
    const refused: readonly (readonly [path: string, body: Json, field: string, code?: string])[] = [
      ["/v1/users", { ...user, email: "zoe\u0308@example.com" }, "email", "user_exists"],
      ["/v1/users", { ...user, email: "ann\u200b@example.com" }, "email"],
      ["/v1/users", { ...user, email: "\u202eann@example.com" }, "email"],
      ["/v1/users", { ...user, name: "\u200b" }, "name"],
      ["/v1/orgs", { slug: "hidden\u200b" }, "slug"],
      ["/v1/orgs", { slug: "hidden", name: "Hid\u2060den" }, "name"],
      ["/v1/apps", { name: "we\u200bb" }, "name"],
      ["/v1/auth/tokens", { name: "ci\ufeff" }, "name"],
      ["/v1/internal/hosts/register", { ...host, hostname: "h\u200b" }, "hostname"],
      ["/v1/internal/hosts/register", { ...host, region: "eu\u200b" }, "region"],
      ["/v1/internal/hosts/register", { ...host, datacenter: "\u202edc" }, "datacenter"],
      ["/v1/internal/hosts/register", { ...host, labels: { rack: "r\u00ad1" } }, "labels.rack"],
      ["/v1/internal/hosts/register", { ...host, labels: { "ra\u200bck": "1" } }, "labels.ra\u200bck"],
    ];
    for (const [path, body, field, code = "invalid_field"] of refused) {
      const answer = path.includes("internal")
        ? await daemon.asAgent("POST", path, { body })
        : await daemon.request("POST", path, { body });
      assertError(answer, code === "user_exists" ? 409 : 400, code, field);
    }
  },
);

test("what is another org's is not there: images, tokens, members, the org itself", async () => {
  const own = await makeKey(daemon, member.session);
  for (const [method, path, code] of [
    ["GET", `/v1/images/${digest}`, "image_not_found"],
    ["DELETE", `/v1/images/${digest}`, "image_not_found"],
    ["DELETE", `/v1/auth/tokens/${own.id}`, "token_not_found"],
    ["GET", `/v1/orgs/${acme}/members`, "org_not_found"],
    ["PUT", `/v1/orgs/acme/members/${stranger.id}`, "org_not_found"],
    ["DELETE", `/v1/orgs/${acme}/members/${member.id}`, "org_not_found"],
    ["PUT", `/v1/users/${member.id}/password`, "user_not_found"],
  ] as const) {
    const body: Json = path.endsWith("/password") ? { password: "taken over" } : { role: "owner" };
    assertError(
      await daemon.request(method, path, bearer(stranger.session, method === "PUT" ? { body } : {})),
      404,
      code,
    );
  }
  assertError(
    await daemon.request("DELETE", `/v1/auth/tokens/${own.id}`, bearer(owner.session)),
    404,
    "token_not_found",
  );
  assert.equal((await whoami(own.token)).status, 200);
  expect(await daemon.request("GET", `/v1/images/${digest}`, bearer(member.session)), 200);
  assert.deepEqual(pick((await daemon.request("GET", "/v1/images", bearer(stranger.session))).json, "images"), []);
  assert.deepEqual(
    listAt((await daemon.request("GET", "/v1/orgs", bearer(stranger.session))).json, "orgs").map((org) =>
      pick(org, "slug"),
    ),
    ["rival"],
  );
  assertError(
    await daemon.request("GET", "/v1/auth/whoami", bearer(member.session, { headers: { "x-zwrm-org": rival } })),
    404,
    "org_not_found",
  );
});

test("a revocation takes effect on the next request of the same connection", async () => {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const [session, key] = [await login(daemon, member.email, member.password), await makeKey(daemon, member.session)];
  const statuses = async (): Promise<number[]> => [
    (await daemon.request("GET", "/v1/status", bearer(session, { agent }))).status,
    (await daemon.request("GET", "/v1/status", bearer(key.token, { agent }))).status,
  ];
  assert.deepEqual(await statuses(), [200, 200]);
  expect(await daemon.request("POST", "/v1/auth/logout", bearer(session, { agent })), 204);
  expect(await daemon.request("DELETE", `/v1/auth/tokens/${key.id}`, bearer(key.token, { agent })), 204);
  assert.deepEqual(await statuses(), [401, 401]);
  assert.equal((await whoami(member.session)).status, 200, "a logout ends one session");
  agent.destroy();
});

/** A request whose body waits for `meanwhile`. */
async function slowly(
  method: string,
  path: string,
  token: string,
  body: Json,
  meanwhile: () => Promise<void>,
): Promise<Answer> {
  const bytes = JSON.stringify(body);
  const socket = net.connect(daemon.port, "127.0.0.1");
  let text = "";
  socket.on("data", (part: Buffer) => (text += part.toString("latin1")));
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.write(
    `${method} ${path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\nExpect: ` +
      `100-continue\r\nContent-Type: application/json\r\nContent-Length: ${bytes.length}\r\nConnection: ` +
      "close\r\n\r\n",
  );
  await eventually("the 100 that follows Auth", () => (text.includes("100 Continue") ? true : undefined));
  await meanwhile();
  socket.write(bytes);
  await closed;
  const answer = parseAnswers(text).at(-1);
  assert.ok(answer !== undefined);
  return answer;
}

test("whoever is removed while their request's body is on its way changes nothing any more", async () => {
  for (const [method, path, body] of [
    ["POST", "/v1/users", { email: "back@example.com", name: "back", password: "long enough", host_admin: true }],
    ["POST", "/v1/orgs", { slug: "back" }],
    ["POST", "/v1/auth/tokens", { name: "back" }],
    ["PUT", `/v1/orgs/${acme}/members/${stranger.id}`, { role: "owner" }],
    ["PUT", `/v1/users/${member.id}/password`, { password: "taken over" }],
  ] as const) {
    const gone = await makePerson(daemon, "gone", { hostAdmin: true });
    const answer = await slowly(
      method,
      path,
      gone.session,
      body,
      async () => void expect(await daemon.request("DELETE", `/v1/users/${gone.id}`), 204),
    );
    assertError(answer, 401, "unauthorized");
  }
  const users = listAt((await daemon.request("GET", "/v1/users")).json, "users").map((user) => pick(user, "email"));
  assert.ok(!users.includes("back@example.com"));
  assert.equal((await whoami(member.session)).status, 200);
});

test("a session in use slides on for its whole time once half of it is over, and one that is not ends", async () => {
  const [sliding, fresh] = [randomToken("ses"), randomToken("ses")];
  await daemon.stop();
  appendSession(daemon.dataDir, member.id, acme, sliding, new Date(Date.now() + TTL_MS / 3).toISOString());
  appendSession(daemon.dataDir, member.id, acme, fresh, new Date(Date.now() + (TTL_MS * 5) / 6).toISOString());
  await daemon.start();
  const before = textAt((await whoami(fresh)).json, "expires_at");
  const renewed = await eventually("a renewal", async () => {
    const at = Date.parse(textAt((await whoami(sliding)).json, "expires_at"));
    return at > Date.now() + TTL_MS / 2 ? at : undefined;
  });
  assert.ok(renewed <= Date.now() + TTL_MS);
  assert.equal(textAt((await whoami(fresh)).json, "expires_at"), before);
});

test("what was ended stays ended, and what holds goes on, after kill -9", async () => {
  const [session, key] = [await login(daemon, owner.email, owner.password), await makeKey(daemon, owner.session)];
  const [ended, revoked] = [await login(daemon, owner.email, owner.password), await makeKey(daemon, owner.session)];
  expect(await daemon.request("POST", "/v1/auth/logout", bearer(ended)), 204);
  expect(await daemon.request("DELETE", `/v1/auth/tokens/${revoked.id}`, bearer(owner.session)), 204);
  await daemon.kill9();
  await daemon.start();
  const statuses = await Promise.all(
    [session, key.token, ended, revoked.token].map(async (token) => (await whoami(token)).status),
  );
  assert.deepEqual(statuses, [200, 200, 401, 401]);
});

test("one's own password takes the current one, ends every session of one's own, and leaves keys", async () => {
  const person = await makePerson(daemon, "pat", { org: acme });
  const key = await makeKey(daemon, person.session);
  const path = `/v1/users/${person.id}/password`;
  assertError(
    await daemon.request("PUT", path, bearer(person.session, { body: { password: "a new one" } })),
    400,
    "invalid_field",
    "current_password",
  );
  assertError(
    await daemon.request(
      "PUT",
      path,
      bearer(person.session, { body: { password: "a new one", current_password: "wrong" } }),
    ),
    403,
    "forbidden",
    "current_password",
  );
  assertError(
    await daemon.request(
      "PUT",
      path,
      bearer(person.session, { body: { password: "short", current_password: person.password } }),
    ),
    400,
    "invalid_field",
    "password",
  );
  expect(
    await daemon.request(
      "PUT",
      path,
      bearer(person.session, { body: { password: "a new one", current_password: person.password } }),
    ),
    204,
  );
  assert.deepEqual([(await whoami(person.session)).status, (await whoami(key.token)).status], [401, 200]);
  assertError(
    await daemon.request("POST", "/v1/auth/login", { body: { email: person.email, password: person.password } }),
    401,
    "unauthorized",
  );
  await login(daemon, person.email, "a new one");
});

test("the last host-admin does not remove itself; with another one it may", async () => {
  const path = `/v1/users/${admin.id}`;
  const session = await login(daemon, admin.email, admin.password);
  assertError(await daemon.request("DELETE", path, bearer(session)), 409, "last_host_admin");
  await makePerson(daemon, "heir", { hostAdmin: true });
  expect(await daemon.request("DELETE", path, bearer(session)), 204);
  assert.equal((await whoami(session)).status, 401);
});

test("removing and setting what is not there, and members who set members, are told apart", async () => {
  assertError(
    await daemon.request(
      "PUT",
      `/v1/orgs/acme/members/${stranger.id}`,
      bearer(member.session, { body: { role: "owner" } }),
    ),
    403,
    "forbidden",
  );
  assertError(
    await daemon.request(
      "PUT",
      `/v1/orgs/acme/members/${stranger.id}`,
      bearer(owner.session, { body: { role: "king" } }),
    ),
    400,
    "invalid_field",
    "role",
  );
  expect(
    await daemon.request(
      "PUT",
      `/v1/orgs/acme/members/${stranger.id}`,
      bearer(owner.session, { body: { role: "member" } }),
    ),
    200,
  );
  const inAcme = await login(daemon, stranger.email, stranger.password, "acme");
  expect(await request({ port: daemon.port }, "GET", `/v1/images/${digest}`, bearer(inAcme)), 200);
  expect(await daemon.request("DELETE", `/v1/orgs/acme/members/${stranger.id}`, bearer(owner.session)), 204);
  assert.deepEqual([(await whoami(inAcme)).status, (await whoami(stranger.session)).status], [401, 200]);
});
