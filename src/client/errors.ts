/**
 * The one error that a call to the API ends with: the daemon's own words where it answered, else a sentence on why it
 * could not be asked.
 */
import { messageOf, systemCode } from "../lib/errors.ts";

/**
 * Codes beside those of the API's error table, for calls that got no answer of the API:
 * `bad_url`, `bad_header` (a token or another value that no header can carry), `unreachable` (nothing was sent),
 * `closed` (the connection broke),
 * `timeout`, `tls`, `bad_answer` (something else answered), `bad_source` (what was to be uploaded changed or ended
 * early).
 */
export type LocalCode =
  "bad_url" | "bad_header" | "unreachable" | "closed" | "timeout" | "tls" | "bad_answer" | "bad_source";

/** What a sentence names of the address that was asked. */
export interface Asked {
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly socketPath: string | null;
}

export interface ClientErrorDetails {
  readonly status?: number;
  readonly field?: string | null;
  readonly requestId?: string | null;
  readonly retryAfterSeconds?: number | null;
  readonly extra?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

export class ClientError extends Error {
  /** The code of the API's error body, or a LocalCode. */
  readonly code: string;
  /** The HTTP status; null where there was no answer. */
  readonly status: number | null;
  readonly field: string | null;
  readonly requestId: string | null;
  readonly retryAfterSeconds: number | null;
  /** The whole error body, for what some codes say beside the sentence: `oldest_seq`. */
  readonly extra: Readonly<Record<string, unknown>>;

  constructor(code: string, message: string, details: ClientErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "ClientError";
    this.code = code;
    this.status = details.status ?? null;
    this.field = details.field ?? null;
    this.requestId = details.requestId ?? null;
    this.retryAfterSeconds = details.retryAfterSeconds ?? null;
    this.extra = details.extra ?? {};
  }
}

/** Turns what node:http, node:net and node:tls throw into a sentence that says what to do. */
export function explain(error: unknown, address: Asked): ClientError {
  if (error instanceof ClientError) return error;
  const code = systemCode(error) ?? "";
  const [kind, sentence] =
    address.socketPath === null ? explainTcp(code, address, error) : explainSocket(code, address.socketPath, error);
  return new ClientError(kind, sentence, { cause: error });
}

type Explanation = readonly [kind: LocalCode, sentence: string];

function explainSocket(code: string, path: string, error: unknown): Explanation {
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
      return ["unreachable", `There is no socket at ${path}. Is zwrmd running, and is server.socket set to this path?`];
    case "EACCES":
    case "EPERM":
      return ["unreachable", `This user may not open the socket ${path}. Join the group that owns it, or ask as root.`];
    case "ECONNREFUSED":
      return ["unreachable", `Nothing listens on the socket ${path} any more. Is zwrmd running?`];
    case "ENOTSOCK":
      return ["unreachable", `${path} is not a socket.`];
    default:
      return explainOther(code, `unix:${path}`, error);
  }
}

function explainTcp(code: string, { url, host, port }: Asked, error: unknown): Explanation {
  switch (code) {
    case "ECONNREFUSED":
      return ["unreachable", `Nothing listens at ${url}. Is zwrmd running there, on this port?`];
    case "ENOTFOUND":
      return ["unreachable", `The name ${host} is not known. Is ${url} spelled right?`];
    case "EAI_AGAIN":
      return [
        "unreachable",
        `The name ${host} could not be looked up, because no name server answers. Try again, or use an IP address.`,
      ];
    case "EHOSTUNREACH":
    case "ENETUNREACH":
    case "EADDRNOTAVAIL":
      return ["unreachable", `There is no route to ${host}. Check the network, and that ${url} is right.`];
    case "EACCES":
    case "EPERM":
      return [
        "unreachable",
        `The system does not let this program connect to ${url}; a firewall or a sandbox forbids it.`,
      ];
    case "ETIMEDOUT":
      return [
        "timeout",
        `${url} does not answer. A firewall may drop what is sent to port ${port}, or the host is down.`,
      ];
    case "EPROTO":
    case "ERR_SSL_WRONG_VERSION_NUMBER":
    case "ERR_SSL_PACKET_LENGTH_TOO_LONG":
      return ["tls", `${url} does not speak TLS on this port. Does the URL have to begin with http://?`];
    default:
      return explainCertificate(code, url, host) ?? explainOther(code, url, error);
  }
}

function explainCertificate(code: string, url: string, host: string): Explanation | null {
  switch (code) {
    case "DEPTH_ZERO_SELF_SIGNED_CERT":
    case "SELF_SIGNED_CERT_IN_CHAIN":
    case "UNABLE_TO_GET_ISSUER_CERT":
    case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
    case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
      return [
        "tls",
        `The certificate of ${url} is not signed by an authority that this machine knows. Set ` +
          "NODE_EXTRA_CA_CERTS to the file of your authority.",
      ];
    case "CERT_HAS_EXPIRED":
      return ["tls", `The certificate of ${url} has expired. Renew it, or check this machine's clock.`];
    case "CERT_NOT_YET_VALID":
      return ["tls", `The certificate of ${url} is not valid yet. Check this machine's clock.`];
    case "ERR_TLS_CERT_ALTNAME_INVALID":
      return ["tls", `The certificate of ${url} is for another name than ${host}. Use a name that it lists.`];
    default:
      return /^(CERT_|ERR_TLS_|ERR_SSL_|ERR_OSSL_)/.test(code)
        ? ["tls", `No TLS connection to ${url} could be made (${code}).`]
        : null;
  }
}

function explainOther(code: string, url: string, error: unknown): Explanation {
  if (code === "ECONNRESET" || code === "EPIPE") {
    return [
      "closed",
      `${url} closed the connection before its answer was complete. The daemon may be restarting: try again.`,
    ];
  }
  if (code.startsWith("HPE_"))
    return ["bad_answer", `What answers at ${url} does not speak HTTP (${code}). Is the port right?`];
  return ["unreachable", `${url} cannot be reached: ${messageOf(error)}.`];
}
