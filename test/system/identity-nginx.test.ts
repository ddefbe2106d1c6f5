/** A reverse proxy on the same machine makes the whole world local: a real nginx in front does not open the bypass. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import * as http from "node:http";
import * as net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { LICENSE_HASH, eventually, startDaemon } from "../support/daemon.ts";
import { assertError, request } from "../support/http.ts";
import type { Answer, Target } from "../support/http.ts";
import { bearer, expect, makeKey, makePerson } from "./identity-world.ts";

const daemon = await startDaemon({ config: `[server]\nsocket = "FOLDER/zwrmd.sock"` });
const root = await makePerson(daemon, "root", { hostAdmin: true });
const key = await makeKey(daemon, root.session, ["hosts:read"]);

const hasNginx = spawnSync("nginx", ["-v"]).status === 0;
const needsNginx = { skip: hasNginx ? false : "nginx is not on PATH" };
const PROTECTED: readonly (readonly [method: string, path: string])[] = [
  ["GET", "/v1/auth/whoami"],
  ["GET", "/v1/hosts"],
  ["GET", "/v1/users"],
  ["GET", "/v1/events"],
  ["GET", "/v1/status"],
  ["POST", "/v1/users"],
  ["POST", "/v1/hosts/replace-lost"],
];

/** What goes into nginx's `location /`, by name. */
const UPSTREAM = `http://127.0.0.1:${daemon.port}`;
const LOCATIONS = {
  "with a bare proxy_pass and nothing else": `proxy_pass ${UPSTREAM};`,
  "that passes the client's Host on": `proxy_pass ${UPSTREAM}; proxy_set_header Host $host;`,
  "with the headers that every guide has":
    `proxy_pass ${UPSTREAM}; proxy_http_version 1.1; proxy_set_header Host $host; ` +
    "proxy_set_header X-Real-IP $remote_addr; proxy_set_header X-Forwarded-For " +
    "$proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;",
  "with X-Forwarded-For and the upstream's Host":
    `proxy_pass ${UPSTREAM}; proxy_http_version 1.1; proxy_set_header Connection ""; ` +
    "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
  "with Forwarded": `proxy_pass ${UPSTREAM}; proxy_http_version 1.1; proxy_set_header Forwarded "for=$remote_addr";`,
  "before the unix socket": `proxy_pass http://unix:${daemon.folder}/zwrmd.sock:/;`,
} as const;
/** Speaks as a local client does, and says nothing of whom it speaks for. */
const SILENT = `proxy_pass ${UPSTREAM}; proxy_http_version 1.1; proxy_set_header Connection "";`;

async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  assert.ok(typeof address === "object" && address !== null);
  return address.port;
}

/** Starts nginx with a server for each location; gives their targets in order. */
async function startNginx(locations: readonly string[]): Promise<Target[]> {
  const folder = mkdtempSync(join(tmpdir(), "zwrmd-nginx-"));
  const ports = await Promise.all(locations.map(freePort));
  const servers = locations.map(
    (location, index) => `server { listen 127.0.0.1:${ports[index]}; location / { ${location} } }`,
  );
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${folder}/${name};`)
    .join(" ");
  const user = process.getuid?.() === 0 ? "user root;" : "";
  writeFileSync(
    join(folder, "nginx.conf"),
    `daemon off; ${user} worker_processes 1; pid ${folder}/pid; error_log ${folder}/error.log; events {} ` +
      `http { access_log off; ${temporary}\n${servers.join("\n")}\n}`,
  );
  const child = spawn("nginx", ["-p", folder, "-c", join(folder, "nginx.conf"), "-e", `${folder}/error.log`], {
    stdio: "ignore",
  });
  const exited = new Promise((resolve) => child.once("exit", resolve));
  after(async () => {
    child.kill("SIGTERM");
    await exited;
    rmSync(folder, { recursive: true, force: true });
  });
  const targets = ports.map((port) => ({ port }));
  for (const target of targets)
    await eventually("nginx", () =>
      request(target, "GET", "/v1/health").then(
        (answer) => (answer.status === 200 ? true : undefined),
        () => undefined,
      ),
    );
  return targets;
}

async function assertClosed(target: Target, headers: Readonly<Record<string, string>> = {}): Promise<void> {
  for (const [method, path] of PROTECTED)
    assertError(await request(target, method, path, { headers }), 401, "unauthorized");
}

/** Tokens and the licence open through a proxy what they open anywhere. */
async function assertServes(target: Target): Promise<void> {
  expect(await request(target, "GET", "/v1/hosts", bearer(root.session)), 200);
  expect(await request(target, "GET", "/v1/hosts", bearer(key.token)), 200);
  expect(await request(target, "GET", "/v1/internal/images", bearer(LICENSE_HASH)), 200);
  expect(await request(target, "GET", "/v1/auth/whoami", bearer("wrong")), 401);
}

const targets = hasNginx ? await startNginx([...Object.values(LOCATIONS), SILENT]) : [];

for (const [index, name] of Object.keys(LOCATIONS).entries()) {
  test(
    `nginx ${name} does not open the bypass, whatever Host the client names, and serves tokens`,
    needsNginx,
    async () => {
      const target = targets[index];
      assert.ok(target !== undefined);
      for (const headers of [
        {},
        { host: "localhost" },
        { host: `127.0.0.1:${daemon.port}` },
        { host: "localhost", "x-forwarded-for": "" },
      ])
        await assertClosed(target, headers);
      await assertServes(target);
    },
  );
}

test(
  "nginx that is told to speak HTTP/1.1 and to name nobody cannot be told from a local client: OPERATING.md says " +
    "to set auth.localhost_bypass = false",
  needsNginx,
  async (t) => {
    const target = targets.at(-1);
    assert.ok(target !== undefined);
    t.diagnostic(`a request through it is answered ${(await request(target, "GET", "/v1/auth/whoami")).status}`);
    const closed = await startDaemon({ config: "[auth]\nlocalhost_bypass = false" }, t);
    const [behind] = await startNginx([SILENT.replace(UPSTREAM, closed.url)]);
    assert.ok(behind !== undefined);
    await assertClosed(behind);
  },
);

test(
  "a proxy made of node:http that names its client does not open the bypass, nor does one that speaks " +
    "for a browser",
  async (t) => {
    const addHeaders: readonly Readonly<Record<string, string>>[] = [
      { "x-forwarded-for": "203.0.113.7" },
      { via: "1.1 proxy" },
      { forwarded: "for=203.0.113.7" },
      { "x-real-ip": "203.0.113.7" },
    ];
    for (const added of addHeaders) {
      const proxy = http.createServer((req, res) => {
        const onward = http.request(
          {
            port: daemon.port,
            host: "127.0.0.1",
            method: req.method,
            path: req.url,
            headers: { ...req.headers, host: "localhost", ...added },
          },
          (answer) => {
            res.writeHead(answer.statusCode ?? 0, answer.headers);
            answer.pipe(res);
          },
        );
        req.pipe(onward);
      });
      await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
      t.after(() => proxy.close());
      const address = proxy.address();
      assert.ok(typeof address === "object" && address !== null);
      await assertClosed({ port: address.port });
      await assertServes({ port: address.port });
    }
  },
);

test("without a proxy the bypass is open to the same requests", async () => {
  const answers: Answer[] = [];
  for (const [method, path] of PROTECTED) answers.push(await daemon.request(method, path));
  assert.deepEqual(
    answers.map((answer) => answer.status),
    [200, 200, 200, 200, 200, 400, 200],
  );
});
