/**
 * Tests of the real program zwrm: exit codes, outputs, and that its process ends when its work does. Few, because each
 * costs a start of Node.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type { FakeServer } from "../client/support.ts";
import { serve } from "../client/support.ts";
import { host, temporaryFolder } from "./support.ts";

const PROGRAM = fileURLToPath(new URL("../../src/zwrm.ts", import.meta.url));

function start(args: readonly string[], env: Record<string, string>) {
  const clean = { PATH: process.env["PATH"] ?? "", HOME: "/nonexistent", ...env };
  return spawn(process.execPath, ["--import", "tsx", PROGRAM, ...args], {
    env: clean,
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 30_000,
  });
}

async function run(args: readonly string[], env: Record<string, string>) {
  const child = start(args, env);
  let [out, err] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (err += text));
  const [code]: unknown[] = await once(child, "close");
  return { code, out, err };
}

/** The environment that leads to a server, and to a proxy that is not there for whoever would use one. */
function toward(server: FakeServer): Record<string, string> {
  return {
    ZWRM_API_URL: server.url,
    HTTP_PROXY: "http://127.0.0.1:1",
    http_proxy: "http://127.0.0.1:1",
    NODE_USE_ENV_PROXY: "1",
  };
}

test("prints to pipes without colours and exits 0 as soon as it is done", async (t) => {
  const server = await serve(() => [200, { hosts: [host("h-1")] }]);
  t.after(() => server.close());
  // A kept connection must not hold the process: this server would keep it for longer than the program may run.
  server.http.keepAliveTimeout = 120_000;
  const { code, out, err } = await run(["host", "list"], { ...toward(server), FORCE_COLOR: "1" });
  assert.deepEqual([code, err], [0, ""]);
  assert.match(out, /^ID +STATUS .*\nh-1 +active /);
});

test("exits 1 where the API fails and 2 where the usage is wrong", async () => {
  const [failed, wrong] = await Promise.all([
    run(["status"], { ZWRM_API_URL: "http://127.0.0.1:1" }),
    run(["host", "lits"], {}),
  ]);
  assert.deepEqual([failed.code, failed.out], [1, ""]);
  assert.match(failed.err, /^zwrm: Nothing listens at http:\/\/127\.0\.0\.1:1\./);
  assert.deepEqual([wrong.code, wrong.out], [2, ""]);
  assert.match(wrong.err, /Did you mean "list"\?/);
});

test("pushes a file and stays alive between two looks at a drain", async (t) => {
  const path = join(temporaryFolder(t), "root.img");
  writeFileSync(path, Buffer.alloc(3_000_000, 7));
  let asked = 0;
  const status = (state: string) => ({
    host_id: "h-1",
    state,
    total: 0,
    migrated: 0,
    remaining: 0,
    failed: 0,
    machines: [],
  });
  const server = await serve(({ method, url }) => {
    if (method === "PUT") return [201, { digest: "d" }];
    asked += url.endsWith("/drain-status") ? 1 : 0;
    return [200, status(asked === 0 ? "draining" : "completed")];
  });
  t.after(() => server.close());
  const [pushed, drained] = await Promise.all([
    run(["image", "push", path], toward(server)),
    run(["host", "drain", "h-1"], toward(server)),
  ]);
  assert.deepEqual([pushed.code, pushed.err], [0, ""]);
  assert.match(pushed.out, /^sha256:[0-9a-f]{64} pushed: 2\.9 MiB in \d\.\ds/);
  assert.equal(server.seen.find(({ method }) => method === "PUT")?.body.length, 3_000_000);
  assert.deepEqual([drained.code, drained.err, asked], [0, "", 1]);
  assert.match(drained.out, /^h-1: draining, no machines to move\nh-1: completed after 1\.\ds/);
});

test("ends by the signal at a Ctrl-C, having said that the drain goes on", async (t) => {
  const server = await serve(() => [
    200,
    { host_id: "h-1", state: "draining", total: 0, migrated: 0, remaining: 0, failed: 0, machines: [] },
  ]);
  t.after(() => server.close());
  const child = start(["host", "drain", "h-1"], toward(server));
  let err = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (err += text));
  child.stdout.once("data", () => child.kill("SIGINT"));
  const [code, signal]: unknown[] = await once(child, "close");
  assert.deepEqual([code, signal], [null, "SIGINT"]);
  assert.match(err, /^h-1: no longer followed; the drain goes on: .*"zwrm host undrain h-1"\.\n$/);
});

test("ends without a word when whoever reads its output leaves", async (t) => {
  const hosts = Array.from({ length: 5_000 }, (_, index) => host(`h-${index}`));
  const server = await serve(() => [200, { hosts }]);
  t.after(() => server.close());
  const child = start(["host", "list", "--json"], toward(server));
  let err = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (err += text));
  child.stdout.once("data", () => child.stdout.destroy());
  const [code]: unknown[] = await once(child, "exit");
  assert.deepEqual([code, err], [141, ""]);
});
