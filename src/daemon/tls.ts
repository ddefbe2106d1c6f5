/**
 * Reads the certificate and its key, and says in a sentence which of the two files is wrong and how, before a listener
 * would say it in OpenSSL's words.
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import type { Config } from "../config/schema.ts";
import { messageOf } from "../lib/errors.ts";

export interface TlsFiles {
  readonly cert: Buffer;
  readonly key: Buffer;
}

const CERTIFICATE = /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----/;
const PRIVATE_KEY = /-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----/;
const ENCRYPTED = /-----BEGIN ENCRYPTED|^Proc-Type: 4,ENCRYPTED/m;

/** Null where TLS is off. Throws an Error whose sentence names the files and the keys of the config. */
export function readTls({ tlsCert, tlsKey }: Pick<Config["server"], "tlsCert" | "tlsKey">): TlsFiles | null {
  if (tlsCert === "") return null;
  const files = { cert: readPem("server.tls_cert", tlsCert), key: readPem("server.tls_key", tlsKey) };
  try {
    // OpenSSL judges, as it will when the daemon listens; what follows only finds the words.
    createSecureContext({ ...files, minVersion: "TLSv1.2" });
  } catch (cause) {
    throw new Error(explain(files, `server.tls_cert (${tlsCert})`, `server.tls_key (${tlsKey})`, cause), { cause });
  }
  return files;
}

function readPem(key: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new Error(`${key} (${path}) cannot be read: ${messageOf(cause)}`, { cause });
  }
}

function explain(files: TlsFiles, certFile: string, keyFile: string, cause: unknown): string {
  const [cert, key] = [files.cert.toString("latin1"), files.key.toString("latin1")];
  if (!CERTIFICATE.test(cert)) {
    if (PRIVATE_KEY.test(cert) && CERTIFICATE.test(key)) {
      return `${certFile} holds a private key, and ${keyFile} a certificate: swap the two.`;
    }
    const what = PRIVATE_KEY.test(cert) ? "a private key and no certificate" : "no certificate as PEM";
    return `${certFile} holds ${what}; its key is to be in ${keyFile}.`;
  }
  if (!PRIVATE_KEY.test(key)) {
    const what = CERTIFICATE.test(key) ? "a certificate and no private key" : "no private key as PEM";
    return `${keyFile} holds ${what}; it is to be the key of ${certFile}.`;
  }
  if (ENCRYPTED.test(key)) {
    return `${keyFile} is encrypted, and nobody could be asked for its passphrase: decrypt the key of ${certFile}.`;
  }
  switch (whyNoPair(files)) {
    case "other":
      return (
        `The key in ${keyFile} is not that of the first certificate in ${certFile}, which must be the ` +
        "server's own."
      );
    case "cert":
      return `${certFile} holds a certificate that cannot be read, so ${keyFile} is of no use: ${messageOf(cause)}`;
    case "key":
      return `${keyFile} holds a private key that cannot be read, so ${certFile} is of no use: ${messageOf(cause)}`;
    case null:
      return `${certFile} and ${keyFile} cannot be used: ${messageOf(cause)}`;
  }
}

/** Which of the two cannot be read, or whether they are of different pairs; null where neither is it. */
function whyNoPair({ cert, key }: TlsFiles): "cert" | "key" | "other" | null {
  const certificate = attempt(() => new X509Certificate(cert));
  if (certificate === null) return "cert";
  const privateKey = attempt(() => createPrivateKey(key));
  if (privateKey === null) return "key";
  return certificate.checkPrivateKey(privateKey) ? null : "other";
}

function attempt<T>(work: () => T): T | null {
  try {
    return work();
  } catch {
    return null;
  }
}
