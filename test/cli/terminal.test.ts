/** Tests of hidden passwords on a real terminal: never on the screen, and the terminal given back on every way out. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { serve } from "../client/support.ts";
import { temporaryFolder } from "./support.ts";
import { HAS_TERMINAL, onTerminal } from "./terminal.ts";

const options = { skip: HAS_TERMINAL ? false : "there is no python3 to drive a terminal" };
const SESSION = `zwrm_ses_${"s".repeat(43)}`;

async function api(t: TestContext) {
  const answer = {
    token: SESSION,
    expires_at: "2027-01-01T00:00:00.000Z",
    user: { id: "u", email: "ann@example.com", name: "Ann" },
    org: { id: "o", slug: "acme", role: "owner" },
  };
  const user = { id: "u", email: "ann@example.com", name: "Ann", host_admin: false };
  const server = await serve(({ url }) =>
    url === "/v1/auth/login" ? [200, answer] : url === "/v1/users" ? [201, user] : [204, null],
  );
  t.after(() => server.close());
  const home = temporaryFolder(t);
  return { server, home, env: { ZWRM_API_URL: server.url, HOME: home } };
}

test("asks for email and password, and shows the one and not the other", options, async (t) => {
  const { server, home, env } = await api(t);
  const steps = [
    { expect: "Email: ", type: "ann@example.com\r" },
    { expect: "Password: ", type: "hunXX\u007f\u007fter2 é\r" },
  ];
  const { code, screen, echoes, restored } = await onTerminal(["auth", "login"], env, steps);
  assert.deepEqual([code, echoes, restored], [0, [true, false], true]);
  assert.equal(
    screen,
    `Email: ann@example.com\nPassword: \nLogged in at ${server.url} as ann@example.com in the org acme, ` +
      "until 2027-01-01T00:00:00.000Z.\n",
  );
  assert.deepEqual(JSON.parse(server.seen[0]?.body.toString() ?? ""), {
    email: "ann@example.com",
    password: "hunter2 é",
  });
  assert.match(readFileSync(join(home, ".zwrm", "config.toml"), "utf8"), new RegExp(`^token = "${SESSION}"$`, "m"));
});

test("takes two passwords that were typed ahead in one go", options, async (t) => {
  const { server, env } = await api(t);
  const { code, screen } = await onTerminal(["user", "create", "b@example.com", "--name", "B"], env, [
    { expect: "b@example.com: ", type: "long enough\rlong enough\r" },
  ]);
  assert.doesNotMatch(screen, /long/);
  assert.equal(code, 0, screen);
  assert.equal(JSON.parse(server.seen[0]?.body.toString() ?? "")["password"], "long enough");
});

for (const [name, step] of Object.entries({
  "Ctrl-C": { type: "secr\u0003" },
  "Ctrl-D": { type: "\u0004" },
  "a bare Enter": { type: "\r" },
  SIGTERM: { signal: "SIGTERM" },
  SIGINT: { signal: "SIGINT" },
} as const)) {
  test(`gives the terminal back after ${name} at a hidden prompt, and sends nothing`, options, async (t) => {
    const { server, env } = await api(t);
    const { code, screen, echoes, restored } = await onTerminal(["auth", "login", "--email", "a@b"], env, [
      { expect: "Password: ", ...step },
    ]);
    assert.deepEqual([echoes, restored, server.seen.length], [[false], true, 0]);
    assert.notEqual(code, 0);
    assert.doesNotMatch(screen, /secr/);
  });
}

test("asks before it removes a user, and takes only a yes", options, async (t) => {
  const { server, env } = await api(t);
  const no = await onTerminal(["user", "remove", "usr_1"], env, [{ expect: "[y/N]: ", type: "\r" }]);
  assert.deepEqual([no.code, no.restored, server.seen.length], [1, true, 0]);
  const yes = await onTerminal(["user", "remove", "usr_1"], env, [{ expect: "[y/N]: ", type: "y\r" }]);
  assert.deepEqual(
    [yes.code, server.seen.map(({ method, url }) => `${method} ${url}`)],
    [0, ["DELETE /v1/users/usr_1"]],
  );
});
