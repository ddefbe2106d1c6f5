/**
 * Looks at a request's line and headers for what Node lets pass and the daemon does not serve: it says so, and answers
 * nothing itself.
 */
import type { IncomingMessage } from "node:http";
import type { ErrorCode } from "../lib/errors.ts";
import type { HttpLimits } from "./limits.ts";

export interface Fault {
  readonly code: ErrorCode;
  readonly reason: string;
}

export interface Target {
  /** Not decoded, without the query. */
  readonly path: string;
  readonly queryText: string;
}

const ABSOLUTE = /^https?:\/\/[^/?#]+/i;

/**
 * Splits the target at its query. Of an absolute target (`GET http://host/path`) the path counts, as RFC 9112 3.2.2
 * wants; `*` stays as it is.
 */
export function readTarget(url: string): Target {
  const relative = url.startsWith("/") ? url : withoutAuthority(url);
  const mark = relative.indexOf("?");
  return mark === -1
    ? { path: relative, queryText: "" }
    : { path: relative.slice(0, mark), queryText: relative.slice(mark + 1) };
}

function withoutAuthority(url: string): string {
  const rest = url.replace(ABSOLUTE, "");
  return rest === "" || (rest !== url && rest.startsWith("?")) ? `/${rest}` : rest;
}

/** What is wrong with a request whatever its route; null where nothing is. */
export function findFault(req: IncomingMessage, path: string, limits: HttpLimits): Fault | null {
  const url = req.url ?? "";
  const { rawHeaders } = req;
  if (rawHeaders.length > 2 * limits.maxHeaderFields)
    return { code: "headers_too_large", reason: `A request has at most ${limits.maxHeaderFields} header fields.` };
  if (url.length > limits.maxTargetLength)
    return { code: "uri_too_long", reason: `A request target has at most ${limits.maxTargetLength} characters.` };
  const { httpVersion } = req;
  if (httpVersion !== "1.1" && httpVersion !== "1.0") return malformed("Only HTTP/1.1 and HTTP/1.0 are served.");
  if (!path.startsWith("/") || url.includes("#")) return malformed("The request target must be a path.");
  let hosts = 0;
  let credentials = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? "";
    // Most names fail on their length alone.
    if (name.length === 4 && name.toLowerCase() === "host") hosts += 1;
    else if (name.length === 13 && name.toLowerCase() === "authorization") credentials += 1;
  }
  if (hosts > 1) return malformed("There is more than one Host header.");
  if (hosts === 0 && httpVersion === "1.1") return malformed("There is no Host header.");
  if (credentials > 1) return malformed("There is more than one Authorization header.");
  // Node reads a body in an encoding that it does not know up to the connection's end; a proxy in front may see its end
  // elsewhere.
  const encoding = req.headers["transfer-encoding"];
  if (encoding !== undefined && (encoding.toLowerCase() !== "chunked" || httpVersion === "1.0")) {
    return malformed("Of Transfer-Encoding only chunked is served, and only in HTTP/1.1.");
  }
  return null;
}

function malformed(reason: string): Fault {
  return { code: "malformed_request", reason };
}
