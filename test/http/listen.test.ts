import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import * as http from "node:http";
import * as https from "node:https";
import * as net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { PeerCertificate } from "node:tls";
import { TLSSocket } from "node:tls";
import { serve, until } from "./harness.ts";

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "zwrm-http-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

function ask(options: http.RequestOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    http.get({ agent: false, ...options }, (res) => resolve(res.resume().statusCode ?? 0)).on("error", reject);
  });
}

test("listens on a unix socket with its mode, and on TCP at the same time", async (t) => {
  const { server, port } = await serve(t);
  const path = join(folder(t), "s.sock");
  assert.equal(await server.listen({ path, mode: 0o660 }), path);
  assert.equal(statSync(path).mode & 0o777, 0o660);
  assert.equal(await ask({ socketPath: path, path: "/" }), 200);
  assert.equal(await ask({ port, path: "/" }), 200);
  await server.close(100);
  assert.equal(existsSync(path), false);
});

test("replaces the socket file of a dead process, not that of a living one, nor any other file", async (t) => {
  const { server } = await serve(t);
  const dir = folder(t);
  const stale = join(dir, "stale.sock");
  const script =
    `require("net").createServer().listen(${JSON.stringify(stale)}, () => ` + `process.kill(process.pid, "SIGKILL"))`;
  spawnSync(process.execPath, ["-e", script]);
  assert.ok(statSync(stale).isSocket());
  await server.listen({ path: stale });
  assert.equal(await ask({ socketPath: stale, path: "/" }), 200);

  const living = join(dir, "living.sock");
  const other = net.createServer().listen(living);
  t.after(() => other.close());
  await until(() => other.listening, "the other");
  await assert.rejects(server.listen({ path: living }), { code: "EADDRINUSE" });
  const file = join(dir, "file");
  writeFileSync(file, "precious");
  await assert.rejects(server.listen({ path: file }), { code: "EADDRINUSE" });
  assert.equal(readFileSync(file, "utf8"), "precious");
});

test("says why it cannot listen", async (t) => {
  const { server, port } = await serve(t);
  await assert.rejects(server.listen({ host: "127.0.0.1", port }), { code: "EADDRINUSE" });
});

test("listens on a descriptor that another process opened", async (t) => {
  const { server } = await serve(t);
  const opened = net.createServer();
  await new Promise<void>((resolve) => opened.listen(0, "127.0.0.1", resolve));
  const address = opened.address();
  const handle: unknown = "_handle" in opened ? opened._handle : null;
  assert.ok(typeof handle === "object" && handle !== null && "fd" in handle && typeof handle.fd === "number");
  assert.ok(typeof address === "object" && address !== null);
  // The descriptor is duplicated by passing it to a child, which serves on it and answers for itself.
  const src = (path: string): string => JSON.stringify(new URL(`../../src/${path}`, import.meta.url).href);
  const child = `
    const { createHttpServer } = await import(${src("http/server.ts")});
    const { systemClock } = await import(${src("lib/clock.ts")});
    const { json } = await import(${src("http/respond.ts")});
    const router = { match: () => ({ kind: "none" }) };
    const handle = () => json(200, { fd: 3 });
    const server = createHttpServer({ router, handle, clock: systemClock, log: console });
    await server.listen({ fd: 3 });
    const res = await fetch("http://127.0.0.1:${address.port}/");
    process.stdout.write(await res.text());
    await server.close(100);
  `;
  const result = spawnSync(process.execPath, ["--import", "tsx", "--input-type=module", "-e", child], {
    stdio: ["ignore", "pipe", "inherit", handle.fd],
    timeout: 20_000,
  });
  opened.close();
  assert.equal(result.stdout.toString(), '{"fd":3}');
  await server.close(100);
});

function certificate(dir: string, name: string): { cert: string; key: string } {
  const [key, cert] = [join(dir, `${name}.key`), join(dir, `${name}.crt`)];
  const made = spawnSync("openssl", [
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
    "-nodes",
    "-days",
    "2",
    "-subj",
    `/CN=${name}`,
    "-keyout",
    key,
    "-out",
    cert,
  ]);
  assert.equal(made.status, 0, made.stderr.toString());
  return { cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8") };
}

function askTls(port: number): Promise<{ status: number; certificate: PeerCertificate }> {
  return new Promise((resolve, reject) => {
    const req = https.get({ port, host: "127.0.0.1", path: "/", rejectUnauthorized: false, agent: false }, (res) => {
      const { socket } = res;
      assert.ok(socket instanceof TLSSocket);
      resolve({ status: res.resume().statusCode ?? 0, certificate: socket.getPeerCertificate() });
    });
    req.on("error", reject);
  });
}

test(
  "serves TLS, reloads its certificate for the next connection, and stops in spite of " + "half a handshake",
  async (t) => {
    const dir = folder(t);
    const { server, finished } = await serve(t, { limits: { maxConnections: 4 } });
    const address = await server.listen({ host: "127.0.0.1", port: 0, tls: certificate(dir, "first") });
    assert.ok(typeof address === "object");
    const first = await askTls(address.port);
    assert.deepEqual([first.status, first.certificate.subject.CN], [200, "first"]);
    server.reload(certificate(dir, "second"));
    assert.equal((await askTls(address.port)).certificate.subject.CN, "second");
    assert.throws(() => server.reload({ cert: "none", key: "none" }));
    assert.equal((await askTls(address.port)).certificate.subject.CN, "second");
    await until(() => finished.length === 3, "three requests");

    const half = net.connect(address.port, "127.0.0.1").on("error", () => undefined);
    half.write("\x16\x03\x01");
    await new Promise((resolve) => setTimeout(resolve, 50));
    const began = performance.now();
    await server.close(150);
    assert.ok(performance.now() - began < 2_000);
    half.destroy();
  },
);
