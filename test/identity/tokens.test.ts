/** Sessions and API keys: what they open, for how long, and that none begets a wider one. */
import assert from "node:assert/strict";
import test from "node:test";
import type { PersonCaller } from "../../src/identity/access.ts";
import type { TokenRequest } from "../../src/wire/people.ts";
import {
  decideKey,
  decideRenewal,
  decideRevoke,
  decideSession,
  findHolding,
  newToken,
  ownKeys,
} from "../../src/identity/tokens.ts";
import { toRfc3339 } from "../../src/lib/clock.ts";
import { sha256Hex } from "../../src/lib/ids.ts";
import type { Scope } from "../../src/state/identity-types.ts";
import { SCOPES } from "../../src/wire/people.ts";
import { START_WALL as NOW } from "../support/clock.ts";
import { idOf } from "../support/ids.ts";
import { CLUSTER, apply, stateAfter } from "../support/rows.ts";
import { TTL_MS, callerOf, keyCreated, refusal, sessionCreated, userCreated } from "./lab.ts";

const HOUR = 60 * 60_000;

function people(): ReturnType<typeof stateAfter> {
  const acme = { type: "org.created", data: { org: { id: "o_2", slug: "acme", name: "Acme" } } } as const;
  return stateAfter(
    CLUSTER,
    acme,
    userCreated("ann", { org_id: "o_2" }),
    userCreated("bob", { org_id: "o_2" }),
    userCreated("root", { host_admin: true }),
  );
}

function keyBy(caller: PersonCaller, request: Partial<TokenRequest>, state = people()): ReturnType<typeof decideKey> {
  return decideKey(
    state,
    caller,
    { name: "n", scopes: undefined, expires_at: undefined, ...request },
    newToken("key"),
    NOW,
  );
}

test("a token is the prefix of its kind and 43 characters of base64url, and never the same twice", () => {
  const tokens = Array.from({ length: 1000 }, (_, index) => newToken(index % 2 === 0 ? "ses" : "key"));
  for (const token of tokens) assert.match(token, /^zwrm_(ses|key)_[A-Za-z0-9_-]{43}$/);
  assert.equal(new Set(tokens).size, 1000);
});

test("a session holds up to the millisecond of its end, by the clock that it is given", () => {
  const [state, token] = [people(), newToken("ses")];
  apply(state, sessionCreated(token, "ann", "o_2", NOW + HOUR));
  assert.equal(findHolding(state, token, NOW + HOUR - 1)?.user.id, "ann");
  assert.equal(findHolding(state, token, NOW + HOUR), null);
});

test("a key holds up to its end, and for ever without one", () => {
  const state = people();
  const [brief, lasting] = [newToken("key"), newToken("key")];
  apply(
    state,
    keyCreated(brief, "ann", "o_2", { expires_at: toRfc3339(NOW + HOUR) }),
    keyCreated(lasting, "ann", "o_2"),
  );
  assert.equal(findHolding(state, brief, NOW + HOUR - 1)?.kind, "api_key");
  assert.equal(findHolding(state, brief, NOW + HOUR), null);
  assert.equal(findHolding(state, lasting, NOW + 1e12)?.kind, "api_key");
});

test("a token that is cut, grown, in other letters, or the hash of one opens nothing", () => {
  const [state, token] = [people(), newToken("key")];
  apply(state, keyCreated(token, "ann", "o_2"));
  for (const guess of [
    "",
    token.slice(0, -1),
    `${token}A`,
    token.toUpperCase(),
    ` ${token}`,
    sha256Hex(token),
    token.replace("key", "ses"),
    `zwrm_key_${"a".repeat(43)}`,
  ]) {
    assert.equal(findHolding(state, guess, NOW), null, guess);
  }
});

test("a token ends with the membership it stands on, and does not come back with a later one", () => {
  const state = people();
  const [session, key] = [newToken("ses"), newToken("key")];
  apply(state, sessionCreated(session, "ann", "o_2", NOW + HOUR), keyCreated(key, "ann", "o_2"));
  apply(state, { type: "member.removed", data: { org_id: "o_2", user_id: "ann" } });
  for (const token of [session, key]) assert.equal(findHolding(state, token, NOW), null);
  apply(state, { type: "member.set", data: { org_id: "o_2", user_id: "ann", role: "owner" } });
  for (const token of [session, key]) assert.equal(findHolding(state, token, NOW), null);
});

test("what a person holds in another org outlives a removal from one", () => {
  const [state, token] = [people(), newToken("key")];
  apply(
    state,
    { type: "member.set", data: { org_id: "o_1", user_id: "ann", role: "member" } },
    keyCreated(token, "ann", "o_1"),
  );
  apply(state, { type: "member.removed", data: { org_id: "o_2", user_id: "ann" } });
  assert.equal(findHolding(state, token, NOW)?.row.org_id, "o_1");
});

test("removal of a person ends everything that they hold, and nothing of anybody else", () => {
  const state = people();
  const own = [newToken("ses"), newToken("ses"), newToken("key"), newToken("key")] as const;
  const others = newToken("key");
  apply(
    state,
    sessionCreated(own[0], "ann", "o_2", NOW + HOUR),
    sessionCreated(own[1], "ann", "o_1", NOW + HOUR),
    keyCreated(own[2], "ann", "o_2"),
    keyCreated(own[3], "ann", "o_1"),
  );
  apply(state, keyCreated(others, "bob", "o_2"), { type: "user.removed", data: { user_id: "ann" } });
  for (const token of own) assert.equal(findHolding(state, token, NOW), null);
  assert.deepEqual(
    [
      state.sessions.size,
      state.apiKeys.size,
      state.memberships.group(idOf("ann")).length,
      state.users.get(idOf("ann")),
    ],
    [0, 1, 0, undefined],
  );
  assert.equal(findHolding(state, others, NOW)?.user.id, "bob");
});

test("a session slides on once half of its time is over, and not before", () => {
  const [state, token] = [people(), newToken("ses")];
  apply(state, sessionCreated(token, "ann", "o_2", NOW + TTL_MS));
  const session = [...state.sessions.values()][0];
  assert.ok(session !== undefined);
  assert.equal(decideRenewal(session, TTL_MS, NOW + TTL_MS / 2 - 1), null);
  const event = decideRenewal(session, TTL_MS, NOW + TTL_MS / 2);
  assert.ok(event !== null);
  assert.equal(event.data.expires_at, toRfc3339(NOW + TTL_MS / 2 + TTL_MS));
  apply(state, event);
  assert.ok(findHolding(state, token, NOW + TTL_MS + 1) !== null);
});

test("a renewal that comes after the session's end does not bring it back", () => {
  const [state, token] = [people(), newToken("ses")];
  apply(state, sessionCreated(token, "ann", "o_2", NOW + TTL_MS));
  apply(state, { type: "session.ended", data: { id: `ses_${token}`, token_hash: sha256Hex(token) } });
  apply(state, {
    type: "session.renewed",
    data: { token_hash: sha256Hex(token), expires_at: toRfc3339(NOW + TTL_MS) },
  });
  assert.equal(findHolding(state, token, NOW), null);
});

test("a new login sweeps out what is over, and beyond a hundred sessions the oldest", () => {
  const state = people();
  const user = state.users.get(idOf("ann"));
  assert.ok(user !== undefined);
  apply(state, sessionCreated("over", "ann", "o_2", NOW - 1), sessionCreated("bob's", "bob", "o_2", NOW - 1));
  const tokens = Array.from({ length: 250 }, () => newToken("ses"));
  tokens.forEach((token, index) => {
    const event = decideSession(state, user, idOf("o_2"), token, TTL_MS, NOW + index);
    apply(state, event);
    // The log's own time is the same for all rows of these tests; the order of logins is what counts.
    const row = state.sessions.get(sha256Hex(token));
    assert.ok(row !== undefined);
    state.sessions.set(row.token_hash, { ...row, created_at: toRfc3339(NOW + index) });
  });
  assert.equal(state.sessions.group(idOf("ann")).length, 100);
  assert.equal(state.sessions.get(sha256Hex("over")), undefined);
  assert.ok(state.sessions.get(sha256Hex("bob's")) !== undefined, "other people's are theirs");
  assert.deepEqual(
    tokens.map((token) => findHolding(state, token, NOW + 250) !== null),
    tokens.map((_, index) => index >= 150),
  );
});

const MINTING: readonly [own: readonly Scope[] | null, asked: readonly Scope[] | undefined, outcome: string][] = [
  [null, undefined, "minted"],
  [null, ["admin"], "minted"],
  [["hosts:read"], ["hosts:read"], "minted"],
  [["hosts:read"], [], "minted"],
  [["hosts:read"], undefined, "forbidden"],
  [["hosts:read"], ["hosts:write"], "forbidden"],
  [["hosts:read"], ["hosts:read", "status:read"], "forbidden"],
  [["hosts:read"], ["admin"], "forbidden"],
  [["admin"], ["admin", "hosts:write"], "minted"],
  [["admin"], undefined, "forbidden"],
  [[], undefined, "forbidden"],
  [[], ["status:read"], "forbidden"],
];

for (const [own, asked, outcome] of MINTING) {
  test(
    `a key with ${JSON.stringify(own)} that mints one with ` + `${JSON.stringify(asked ?? null)}: ${outcome}`,
    async () => {
      assert.equal(
        await refusal(() => keyBy(callerOf("ann", { authMethod: "api_key", scopes: own }), { scopes: asked })),
        outcome === "minted" ? "nothing was refused" : outcome,
      );
    },
  );
}

test("a key never mints one that outlives it; a session mints what it likes", async () => {
  const caller = callerOf("ann", { authMethod: "api_key", expiresAt: toRfc3339(NOW + HOUR) });
  for (const late of [undefined, toRfc3339(NOW + HOUR + 1)])
    assert.equal(await refusal(() => keyBy(caller, { expires_at: late })), "forbidden");
  assert.equal(keyBy(caller, { expires_at: toRfc3339(NOW + HOUR) }).data.key.expires_at, toRfc3339(NOW + HOUR));
  assert.equal(keyBy(callerOf("ann", { expiresAt: toRfc3339(NOW + HOUR) }), {}).data.key.expires_at, null);
});

test(
  "a key is its caller's own, in the caller's org; the localhost caller is nobody to own one, and one " +
    "that is over is not made",
  async () => {
    const { key } = keyBy(callerOf("ann"), {}).data;
    assert.deepEqual([key.user_id, key.org_id], ["ann", "o_2"]);
    assert.equal(await refusal(() => keyBy(callerOf("ann", { user: null, authMethod: "localhost" }), {})), "forbidden");
    assert.equal(await refusal(() => keyBy(callerOf("ann"), { expires_at: toRfc3339(NOW) })), "invalid_field");
  },
);

test("a user has at most a thousand keys, expired ones among them", async () => {
  const state = people();
  for (let index = 0; index < 1000; index++)
    apply(state, keyCreated(`k${index}`, "ann", index % 2 === 0 ? "o_1" : "o_2", { expires_at: toRfc3339(NOW - 1) }));
  assert.equal(await refusal(() => keyBy(callerOf("ann"), {}, state)), "too_many_tokens");
  assert.equal(await refusal(() => keyBy(callerOf("bob"), {}, state)), "nothing was refused");
});

test(
  "a session ends its user's keys of every org, a key those of its own; those of others are not there, " +
    "except to a host-admin",
  async () => {
    const state = people();
    apply(state, keyCreated("a", "ann", "o_2"), keyCreated("a1", "ann", "o_1"), keyCreated("b", "bob", "o_2"));
    assert.deepEqual(
      ownKeys(state, callerOf("ann")).map((key) => key.id),
      ["key_a"],
    );
    assert.equal(decideRevoke(state, callerOf("ann"), idOf("key_a")).data.token_hash, sha256Hex("a"));
    assert.equal(decideRevoke(state, callerOf("ann"), idOf("key_a1")).data.id, "key_a1");
    const ofAcme = callerOf("ann", { authMethod: "api_key" });
    assert.equal(decideRevoke(state, ofAcme, idOf("key_a")).data.id, "key_a");
    assert.equal(await refusal(() => decideRevoke(state, ofAcme, idOf("key_a1"))), "token_not_found");
    for (const id of ["key_b", "key_none", "__proto__"])
      assert.equal(await refusal(() => decideRevoke(state, callerOf("ann"), idOf(id))), "token_not_found", id);
    assert.equal(decideRevoke(state, callerOf("root", { access: "host-admin" }), idOf("key_b")).data.id, "key_b");
  },
);

test("a key with scopes revokes itself and none that can do more; others' only with the scope admin", async () => {
  const state = people();
  apply(
    state,
    keyCreated("narrow", "root", "o_2", { scopes: ["status:read"] }),
    keyCreated("wide", "root", "o_2"),
    keyCreated("b", "bob", "o_2"),
  );
  const narrow = callerOf("root", { access: "host-admin", authMethod: "api_key", scopes: ["status:read"] });
  assert.equal(decideRevoke(state, narrow, idOf("key_narrow")).data.id, "key_narrow");
  assert.equal(await refusal(() => decideRevoke(state, narrow, idOf("key_wide"))), "forbidden");
  assert.equal(await refusal(() => decideRevoke(state, narrow, idOf("key_b"))), "token_not_found");
  for (const id of ["key_wide", "key_b"])
    assert.equal(decideRevoke(state, { ...narrow, scopes: ["admin"] }, idOf(id)).data.id, id);
});

test("every scope of the contract is known, and no other", () => {
  assert.deepEqual([...SCOPES].sort(), [
    "admin",
    "apps:read",
    "apps:write",
    "hosts:read",
    "hosts:write",
    "images:read",
    "images:write",
    "status:read",
  ]);
});
