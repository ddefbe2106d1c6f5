/** Tests of where the command line takes its settings from, and of what it says when they are wrong. */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { test } from "node:test";
import { readFlags } from "../../src/cli/command.ts";
import { CliError, UsageError } from "../../src/cli/io.ts";
import { GLOBAL_FLAGS } from "../../src/cli/parse.ts";
import { DEFAULT_API_URL, readSettings } from "../../src/cli/settings.ts";
import { fakeApi, temporaryFolder, zwrm } from "./support.ts";

function homeWith(t: TestContext, text: string, mode = 0o600): string {
  const home = temporaryFolder(t);
  mkdirSync(join(home, ".zwrm"));
  const path = join(home, ".zwrm", "config.toml");
  writeFileSync(path, text);
  chmodSync(path, mode);
  return home;
}

function settings(flags: Record<string, string>, env: Record<string, string>, home: string) {
  return readSettings(readFlags(GLOBAL_FLAGS, new Map(Object.entries(flags)), []), { env, home });
}

test("prefers flags to the environment, the environment to the file, the file to the default", (t) => {
  const home = homeWith(t, 'api_url = "http://file"\norg = "file-org"\ntoken = "file-token"\n');
  const env = { ZWRM_API_URL: "http://env", ZWRM_ORG: "env-org", ZWRM_TOKEN: " env-token\n" };
  const seen = (flags: Record<string, string>, vars: Record<string, string>, folder: string) => {
    const { apiUrl, org, token } = settings(flags, vars, folder);
    return [apiUrl, org, token];
  };
  assert.deepEqual(seen({ "api-url": "http://flag", org: "flag-org" }, env, home), [
    "http://flag",
    "flag-org",
    "env-token",
  ]);
  assert.deepEqual(seen({}, env, home), ["http://env", "env-org", "env-token"]);
  assert.deepEqual(seen({}, { ZWRM_API_URL: "", ZWRM_TOKEN: "" }, home), ["http://file", "file-org", "file-token"]);
  assert.deepEqual(seen({}, {}, temporaryFolder(t)), [DEFAULT_API_URL, null, null]);
});

test("reads another file with --config, and refuses one that is not there", (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, "other.toml"), 'api_url = "unix:/run/z.sock"');
  assert.equal(settings({ config: join(folder, "other.toml") }, {}, "/nonexistent").apiUrl, "unix:/run/z.sock");
  assert.throws(
    () => settings({ config: join(folder, "none.toml") }, {}, "/nonexistent"),
    (error: Error) => error instanceof UsageError && /There is no file .*none\.toml\./.test(error.message),
  );
});

test("warns of a token that others can open, and only then", (t) => {
  assert.match(
    settings({}, {}, homeWith(t, 'token = "x"', 0o640)).warnings.join(),
    /holds a token, and others can open it \(mode 0640\): chmod 600 .*config\.toml$/,
  );
  assert.deepEqual(settings({}, {}, homeWith(t, 'token = "x"', 0o600)).warnings, []);
  assert.deepEqual(settings({}, {}, homeWith(t, 'org = "x"', 0o644)).warnings, []);
});

test("names file and line of what is wrong in the file, and never shows its text", (t) => {
  const refused: readonly (readonly [string, RegExp])[] = [
    ['\napiurl = "x"', /config\.toml, line 2: there is no key "apiurl"\. Did you mean "api_url"\?/],
    ["zzzzzzzz = 1", /There are api_url, org, token\./],
    ["org = 5", /line 1: org must be a text/],
    ['token = ""', /line 1: token must be a text that is not empty/],
    ['token = "zwrm_key_secret', /is not valid TOML\. Line 1, column \d+/],
  ];
  for (const [text, message] of refused) {
    const home = homeWith(t, text);
    assert.throws(
      () => settings({}, {}, home),
      (error: Error) => error instanceof CliError && message.test(error.message) && !error.message.includes("secret"),
      text,
    );
  }
});

test("sends the token and the org with every call", async (t) => {
  const api = await fakeApi(t, () => [
    200,
    {
      user: null,
      org: { id: "org_1", slug: "acme", role: null },
      access: "member",
      auth_method: "api_key",
      scopes: null,
      expires_at: null,
    },
  ]);
  const run = await zwrm(["auth", "whoami"], {
    home: homeWith(t, `api_url = "${api.url}/"\ntoken = "zwrm_key_t"\norg = "acme"`, 0o644),
  });
  assert.deepEqual(
    [api.seen[0]?.headers.authorization, api.seen[0]?.headers["x-zwrm-org"]],
    ["Bearer zwrm_key_t", "acme"],
  );
  assert.match(run.err, /^zwrm: warning: .* chmod 600/);
  assert.equal(run.code, 0);
});

test("exits 2 for an address that was given wrong on the line, and 1 for one that comes from elsewhere", async () => {
  const flag = await zwrm(["--api-url", "localhost:8080", "status"]);
  assert.deepEqual(
    [flag.code, flag.err.split("\n")[0]],
    [2, 'zwrm: "localhost:8080" is no API URL: write http://localhost:8080. The address is from --api-url.'],
  );
  const variable = await zwrm(["status"], { env: { ZWRM_API_URL: "localhost:8080" } });
  assert.deepEqual(
    [variable.code, variable.err],
    [1, 'zwrm: "localhost:8080" is no API URL: write http://localhost:8080. The address is from ZWRM_API_URL.\n'],
  );
  const token = await zwrm(["status"], { env: { ZWRM_TOKEN: "se\u0001cret" } });
  assert.deepEqual(
    [token.code, token.err],
    [1, "zwrm: The value for Authorization holds a character that cannot be sent. Check the token and the org.\n"],
  );
});
