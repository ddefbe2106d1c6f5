/**
 * Tests of logging in and out: what is sent, what is kept, where a kept token goes and where it does not, and that it
 * is never shown.
 */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { Answering } from "../client/support.ts";
import { fakeApi, Keyboard, temporaryFolder, zwrm } from "./support.ts";

const SESSION = `zwrm_ses_${"s".repeat(43)}`;
const KEY = `zwrm_key_${"k".repeat(43)}`;
const WHO = {
  user: { id: "usr_1", email: "ann@example.com", name: "Ann" },
  org: { id: "org_1", slug: "acme", role: "owner" },
  access: "member",
  auth_method: "api_key",
  scopes: null,
  expires_at: null,
};
const LOGIN = { token: SESSION, expires_at: "2026-03-02T12:00:00.000Z", user: WHO.user, org: WHO.org };
const REFUSED = [401, { error: "The email or the password is wrong.", code: "unauthorized", request_id: "r" }] as const;

const api: Answering = ({ url }) =>
  url === "/v1/auth/login" ? [200, LOGIN] : url === "/v1/auth/whoami" ? [200, WHO] : [204, null];

function fileIn(home: string): string {
  return join(home, ".zwrm", "config.toml");
}

function homeWith(t: TestContext, text: string): string {
  const home = temporaryFolder(t);
  mkdirSync(join(home, ".zwrm"));
  writeFileSync(fileIn(home), text, { mode: 0o600 });
  return home;
}

function piped(text: string): Keyboard {
  return new Keyboard([text], { isTerminal: false });
}

test("logs in with a password, keeps the token with its address and org, and shows all but the token", async (t) => {
  const server = await fakeApi(t, api);
  const home = homeWith(t, '# mine\norg = "stale"\ntoken = "old"\n');
  const run = await server.run("auth login --email ann@example.com --password-stdin", {
    home,
    stdin: piped("hunter22\n"),
  });
  assert.deepEqual(run, {
    code: 0,
    out: `Logged in at ${server.url} as ann@example.com in the org acme, until 2026-03-02T12:00:00.000Z.\n`,
    err: "",
  });
  assert.deepEqual(JSON.parse(String(server.seen[0]?.body)), { email: "ann@example.com", password: "hunter22" });
  // Neither the token nor the org of the login before goes along.
  assert.deepEqual(
    [server.seen[0]?.headers.authorization, server.seen[0]?.headers["x-zwrm-org"]],
    [undefined, undefined],
  );
  assert.equal(
    readFileSync(fileIn(home), "utf8"),
    `# mine\norg = "acme"\ntoken = "${SESSION}"\napi_url = "${server.url}"\n`,
  );
  const asJson = await server.run("auth login --email a@b --password-stdin --org acme --json", {
    home,
    stdin: piped("x"),
  });
  assert.deepEqual(JSON.parse(asJson.out), { expires_at: LOGIN.expires_at, user: LOGIN.user, org: LOGIN.org });
  assert.equal(JSON.parse(String(server.seen[1]?.body))["org"], "acme");
});

test("says that email or password was wrong, and keeps nothing", async (t) => {
  const server = await fakeApi(t, () => REFUSED);
  const home = temporaryFolder(t);
  const run = await server.run("auth login --email a@b --password-stdin", { home, stdin: piped("x") });
  assert.deepEqual(run, { code: 1, out: "", err: "zwrm: The email or the password is wrong. Nothing was kept.\n" });
  assert.equal(existsSync(fileIn(home)), false);
});

test("exits 2 where it cannot ask, and where flags do not go together", async (t) => {
  const server = await fakeApi(t, api);
  const refused: readonly (readonly [string, RegExp])[] = [
    ["auth login --password-stdin", /no terminal to ask at: give --email/],
    ["auth login --email a@b", /pipe it in with --password-stdin/],
    [`auth login --token ${KEY} --email a@b`, /--token goes without an email or a password/],
    ["auth login --token hunter2", /That is no token of zwrmd/],
  ];
  for (const [line, message] of refused) {
    const { code, err } = await server.run(line);
    assert.deepEqual([code, message.test(err), err.includes("hunter2")], [2, true, false], `${line}: ${err}`);
  }
  assert.equal(server.seen.length, 0);
});

test("keeps an API key once the daemon has said whose it is; from stdin, no list of processes shows it", async (t) => {
  const server = await fakeApi(t, api);
  for (const [line, world] of [
    [`auth login --token ${KEY}`, {}],
    ["auth login --token -", { stdin: piped(`${KEY}\n`) }],
    ["auth login --token -", { stdin: new Keyboard([`${KEY}\r`]) }],
  ] as const) {
    const home = homeWith(t, 'org = "stale"\ntoken = "old"\n');
    const run = await server.run(line, { home, ...world });
    assert.equal(
      run.out,
      `The token is kept for ${server.url}: it acts for ann@example.com in the org acme.\n`,
      run.err,
    );
    assert.equal(readFileSync(fileIn(home), "utf8"), `org = "acme"\ntoken = "${KEY}"\napi_url = "${server.url}"\n`);
    assert.deepEqual(
      [server.seen.at(-1)?.headers.authorization, server.seen.at(-1)?.headers["x-zwrm-org"]],
      [`Bearer ${KEY}`, undefined],
    );
    assert.ok(!`${run.out}${run.err}`.includes(KEY));
  }
  const wrong = await fakeApi(t, () => [
    401,
    { error: "The token is not valid. Log in again with: zwrm auth login", code: "unauthorized", request_id: "r" },
  ]);
  const home = temporaryFolder(t);
  assert.equal((await wrong.run(`auth login --token ${KEY}`, { home })).code, 1);
  assert.equal(existsSync(fileIn(home)), false);
});

test(
  "sends a kept token to its own address only, says so with -v, and advises a login where that was the " + "trouble",
  async (t) => {
    const own = await fakeApi(t, api);
    const home = homeWith(t, `api_url = "${own.url}"\norg = "acme"\ntoken = "${SESSION}"\n`);
    await zwrm(["auth", "whoami"], { home });
    await zwrm(["auth", "whoami"], { home, env: { ZWRM_API_URL: `${own.url}/` } });
    assert.deepEqual(
      own.seen.map(({ headers }) => [headers.authorization, headers["x-zwrm-org"]]),
      Array(2).fill([`Bearer ${SESSION}`, "acme"]),
    );

    const other = await fakeApi(t, () => [
      401,
      { error: "This needs a token.", code: "unauthorized", request_id: "r" },
    ]);
    const sentence = `The token in ${fileIn(home)} is for ${own.url}, so it is not sent to ${other.url}.`;
    const flagged = await other.run("auth whoami -v", { home });
    assert.ok(flagged.err.startsWith(`${sentence}\n`), flagged.err);
    const named = await zwrm(["auth", "whoami"], { home, env: { ZWRM_API_URL: other.url } });
    assert.equal(named.err, `zwrm: This needs a token. ${sentence} Log in there: zwrm auth login\n`);
    for (const { headers } of other.seen)
      assert.deepEqual([headers.authorization, headers["x-zwrm-org"]], [undefined, undefined]);
  },
);

test("a kept token without an address is for the default one", async (t) => {
  const server = await fakeApi(t, api);
  await server.run("auth whoami", { home: homeWith(t, `token = "${SESSION}"\n`) });
  assert.equal(server.seen[0]?.headers.authorization, undefined);
});

test("prefers ZWRM_TOKEN, leaves the kept org out then, and says after a login which one counts", async (t) => {
  const server = await fakeApi(t, api);
  const home = homeWith(t, `api_url = "${server.url}"\norg = "acme"\ntoken = "${SESSION}"\n`);
  await zwrm(["auth", "whoami"], { home, env: { ZWRM_TOKEN: KEY } });
  assert.deepEqual(
    [server.seen[0]?.headers.authorization, server.seen[0]?.headers["x-zwrm-org"]],
    [`Bearer ${KEY}`, undefined],
  );
  const run = await server.run(`auth login --token ${SESSION}`, { home, env: { ZWRM_TOKEN: KEY } });
  assert.match(run.err, /^ZWRM_TOKEN is set and goes before what is kept/);
});

test("a wrong or expired token gives the advice to log in again, once", async (t) => {
  for (const error of [
    "The token is not valid: it is unknown, revoked or expired. Log in again with: zwrm auth login",
    "The token is not valid.",
  ]) {
    const server = await fakeApi(t, () => [401, { error, code: "unauthorized", request_id: "r" }]);
    const { err } = await zwrm(["status"], { home: homeWith(t, `api_url = "${server.url}"\ntoken = "${SESSION}"\n`) });
    assert.equal(err.split("zwrm auth login").length, 2, err);
    assert.ok(!err.includes(SESSION));
  }
});

test("logs out: ends the session at the daemon, then forgets its token", async (t) => {
  const server = await fakeApi(t, api);
  const home = homeWith(t, `# mine\napi_url = "${server.url}"\norg = "acme"\ntoken = "${SESSION}"\n`);
  assert.deepEqual(await zwrm(["auth", "logout"], { home }), {
    code: 0,
    out: `Logged out of ${server.url}.\n`,
    err: "",
  });
  assert.deepEqual(
    server.seen.map(({ method, url, headers }) => [method, url, headers.authorization]),
    [["POST", "/v1/auth/logout", `Bearer ${SESSION}`]],
  );
  assert.equal(readFileSync(fileIn(home), "utf8"), `# mine\napi_url = "${server.url}"\n`);
  assert.deepEqual(await zwrm(["auth", "logout"], { home }), {
    code: 0,
    out: "",
    err: `No token is kept in ${fileIn(home)}.\n`,
  });
});

test(
  "forgets the token also where the daemon cannot be told, and says so; a session that was over already " +
    "is no trouble",
  async (t) => {
    const home = homeWith(t, `api_url = "http://127.0.0.1:1"\ntoken = "${SESSION}"\n`);
    const run = await zwrm(["auth", "logout"], { home });
    assert.deepEqual([run.code, run.out], [1, "The token is forgotten here.\n"]);
    assert.match(
      run.err,
      /^The daemon could not be told, so the session lasts there until it expires: Nothing listens/,
    );
    assert.doesNotMatch(readFileSync(fileIn(home), "utf8"), /token/);
    const server = await fakeApi(t, () => REFUSED);
    assert.equal(
      (await zwrm(["auth", "logout"], { home: homeWith(t, `api_url = "${server.url}"\ntoken = "${SESSION}"\n`) })).code,
      0,
    );
  },
);

test("forgets a kept API key without a call, and says that it stays valid", async (t) => {
  const server = await fakeApi(t, api);
  const home = homeWith(t, `api_url = "${server.url}"\ntoken = "${KEY}"\n`);
  const { code, err } = await zwrm(["auth", "logout"], { home });
  assert.deepEqual([code, server.seen.length], [0, 0]);
  assert.match(err, /stays valid/);
  assert.doesNotMatch(readFileSync(fileIn(home), "utf8"), /token/);
});

test("does not log out of one control plane what is kept for another, whatever ZWRM_TOKEN says", async (t) => {
  const other = await fakeApi(t, api);
  const home = homeWith(t, `api_url = "http://own:1"\ntoken = "${SESSION}"\n`);
  const run = await other.run("auth logout", { home, env: { ZWRM_TOKEN: KEY } });
  assert.deepEqual([run.code, other.seen.length], [1, 0]);
  assert.match(run.err, /is for http:\/\/own:1, not for .* \(from --api-url\): log out there/);
  assert.match(readFileSync(fileIn(home), "utf8"), /token/);
});

/** The folder of the file turns into a file. */
function spoil(home: string): void {
  rmSync(join(home, ".zwrm"), { recursive: true, force: true });
  writeFileSync(join(home, ".zwrm"), "");
}

test("a home that cannot be written is found out before there is a login", async (t) => {
  const server = await fakeApi(t, api);
  const home = temporaryFolder(t);
  spoil(home);
  for (const line of ["auth login --email a@b --password-stdin", `auth login --token ${KEY}`]) {
    const { code, out, err } = await server.run(line, { home, stdin: piped("x\n") });
    assert.deepEqual([code, out], [1, ""]);
    assert.match(err, /^zwrm: .*\/\.zwrm\/config\.toml cannot be written: /);
  }
  assert.deepEqual(server.seen, []);
});

test("a login leaves nothing beside the file that it tried", async (t) => {
  const server = await fakeApi(t, () => REFUSED);
  const home = homeWith(t, "# mine\n");
  await server.run("auth login --email a@b --password-stdin", { home, stdin: piped("x\n") });
  assert.deepEqual(
    [readdirSync(join(home, ".zwrm")), readFileSync(fileIn(home), "utf8")],
    [["config.toml"], "# mine\n"],
  );
});

test("a session that cannot be kept after all is ended again", async (t) => {
  const home = temporaryFolder(t);
  const server = await fakeApi(t, (request) => {
    if (request.url === "/v1/auth/login") spoil(home);
    return api(request);
  });
  const { code, err } = await server.run("auth login --email a@b --password-stdin", { home, stdin: piped("x\n") });
  assert.equal(code, 1);
  assert.match(err, /cannot be written: .* The session that was begun is ended again; nothing was kept\.\n$/);
  assert.deepEqual(
    server.seen.map(({ url, headers }) => [url, headers.authorization]),
    [
      ["/v1/auth/login", undefined],
      ["/v1/auth/logout", `Bearer ${SESSION}`],
    ],
  );
});

test("a logout that cannot write the file says what has become of the session", async (t) => {
  const home = temporaryFolder(t);
  const server = await fakeApi(t, (request) => {
    if (request.url === "/v1/auth/logout") spoil(home);
    return api(request);
  });
  await server.run("auth login --email a@b --password-stdin", { home, stdin: piped("x\n") });
  const { code, err } = await zwrm(["auth", "logout"], { home });
  assert.equal(code, 1);
  assert.match(err, /cannot be written: .* The token stays there\. Its session is over\.\n$/);
});

test("a key's refusal of another org is not sent to look at a list of orgs", async (t) => {
  const bound = 'This API key acts in the org acme only, not in "team2": ask with a session: zwrm auth login';
  for (const [error, advice] of [
    [bound, false],
    ['There is no org "team2", or you are not in it.', true],
  ] as const) {
    const server = await fakeApi(t, () => [404, { error, code: "org_not_found", request_id: "r" }]);
    assert.equal((await server.run("apps --org team2")).err.includes("zwrm org list"), advice);
  }
});
