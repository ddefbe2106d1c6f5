/**
 * Standing: whoever could do something when the request came in may not be able to when it is decided, and is refused
 * as a request that came in then.
 */
import assert from "node:assert/strict";
import test from "node:test";
import type { PersonCaller } from "../../src/identity/access.ts";
import type { ProtectedAccess } from "../../src/identity/standing.ts";
import { callerNow, mayStill, toCaller } from "../../src/identity/standing.ts";
import { findHolding, newToken } from "../../src/identity/tokens.ts";
import { ApiError } from "../../src/lib/errors.ts";
import { sha256Hex } from "../../src/lib/ids.ts";
import { membershipKey } from "../../src/state/state.ts";
import type { State } from "../../src/state/state.ts";
import { START_WALL as NOW } from "../support/clock.ts";
import { idOf } from "../support/ids.ts";
import type { Told } from "../support/ids.ts";
import { CLUSTER, apply, stateAfter } from "../support/rows.ts";
import { callerOf, keyCreated, refusal, sessionCreated, userCreated } from "./lab.ts";

const HOUR = 60 * 60_000;
const ANYONE: ProtectedAccess = { kind: "protected", scope: null, hostAdmin: false };
const ADMINS: ProtectedAccess = { kind: "protected", scope: "hosts:write", hostAdmin: true };
const [SESSION, KEY, ROOT, ROOT_KEY] = [newToken("ses"), newToken("key"), newToken("ses"), newToken("key")];

/** ann is in acme (o_2), where her session began, and in rival (o_3), but not in third (o_4); root is host-admin. */
function people(): State {
  const orgs = ["acme", "rival", "third"].map((slug, index): Told => ({
    type: "org.created",
    data: { org: { id: `o_${index + 2}`, slug, name: slug } },
  }));
  const state = stateAfter(
    CLUSTER,
    ...orgs,
    userCreated("ann", { org_id: "o_2" }),
    userCreated("root", { host_admin: true }),
  );
  apply(state, { type: "member.set", data: { org_id: "o_3", user_id: "ann", role: "owner" } });
  apply(
    state,
    sessionCreated(SESSION, "ann", "o_2", NOW + HOUR),
    keyCreated(KEY, "ann", "o_2", { id: "key_a", scopes: ["apps:write"] }),
  );
  apply(state, sessionCreated(ROOT, "root", "o_1", NOW + HOUR), keyCreated(ROOT_KEY, "root", "o_1", { id: "key_r" }));
  return state;
}

function comesIn(state: State, token: string, org: string | null = null): PersonCaller {
  const holding = findHolding(state, token, NOW);
  assert.ok(holding !== null);
  return toCaller(state, holding, org, "10.0.0.1");
}

const ENDINGS: readonly [what: string, token: string, org: string | null, event: Told, code: string][] = [
  [
    "the session was ended",
    SESSION,
    null,
    { type: "session.ended", data: { id: `ses_${SESSION}`, token_hash: sha256Hex(SESSION) } },
    "unauthorized",
  ],
  [
    "the key was revoked",
    KEY,
    null,
    { type: "api_key.revoked", data: { id: "key_a", token_hash: sha256Hex(KEY) } },
    "unauthorized",
  ],
  ["the user was removed", SESSION, null, { type: "user.removed", data: { user_id: "ann" } }, "unauthorized"],
  ["the key's user was removed", KEY, null, { type: "user.removed", data: { user_id: "ann" } }, "unauthorized"],
  [
    "the membership of the session's org was removed",
    SESSION,
    null,
    { type: "member.removed", data: { org_id: "o_2", user_id: "ann" } },
    "unauthorized",
  ],
  [
    "the membership of the org that is acted in was removed",
    SESSION,
    "rival",
    { type: "member.removed", data: { org_id: "o_3", user_id: "ann" } },
    "org_not_found",
  ],
];

for (const [what, token, org, event, code] of ENDINGS) {
  test(`nobody stands any more where ${what}`, async () => {
    const state = people();
    const caller = comesIn(state, token, org);
    assert.equal(callerNow(state, ANYONE, caller, NOW).user?.id, "ann");
    apply(state, event);
    assert.equal(await refusal(() => callerNow(state, ANYONE, caller, NOW)), code);
    assert.equal(mayStill(state, ANYONE, caller, NOW), false);
  });
}

test("a session stands up to the millisecond of its end", () => {
  const state = people();
  const caller = comesIn(state, SESSION);
  assert.deepEqual(
    [mayStill(state, ANYONE, caller, NOW + HOUR - 1), mayStill(state, ANYONE, caller, NOW + HOUR)],
    [true, false],
  );
});

test("the role and the host-admin mark are those of the decision, not of the request", async () => {
  const state = people();
  const owner = comesIn(state, SESSION, "rival");
  apply(state, { type: "member.set", data: { org_id: "o_3", user_id: "ann", role: "member" } });
  assert.deepEqual([owner.org.role, callerNow(state, ANYONE, owner, NOW).org.role], ["owner", "member"]);
  const root = comesIn(state, ROOT);
  assert.equal(callerNow(state, ADMINS, root, NOW).access, "host-admin");
  const user = state.users.get(idOf("root"));
  assert.ok(user !== undefined);
  state.users.set(idOf("root"), { ...user, host_admin: false });
  state.memberships.set(membershipKey(idOf("o_1"), idOf("root")), {
    org_id: idOf("o_1"),
    user_id: idOf("root"),
    role: "member",
  });
  assert.equal(await refusal(() => callerNow(state, ADMINS, root, NOW)), "host_admin_required");
});

test("the scope of the key is asked for again", async () => {
  const state = people();
  const caller = comesIn(state, KEY);
  assert.equal(await refusal(() => callerNow(state, { ...ANYONE, scope: "images:write" }, caller, NOW)), "forbidden");
  assert.equal(mayStill(state, { ...ANYONE, scope: "apps:write" }, caller, NOW), true);
});

test("whoever came in by the machine itself stands", () => {
  assert.equal(
    mayStill(
      people(),
      ADMINS,
      callerOf("", { user: null, authMethod: "localhost", access: "host-admin" }),
      NOW + 100 * HOUR,
    ),
    true,
  );
});

test("a session acts in every org that its user is in, by slug or id, with the role there", async () => {
  const state = people();
  for (const [wanted, slug, role] of [
    [null, "acme", "member"],
    ["acme", "acme", "member"],
    ["rival", "rival", "owner"],
    ["o_3", "rival", "owner"],
  ] as const) {
    const { org } = comesIn(state, SESSION, wanted);
    assert.deepEqual([org.slug, org.role], [slug, role]);
  }
  for (const wanted of ["third", "o_4", "nowhere", ""]) {
    assert.equal(await refusal(() => comesIn(state, SESSION, wanted)), "org_not_found");
  }
});

test("a key acts in its own org, and says so in one sentence for every other, there or not", () => {
  const state = people();
  for (const wanted of [null, "acme", "o_2"]) assert.equal(comesIn(state, KEY, wanted).org.slug, "acme");
  const sentence = (wanted: string): string => {
    try {
      comesIn(state, KEY, wanted);
    } catch (error) {
      assert.ok(error instanceof ApiError && error.code === "org_not_found");
      return error.message.replace(wanted, "…");
    }
    return "it was let in";
  };
  assert.match(sentence("rival"), /^This API key acts in the org acme only, not in "…": .*zwrm auth login$/s);
  assert.deepEqual(["third", "nowhere", "o_3"].map(sentence), Array(3).fill(sentence("rival")));
});

test("a host-admin's session and key act in every org", () => {
  const state = people();
  for (const token of [ROOT, ROOT_KEY])
    assert.deepEqual(
      ["acme", "o_3", "third"].map((org) => comesIn(state, token, org).org.slug),
      ["acme", "rival", "third"],
    );
});
