/** Users, orgs and memberships: who may see and set what, and that strangers learn of nothing. */
import assert from "node:assert/strict";
import test from "node:test";
import type { PersonCaller } from "../../src/identity/access.ts";
import {
  decideMember,
  decideMemberRemoval,
  decideOrg,
  decideUser,
  decideUserRemoval,
  findUserByEmail,
  getOrg,
  listMembers,
  loginOrg,
  refuseTaken,
  userView,
  visibleOrgs,
} from "../../src/identity/people.ts";
import type { State } from "../../src/state/state.ts";
import { idOf } from "../support/ids.ts";
import type { Told } from "../support/ids.ts";
import { CLUSTER, apply, stateAfter } from "../support/rows.ts";
import { NO_PASSWORD, callerOf, refusal, userCreated } from "./lab.ts";

/** ann owns acme, bob is in it and in default, eve is in rival, root is host-admin. */
function people(): State {
  const state = stateAfter(
    CLUSTER,
    ...["acme", "rival"].map(
      (slug, index) => ({ type: "org.created", data: { org: { id: `o_${index + 2}`, slug, name: slug } } }) as const,
    ),
  );
  apply(
    state,
    userCreated("ann", { org_id: "o_2" }),
    userCreated("bob", { org_id: "o_2" }),
    userCreated("eve", { org_id: "o_3" }),
    userCreated("root", { host_admin: true }),
  );
  apply(
    state,
    { type: "member.set", data: { org_id: "o_2", user_id: "ann", role: "owner" } },
    { type: "member.set", data: { org_id: "o_1", user_id: "bob", role: "owner" } },
  );
  return state;
}

const ANN = callerOf("ann", { org: { id: "o_2", slug: "acme", role: "owner" } });
const BOB = callerOf("bob");
const EVE = callerOf("eve", { org: { id: "o_3", slug: "rival", role: "member" } });
const ROOT = callerOf("root", { access: "host-admin", org: { id: "o_1", slug: "default", role: null } });

test("an owner and a host-admin set members; a member may not, and to a stranger the org is not there", async () => {
  const state = people();
  for (const caller of [ANN, ROOT]) {
    assert.deepEqual(decideMember(state, caller, "acme", idOf("eve"), "owner").data, {
      org_id: "o_2",
      user_id: "eve",
      role: "owner",
    });
    assert.deepEqual(decideMemberRemoval(state, caller, "o_2", idOf("bob")).data, { org_id: "o_2", user_id: "bob" });
  }
  for (const work of [decideMember, decideMemberRemoval]) {
    assert.equal(await refusal(() => work(state, BOB, "acme", idOf("bob"), "owner")), "forbidden");
    assert.equal(await refusal(() => work(state, EVE, "acme", idOf("eve"), "owner")), "org_not_found");
    assert.equal(await refusal(() => work(state, ANN, "nowhere", idOf("eve"), "owner")), "org_not_found");
  }
});

test(
  "a session sets members in every org that its user owns, whichever it acts in; a " + "key in its own only",
  async () => {
    const set = (caller: PersonCaller): unknown =>
      decideMember(people(), caller, "default", idOf("eve"), "member").data;
    assert.deepEqual(set(BOB), { org_id: "o_1", user_id: "eve", role: "member" });
    assert.equal(await refusal(() => set({ ...BOB, authMethod: "api_key" })), "org_not_found");
  },
);

test("a user who is not there, or not in the org, is a 404", async () => {
  assert.equal(await refusal(() => decideMember(people(), ANN, "acme", idOf("nobody"), "member")), "user_not_found");
  assert.equal(await refusal(() => decideMemberRemoval(people(), ANN, "acme", idOf("eve"))), "user_not_found");
});

test("members are seen by their own org and by host-admins, without a password", async () => {
  const state = people();
  for (const caller of [ANN, BOB, ROOT]) {
    const rows = listMembers(state, caller, "acme");
    assert.deepEqual(rows.map((row) => [row.id, row.role]).sort(), [
      ["ann", "owner"],
      ["bob", "member"],
    ]);
    for (const row of rows) assert.deepEqual(Object.keys(row).sort(), ["email", "host_admin", "id", "name", "role"]);
  }
  assert.equal(await refusal(() => listMembers(state, EVE, "acme")), "org_not_found");
  assert.deepEqual(
    listMembers(state, BOB, "default").map((row) => row.id),
    ["bob"],
    "bob is in default too",
  );
  assert.equal(
    await refusal(() => listMembers(state, { ...BOB, authMethod: "api_key" }, "default")),
    "org_not_found",
    "his key is acme's",
  );
  assert.equal(listMembers(state, { ...BOB, authMethod: "api_key" }, "o_2").length, 2);
});

test(
  "the orgs that one sees are those that one may act in: a key's own, a user's all, a host-admin's every " + "one",
  () => {
    assert.deepEqual(
      visibleOrgs(people(), { ...BOB, authMethod: "api_key" }).map((org) => org.slug),
      ["acme"],
    );
    const state = people();
    assert.deepEqual(
      [BOB, EVE, ROOT].map((caller) =>
        visibleOrgs(state, caller)
          .map((org) => org.slug)
          .sort(),
      ),
      [["acme", "default"], ["rival"], ["acme", "default", "rival"]],
    );
  },
);

test("emails are one in any letters and with blanks around", async () => {
  const state = people();
  assert.equal(findUserByEmail(state, "  ANN@Example.com ")?.id, "ann");
  assert.equal(
    await refusal(() =>
      decideUser(state, { email: "Ann@EXAMPLE.com", name: "x", host_admin: false, org: null }, NO_PASSWORD),
    ),
    "user_exists",
  );
  const { data } = decideUser(
    state,
    { email: "New@Example.com", name: "x", host_admin: false, org: null },
    NO_PASSWORD,
  );
  assert.deepEqual(
    [data.user.email, data.org_id],
    ["new@example.com", null],
    "in lower case, and in no org unless asked",
  );
  assert.equal(
    decideUser(state, { email: "n@e", name: "x", host_admin: false, org: "acme" }, NO_PASSWORD).data.org_id,
    "o_2",
  );
  assert.equal(
    await refusal(() => decideUser(state, { email: "n@e", name: "x", host_admin: false, org: "nowhere" }, NO_PASSWORD)),
    "org_not_found",
  );
});

test(
  "emails are one however their letters are encoded, and a new one that only looks another is refused in " + "words",
  async () => {
    const state = people();
    apply(state, {
      type: "user.created",
      data: {
        user: { id: "zoe", email: "zo\u00eb@example.com", name: "x", host_admin: false, password: NO_PASSWORD },
        org_id: null,
      },
    });
    for (const written of [
      "zoe\u0308@example.com",
      "ZOE\u0308@EXAMPLE.COM",
      "\uff3a\uff4f\u00eb@example.com",
      "zo\u00eb\u200b@example.com",
    ]) {
      assert.equal(findUserByEmail(state, written)?.id, "zoe");
      assert.equal(
        await refusal(() =>
          decideUser(state, { email: written, name: "x", host_admin: false, org: null }, NO_PASSWORD),
        ),
        "user_exists",
      );
    }
    assert.throws(() => refuseTaken(state, "zoe\u0308@example.com"), /The two differ in how their letters are encoded/);
  },
);

test(
  "users of an old log are found by the letters that they were made with, and by others where only one " + "is meant",
  () => {
    const old = (id: string, email: string): Told => ({
      type: "user.created",
      data: { user: { id, email, name: id, host_admin: false, password: NO_PASSWORD }, org_id: null },
    });
    const state = stateAfter(
      CLUSTER,
      old("decomposed", "zoe\u0308@example.com"),
      old("hidden", "bo\u200bb@example.com"),
      old("wide", "\uff41nn@example.com"),
    );
    const find = (email: string): string | undefined => findUserByEmail(state, email)?.id;
    assert.deepEqual(["zoe\u0308@example.com", "Zo\u00eb@example.com"].map(find), ["decomposed", "decomposed"]);
    assert.deepEqual(["bo\u200bb@example.com", "bob@example.com"].map(find), ["hidden", "hidden"]);
    assert.deepEqual(["\uff41nn@example.com", "ann@example.com"].map(find), ["wide", "wide"]);
    // Two that the program of then took for two.
    apply(state, old("composed", "zo\u00eb@example.com"));
    assert.deepEqual(["zoe\u0308@example.com", "zo\u00eb@example.com", "\uff5ao\u00eb@example.com"].map(find), [
      "decomposed",
      "composed",
      undefined,
    ]);
  },
);

test("an org's slug is its own", async () => {
  assert.equal(await refusal(() => decideOrg(people(), "acme", "x")), "org_exists");
  assert.equal(decideOrg(people(), "new", "New").data.org.slug, "new");
});

test("an org is found by id or slug to the letter", async () => {
  assert.deepEqual(
    ["acme", "o_2"].map((name) => getOrg(people(), name).id),
    ["o_2", "o_2"],
  );
  for (const name of ["", "Acme", "acme ", "__proto__", "o_9"])
    assert.equal(await refusal(() => getOrg(people(), name)), "org_not_found", name);
});

test(
  "the last host-admin does not remove itself; another may go, and the localhost " + "caller removes anyone",
  async () => {
    const state = people();
    assert.equal(await refusal(() => decideUserRemoval(state, ROOT, idOf("root"))), "last_host_admin");
    assert.equal(decideUserRemoval(state, ROOT, idOf("ann")).data.user_id, "ann");
    assert.equal(
      decideUserRemoval(
        state,
        callerOf("", { user: null, access: "host-admin", authMethod: "localhost" }),
        idOf("root"),
      ).data.user_id,
      "root",
    );
    apply(state, userCreated("second", { host_admin: true }));
    assert.equal(decideUserRemoval(state, ROOT, idOf("root")).data.user_id, "root");
    assert.equal(await refusal(() => decideUserRemoval(state, ROOT, idOf("nobody"))), "user_not_found");
  },
);

test(
  "a login is in the org asked for, else in default where that is one's own, else in one's first; a " +
    "stranger's org is not there",
  async () => {
    const state = people();
    const orgOf = (id: string, wanted: string | null): string => {
      const user = state.users.get(idOf(id));
      assert.ok(user !== undefined);
      return loginOrg(state, user, wanted, idOf("o_1")).slug;
    };
    assert.deepEqual(
      [orgOf("ann", null), orgOf("bob", null), orgOf("bob", "acme"), orgOf("root", null), orgOf("root", "rival")],
      ["acme", "default", "acme", "default", "rival"],
    );
    assert.equal(await refusal(() => orgOf("ann", "rival")), "org_not_found");
    apply(state, userCreated("loner"));
    assert.equal(await refusal(() => orgOf("loner", null)), "org_not_found");
    assert.equal(await refusal(() => orgOf("loner", "default")), "org_not_found");
  },
);

test("a user on the wire has no password", () => {
  const user = people().users.get(idOf("ann"));
  assert.ok(user !== undefined);
  assert.deepEqual(Object.keys(userView(user)), ["id", "email", "name", "host_admin"]);
});
