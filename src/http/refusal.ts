/**
 * Error answers where no request could be made of what came: written onto the bare connection, in the same shape as all
 * others.
 */
import { STATUS_CODES } from "node:http";
import { ApiError, systemCode } from "../lib/errors.ts";
import type { ErrorCode } from "../lib/errors.ts";
import { errorReply } from "./respond.ts";

/** Headers of every answer, beside the ones that its reply brings. */
export const COMMON_HEADERS: readonly string[] = ["Vary", "Origin", "X-Content-Type-Options", "nosniff"];

export interface Refusal {
  readonly code: ErrorCode;
  readonly message: string;
}

export interface RawAnswer {
  readonly status: number;
  readonly text: string;
  readonly bodyBytes: number;
}

const BY_PARSER_CODE: Readonly<Record<string, Refusal>> = {
  HPE_HEADER_OVERFLOW: { code: "headers_too_large", message: "The request's headers are too large." },
  HPE_CHUNK_EXTENSIONS_OVERFLOW: { code: "body_too_large", message: "The chunk extensions of the body are too large." },
  ERR_HTTP_REQUEST_TIMEOUT: { code: "request_timeout", message: "The request's headers were not whole in time." },
};

/** What a client is told when the parser gives up; null where the connection is broken and nobody listens. */
export function refusalOf(error: Error): Refusal | null {
  const code = systemCode(error) ?? "";
  const known = BY_PARSER_CODE[code];
  if (known !== undefined) return known;
  return code.startsWith("HPE_") ? { code: "malformed_request", message: "The request is not valid HTTP/1.1." } : null;
}

/** A whole answer as it goes over the wire; the connection closes behind it. `wallMs` is the time for Date. */
export function rawAnswer({ code, message }: Refusal, requestId: string, wallMs: number): RawAnswer {
  const { status, headers, body } = errorReply(new ApiError(code, message), requestId);
  const payload = typeof body === "string" ? body : "";
  const bodyBytes = Buffer.byteLength(payload);
  const lines = [`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "Error"}`, `X-Request-Id: ${requestId}`];
  for (let index = 0; index < COMMON_HEADERS.length; index += 2)
    lines.push(`${COMMON_HEADERS[index] ?? ""}: ${COMMON_HEADERS[index + 1] ?? ""}`);
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
  lines.push(`Content-Length: ${bodyBytes}`, `Date: ${new Date(wallMs).toUTCString()}`, "Connection: close");
  return { status, text: `${lines.join("\r\n")}\r\n\r\n${payload}`, bodyBytes };
}
