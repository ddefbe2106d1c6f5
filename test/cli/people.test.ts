/**
 * Tests of `zwrm auth tokens`, `org` and `user`: the call behind each, how people are found by email, and what is shown
 * where.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Answering, Seen } from "../client/support.ts";
import { fakeApi, Keyboard } from "./support.ts";

const TOKEN = `zwrm_key_${"k".repeat(43)}`;
const ANN = { id: "usr_1", email: "ann@example.com", name: "Ann", host_admin: true };
const BOB = { id: "usr_2", email: "bob@example.com", name: "Bob", host_admin: false };
const WHO = {
  user: ANN,
  org: { id: "org_1", slug: "acme", role: "owner" },
  access: "host-admin",
  auth_method: "session",
  scopes: null,
  expires_at: null,
};
const KEY = {
  id: "key_1",
  name: "ci",
  scopes: ["images:read", "images:write"],
  expires_at: "2026-05-30T12:00:00.000Z",
};

const api: Answering = ({ method, url }) => {
  if (url === "/v1/auth/whoami") return [200, WHO];
  if (method === "DELETE" || url.endsWith("/password")) return [204, null];
  if (url === "/v1/auth/tokens")
    return method === "POST"
      ? [201, { ...KEY, token: TOKEN }]
      : [
          200,
          {
            tokens: [
              { ...KEY, created_at: "2026-03-01T11:00:00.000Z" },
              { ...KEY, id: "key_2", scopes: null, expires_at: "2026-03-01T11:59:59.000Z" },
              { id: "key_3", name: "x", scopes: null, expires_at: null },
            ],
          },
        ];
  if (url === "/v1/orgs")
    return method === "POST"
      ? [201, { id: "org_2", slug: "team-a", name: "Team A" }]
      : [200, { orgs: [{ id: "org_1", slug: "acme", name: "Acme" }] }];
  if (url === "/v1/users") return method === "POST" ? [201, BOB] : [200, { users: [ANN, BOB] }];
  if (method === "PUT") return [200, { role: "member" }];
  return [200, { members: [{ ...ANN, role: "owner" }] }];
};

function calls(seen: readonly Seen[]): readonly string[] {
  return seen.map(({ method, url, body }) => `${method} ${url}${body.length === 0 ? "" : ` ${body.toString()}`}`);
}

test("shows a new key alone on stdout, once, and all about it on stderr", async (t) => {
  const server = await fakeApi(t, api);
  const run = await server.run(
    "auth tokens create ci --scope images:read --scope images:write,status:read --expires 90d",
  );
  assert.deepEqual([run.code, run.out], [0, `${TOKEN}\n`]);
  assert.equal(
    run.err,
    "The key ci (key_1) may do images:read, images:write and ends 2026-05-30T12:00:00.000Z. It is shown this once.\n",
  );
  await server.run("auth tokens create ci --expires 2027-01-31T00:00:00+02:00");
  await server.run("auth tokens create ci");
  assert.deepEqual(calls(server.seen), [
    "POST /v1/auth/tokens " +
      '{"name":"ci","scopes":["images:read","images:write","status:read"],"expires_at":"2026-05-30T12:00:00.000Z"}',
    'POST /v1/auth/tokens {"name":"ci","expires_at":"2027-01-30T22:00:00.000Z"}',
    'POST /v1/auth/tokens {"name":"ci"}',
  ]);
  const { out } = await server.run("auth tokens create ci --json");
  assert.deepEqual(JSON.parse(out), { ...KEY, token: TOKEN });
  for (const value of ["soon", "0s", "90", "2027-02-30T00:00:00Z", "99999d"])
    assert.match(
      (await server.run(`auth tokens create ci --expires ${value}`)).err,
      /--expires must be a duration from 1s/,
      value,
    );
  assert.match((await server.run("auth tokens create ci --scope images:read,")).err, /--scope must not be empty/);
});

test(
  "lists keys without the keys, and revokes one by name or id; of a name that several have it tells " + "their ids",
  async (t) => {
    const server = await fakeApi(t, api);
    const lines = [
      "ID     NAME  SCOPES                    AGE  EXPIRES",
      "key_1  ci    images:read images:write   1h  2026-05-30T12:00:00.000Z",
      "key_2  ci    all                         -  2026-03-01T11:59:59.000Z (over)",
      "key_3  x     all                         -  never",
      "",
    ];
    assert.deepEqual(await server.run("auth tokens list"), { code: 0, out: lines.join("\n"), err: "" });
    assert.deepEqual(await server.run("auth tokens revoke key_3"), { code: 0, out: "key_3 is revoked.\n", err: "" });
    assert.equal(calls(server.seen).at(-1), "DELETE /v1/auth/tokens/key_3");
    assert.deepEqual(await server.run("auth tokens revoke x"), { code: 0, out: "x (key_3) is revoked.\n", err: "" });
    assert.equal(calls(server.seen).at(-1), "DELETE /v1/auth/tokens/key_3");
    const before = server.seen.length;
    const many = await server.run("auth tokens revoke ci");
    assert.deepEqual([many.code, many.out, server.seen.length], [1, "", before + 1]);
    assert.match(
      many.err,
      new RegExp(
        "^zwrm: 2 of your keys are called ci: key_1 \\(1h old, ends 2026-05-30T12:00:00\\.000Z\\), key_2 .* " +
          "Say which by its id; nothing was revoked\\.\\n$",
      ),
    );
    assert.match(
      (await server.run("auth tokens revoke nope")).err,
      /^zwrm: You have no API key nope here; zwrm auth tokens list shows/,
    );
    // What looks like an id is taken for one, without the list, which shows one org's keys only.
    assert.equal((await server.run("auth tokens revoke key_7183701b3e5c23ca4928")).code, 0);
    assert.deepEqual(calls(server.seen).slice(-2), [
      "GET /v1/auth/tokens",
      "DELETE /v1/auth/tokens/key_7183701b3e5c23ca4928",
    ]);
    const none = await fakeApi(t, () => [200, { tokens: [] }]);
    assert.deepEqual(await none.run("auth tokens list"), {
      code: 0,
      out: "",
      err: "You have no API key here: zwrm auth tokens create NAME\n",
    });
  },
);

test("makes and lists orgs, and shows who is in one", async (t) => {
  const server = await fakeApi(t, api);
  assert.equal((await server.run("org create team-a --name TeamA")).out, "The org team-a (org_2) is made.\n");
  assert.equal((await server.run("org list")).out, "ID     SLUG  NAME\norg_1  acme  Acme\n");
  assert.equal(
    (await server.run("org members acme")).out,
    "ID     EMAIL            NAME  ROLE\nusr_1  ann@example.com  Ann   owner\n",
  );
  assert.equal((await server.run("org members -- set")).code, 0);
  assert.deepEqual(calls(server.seen), [
    'POST /v1/orgs {"slug":"team-a","name":"TeamA"}',
    "GET /v1/orgs",
    "GET /v1/orgs/acme/members",
    "GET /v1/orgs/set/members",
  ]);
});

test("sets and removes members by id without a search, by email among the members, else among the users", async (t) => {
  const cases: readonly (readonly [string, readonly string[], string])[] = [
    [
      "org members set acme usr_9 --role member",
      ['PUT /v1/orgs/acme/members/usr_9 {"role":"member"}'],
      "usr_9 is member of acme.\n",
    ],
    [
      "org members set acme ANN@example.com --role owner",
      ["GET /v1/orgs/acme/members", 'PUT /v1/orgs/acme/members/usr_1 {"role":"owner"}'],
      "ANN@example.com is owner of acme.\n",
    ],
    [
      "org members set acme bob@example.com --role owner",
      ["GET /v1/orgs/acme/members", "GET /v1/users", 'PUT /v1/orgs/acme/members/usr_2 {"role":"owner"}'],
      "bob@example.com is owner of acme.\n",
    ],
    [
      "org members remove acme ann@example.com",
      ["GET /v1/orgs/acme/members", "DELETE /v1/orgs/acme/members/usr_1"],
      "ann@example.com is no longer in acme.\n",
    ],
    ["org members remove acme usr_2", ["DELETE /v1/orgs/acme/members/usr_2"], "usr_2 is no longer in acme.\n"],
  ];
  for (const [line, expected, out] of cases) {
    const server = await fakeApi(t, api);
    assert.deepEqual([await server.run(line), calls(server.seen)], [{ code: 0, out, err: "" }, expected], line);
  }
  const server = await fakeApi(t, api);
  assert.match(
    (await server.run("org members remove acme bob@example.com")).err,
    /^zwrm: bob@example\.com is not in acme\./,
  );
  assert.match(
    (await server.run("org members set acme nobody@x --role owner")).err,
    /^zwrm: There is no user nobody@x\./,
  );
  assert.deepEqual(
    [
      (await server.run("org members set acme usr_1")).code,
      (await server.run("org members set acme usr_1 --role boss")).code,
    ],
    [2, 2],
  );
});

test("makes a user with a password that was asked for twice, in an org only where --org says so", async (t) => {
  const server = await fakeApi(t, api);
  const typed = await server.run("user create bob@example.com --name Bob --host-admin", {
    stdin: new Keyboard(["long enough\rlong enough\r"]),
    env: { ZWRM_ORG: "acme" },
  });
  assert.deepEqual([typed.code, typed.out], [0, "bob@example.com (usr_2) is a user.\n"]);
  assert.equal(typed.err, "Password for bob@example.com: \nPassword for bob@example.com again: \n");
  const piped = await server.run("user create bob@example.com --name Bob --password-stdin --org team-a", {
    stdin: new Keyboard(["long enough\n"], { isTerminal: false }),
  });
  assert.deepEqual(piped, { code: 0, out: "bob@example.com (usr_2) is a user and a member of team-a.\n", err: "" });
  assert.deepEqual(calls(server.seen), [
    'POST /v1/users {"email":"bob@example.com","name":"Bob","password":"long enough","host_admin":true}',
    'POST /v1/users {"email":"bob@example.com","name":"Bob","password":"long enough","org":"team-a"}',
  ]);
  assert.match((await server.run("user create bob@example.com")).err, /--name is missing/);
  assert.equal(
    (await server.run("user list")).out,
    "ID     EMAIL            NAME  HOST-ADMIN\nusr_1  ann@example.com  Ann   yes\nusr_2  bob@example.com  Bob   no\n",
  );
});

test("asks for the current password where it is one's own, and not for another's", async (t) => {
  const own = 'PUT /v1/users/usr_1/password {"current_password":"old one","password":"new one!"}';
  const other = 'PUT /v1/users/usr_2/password {"password":"new one!"}';
  const cases: readonly (readonly [string, string, string])[] = [
    ["user passwd", "old one\rnew one!\rnew one!\r", own],
    ["user passwd usr_1", "old one\rnew one!\rnew one!\r", own],
    ["user passwd Ann@example.com", "old one\rnew one!\rnew one!\r", own],
    ["user passwd usr_2", "new one!\rnew one!\r", other],
    ["user passwd bob@example.com", "new one!\rnew one!\r", other],
  ];
  for (const [line, keys, call] of cases) {
    const server = await fakeApi(t, api);
    const run = await server.run(line, { stdin: new Keyboard([keys]) });
    assert.deepEqual([run.code, calls(server.seen).at(-1)], [0, call], line);
    assert.match(
      run.out,
      call === own
        ? /^The password is set\. Your sessions are over: zwrm auth login\n$/
        : /^The password is set\. The user's sessions are over\.\n$/,
    );
  }
  const server = await fakeApi(t, api);
  await server.run("user passwd --password-stdin", {
    stdin: new Keyboard(["old one\nnew one!\n"], { isTerminal: false }),
  });
  assert.equal(calls(server.seen).at(-1), own);
  const local = await fakeApi(t, () => [200, { ...WHO, user: null, auth_method: "localhost" }]);
  assert.match(
    (await local.run("user passwd", { stdin: new Keyboard([]) })).err,
    /say whose password, zwrm user passwd USER/,
  );
});

test("says that the current password was wrong without advice about rights", async (t) => {
  const server = await fakeApi(t, (seen) =>
    seen.method === "PUT"
      ? [
          403,
          { error: "The current password is wrong.", code: "forbidden", field: "current_password", request_id: "r" },
        ]
      : api(seen),
  );
  const run = await server.run("user passwd --password-stdin", {
    stdin: new Keyboard(["a\nb\n"], { isTerminal: false }),
  });
  assert.deepEqual([run.code, run.err], [1, "zwrm: The current password is wrong.\n"]);
});

test("removes a user after a yes or with --yes, and without a terminal only with --yes", async (t) => {
  const server = await fakeApi(t, api);
  assert.equal((await server.run("user remove usr_2")).code, 2);
  const no = await server.run("user remove usr_2", { stdin: new Keyboard(["n\n"]) });
  assert.deepEqual(
    [no.code, no.err.split("\n")[0], server.seen.length],
    [1, "Remove usr_2? All sessions and keys end at once. [y/N]: Nothing was changed.", 0],
  );
  assert.equal((await server.run("user remove usr_2", { stdin: new Keyboard(["y\n"]) })).code, 0);
  assert.deepEqual(await server.run("user remove bob@example.com --yes"), {
    code: 0,
    out: "bob@example.com is removed.\n",
    err: "",
  });
  assert.deepEqual(calls(server.seen), ["DELETE /v1/users/usr_2", "GET /v1/users", "DELETE /v1/users/usr_2"]);
});

test("lets lost hosts be replaced, and says which, or that none was held back", async (t) => {
  const some = await fakeApi(t, () => [200, { host_ids: ["h-1", "h-2"] }]);
  assert.equal((await some.run("host replace-lost")).out, "The machines of h-1, h-2 may be replaced.\n");
  assert.deepEqual(calls(some.seen), ["POST /v1/hosts/replace-lost"]);
  const none = await fakeApi(t, () => [200, { host_ids: [] }]);
  assert.equal((await none.run("host replace-lost")).out, "No lost host is held back; nothing was changed.\n");
});
