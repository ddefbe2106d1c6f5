/**
 * The first steps on a new box, with the real programs: the first host-admin through the bypass, the bypass off, a
 * login, a key, and the log that tells it all.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { eventually, run, startDaemon } from "../support/daemon.ts";
import type { RunResult } from "../support/daemon.ts";

const ZWRM = fileURLToPath(new URL("../../dist/zwrm.js", import.meta.url));
const PASSWORD = "correct horse battery";

const daemon = await startDaemon();
const { port, url } = daemon;
const home = join(daemon.folder, "home");
const kept = join(home, ".zwrm", "config.toml");

function zwrm(
  line: string,
  { input = "", env = {} }: { readonly input?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<RunResult> {
  return run(process.execPath, [ZWRM, ...line.split(" ")], { HOME: home, ZWRM_API_URL: url, ...env }, input);
}

async function good(line: string, options: Parameters<typeof zwrm>[1] = {}): Promise<string> {
  const { code, stdout, stderr } = await zwrm(line, options);
  assert.equal(code, 0, `${line}: ${stderr}`);
  return stdout;
}

/** The same port again: a token is for one address. */
async function restartWith(auth: string): Promise<void> {
  daemon.configure(`[server]\nport = ${port}\n${auth}`);
  await daemon.restart();
}

test("the first host-admin comes through the bypass; with the bypass off, only a login opens the door", async () => {
  const input = `${PASSWORD}\n`;
  assert.match(
    await good("user create ann@example.com --name Ann --host-admin --password-stdin", { input }),
    /^ann@example\.com \(usr_\w+\) is a host-admin\.\n$/,
  );
  await restartWith("[auth]\nlocalhost_bypass = false");
  const nobody = await zwrm("auth whoami");
  assert.deepEqual([nobody.code, nobody.stdout], [1, ""]);
  assert.match(nobody.stderr, /log in with zwrm auth login/);
  const wrong = await zwrm("auth login --email ann@example.com --password-stdin", { input: "wrong\n" });
  assert.deepEqual([wrong.code, wrong.stderr], [1, "zwrm: The email or the password is wrong. Nothing was kept.\n"]);
  assert.match(
    await good("auth login --email Ann@Example.com --password-stdin", { input }),
    /^Logged in at http:\/\/127\.0\.0\.1:\d+ as ann@example\.com in the org default, until /,
  );
  assert.equal(statSync(kept).mode & 0o777, 0o600);
  assert.match(await good("auth whoami"), /^user +ann@example\.com\norg +default\naccess +host-admin\nby +session\n/);
});

test(
  "a key with a scope may do that and no more, until it is revoked; events --follow sees it live, " +
    "through a restart of the daemon",
  async (t) => {
    const follower = spawn(process.execPath, [ZWRM, "events", "--follow"], {
      env: { PATH: process.env["PATH"] ?? "", HOME: home },
      stdio: ["ignore", "pipe", "pipe"],
    });
    t.after(() => follower.kill("SIGKILL"));
    let [seen, said] = ["", ""];
    follower.stdout.setEncoding("utf8").on("data", (text: string) => (seen += text));
    follower.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
    const sees = (pattern: RegExp): Promise<string> =>
      eventually(`the follower to see ${pattern}; it saw ${seen}`, () => pattern.exec(seen)?.[0], 30_000);
    await sees(
      / localhost@127\.0\.0\.1 {2}user\.created {2}id=usr_\w+ email=ann@example\.com name=Ann host_admin=true\n/,
    );

    const token = (await good("auth tokens create ci --scope images:read --expires 1d")).trim();
    assert.match(token, /^zwrm_key_[A-Za-z0-9_-]{43}$/);
    const line = await sees(/ user:ann@example\.com@127\.0\.0\.1 {2}api_key\.created {2}.*\n/);
    assert.match(line, / name=ci .*scopes=images:read /);

    const env = { ZWRM_TOKEN: token };
    await good("image list", { env });
    const forbidden = await zwrm("user list", { env });
    assert.deepEqual([forbidden.code, /lacks the scope admin/.test(forbidden.stderr)], [1, true], forbidden.stderr);
    const id = /key_\w{8,}/.exec(await good("auth tokens list"))?.[0] ?? "";
    assert.match(id, /^key_/);
    assert.equal(await good("auth tokens revoke ci"), `ci (${id}) is revoked.\n`);
    const revoked = await zwrm("image list", { env });
    assert.match(revoked.stderr, /^zwrm: The token is not valid.*That token is from ZWRM_TOKEN/);
    await sees(/ api_key\.revoked /);

    await restartWith("[auth]\nlocalhost_bypass = false");
    await good("org create team-a");
    await sees(/ org\.created {2}id=org_\w+ slug=team-a name=team-a\n/);
    const seqs = seen
      .trimEnd()
      .split("\n")
      .map((each) => Number(each.split("  ")[1]));
    assert.deepEqual(
      seqs,
      seqs.map((_seq, index) => index + 1),
      "every line once, in order",
    );
    assert.match(said, /Waiting to go on\.\nThe daemon answers again\.\n/);
    follower.kill("SIGINT");
    await once(follower, "close");
    assert.ok(!seen.includes(token) && !seen.includes(PASSWORD));
  },
);

test("logging out ends the session at the daemon and takes the token out of the file", async () => {
  const token = /^token = "(.*)"$/m.exec(readFileSync(kept, "utf8"))?.[1] ?? "";
  assert.match(token, /^zwrm_ses_/);
  assert.equal(await good("auth logout"), `Logged out of ${url}.\n`);
  assert.doesNotMatch(readFileSync(kept, "utf8"), /token|org/);
  assert.equal((await zwrm("auth whoami", { env: { ZWRM_TOKEN: token } })).code, 1);
  for (const secret of [token, PASSWORD]) assert.ok(!daemon.stdoutLines.some((line) => line.includes(secret)));
});

test("a user in two orgs acts in either by --org, with one login; a key is of one org and says so", async () => {
  await restartWith("[auth]\nlocalhost_bypass = true");
  for (const org of ["team1", "team2"]) await good(`org create ${org}`);
  await good("user create bob@example.com --name Bob --org team1 --password-stdin", { input: `${PASSWORD}\n` });
  await good("org members set team2 bob@example.com --role owner");
  await good("--org team1 auth login --email bob@example.com --password-stdin", { input: `${PASSWORD}\n` });
  assert.match(await good("auth whoami"), /\norg +team1 \(member\)\n/);
  assert.match(await good("--org team2 auth whoami"), /\norg +team2 \(owner\)\n/);
  assert.equal((await zwrm("--org team2 apps")).code, 0);
  assert.match(await good("org members team2"), /bob@example\.com +Bob +owner/);
  const elsewhere = await zwrm("--org team-a apps");
  assert.deepEqual(
    [elsewhere.code, elsewhere.stderr],
    [1, 'zwrm: There is no org "team-a", or you are not in it. "zwrm org list" shows the orgs that you may act in.\n'],
  );

  const env = { ZWRM_TOKEN: (await good("--org team2 auth tokens create ci")).trim() };
  assert.match(await good("auth whoami", { env }), /\norg +team2 \(owner\)\n/);
  assert.deepEqual((await good("org list", { env })).match(/team\S+/g), ["team2", "team2"]);
  const bound = await zwrm("--org team1 apps", { env });
  assert.match(bound.stderr, /^zwrm: This API key acts in the org team2 only, not in "team1": .* zwrm auth login\n$/);
  const id = /key_\w{8,}/.exec(await good("--org team2 auth tokens list"))?.[0] ?? "";
  assert.equal(
    await good(`auth tokens revoke ${id}`),
    `${id} is revoked.\n`,
    "a session ends its user's keys of every org",
  );
});
