/** Part B, Commands: server.tls_cert and server.tls_key, and their reload. */
import assert from "node:assert/strict";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import * as tls from "node:tls";
import { eventually, run, runProgram, startDaemon } from "../support/daemon.ts";
import type { TestDaemon } from "../support/daemon.ts";

/** Puts a self-signed certificate for `name` in place; false where there is no openssl. */
async function certify(daemon: { readonly folder: string }, name: string): Promise<boolean> {
  const [key, cert] = [join(daemon.folder, `${name}.key`), join(daemon.folder, `${name}.crt`)];
  const made = await run("openssl", [
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
    "-nodes",
    "-days",
    "1",
    "-subj",
    `/CN=${name}`,
    "-keyout",
    key,
    "-out",
    cert,
  ]).catch(() => null);
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
  await eventually("the new certificate", async () =>
    (await ask(daemon)).name === "second.example" ? true : undefined,
  );
  assert.deepEqual(await daemon.stop(), { code: 0, signal: null });
});

/** The config's key and the file, as a sentence names them. */
const CERT = /server\.tls_cert \(\S+\)/;
const KEY = /server\.tls_key \(\S+\)/;

test(
  "files that are no pair are named, with the keys of the config, by --check-config, at the start and at " + "a reload",
  async (t) => {
    const daemon = await startDaemon({}, t);
    const { folder } = daemon;
    if (!(await certify(daemon, "first.example"))) return t.skip("there is no openssl to make a certificate");
    await certify(daemon, "second.example");
    const encrypted = [
      "pkcs8",
      "-topk8",
      "-v2",
      "aes256",
      "-passout",
      "pass:x",
      "-in",
      join(folder, "first.example.key"),
      "-out",
      join(folder, "encrypted.key"),
    ];
    await run("openssl", encrypted);
    writeFileSync(join(folder, "empty"), "");
    writeFileSync(
      join(folder, "broken.crt"),
      readFileSync(join(folder, "first.example.crt"), "utf8").replace(/(-----\n)[^-]{20}/, "$1AAAA"),
    );
    writeFileSync(
      join(folder, "broken.key"),
      readFileSync(join(folder, "first.example.key"), "utf8").replace(/(-----\n)[^-]{20}/, "$1AAAA"),
    );
    const port = `host = "127.0.0.1"\nport = ${daemon.port}`;
    const tls = (cert: string, key: string): string =>
      `[server]\n${port}\ntls_cert = "FOLDER/${cert}"\ntls_key = "FOLDER/${key}"`;
    const wrong: readonly (readonly [cert: string, key: string, sentence: RegExp])[] = [
      ["first.example.key", "first.example.crt", /holds a private key, and .* a certificate: swap the two\./],
      ["first.example.crt", "second.example.key", /The key in .* is not that of the first certificate in /],
      ["first.example.key", "second.example.key", /holds a private key and no certificate;/],
      ["first.example.crt", "second.example.crt", /holds a certificate and no private key;/],
      ["empty", "first.example.key", /holds no certificate as PEM;/],
      ["first.example.crt", "empty", /holds no private key as PEM;/],
      ["first.example.crt", "encrypted.key", /is encrypted, and nobody could be asked for its passphrase/],
      ["broken.crt", "first.example.key", /holds a certificate that cannot be read/],
      ["first.example.crt", "broken.key", /holds a private key that cannot be read/],
    ];
    for (const [cert, key, sentence] of wrong) {
      daemon.configure(tls(cert, key));
      const { code, stderr } = await daemon.command("--check-config");
      assert.equal(code, 1, `${cert} ${key}`);
      for (const part of [CERT, KEY, sentence]) assert.match(stderr, part);
    }
    daemon.configure(tls("nowhere.crt", "first.example.key"));
    assert.match(
      (await daemon.command("--check-config")).stderr,
      /^zwrmd: server\.tls_cert \(\S+nowhere\.crt\) cannot be read: ENOENT/,
    );

    daemon.configure(tls("first.example.crt", "first.example.key"));
    assert.deepEqual([(await daemon.command("--check-config")).code], [0]);
    await daemon.restart();
    daemon.configure(tls("first.example.key", "first.example.crt"));
    daemon.signal("SIGHUP");
    assert.match(await daemon.line(/not reloaded/), /swap the two/);
    assert.equal((await ask(daemon)).name, "first.example");
    await daemon.stop();
    const started = await runProgram(["--config", daemon.configFile]);
    assert.equal(started.code, 1);
    assert.match(started.stderr, /^zwrmd: server\.tls_cert .* swap the two\.\n$/);
  },
);
