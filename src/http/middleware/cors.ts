/** Tells browsers which origins may read answers; it refuses nothing itself, and never looks at credentials. */
import type { Context } from "../context.ts";
import { empty } from "../respond.ts";
import type { Middleware } from "../compose.ts";
import type { Reply, RouteShape } from "../types.ts";

/**
 * Every request header that is read anywhere and that a page may set; a test finds the readers. Accept needs no leave.
 */
export const ALLOW_HEADERS = [
  "Authorization",
  "Content-Encoding",
  "Content-Type",
  "Idempotency-Key",
  "If-None-Match",
  "If-Range",
  "Last-Event-ID",
  "Range",
  "X-Request-Id",
  "X-Zwrm-Host-Key",
  "X-Zwrm-Org",
] as const;
/** Every header of an answer that says something to a page, and that browsers do not show unasked. */
export const EXPOSE_HEADERS = [
  "Accept-Ranges",
  "Allow",
  "Content-Range",
  "Docker-Content-Digest",
  "ETag",
  "Retry-After",
  "WWW-Authenticate",
  "X-Request-Id",
  "X-Zwrm-Cluster",
] as const;
/** Seconds that a browser may keep a preflight's answer; a reload of the config is seen by then. */
const MAX_AGE = "600";
const WILDCARD = /^(https?:\/\/)\*(\.[^*]+)$/;
/** Underscores are no letters of a host name, but of names that resolve and that browsers take. */
const LABELS = /^[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$/;

/** Is this value of `Origin`, as a browser writes it, allowed? */
export type OriginCheck = (origin: string) => boolean;

export interface Cors<R extends RouteShape, C> {
  readonly middleware: Middleware<R, C>;
  /** Replaces the allowed origins from the next request on. Throws as `parseOrigins`, and changes nothing then. */
  replace(origins: readonly string[]): void;
}

/**
 * Reads exact origins (`https://a.example:8443`) and patterns (`https://*.example.com`: any name below, on that scheme
 * and port). Throws an Error that quotes what is neither.
 */
export function parseOrigins(origins: readonly string[]): OriginCheck {
  const exact = new Set<string>();
  const wildcards: { readonly scheme: string; readonly suffix: string }[] = [];
  for (const text of origins) {
    const [, scheme, suffix] = WILDCARD.exec(text) ?? [];
    if (scheme === undefined || suffix === undefined) exact.add(readOrigin(text, text));
    else wildcards.push({ scheme, suffix: readOrigin(`${scheme}x${suffix}`, text).slice(scheme.length + 1) });
  }
  return (origin) =>
    exact.has(origin) ||
    wildcards.some(
      ({ scheme, suffix }) =>
        origin.startsWith(scheme) &&
        origin.endsWith(suffix) &&
        LABELS.test(origin.slice(scheme.length, -suffix.length)),
    );
}

/** The origin as browsers write it: lower case, no default port. */
function readOrigin(text: string, shown: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^https?:$/.test(url.protocol) || !/^https?:\/\/[^/?#@*\\]+$/i.test(text)) {
    throw new Error(`"${shown}" is not an origin such as https://app.example.com or https://*.example.com`);
  }
  return url.origin;
}

export function createCors<R extends RouteShape, C>(origins: readonly string[]): Cors<R, C> {
  let allows = parseOrigins(origins);
  return {
    middleware: (context, next) => {
      const origin = context.header("origin");
      if (origin === null || !allows(origin)) return next();
      const { res } = context;
      // Set on the response and not on a reply, so that a browser can read errors too.
      res.setHeader("Access-Control-Allow-Origin", origin);
      res.setHeader("Access-Control-Expose-Headers", EXPOSE_HEADERS.join(", "));
      return preflight(context) ?? next();
    },
    replace(changed) {
      allows = parseOrigins(changed);
    },
  };
}

/** The answer to a browser that asks beforehand; null for any other request. */
function preflight<R extends RouteShape, C>(context: Context<R, C>): Reply | null {
  const { match } = context;
  if (
    context.method !== "OPTIONS" ||
    match.kind !== "wrong_method" ||
    context.header("access-control-request-method") === null
  )
    return null;
  return empty(204, {
    "Access-Control-Allow-Methods": match.allow,
    "Access-Control-Allow-Headers": ALLOW_HEADERS.join(", "),
    "Access-Control-Max-Age": MAX_AGE,
  });
}
