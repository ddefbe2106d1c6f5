/** The shapes of names that come from outside, and the making of new ones. */
import { createHash, hash, randomBytes, randomUUID, timingSafeEqual } from "node:crypto";
import type { AppId, DeploymentId, HostId, KeyId, MachineId, OrgId, SessionId, UserId } from "./id-types.ts";

/** Host ids, app labels: 1 to 64 characters, no leading dot, safe as one path segment. */
export const NAME_PATTERN = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$/;
/** An app_id label may start with any of its characters. */
export const LABEL_PATTERN = /^[A-Za-z0-9._-]{1,64}$/;
export const DIGEST_PATTERN = /^sha256:[0-9a-f]{64}$/;
export const SHA256_HEX_PATTERN = /^[0-9a-f]{64}$/;
export const REQUEST_ID_PATTERN = /^[A-Za-z0-9._-]{1,128}$/;

/** What the prefix of a new id says that it names. Ids with any other name nothing that the state keeps. */
interface Named {
  readonly app: AppId;
  readonly dep: DeploymentId;
  readonly key: KeyId;
  readonly m: MachineId;
  readonly org: OrgId;
  readonly ses: SessionId;
  readonly usr: UserId;
}

export type NewId<P extends string> = P extends keyof Named ? Named[P] : string;

export function newUuid(): string {
  return randomUUID();
}

/** The id of a host that came without one. */
export function newHostId(): HostId {
  return newUuid() as HostId;
}

/** A short random id with a prefix that says what it names: `m_4f1c…`, 80 random bits. */
export function newId<const P extends string>(prefix: P): NewId<P> {
  return `${prefix}_${randomBytes(10).toString("hex")}` as NewId<P>;
}

/** Lower-case hex SHA-256 of a short text, by the one-call hash (half the cost of createHash, facts.md). */
export function sha256Hex(text: string): string {
  return hash("sha256", text, "hex");
}

/** Lower-case hex SHA-256 of bytes. */
export function sha256HexOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Equality of two texts in time that depends on neither's content; lengths that differ are unequal at once. */
export function equalSecrets(a: string, b: string): boolean {
  const left = Buffer.from(a, "utf8");
  const right = Buffer.from(b, "utf8");
  return left.length === right.length && timingSafeEqual(left, right);
}
