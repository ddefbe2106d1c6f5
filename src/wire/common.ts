/** What several shapes share: ids and names, resources, and pages of a list. */
import type { HostId, ImageDigest } from "../lib/id-types.ts";
import { DIGEST_PATTERN, LABEL_PATTERN, NAME_PATTERN } from "../lib/ids.ts";
import type { QueryOf } from "./call.ts";
import { list, named, object, whenAsked } from "./compound.ts";
import type { Schema, TypeOf } from "./schema.ts";
import { about, amount, oneOf, pattern, text } from "./schema.ts";
import { timestamp } from "./time.ts";

/** One or the other, as a query says it. */
export const FLAG = oneOf("true", "false");

/** The same schema, of a text that is an id: it is one because it came where one was asked for. */
export function id<I extends string>(of: Schema<string>): Schema<I> {
  return of as Schema<string, unknown> as Schema<I>;
}

export const HOST_ID = id<HostId>(pattern(NAME_PATTERN, "1 to 64 of A-Z a-z 0-9 . _ -, not starting with a dot"));
export const LABEL = pattern(LABEL_PATTERN, "1 to 64 of A-Z a-z 0-9 . _ -");
/** To an agent, which keeps files and no state, a digest is a text. */
export const DIGEST_TEXT = pattern(DIGEST_PATTERN, "sha256: and 64 lower-case hex characters");
export const DIGEST = id<ImageDigest>(DIGEST_TEXT);

/** A time in an answer: shown as it comes. */
export const time = about({ ...timestamp, receive: text.receive }, "RFC 3339, UTC, milliseconds.");

export const RESOURCES = named(
  "Resources",
  object({
    cpus: about(amount, "Whole cores."),
    memory_mb: about(amount, "MiB."),
    disk_mb: about(amount, "MiB."),
  }),
);
/** A part of what a host has. */
export type Resources = TypeOf<typeof RESOURCES>;

/** How often machines are started again where they are. */
export const RESTART = oneOf("always", "on-failure", "never");
export const ON_HOST_LOSS = oneOf("replace", "wait");

/** What a list is asked with. */
export const PAGE_QUERY = {
  limit: about(pattern(/^(?:[1-9]\d{0,3}|10000)$/, "a whole number from 1 to 10000"), "At most so many."),
  after: about(text, "Those behind this id."),
};

export type PageQuery = QueryOf<typeof PAGE_QUERY>;

/** A list in an answer: whole, or a page, where `next_after` says whether there is more (null at the end). */
export type Page<K extends string, T> = { readonly [key in K]: readonly T[] } & { readonly next_after?: string | null };

export function page<K extends string, T, R>(key: K, of: Schema<T, R>): Schema<Page<K, T>, Page<K, R>> {
  // The type checker does not see through a computed key.
  return object({ [key]: list(of), next_after: whenAsked(text) }) as unknown as Schema<Page<K, T>, Page<K, R>>;
}
