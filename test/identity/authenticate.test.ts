/** Who a request turns out to be, for each access that a route can ask for. */
import assert from "node:assert/strict";
import test from "node:test";
import type { Access, Caller } from "../../src/identity/access.ts";
import { SCOPES } from "../../src/wire/people.ts";
import type { AuthSettings, Credentials } from "../../src/identity/authenticate.ts";
import { authenticate } from "../../src/identity/authenticate.ts";
import { ApiError } from "../../src/lib/errors.ts";
import { sha256Hex } from "../../src/lib/ids.ts";
import { State } from "../../src/state/state.ts";
import { idOf } from "../support/ids.ts";
import { CLUSTER, stateAfter } from "../support/rows.ts";

const HASH = sha256Hex("a licence key");
const PEER = {
  unixSocket: false,
  remoteAddress: "127.0.0.1",
  localAddress: "127.0.0.1",
  httpVersion: "1.1",
  target: "/v1/hosts",
  rawHeaders: ["Host", "localhost:8080"],
};
const LOCAL: Credentials = { peer: PEER, authorization: null, org: null, nowWall: 0 };
const REMOTE: Credentials = { ...LOCAL, peer: { ...PEER, remoteAddress: "10.0.0.7", localAddress: "10.0.0.1" } };
const SOCKET: Credentials = {
  ...LOCAL,
  peer: { ...PEER, unixSocket: true, remoteAddress: null, localAddress: null, rawHeaders: [] },
};
const SETTINGS: AuthSettings = { licenceKeyHashes: [HASH], localhostBypass: true };

const PUBLIC: Access = { kind: "public" };
const INTERNAL: Access = { kind: "internal" };
const PROTECTED: Access = { kind: "protected", scope: null, hostAdmin: false };

function bearer(credentials: Credentials, token: string): Credentials {
  return {
    ...credentials,
    authorization: `Bearer ${token}`,
    peer: { ...credentials.peer, rawHeaders: [...credentials.peer.rawHeaders, "Authorization", `Bearer ${token}`] },
  };
}

interface Result {
  readonly caller: Caller | null;
  readonly code: string | null;
  readonly counted: readonly string[];
}

function ask(
  access: Access,
  credentials: Credentials,
  settings: AuthSettings = SETTINGS,
  state: State = stateAfter(CLUSTER),
): Result {
  const counted: string[] = [];
  try {
    return {
      caller: authenticate(access, credentials, state, settings, (method) => counted.push(method)),
      code: null,
      counted,
    };
  } catch (error) {
    assert.ok(error instanceof ApiError, String(error));
    return { caller: null, code: error.code, counted };
  }
}

test("a public route knows nobody, whatever is sent", () => {
  for (const credentials of [LOCAL, REMOTE, bearer(REMOTE, "wrong")])
    assert.deepEqual(ask(PUBLIC, credentials), { caller: null, code: null, counted: [] });
});

test("an internal route lets in the licence hash, from anywhere", () => {
  for (const credentials of [LOCAL, REMOTE]) {
    assert.deepEqual(ask(INTERNAL, bearer(credentials, HASH)), {
      caller: { kind: "agent", ip: credentials.peer.remoteAddress, licence: HASH },
      code: null,
      counted: [],
    });
  }
});

test("the localhost bypass does not open an internal route, on TCP or on the socket", () => {
  for (const credentials of [LOCAL, SOCKET])
    assert.deepEqual(ask(INTERNAL, credentials), { caller: null, code: "unauthorized", counted: ["licence"] });
});

test("an internal route refuses any other token", () => {
  for (const token of ["a", sha256Hex("another key"), `zwrm_key_${"a".repeat(43)}`, `zwrm_ses_${"a".repeat(43)}`]) {
    assert.deepEqual(ask(INTERNAL, bearer(LOCAL, token)), { caller: null, code: "unauthorized", counted: ["licence"] });
  }
});

test("an internal route is a 503 while no licence is configured", () => {
  assert.equal(
    ask(INTERNAL, bearer(REMOTE, HASH), { ...SETTINGS, licenceKeyHashes: [] }).code,
    "license_not_configured",
  );
});

test("the licence hash opens no protected route", () => {
  for (const credentials of [LOCAL, REMOTE])
    assert.deepEqual(ask(PROTECTED, bearer(credentials, HASH)), {
      caller: null,
      code: "unauthorized",
      counted: ["token"],
    });
});

test("a wrong token is a 401 and never upgraded to the bypass, on TCP or on the socket", () => {
  for (const credentials of [LOCAL, SOCKET]) {
    for (const authorization of ["Bearer wrong", "Bearer", "", "Basic eDp5"]) {
      assert.deepEqual(
        ask(PROTECTED, { ...credentials, authorization }),
        { caller: null, code: "unauthorized", counted: ["token"] },
        JSON.stringify(authorization),
      );
    }
  }
});

test("a second Authorization, which node:http drops, closes the bypass too", () => {
  const hidden = { ...LOCAL, peer: { ...PEER, rawHeaders: [...PEER.rawHeaders, "Authorization", "Bearer x"] } };
  assert.equal(ask(PROTECTED, hidden).code, "unauthorized");
});

test("a local caller without credentials is host-admin in the default org", () => {
  assert.deepEqual(ask(PROTECTED, LOCAL).caller, {
    kind: "person",
    authMethod: "localhost",
    access: "host-admin",
    user: null,
    org: { id: "o_1", slug: "default", role: null },
    scopes: null,
    expiresAt: null,
    tokenHash: null,
    actor: { kind: "localhost", id: null, ip: "127.0.0.1" },
  });
});

test("the socket's peer has the same access, and the log says that it was the socket", () => {
  const { caller } = ask(PROTECTED, SOCKET);
  assert.ok(caller?.kind === "person");
  assert.equal(caller.access, "host-admin");
  assert.deepEqual(caller.actor, { kind: "socket", id: null, ip: null });
});

test("a caller from elsewhere without credentials is a 401 that says why the bypass does not apply", () => {
  assert.deepEqual(ask(PROTECTED, REMOTE), { caller: null, code: "unauthorized", counted: ["localhost"] });
  assert.throws(
    () => authenticate(PROTECTED, REMOTE, stateAfter(CLUSTER), SETTINGS, () => undefined),
    /the connection is not a local one/,
  );
});

test("auth.localhost_bypass = false turns the bypass off on TCP; the socket is let in by its file mode", () => {
  const off = { ...SETTINGS, localhostBypass: false };
  assert.deepEqual(ask(PROTECTED, LOCAL, off), { caller: null, code: "unauthorized", counted: ["localhost"] });
  assert.equal(ask(PROTECTED, SOCKET, off).code, null);
});

test("X-Zwrm-Org names the org by slug or id", () => {
  const state = stateAfter(CLUSTER);
  state.orgs.set(idOf("o_2"), { id: idOf("o_2"), slug: "second", name: "Second" });
  for (const [org, id] of [
    ["second", "o_2"],
    ["o_2", "o_2"],
    ["default", "o_1"],
    ["o_1", "o_1"],
  ] as const) {
    const { caller } = ask(PROTECTED, { ...LOCAL, org }, SETTINGS, state);
    assert.ok(caller?.kind === "person");
    assert.equal(caller.org.id, id);
  }
});

test("an org that is not there is a 404, also before the first org exists", () => {
  for (const org of ["nowhere", "", "Default", "o_1 ", "__proto__"])
    assert.equal(ask(PROTECTED, { ...LOCAL, org }).code, "org_not_found", org);
  assert.equal(ask(PROTECTED, LOCAL, SETTINGS, new State()).code, "org_not_found");
});

test("the bypass has every scope and the host-admin mark", () => {
  for (const scope of SCOPES) assert.equal(ask({ kind: "protected", scope, hostAdmin: true }, LOCAL).code, null, scope);
});
