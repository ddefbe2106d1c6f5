/**
 * Which errors a route may answer with: what its row names, and what follows from its kind (whom it lets in, what it
 * reads, whether it changes something). The document and the reference tell it, and a test holds every answer to it.
 */
import type { ErrorCode } from "../lib/errors.ts";
import { STREAM } from "../wire/call.ts";
import type { ApiRoute } from "./route.ts";

/** Of any request, whatever its path: before a route is known, and where the daemon itself cannot. */
export const ANY_REFUSALS: readonly ErrorCode[] = [
  "malformed_request",
  "route_not_found",
  "method_not_allowed",
  "request_timeout",
  "uri_too_long",
  "expectation_failed",
  "headers_too_large",
  "internal",
  "too_many_connections",
];

/** A kind of call, in words, and what it may be refused with beyond any other. */
export interface Kind {
  readonly of: string;
  readonly is: (route: ApiRoute) => boolean;
  readonly refusals: readonly ErrorCode[];
}

export const KINDS: readonly Kind[] = [
  {
    of: "for anyone logged in",
    is: ({ access }) => access.kind === "protected",
    refusals: ["unauthorized", "forbidden", "org_not_found"],
  },
  {
    of: "for host-admins",
    is: ({ access }) => access.kind === "protected" && access.hostAdmin,
    refusals: ["host_admin_required"],
  },
  {
    of: "for host agents (internal)",
    is: ({ access }) => access.kind === "internal",
    refusals: ["unauthorized", "license_not_configured"],
  },
  {
    of: "with a body of JSON",
    is: ({ call }) => call.body !== undefined && call.body !== STREAM,
    refusals: ["malformed_json", "invalid_field", "unsupported_media_type", "body_too_large"],
  },
  { of: "with a query", is: ({ call }) => call.query !== undefined, refusals: ["invalid_field"] },
  {
    of: "that heeds an Idempotency-Key",
    is: ({ call }) => call.idempotencyKey === true,
    refusals: ["invalid_field", "idempotency_key_reused"],
  },
  {
    of: "that changes something (POST, PUT, DELETE)",
    is: ({ method }) => method !== "GET",
    refusals: ["storage_failed"],
  },
];

/** What its row names, in the order of the row. */
export function ownRefusals({ call }: ApiRoute): readonly ErrorCode[] {
  return call.refusals ?? [];
}

/** All that the route may be refused with, each once. */
export function refusalsOf(route: ApiRoute): readonly ErrorCode[] {
  const ofKind = KINDS.filter(({ is }) => is(route)).flatMap(({ refusals }) => refusals);
  return [...new Set([...ownRefusals(route), ...ofKind, ...ANY_REFUSALS])];
}
