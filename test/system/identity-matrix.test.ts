/**
 * Every route of the API against every kind of caller: each answer is the one that identity-matrix-table.ts promises.
 */
import assert from "node:assert/strict";
import * as http from "node:http";
import { after, test } from "node:test";
import { ROUTES } from "../../src/api/routes.ts";
import { LICENSE_HASH, LICENSE_KEY, startDaemon } from "../support/daemon.ts";
import { Answer, parseAnswers, request, sendRaw } from "../support/http.ts";
import type { RequestOptions, Target } from "../support/http.ts";
import { callerRows, promised, routeRows } from "./identity-matrix-table.ts";
import type { RouteRow } from "./identity-matrix-table.ts";
import {
  ALL_SCOPES,
  appendSession,
  ask,
  bearer,
  expect,
  hashOf,
  inWords,
  login,
  makeKey,
  makePerson,
  makeWorld,
  ownAddress,
  randomToken,
} from "./identity-world.ts";

const [KEPT, ROTATED_OUT, ROTATED_IN] = ["kept", "rotated out", "rotated in"].map(hashOf);
const world = await makeWorld({
  config:
    `[server]\nhost = "0.0.0.0"\nsocket = "FOLDER/zwrmd.sock"\n[license]\nkey_hashes = ["${KEPT}", ` +
    `"${ROTATED_OUT}"]`,
});
const { daemon, acme, rival, digest, admin, owner, member, stranger } = world;
const closed = await startDaemon({ config: "[auth]\nlocalhost_bypass = false" });
const routes = routeRows();
const callers = callerRows();

const removed = await makePerson(daemon, "gone", { hostAdmin: true });
const removedKey = await makeKey(daemon, removed.session);
expect(await ask(daemon, "DELETE", `/v1/users/${removed.id}`, bearer(admin.session)), 204);
const leaver = await makePerson(daemon, "leaver", { org: acme });
expect(await ask(daemon, "DELETE", `/v1/orgs/${acme}/members/${leaver.id}`, bearer(admin.session)), 204);
/** Of rival and of acme; what they hold was made in rival. */
const both = await makePerson(daemon, "both", { org: rival });
expect(
  await ask(daemon, "PUT", `/v1/orgs/${acme}/members/${both.id}`, bearer(admin.session, { body: { role: "member" } })),
  200,
);
const bothKey = await makeKey(daemon, both.session);
/** A host-admin acts in acme, whose things the requests are about. */
const adminSession = await login(daemon, admin.email, admin.password, acme);
const keys = await makeKeys();
const spares = await makeSpareSessions();
daemon.configure(
  `[server]\nhost = "0.0.0.0"\nsocket = "FOLDER/zwrmd.sock"\n[license]\nkey_hashes = ["${KEPT}", "${ROTATED_IN}"]`,
);
daemon.signal("SIGHUP");
await daemon.line(/reloaded/);

/** API keys by owner and what they bear: `member:all but images:read`. */
async function makeKeys(): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const [name, session] of [
    ["member", member.session],
    ["owner", owner.session],
    ["admin", adminSession],
    ["stranger", stranger.session],
  ] as const) {
    found.set(`${name}:everything`, (await makeKey(daemon, session)).token);
    found.set(`${name}:nothing`, (await makeKey(daemon, session, [])).token);
    for (const scope of ALL_SCOPES) {
      found.set(`${name}:only ${scope}`, (await makeKey(daemon, session, [scope])).token);
      // The scope admin holds all the others.
      found.set(
        `${name}:all but ${scope}`,
        (
          await makeKey(
            daemon,
            session,
            ALL_SCOPES.filter((other) => other !== scope && other !== "admin"),
          )
        ).token,
      );
    }
    found.set(
      `${name}:all but admin`,
      (
        await makeKey(
          daemon,
          session,
          ALL_SCOPES.filter((other) => other !== "admin"),
        )
      ).token,
    );
  }
  return found;
}

/** A session to log out with for each caller that comes in with one. */
async function makeSpareSessions(): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  await daemon.stop();
  const soon = new Date(Date.now() + 3_600_000).toISOString();
  for (const [caller, cells] of callers) {
    if (cells["anyone"] !== "in" && !caller.includes("names")) continue;
    const isOfBoth = caller.startsWith("member of both");
    const [person, org] = isOfBoth
      ? [both, rival]
      : caller.startsWith("host-admin")
        ? [admin, acme]
        : caller === "owner"
          ? [owner, acme]
          : caller === "member of another org"
            ? [stranger, rival]
            : [member, acme];
    found.set(caller, randomToken("ses"));
    appendSession(daemon.dataDir, person.id, org, found.get(caller) ?? "", soon);
  }
  await daemon.start();
  return found;
}

const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
after(() => agent.destroy());

interface Asked {
  readonly caller: string;
  readonly method: string;
  readonly path: string;
  readonly row: RouteRow;
}

type Send = (asked: Asked) => Promise<Answer>;

function bodyOf({ row }: Asked): RequestOptions {
  if (row.method === "GET" || row.method === "DELETE") return {};
  if (row.pattern === "/v1/images/{digest}") return { body: Buffer.from("other bytes") };
  if (row.pattern.endsWith("/members/{user_id}")) return { body: { role: "member" } };
  if (row.pattern.endsWith("/password")) return { body: { password: "a long enough one" } };
  return row.pattern === "/v1/images/verify" ? {} : { body: {} };
}

function pathOf(row: RouteRow): string {
  const image = row.pattern === "/v1/images/{digest}" && row.method === "DELETE" ? `sha256:${"0".repeat(64)}` : digest;
  const values: Readonly<Record<string, string>> = {
    "{digest}": image,
    "{host_id}": "no-host",
    "{user_id}": "usr_none",
  };
  const id = row.pattern.startsWith("/v1/orgs/") ? acme : "none";
  return row.pattern.replace(/\{[a-z_]+\}/g, (name) => values[name] ?? id);
}

function tcp(
  headers: Readonly<Record<string, string>> = {},
  target: Target = { port: daemon.port, host: "127.0.0.1" },
): Send {
  return (asked) => request(target, asked.method, asked.path, { agent, ...bodyOf(asked), headers });
}

/** A token, in its own org or another. */
function token(value: string | undefined, headers: Readonly<Record<string, string>> = {}): Send {
  assert.ok(value !== undefined);
  return (asked) => {
    const spare = asked.row.whose === "session" && value.startsWith("zwrm_ses_") ? spares.get(asked.caller) : undefined;
    return tcp({ authorization: `Bearer ${spare ?? value}`, ...headers })(asked);
  };
}

/** The key whose scopes fit, or do not fit, the route that is asked for. */
function scopedKey(name: string, what: "only" | "all but"): Send {
  return (asked) => {
    const { scope } = asked.row;
    const bears = scope === null ? (what === "only" ? "nothing" : "all but admin") : `${what} ${scope}`;
    return token(keys.get(`${name}:${bears}`))(asked);
  };
}

/** A request head made of exactly these lines; `METHOD` and `PATH` are put in. */
function raw(...lines: readonly string[]): Send {
  return async (asked) => {
    const { body } = bodyOf(asked);
    const bytes = body === undefined ? "" : Buffer.isBuffer(body) ? body.toString("latin1") : JSON.stringify(body);
    const all = [...lines, "Content-Type: application/json", `Content-Length: ${bytes.length}`, "Connection: close"];
    const head = all.join("\r\n").replace("METHOD", asked.method).replace("PATH", asked.path);
    const { text } = await sendRaw({ port: daemon.port }, `${head}\r\n\r\n${bytes}`);
    const [answer] = parseAnswers(text);
    assert.ok(answer !== undefined, `an answer to ${head}, got ${text}`);
    return answer;
  };
}

const outside = ownAddress();
const IN_ACME = { "x-zwrm-org": "acme" };
const SENDERS: ReadonlyMap<string, Send | null> = new Map<string, Send | null>([
  ["nobody, from the machine's own address", outside === null ? null : tcp({}, { port: daemon.port, host: outside })],
  ["a token that is none", token("garbage")],
  ["a token of the right shape that nobody holds", token(randomToken("key"))],
  ["expired session", token(world.expiredSession)],
  ["revoked session", token(world.revokedSession)],
  ["expired key", token(world.expiredKey)],
  ["revoked key", token(world.revokedKey.token)],
  ["session of a removed user", token(removed.session)],
  ["key of a removed user", token(removedKey.token)],
  ["session of a removed membership", token(leaver.session)],
  ["member", token(member.session)],
  ["member's key", token(keys.get("member:everything"))],
  ["member's key with exactly the scope", scopedKey("member", "only")],
  ["member's key with every scope but this", scopedKey("member", "all but")],
  ["member of another org", token(stranger.session)],
  ["key of a member of another org", token(keys.get("stranger:everything"))],
  ["member who names another org", token(member.session, { "x-zwrm-org": "rival" })],
  ["member of both orgs, in the other", token(both.session)],
  ["member of both orgs who names acme", token(both.session, IN_ACME)],
  ["key of a member of both orgs, of the other", token(bothKey.token)],
  ["key of a member of both orgs that names acme", token(bothKey.token, IN_ACME)],
  ["owner", token(owner.session)],
  ["owner's key with exactly the scope", scopedKey("owner", "only")],
  ["host-admin", token(adminSession)],
  ["host-admin who names an org that is not there", token(adminSession, { "x-zwrm-org": "nowhere" })],
  ["host-admin in another org", token(admin.session, { "x-zwrm-org": "rival" })],
  ["host-admin's key", token(keys.get("admin:everything"))],
  ["host-admin's key with exactly the scope", scopedKey("admin", "only")],
  ["host-admin's key with every scope but this", scopedKey("admin", "all but")],
  ["host-admin's key with the scope admin", token(keys.get("admin:only admin"))],
  ["host-admin's key without any scope", token(keys.get("admin:nothing"))],
  ["localhost", tcp(IN_ACME)],
  ["unix socket", tcp(IN_ACME, { socketPath: `${daemon.folder}/zwrmd.sock` })],
  [
    "unix socket with a wrong token",
    tcp({ ...IN_ACME, authorization: "Bearer x" }, { socketPath: `${daemon.folder}/zwrmd.sock` }),
  ],
  ["localhost, two Hosts", raw("METHOD PATH HTTP/1.1", "Host: localhost", "Host: evil.example")],
  [
    "localhost, two Authorizations",
    raw("METHOD PATH HTTP/1.1", "Host: localhost", `Authorization: Bearer ${adminSession}`, "Authorization: Bearer x"),
  ],
  ["localhost, HTTP/1.0 without Host", raw("METHOD PATH HTTP/1.0")],
  ["localhost, HTTP/1.0 with Host", raw("METHOD PATH HTTP/1.0", "Host: localhost")],
  ["localhost, absolute-form target", raw("METHOD http://localhostPATH HTTP/1.1", "Host: localhost")],
  ["localhost with the bypass off", tcp({}, { port: closed.port })],
  ["licence hash", token(ROTATED_IN)],
  ["licence hash of before a reload, kept", token(KEPT)],
  ["licence hash of before a reload, rotated out", token(ROTATED_OUT)],
  ["licence hash, wrong", token(LICENSE_HASH)],
  ["licence key itself", token(LICENSE_KEY.replaceAll(" ", "-"))],
  [
    "licence hash, from the machine's own address",
    outside === null ? null : tcp({ authorization: `Bearer ${KEPT}` }, { port: daemon.port, host: outside }),
  ],
]);

/** `localhost + Name: value` is the localhost caller with that one line more, or in its place. */
function senderOf(caller: string): Send | null {
  const [, name, value] = /^localhost \+ ([A-Za-z-]+):(.*)$/.exec(caller) ?? [];
  if (name !== undefined && value !== undefined)
    return raw("METHOD PATH HTTP/1.1", ...(name === "Host" ? [] : ["Host: localhost"]), `${name}:${value}`);
  const sender = SENDERS.get(caller);
  assert.ok(sender !== undefined, `the matrix knows how to be ${caller}`);
  return sender;
}

test("every route of the API has its row in the matrix, and every row its route", () => {
  assert.deepEqual(ROUTES.map(({ method, pattern }) => `${method} ${pattern}`).sort(), [...routes.keys()].sort());
});

test("every kind of caller has its row, and no two tokens of the matrix are one", () => {
  for (const caller of SENDERS.keys()) assert.ok(callers.has(caller), caller);
  assert.ok(callers.size >= 50);
  assert.equal(new Set(keys.values()).size, keys.size);
});

for (const row of routes.values()) {
  test(`${row.name} answers each of ${callers.size} callers as the tables say`, async () => {
    const answers = [...callers].map(async ([caller, cells]) => {
      const send = senderOf(caller);
      const words = promised(row, cells);
      if (send === null) return { found: [], wanted: [] };
      const asked = { caller, method: row.method, path: pathOf(row), row };
      const answer = await send(asked);
      assert.equal(
        answer.status === 401,
        answer.headers["www-authenticate"] === "Bearer",
        `a 401 and only a 401 says how: ${caller}`,
      );
      const found = [`${caller}: ${inWords(answer)}`];
      const wanted = [`${caller}: ${words}`];
      if (row.method !== "GET") return { found, wanted };
      const head = await send({ ...asked, method: "HEAD" });
      return {
        found: [...found, `${caller}, HEAD: ${head.status}`],
        wanted: [...wanted, `${caller}, HEAD: ${words.slice(0, 3)}`],
      };
    });
    const all = await Promise.all(answers);
    const [found, wanted] = [all.flatMap((each) => each.found), all.flatMap((each) => each.wanted)];
    assert.deepEqual(found, wanted);
  });
}

test("no request of the matrix has changed anything but what was logged out", async () => {
  const people = await Promise.all(
    [member, owner, stranger, { session: adminSession }].map((person) =>
      ask(daemon, "GET", "/v1/auth/whoami", bearer(person.session)),
    ),
  );
  assert.deepEqual(
    people.map((answer) => answer.status),
    [200, 200, 200, 200],
  );
  assert.equal((await ask(daemon, "GET", `/v1/images/${digest}`, bearer(member.session))).status, 200);
});
