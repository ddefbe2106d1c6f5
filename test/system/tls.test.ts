/** Part B, Commands: server.tls_cert and server.tls_key, and their reload. */
import assert from "node:assert/strict";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import * as tls from "node:tls";
import { eventually, run, startDaemon } from "../support/daemon.ts";
import type { TestDaemon } from "../support/daemon.ts";

/** Puts a self-signed certificate for `name` in place; false where there is no openssl. */
async function certify(daemon: { readonly folder: string }, name: string): Promise<boolean> {
  const [key, cert] = [join(daemon.folder, `${name}.key`), join(daemon.folder, `${name}.crt`)];
  const made = await run("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj", `/CN=${name}`, "-keyout", key, "-out", cert]).catch(() => null);
  if (made === null || made.code !== 0) return false;
  copyFileSync(key, join(daemon.folder, "tls.key"));
  copyFileSync(cert, join(daemon.folder, "tls.crt"));
  return true;
}

/** The name in the certificate and the answer's first line. */
function ask(daemon: TestDaemon): Promise<{ name: string; answer: string }> {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({ port: daemon.port, host: "127.0.0.1", rejectUnauthorized: false });
    let text = "";
    let name = "";
    socket.on("secureConnect", () => {
      name = String(socket.getPeerCertificate().subject.CN);
      socket.write("GET /v1/auth/whoami HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    });
    socket.on("data", (part: Buffer) => (text += part.toString("latin1")));
    socket.on("error", reject);
    socket.on("close", () => resolve({ name, answer: text.split("\r\n")[0] ?? "" }));
  });
}

test("server.tls_cert and server.tls_key serve HTTPS; SIGHUP: reload certificates", async (t) => {
  const daemon = await startDaemon({}, t);
  if (!(await certify(daemon, "first.example"))) return t.skip("there is no openssl to make a certificate");
  daemon.configure(`[server]\ntls_cert = "FOLDER/tls.crt"\ntls_key = "FOLDER/tls.key"`);
  await daemon.restart();
  assert.match(daemon.url, /^https:/);
  assert.deepEqual(await ask(daemon), { name: "first.example", answer: "HTTP/1.1 200 OK" });
  await certify(daemon, "second.example");
  daemon.signal("SIGHUP");
  await eventually("the new certificate", async () => ((await ask(daemon)).name === "second.example" ? true : undefined));
  assert.deepEqual(await daemon.stop(), { code: 0, signal: null });
});
