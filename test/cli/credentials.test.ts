/** Tests of the file that keeps a login: what of it changes, who can read it, and whose links are followed. */
import assert from "node:assert/strict";
import {
  chmodSync,
  lchownSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { forgetLogin, keepLogin, withKeys } from "../../src/cli/credentials.ts";
import { temporaryFolder } from "./support.ts";

const LOGIN = { apiUrl: "http://z:8080", org: "acme", token: "zwrm_ses_t" };
const LINES = 'api_url = "http://z:8080"\norg = "acme"\ntoken = "zwrm_ses_t"\n';

function modeOf(path: string): string {
  return (statSync(path).mode & 0o777).toString(8);
}

test("makes the folder 0700 and the file 0600, whatever the umask and whatever was there", (t) => {
  const path = join(temporaryFolder(t), ".zwrm", "config.toml");
  const umask = process.umask(0);
  t.after(() => process.umask(umask));
  keepLogin(path, LOGIN);
  assert.deepEqual([readFileSync(path, "utf8"), modeOf(path), modeOf(join(path, ".."))], [LINES, "600", "700"]);
  chmodSync(path, 0o644);
  chmodSync(join(path, ".."), 0o755);
  keepLogin(path, { ...LOGIN, org: null });
  assert.deepEqual(
    [readFileSync(path, "utf8"), modeOf(path), modeOf(join(path, ".."))],
    [LINES.replace('org = "acme"\n', ""), "600", "700"],
  );
  assert.deepEqual(readdirSync(join(path, "..")), ["config.toml"]);
});

test("changes its own lines and leaves every other as it was", () => {
  const set = { api_url: "http://new", org: "o", token: "t" };
  const cases: readonly (readonly [string, string])[] = [
    ["", 'api_url = "http://new"\norg = "o"\ntoken = "t"\n'],
    ["# mine", '# mine\napi_url = "http://new"\norg = "o"\ntoken = "t"\n'],
    [
      '# mine\n\ntoken = "old"  # laptop\n  # end\n\n',
      '# mine\n\ntoken = "t"\n  # end\n\napi_url = "http://new"\norg = "o"\n',
    ],
    ["\"token\" = 'old'\r\n# x\r\n", 'token = "t"\r\n# x\r\napi_url = "http://new"\r\norg = "o"\r\n'],
    [
      'color = "red"\n[other]\ntoken = "another"\n',
      'color = "red"\napi_url = "http://new"\norg = "o"\ntoken = "t"\n[other]\ntoken = "another"\n',
    ],
  ];
  for (const [before, after] of cases) assert.equal(withKeys("f", before, set), after, before);
  assert.equal(
    withKeys("f", `# a\n${LINES}# b\n`, { org: null, token: null }),
    '# a\napi_url = "http://z:8080"\n# b\n',
  );
  assert.equal(withKeys("f", 'org = "x"\n', { token: "t" }), 'org = "x"\ntoken = "t"\n');
});

test("refuses a file that it cannot change by the line, and leaves it alone", (t) => {
  const path = join(temporaryFolder(t), "config.toml");
  writeFileSync(path, 'token = """\nsecret"""\n');
  assert.throws(
    () => keepLogin(path, LOGIN),
    (error: Error) =>
      error.name === "CliError" && /cannot be changed safely/.test(error.message) && !error.message.includes("secret"),
  );
  assert.equal(readFileSync(path, "utf8"), 'token = """\nsecret"""\n');
});

test("forgets token and org, and keeps the address", (t) => {
  const path = join(temporaryFolder(t), "config.toml");
  keepLogin(path, LOGIN);
  forgetLogin(path);
  assert.equal(readFileSync(path, "utf8"), 'api_url = "http://z:8080"\n');
});

test("follows one's own link to the file behind it, and leaves the link a link", (t) => {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, "dotfiles"));
  writeFileSync(join(folder, "dotfiles", "zwrm.toml"), "# kept\n");
  symlinkSync("dotfiles/zwrm.toml", join(folder, "config.toml"));
  keepLogin(join(folder, "config.toml"), LOGIN);
  assert.equal(readFileSync(join(folder, "dotfiles", "zwrm.toml"), "utf8"), `# kept\n${LINES}`);
  assert.deepEqual(readdirSync(folder).sort(), ["config.toml", "dotfiles"]);
});

test(
  "refuses another user's link, to the file and to the folder",
  { skip: process.getuid?.() === 0 ? false : "only root can make another user's link" },
  (t) => {
    const folder = temporaryFolder(t);
    mkdirSync(join(folder, "theirs"));
    symlinkSync("theirs/stolen.toml", join(folder, "config.toml"));
    lchownSync(join(folder, "config.toml"), 65534, 65534);
    symlinkSync("theirs", join(folder, ".zwrm"));
    lchownSync(join(folder, ".zwrm"), 65534, 65534);
    for (const path of [join(folder, "config.toml"), join(folder, ".zwrm", "config.toml")]) {
      assert.throws(() => keepLogin(path, LOGIN), {
        name: "CliError",
        message: /is a symbolic link of another user; it is not followed/,
      });
    }
    assert.deepEqual(readdirSync(join(folder, "theirs")), []);
  },
);

test("says so where nothing can be written, or links lead in a circle", (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, "file"), "");
  assert.throws(() => keepLogin(join(folder, "file", "config.toml"), LOGIN), {
    name: "CliError",
    message: /cannot be written: /,
  });
  symlinkSync("b", join(folder, "a"));
  symlinkSync("a", join(folder, "b"));
  assert.throws(() => keepLogin(join(folder, "a"), LOGIN), { name: "CliError", message: /circle of symbolic links/ });
});
