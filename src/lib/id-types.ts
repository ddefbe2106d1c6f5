/** The types of the ids of things, and nothing that makes one: what the reducers may see of ids. */

declare const kind: unique symbol;

/**
 * A text that is the id of one kind of thing: ids of different things are different types, and no plain text is one.
 * An id is made by ids.ts, read by a schema (wire/common.ts) or from a path (api/request.ts), or comes back with the
 * log.
 */
export type Id<Kind extends string> = string & { readonly [kind]: Kind };

export type HostId = Id<"host">;
export type MachineId = Id<"machine">;
export type AppId = Id<"app">;
export type DeploymentId = Id<"deployment">;
export type OrgId = Id<"org">;
export type UserId = Id<"user">;
/** Of an API key. */
export type KeyId = Id<"api key">;
export type SessionId = Id<"session">;
export type ImageDigest = Id<"image">;

/** What an Idempotency-Key may have led to. */
export type ResourceId = AppId | DeploymentId | MachineId;

/** Keys of what two things name together. */
export type MembershipKey = `${OrgId}/${UserId}`;
export type ImageRefKey = `${OrgId}/${ImageDigest}`;
export type IdempotencyKey = `${OrgId}/${string}`;
