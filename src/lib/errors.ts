/**
 * Every error that a client can be told: one table of code, status and meaning, and the one class that carries a row of
 * it.
 */

/** The table behind every error body; api/REFERENCE.md shows the same rows, and a test compares the two. */
export const ERRORS = {
  malformed_request: [400, "The request line, a header or a percent-escape is not valid HTTP."],
  malformed_json: [400, "The body is not JSON in UTF-8, or not an object."],
  invalid_field: [400, "A known field has the wrong type or range; `field` names it."],
  invalid_digest: [400, "A digest is `sha256:` and 64 lower-case hex characters."],
  unauthorized: [401, "No valid credentials came with a request that needs them."],
  forbidden: [403, "The caller is known and may not do this."],
  host_admin_required: [403, "Hosts, users and orgs are for host-admins."],
  host_key_mismatch: [403, "This host id is bound to another X-Zwrm-Host-Key; a host-admin can unbind it."],
  route_not_found: [404, "There is no such path."],
  host_not_found: [404, "No host has this id."],
  host_not_registered: [404, "The host is unknown here: register it, then beat again."],
  org_not_found: [404, "No org with this slug or id is visible to the caller."],
  user_not_found: [404, "No user with this id is visible to the caller."],
  token_not_found: [404, "No token with this id is visible to the caller."],
  app_not_found: [404, "No app with this id or name is visible to the caller."],
  deployment_not_found: [404, "The app has no deployment with this id."],
  machine_not_found: [404, "No machine with this id is visible to the caller."],
  image_not_found: [404, "No image with this digest is visible to the caller."],
  image_missing: [404, "The image is known, but its bytes were quarantined or removed from disk: push it again."],
  no_drain: [404, "This host has never been drained."],
  method_not_allowed: [405, "The path exists, the method does not; `Allow` lists those that do."],
  host_in_maintenance: [409, "The host is in maintenance: activate it first."],
  host_not_draining: [409, "The host is not draining."],
  host_online: [409, "Only a host that is offline can be removed."],
  host_not_in_maintenance: [409, "The host is not in maintenance."],
  host_id_in_use: [409, "Two agents beat under one host id."],
  app_exists: [409, "The org has an app of this name; `id` names it."],
  app_has_machines: [409, "The app still has machines; `?force=true` stops them."],
  no_deployment: [409, "The app was never deployed, so there is nothing to scale."],
  machine_state: [409, "The machine is in a state in which this makes no sense; the message says which."],
  image_in_use: [409, "A machine or deployment still needs this image."],
  last_host_admin: [409, "The last host-admin cannot remove itself: nobody would be left to make another."],
  quota_exceeded: [409, "The org has as much as it may have; `quota`, `limit` and `used` say of what."],
  too_many_tokens: [409, "The user has as many API keys as there may be; revoke one first."],
  user_exists: [409, "Another user has this email."],
  org_exists: [409, "Another org has this slug."],
  compacted: [410, "The events asked for were let go; `oldest_seq` names the oldest that is left."],
  ahead_of_log: [410, "The position is behind the end of the log, `last_seq`: it is of another log. Begin anew."],
  other_cluster: [410, "The position is one of another cluster than this, `cluster_id`. Begin anew."],
  body_too_large: [413, "The body is larger than server.max_body_bytes."],
  image_too_large: [413, "The image is larger than images.max_bytes."],
  uri_too_long: [414, "The request target is longer than the daemon reads."],
  unsupported_media_type: [415, "This route takes application/json."],
  range_not_satisfiable: [416, "The range lies outside the image."],
  expectation_failed: [417, "`Expect` asks for something other than 100-continue."],
  image_unknown: [422, "The org has no image with this digest: push it first."],
  idempotency_key_reused: [422, "The Idempotency-Key was used for another request within the last 24 h."],
  digest_mismatch: [422, "The bytes do not hash to the digest in the path; nothing was kept."],
  login_throttled: [429, "Too many failed logins from this address or for this email."],
  too_many_logins: [429, "Too many logins wait for their turn."],
  headers_too_large: [431, "Too many or too large header fields."],
  request_timeout: [408, "The request did not arrive in time."],
  internal: [500, "The daemon failed; its log has the details under the same request id."],
  not_available_yet: [501, "The path is reserved; this version does not serve it."],
  storage_failed: [503, "The journal cannot be written; reads and heartbeats go on."],
  license_not_configured: [503, "No licence hash is configured, so no agent can be let in."],
  shutting_down: [503, "The daemon is stopping; try again in a moment."],
  too_many_connections: [503, "server.max_connections are open."],
  storage_full: [507, "Too little disk would be left free; nothing was kept."],
} as const satisfies Record<string, readonly [status: number, meaning: string]>;

export type ErrorCode = keyof typeof ERRORS;

export interface ErrorDetails {
  /** The field at fault as a path from the body's root: `capacity.cpus`. */
  readonly field?: string;
  /** Headers that go with the answer, such as Allow or Retry-After. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Further fields of the body: `oldest_seq`, the id of what is there already. */
  readonly extra?: Readonly<Record<string, string | number>>;
  readonly cause?: unknown;
}

/**
 * An answer that is an error, thrown anywhere below the Recovery middleware. `message` is a sentence for the client.
 */
export class ApiError extends Error {
  readonly code: ErrorCode;
  readonly status: number;
  readonly field: string | null;
  readonly headers: Readonly<Record<string, string>>;
  readonly extra: Readonly<Record<string, string | number>>;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, "cause" in details ? { cause: details.cause } : undefined);
    this.name = "ApiError";
    this.code = code;
    this.status = ERRORS[code][0];
    this.field = details.field ?? null;
    this.headers = details.headers ?? {};
    this.extra = details.extra ?? {};
  }
}

/** The `code` of a Node system error (`ENOSPC`), or null for anything else. */
export function systemCode(error: unknown): string | null {
  if (!(error instanceof Error) || !("code" in error)) return null;
  return typeof error.code === "string" ? error.code : null;
}

/** What a person may read of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
