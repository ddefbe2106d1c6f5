/**
 * Every route that writes, with a body that is still on its way when its sender loses what let them in: refused, and
 * nothing in the log. Driven by the table of routes.
 */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { readdirSync } from "node:fs";
import * as net from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import type { ApiRoute } from "../../src/api/route.ts";
import { ROUTES } from "../../src/api/routes.ts";
import { LICENSE_HASH, eventually, startDaemon } from "../support/daemon.ts";
import { assertError, parseAnswers } from "../support/http.ts";
import type { Answer } from "../support/http.ts";
import { appendLine, readJournal } from "../support/journal.ts";
import { pick, textAt } from "../support/json.ts";
import type { Json } from "../support/json.ts";
import { appendSession, expect, hashOf, makeOrg, makePerson, randomToken } from "./identity-world.ts";

const daemon = await startDaemon();
const [acme, rival] = [await makeOrg(daemon, "acme"), await makeOrg(daemon, "rival")];
const IN_ACME = { "x-zwrm-org": "acme" };
const bytes = Buffer.from("the bytes of an image");
const digest = digestOf(bytes);
expect(await daemon.request("PUT", `/v1/images/${digest}`, { body: bytes, headers: IN_ACME }), 201);
const capacity = { cpus: 4, memory_mb: 4096 };
expect(
  await daemon.asAgent("POST", "/v1/internal/hosts/register", { body: { host_id: "h-1", hostname: "h-1", capacity } }),
  201,
);
const app = textAt(
  expect(await daemon.request("POST", "/v1/apps", { body: { name: "web" }, headers: IN_ACME }), 201),
  "id",
);
expect(
  await daemon.request("POST", `/v1/apps/${app}/deployments`, {
    body: { image: digest, replicas: 1 },
    headers: IN_ACME,
  }),
  202,
);
const machine = await eventually("the app's machine", async () => {
  const id = pick(expect(await daemon.request("GET", "/v1/machines", { headers: IN_ACME }), 200), "machines.0.id");
  return typeof id === "string" ? id : undefined;
});

function digestOf(content: Buffer): string {
  return `sha256:${createHash("sha256").update(content).digest("hex")}`;
}

/** Someone who may do what a route is for, until they may not. */
interface Sender {
  readonly userId: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** A way to lose what lets one in. `admins`: host-admins lose it so too. */
interface Way {
  readonly what: string;
  readonly by: "session" | "key";
  /** The org of the token; the request is about acme. */
  readonly from: string;
  readonly admins: boolean;
  readonly lose: (sender: Sender) => Promise<Answer>;
  readonly answer: readonly [status: number, code: string];
}

const GONE = [401, "unauthorized"] as const;
const removeUser = ({ userId }: Sender): Promise<Answer> => daemon.request("DELETE", `/v1/users/${userId}`);
const leaveAcme = ({ userId }: Sender): Promise<Answer> => daemon.request("DELETE", `/v1/orgs/acme/members/${userId}`);
const logOut = ({ headers }: Sender): Promise<Answer> => daemon.request("POST", "/v1/auth/logout", { headers });
const revokeKey = ({ userId, headers }: Sender): Promise<Answer> =>
  daemon.request("DELETE", `/v1/auth/tokens/key_of_${userId}`, { headers });

const WAYS: readonly Way[] = [
  { what: "the session is ended", by: "session", from: acme, admins: true, lose: logOut, answer: GONE },
  { what: "the session's user is removed", by: "session", from: acme, admins: true, lose: removeUser, answer: GONE },
  { what: "the membership is removed", by: "session", from: acme, admins: false, lose: leaveAcme, answer: GONE },
  {
    what: "the membership of the org that is named is removed",
    by: "session",
    from: rival,
    admins: false,
    lose: leaveAcme,
    answer: [404, "org_not_found"],
  },
  { what: "the key is revoked", by: "key", from: acme, admins: true, lose: revokeKey, answer: GONE },
  { what: "the key's user is removed", by: "key", from: acme, admins: true, lose: removeUser, answer: GONE },
  {
    what: "the membership of the key's user is removed",
    by: "key",
    from: acme,
    admins: false,
    lose: leaveAcme,
    answer: GONE,
  },
];

const WRITING = ROUTES.filter(({ method }) => method !== "GET");
const LATE = WRITING.filter(({ body }) => body !== "none");
const senders = new Map<string, Sender>();
const other = await makePerson(daemon, "other", { org: acme });
await daemon.stop();
for (const route of LATE) {
  const { access } = route;
  if (access.kind !== "protected") continue;
  for (const way of WAYS) {
    if (way.admins || !access.hostAdmin) senders.set(`${nameOf(route)} ${way.what}`, addSender(way, access.hostAdmin));
  }
}
await daemon.start();

function nameOf({ method, pattern }: ApiRoute): string {
  return `${method} ${pattern}`;
}

/** Written into the log of the stopped daemon: hundreds of logins would each take their scrypt. */
function addSender({ by, from }: Way, hostAdmin: boolean): Sender {
  const userId = `usr_${randomBytes(10).toString("hex")}`;
  const password = { n: 2 ** 15, r: 8, p: 1, salt: "", hash: "" };
  const user = { id: userId, email: `${userId}@example.com`, name: "late", host_admin: hostAdmin, password };
  appendLine(daemon.dataDir, "user.created", { user, org_id: from });
  // Owners may set members; a session that lasts so long is not renewed, which would be a line of its own.
  appendLine(daemon.dataDir, "member.set", { org_id: acme, user_id: userId, role: "owner" });
  const token = randomToken(by === "session" ? "ses" : "key");
  if (by === "session") appendSession(daemon.dataDir, userId, from, token, "2099-01-01T00:00:00.000Z");
  else {
    const key = {
      id: `key_of_${userId}`,
      token_hash: hashOf(token),
      name: "late",
      user_id: userId,
      org_id: from,
      scopes: null,
      expires_at: null,
    };
    appendLine(daemon.dataDir, "api_key.created", { key });
  }
  return { userId, headers: { authorization: `Bearer ${token}`, ...(from === acme && !hostAdmin ? {} : IN_ACME) } };
}

/** What would be carried out if its sender could still ask for it. */
const BODIES: Readonly<Record<string, Json>> = {
  "POST /v1/apps": { name: "late" },
  "POST /v1/apps/{id}/deployments": { image: digest, replicas: 2 },
  "POST /v1/apps/{id}/scale": { replicas: 3 },
  "POST /v1/auth/tokens": { name: "late" },
  "POST /v1/orgs": { slug: "late" },
  "PUT /v1/orgs/{id}/members/{user_id}": { role: "owner" },
  "POST /v1/users": { email: "late@example.com", name: "late", password: "long enough", host_admin: true },
  "PUT /v1/users/{id}/password": { password: "long enough", current_password: "whatever" },
  "POST /v1/internal/hosts/register": { host_id: "h-late", hostname: "h-late", capacity },
};

function bodyOf(route: ApiRoute, userId: string): Buffer {
  if (route.body === "stream") return Buffer.from(`what ${userId} pushes`);
  return Buffer.from(JSON.stringify(BODIES[nameOf(route)] ?? {}));
}

function pathOf(route: ApiRoute, userId: string): string {
  const id =
    { orgs: acme, users: userId, apps: app, machines: machine, auth: "key_none" }[route.pattern.split("/")[2] ?? ""] ??
    "none";
  const values: Readonly<Record<string, string>> = {
    "{digest}": digestOf(bodyOf(route, userId)),
    "{host_id}": "h-1",
    "{user_id}": other.id,
    "{id}": id,
  };
  return route.pattern.replace(/\{[a-z_]+\}/g, (name) => values[name] ?? "none");
}

/**
 * Half of a body, then `meanwhile`, then the rest. `meanwhile` is not run where the answer does not wait for the body.
 */
async function slowly(
  route: ApiRoute,
  { userId, headers }: Sender,
  meanwhile: () => Promise<unknown>,
): Promise<{ readonly waited: boolean; readonly answer: Answer }> {
  const body = bodyOf(route, userId);
  const socket = net.connect(daemon.port, "127.0.0.1");
  socket.on("error", () => undefined);
  let text = "";
  socket.on("data", (part: Buffer) => (text += part.toString("latin1")));
  const closed = new Promise((resolve) => socket.once("close", resolve));
  const head = {
    host: "localhost",
    ...headers,
    expect: "100-continue",
    "content-type": "application/json",
    "content-length": String(body.length),
    connection: "close",
  };
  const lines = Object.entries(head).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`${route.method} ${pathOf(route, userId)} HTTP/1.1\r\n${lines.join("")}\r\n`);
  const first = await eventually(
    "the 100 that follows Auth, or the answer",
    () => /^HTTP\/1\.1 (\d{3})/.exec(text)?.[1],
  );
  const waited = first === "100";
  if (waited) {
    const half = Math.ceil(body.length / 2);
    socket.write(body.subarray(0, half));
    await meanwhile();
    socket.write(body.subarray(half));
  } else socket.end();
  await closed;
  const answer = parseAnswers(text).at(-1);
  assert.ok(answer !== undefined, text);
  return { waited, answer };
}

test("there are routes to look at, of every kind", () => {
  assert.ok(LATE.length >= 20 && senders.size >= 100);
  for (const kind of ["public", "internal", "protected"])
    assert.ok(
      LATE.some(({ access }) => access.kind === kind),
      kind,
    );
});

for (const route of LATE.filter(({ access }) => access.kind === "protected")) {
  test(`${nameOf(route)} changes nothing for whoever loses what let them in while the body is on its way`, async () => {
    const done = WAYS.map(async ({ what, lose, answer: [status, code] }) => {
      const sender = senders.get(`${nameOf(route)} ${what}`);
      if (sender === undefined) return;
      const { waited, answer } = await slowly(route, sender, async () => expect(await lose(sender), 204));
      assert.ok(waited, `${what}: answered ${answer.status} ${answer.text} before the body was here`);
      assert.equal(answer.status, status, `${what}: ${answer.text}`);
      assertError(answer, status, code);
      if (route.body === "stream")
        assert.equal(
          (await daemon.asAgent("HEAD", `/v1/internal/images/${digestOf(bodyOf(route, sender.userId))}`)).status,
          404,
        );
    });
    await Promise.all(done);
  });
}

for (const route of WRITING.filter(({ body, access }) => body === "none" && access.kind === "protected")) {
  test(
    `${nameOf(route)} is decided on its headers: no body is waited for in which ` + "something could change",
    async () => {
      const { waited, answer } = await slowly(route, { userId: "usr_none", headers: {} }, async () => undefined);
      assert.equal(waited, false);
      assert.notEqual(answer.status, 401);
    },
  );
}

test("an owner who is made a member while the body is on its way sets nobody", async () => {
  const owner = await makePerson(daemon, "owner", { org: acme, role: "owner" });
  const route = ROUTES.find((each) => nameOf(each) === "PUT /v1/orgs/{id}/members/{user_id}");
  assert.ok(route !== undefined);
  const demote = async (): Promise<unknown> =>
    expect(await daemon.request("PUT", `/v1/orgs/acme/members/${owner.id}`, { body: { role: "member" } }), 200);
  const { answer } = await slowly(
    route,
    { userId: owner.id, headers: { authorization: `Bearer ${owner.session}` } },
    demote,
  );
  assertError(answer, 403, "forbidden");
});

test("a login by someone who is removed while the body is on its way is none", async () => {
  const gone = await makePerson(daemon, "gone", { org: acme });
  const body = Buffer.from(JSON.stringify({ email: gone.email, password: gone.password }));
  const route: ApiRoute = {
    method: "POST",
    pattern: "/v1/auth/login",
    access: { kind: "public" },
    body: "json",
    call: { summary: "", answers: {} },
    name: "",
    handler: () => assert.fail(),
  };
  const socket = net.connect(daemon.port, "127.0.0.1");
  let text = "";
  socket.on("data", (part: Buffer) => (text += part.toString("latin1")));
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.write(
    `${nameOf(route)} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Type: ` +
      `application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n`,
  );
  await eventually("the 100", () => (text.includes("100 Continue") ? true : undefined));
  expect(await daemon.request("DELETE", `/v1/users/${gone.id}`), 204);
  socket.write(body);
  await closed;
  const answer = parseAnswers(text).at(-1);
  assert.ok(answer !== undefined);
  assertError(answer, 401, "unauthorized");
});

test(
  "an upload ends with what let its sender in, not when its last byte is here, and leaves nothing on " + "disk",
  async () => {
    const pusher = await makePerson(daemon, "pusher", { org: acme });
    const content = randomBytes(1024);
    const socket = net.connect(daemon.port, "127.0.0.1");
    let text = "";
    socket.on("data", (part: Buffer) => (text += part.toString("latin1")));
    socket.on("error", () => undefined);
    const head = [
      `PUT /v1/images/${digestOf(content)} HTTP/1.1`,
      "Host: localhost",
      `Authorization: Bearer ${pusher.session}`,
      "Expect: 100-continue",
      `Content-Length: ${content.length}`,
    ];
    socket.write(`${head.join("\r\n")}\r\n\r\n`);
    await eventually("the 100", () => (text.includes("100 Continue") ? true : undefined));
    socket.write(content.subarray(0, 10));
    await removeUser({ userId: pusher.id, headers: {} });
    socket.write(content.subarray(10, 11));
    await eventually("the answer, most of the body being still to come", () =>
      text.includes("HTTP/1.1 401") ? true : undefined,
    );
    socket.destroy();
    const files = readdirSync(join(daemon.dataDir, "images"), { recursive: true, withFileTypes: true }).filter(
      (entry) => entry.isFile(),
    );
    assert.deepEqual(
      files.map(({ name }) => name),
      [digest.slice("sha256:".length)],
    );
  },
);

test("an agent whose licence is rotated out while the body is on its way changes nothing", async () => {
  const routes = LATE.filter(({ access }) => access.kind === "internal");
  let reload: (value: unknown) => void = () => undefined;
  const reloaded = new Promise((resolve) => (reload = resolve));
  let waiting = 0;
  const asked = routes.map((route) =>
    slowly(route, { userId: "h-1", headers: { authorization: `Bearer ${LICENSE_HASH}` } }, () => {
      waiting += 1;
      return reloaded;
    }),
  );
  await eventually("every body to be half there", () => (waiting === routes.length ? true : undefined));
  daemon.configure(`[license]\nkey_hashes = ["${hashOf("another licence")}"]`);
  daemon.signal("SIGHUP");
  await daemon.line(/reloaded/);
  reload(null);
  for (const { answer } of await Promise.all(asked)) assertError(answer, 401, "unauthorized");
  assert.equal((await daemon.request("GET", "/v1/hosts/h-late")).status, 404);
  assert.equal(pick((await daemon.request("GET", "/v1/hosts/h-1")).json, "id"), "h-1");
});

test("a beat that is held tells nothing to an agent whose licence is rotated out meanwhile", async () => {
  const authorization = `Bearer ${hashOf("another licence")}`;
  const beat = (body: Json): Promise<Answer> =>
    daemon.request("POST", "/v1/internal/hosts/h-1/heartbeat", { headers: { authorization }, body });
  const revision = textAt(expect(await beat({}), 200), "revision");
  const held = beat({ observed_revision: revision, wait_seconds: 3 });
  // Answered after the beat has come in, on a connection of its own.
  expect(await daemon.request("GET", "/v1/health"), 200);
  daemon.configure(`[license]\nkey_hashes = ["${hashOf("a third licence")}"]`);
  daemon.signal("SIGHUP");
  assertError(await held, 401, "unauthorized");
});

test("the log has nothing of them but their own goodbyes", async () => {
  await daemon.stop();
  const ids = new Set([...senders.values()].map(({ userId }) => userId));
  const lines = readJournal(daemon.dataDir).filter(({ value }) => ids.has(String(pick(value, "actor.id"))));
  assert.deepEqual(
    lines
      .map(({ value }) => pick(value, "type"))
      .filter((type) => type !== "session.ended" && type !== "api_key.revoked"),
    [],
  );
  // The goodbyes are there, so this looked at the right lines.
  assert.ok(lines.length > 20);
});
