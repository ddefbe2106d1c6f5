/**
 * No token, hash, password, licence or env value anywhere that people look: unique secrets are planted, everything is
 * driven, and all of it is searched.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import * as http from "node:http";
import { join } from "node:path";
import { test } from "node:test";
import { startDaemon } from "../support/daemon.ts";
import type { TestDaemon } from "../support/daemon.ts";
import type { Answer, RequestOptions } from "../support/http.ts";
import { appendLine, readJournal } from "../support/journal.ts";
import { pick, textAt } from "../support/json.ts";
import type { Json } from "../support/json.ts";
import { listTree } from "../support/tree.ts";
import { appendSession, bearer, expect, hashOf, randomToken } from "./identity-world.ts";

const PLANTED = {
  licence: "planted-licence-4f1c77aa",
  password: "planted-password-90ab12ce",
  secondPassword: "planted-password-77fe01bd",
  wrongPassword: "planted-wrong-password-31dd",
  hostKey: `planted-host-key-${"5e".repeat(16)}`,
  wrongHostKey: `planted-wrong-host-key-${"5e".repeat(16)}`,
  env: "planted-env-value-b00c9e",
  wrongToken: randomToken("key"),
  lost: randomToken("ses"),
} as const;

/** Everything that a client was answered, apart from the answers that show a token once. */
class Answers {
  readonly texts: string[] = [];
  readonly #daemon: TestDaemon;

  constructor(daemon: TestDaemon) {
    this.#daemon = daemon;
  }

  async ask(method: string, path: string, options: RequestOptions = {}): Promise<Answer> {
    const answer = await this.#daemon.request(method, path, options);
    this.texts.push(`${method} ${path.slice(0, 20)}: ${JSON.stringify(answer.headers)} ${answer.text}`);
    return answer;
  }

  /** An answer that shows `field` once; the rest of it is searched. */
  async secret(method: string, path: string, options: RequestOptions, field: string): Promise<string> {
    const answer = await this.#daemon.request(method, path, options);
    const shown = textAt(expect(answer, answer.status), field);
    this.texts.push(answer.text.replace(shown, ""));
    return shown;
  }
}

async function stream(daemon: TestDaemon): Promise<string> {
  const req = http
    .request({
      port: daemon.port,
      host: "127.0.0.1",
      path: "/v1/events",
      headers: { accept: "text/event-stream" },
      agent: false,
    })
    .end();
  req.on("error", () => undefined);
  const res = await new Promise<http.IncomingMessage>((resolve) => req.once("response", resolve));
  const last = readJournal(daemon.dataDir).at(-1)?.seq ?? 0;
  let text = "";
  for await (const part of res as AsyncIterable<Buffer>) {
    text += part.toString("utf8");
    if (text.includes(`id: ${last}\n`)) break;
  }
  req.destroy();
  return text;
}

/** The hashes and salts that are on disk: they are nobody's to see either. */
function storedHashes(dataDir: string): string[] {
  const found: string[] = [];
  const walk = (value: Json): void => {
    if (typeof value !== "object" || value === null) return;
    for (const [name, item] of Object.entries(value)) {
      if (typeof item === "string" && /^(token_hash|key_hash|hash|salt)$/.test(name)) found.push(item);
      else if (name === "expired" && Array.isArray(item)) found.push(...item.map(String));
      else walk(item);
    }
  };
  for (const line of readJournal(dataDir)) walk(pick(line.value, "data") ?? null);
  return found;
}

async function drive(daemon: TestDaemon): Promise<{ readonly texts: string[]; readonly tokens: string[] }> {
  const answers = new Answers(daemon);
  const { password, secondPassword, wrongPassword, hostKey, wrongHostKey, wrongToken, lost } = PLANTED;
  const user = { email: "root@example.com", name: "root", password, host_admin: true, org: "default" };
  const made = await answers.ask("POST", "/v1/users", { body: user });
  const id = textAt(made.json, "id");
  const credentials = { email: user.email, password };
  const session = await answers.secret("POST", "/v1/auth/login", { body: credentials }, "token");
  const key = await answers.secret(
    "POST",
    "/v1/auth/tokens",
    bearer(session, { body: { name: "ci", scopes: ["admin"] } }),
    "token",
  );
  const agent = { authorization: `Bearer ${hashOf(PLANTED.licence)}` };
  const host = { host_id: "h-1", hostname: "h", capacity: { cpus: 1, memory_mb: 1 } };
  await answers.ask("POST", "/v1/internal/hosts/register", {
    headers: { ...agent, "x-zwrm-host-key": hostKey },
    body: host,
  });
  await answers.ask("POST", "/v1/internal/hosts/register", {
    headers: { ...agent, "x-zwrm-host-key": wrongHostKey },
    body: host,
  });
  await answers.ask("POST", "/v1/internal/hosts/h-1/heartbeat", {
    headers: { ...agent, "x-zwrm-host-key": wrongHostKey },
    body: {},
  });
  await answers.ask("GET", "/v1/hosts", bearer(session));
  for (const token of [wrongToken, session, key, lost]) {
    for (const path of [
      "/v1/auth/whoami",
      "/v1/internal/images",
      `/v1/auth/tokens?token=${token}`,
      `/v1/orgs/${token}/members`,
      `/nowhere/${token}`,
    ])
      await answers.ask("GET", path.replace(token, "x"), bearer(token));
    // By mistake, where an id belongs; nobody reads the answer but who sent it.
    for (const authorization of [`Bearer ${session}`, `Bearer ${wrongToken}`])
      await daemon.request("DELETE", `/v1/auth/tokens/${token}`, { headers: { authorization } });
    await daemon.request("GET", `/v1/hosts?access_token=${token}`);
    await daemon.request("GET", `/${token}`);
    await answers.ask("GET", "/v1/auth/whoami", { headers: { authorization: `Basic ${token}` } });
    await daemon.raw(
      `GET /v1/auth/whoami HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\nAuthorization: ` +
        `Bearer ${token}\r\nBad Header: ${token}\r\n\r\n`,
      200,
    );
  }
  for (const body of [
    { ...credentials, password: wrongPassword },
    { email: password, password: wrongPassword },
    { ...credentials, password: [password] },
    { ...credentials, password: password.repeat(100) },
    { ...user, email: password },
    { ...user, name: { password } },
  ]) {
    await answers.ask("POST", "/v1/auth/login", { body });
    await answers.ask("POST", "/v1/users", { body });
  }
  for (const body of [`{"password":"${password}"`, `{"password":"${password}",}`, password, `[${password}]`])
    await answers.ask("POST", "/v1/auth/login", { body, headers: { "content-type": "application/json" } });
  await answers.ask(
    "PUT",
    `/v1/users/${id}/password`,
    bearer(session, { body: { password: secondPassword, current_password: wrongPassword } }),
  );
  await answers.ask(
    "PUT",
    `/v1/users/${id}/password`,
    bearer(session, { body: { password: "short", current_password: password } }),
  );
  await answers.ask(
    "PUT",
    `/v1/users/${id}/password`,
    bearer(session, { body: { password: secondPassword, current_password: password } }),
  );
  await answers.ask("GET", "/v1/users", bearer(key));
  const second = await answers.secret(
    "POST",
    "/v1/auth/login",
    { body: { email: user.email, password: secondPassword } },
    "token",
  );
  await answers.ask("GET", "/v1/auth/tokens", bearer(second));
  await answers.ask("GET", "/v1/status", bearer(second));
  await answers.ask("GET", "/v1/auth/whoami", bearer(second));
  await answers.ask("POST", "/v1/auth/logout", bearer(second));
  for (const path of ["/metrics", "/v1/events?limit=1000", "/v1/health", "/", "/v1/hosts/h-1"])
    await answers.ask("GET", path);
  await answers.ask("GET", "/v1/events?limit=1000", { headers: { accept: "application/json" } });
  return { texts: answers.texts, tokens: [session, key, second] };
}

for (const format of ["text", "json"] as const) {
  test(
    "planted secrets and their hashes are in no answer, event, stream, dump, metric or log line " +
      `(log.format = ${format})`,
    async (t) => {
      const daemon = await startDaemon(
        {
          config: `[license]\nkey_hashes = []\n[log]\nformat = "${format}"\nlevel = "debug"`,
          env: { ZWRM_LICENSE_KEY: PLANTED.licence },
        },
        t,
      );
      const log: string[] = [];
      const { texts, tokens } = await drive(daemon);
      await daemon.stop();
      log.push(...daemon.stdoutLines, daemon.stderr);
      const user = textAt(
        readJournal(daemon.dataDir).find((line) => pick(line.value, "type") === "user.created")?.value,
        "data.user.id",
      );
      appendSession(daemon.dataDir, user, "org", PLANTED.lost, new Date(Date.now() - 1_000).toISOString());
      const workload = {
        image: `sha256:${"a".repeat(64)}`,
        cpus: 1,
        memory_mb: 1,
        restart: "never",
        check: null,
        region: null,
        on_host_loss: "replace",
        progress_deadline_seconds: 600,
      };
      appendLine(daemon.dataDir, "deployment.created", {
        deployment: {
          id: "dep_1",
          app_id: "a-1",
          org_id: "o-1",
          replicas: 1,
          env: { PLANTED: PLANTED.env },
          ...workload,
        },
        idempotency: null,
      });
      const spec = { id: "m-1", app_id: "a-1", org_id: "o-1", deployment_id: "dep_1", streak: 0, ...workload };
      appendLine(daemon.dataDir, "machine.created", { machine: spec, host_id: "h-1", replaces: null, why: null });
      await daemon.start();
      // Sweeps the expired session out, whose hash the event then names.
      const login = await daemon.request("POST", "/v1/auth/login", {
        body: { email: "root@example.com", password: PLANTED.secondPassword },
      });
      tokens.push(textAt(expect(login, 200), "token"));
      const places: [string, string][] = [["an answer", texts.join("\n")]];
      for (const path of ["/v1/events?limit=1000", "/metrics", "/v1/hosts", "/v1/status", "/v1/hosts/h-1"])
        places.push([path, (await daemon.request("GET", path)).text]);
      places.push(["the stream", await stream(daemon)]);
      const dump = await daemon.command("journal", "dump");
      assert.equal(dump.code, 0, dump.stderr);
      places.push(["journal dump", dump.stdout + dump.stderr]);
      await daemon.stop();
      places.push(["the log", [...log, ...daemon.stdoutLines, daemon.stderr].join("\n")]);

      const hashes = storedHashes(daemon.dataDir);
      assert.ok(hashes.length >= 10, "there is something to find");
      const plain = [...Object.values(PLANTED), ...tokens];
      const secrets = [...plain, ...plain.map(hashOf), ...hashes];
      for (const [place, text] of places) {
        assert.ok(text.length > 10, place);
        for (const secret of secrets) {
          const at = text.indexOf(secret);
          assert.equal(at, -1, `${place} has ${secret}: …${text.slice(Math.max(0, at - 120), at + 80)}…`);
        }
      }
      // On disk are hashes, and of what a machine shall be its env; never what a person or a program shows.
      for (const name of listTree(daemon.dataDir).filter((path) => !path.endsWith("/"))) {
        const bytes = readFileSync(join(daemon.dataDir, name));
        for (const secret of [...tokens, ...Object.values(PLANTED).filter((each) => each !== PLANTED.env)])
          assert.ok(!bytes.includes(secret), `${name} has ${secret}`);
      }
      const raw = await daemon.command("journal", "dump", "--secrets");
      assert.ok(
        raw.stdout.includes(PLANTED.env),
        "--secrets shows what is on disk, and so this search would have found it",
      );
    },
  );
}
