/** How much an org may have, and has: what is asked for and what is shown. */
import type { Calls } from "./call.ts";
import { list, named, object, optional } from "./compound.ts";
import type { Schema, TypeOf } from "./schema.ts";
import { about, count, integer, oneOf, text } from "./schema.ts";

/** What an org's quota bounds. */
export const QUOTA_KIND = oneOf(
  "apps",
  "replicas",
  "cpus",
  "memory_mb",
  "env_bytes",
  "images",
  "image_bytes",
  "labels",
);
export type QuotaKind = TypeOf<typeof QUOTA_KIND>;
/** A number for each of them. */
export type QuotaLimits = Readonly<Record<QuotaKind, number>>;

/** Each in words that end the sentence "an org may have so many …". */
export const QUOTA_MEANING: Readonly<Record<QuotaKind, string>> = {
  apps: "apps",
  replicas: "replicas of all its apps",
  cpus: "cpus that its replicas ask for",
  memory_mb: "MiB of memory that its replicas ask for",
  env_bytes: "bytes of env in all deployments that are kept",
  images: "images",
  image_bytes: "bytes of images",
  labels: "labels an image",
};

function each<T>(of: (kind: QuotaKind) => T): Readonly<Record<QuotaKind, T>> {
  // The words are exactly the keys.
  return Object.fromEntries(QUOTA_KIND.words.map((kind) => [kind, of(kind)])) as Record<QuotaKind, T>;
}

const LIMIT: Schema<number> = integer({ min: 0, max: Number.MAX_SAFE_INTEGER });

/** Instead of what the config says; what is not named is what the config says again. */
export const QUOTA_BODY = object(each((kind) => optional(about(LIMIT, `At most so many ${QUOTA_MEANING[kind]}.`))));
export type QuotaRequest = TypeOf<typeof QUOTA_BODY>;

export const QUOTA = named(
  "Quota",
  object({
    org_id: text,
    limits: about(object(each((kind) => about(count, `At most so many ${QUOTA_MEANING[kind]}.`))), "What holds."),
    used: about(object(each(() => count)), "What there is now; of labels, those of the image that has most."),
    own: about(list(QUOTA_KIND), "Those that are set for this org, and not by the config."),
  }),
);
export type QuotaView = TypeOf<typeof QUOTA>;

/** What is called of quotas. */
export const QUOTA_CALLS = {
  show: { summary: "Show what the caller's org may have, and has", answers: { 200: QUOTA } },
  set: { summary: "Set an org's quota", body: QUOTA_BODY, answers: { 200: QUOTA }, refusals: ["org_not_found"] },
} as const satisfies Calls;
