/** What goes over the wire in one call: what comes, and what is answered where it went well. */
import type { ErrorCode } from "../lib/errors.ts";
import type { Schema, TypeOf } from "./schema.ts";

/** An answer that its handler writes itself, or that is no JSON: its media type, and its shape where it has one. */
export interface Media {
  readonly media: string;
  readonly schema?: Schema<unknown, unknown>;
}

/** A body that is read piece by piece. */
export const STREAM = "stream";

export interface Call {
  /** What it does, in a few words. */
  readonly summary: string;
  readonly body?: Schema<unknown, unknown> | typeof STREAM;
  readonly query?: Readonly<Record<string, Schema<string, unknown>>>;
  /** Whether an Idempotency-Key is heeded. */
  readonly idempotencyKey?: true;
  /** By status; null is an answer without a body. */
  readonly answers: Readonly<Record<number, Schema<unknown, unknown> | Media | null>>;
  /** What this call may be refused with, beyond what any call of its kind may be (api/refusals.ts). */
  readonly refusals?: readonly ErrorCode[];
}

/** What a query's schemas make of it. */
export type QueryOf<Q> = { readonly [K in keyof Q]?: TypeOf<Q[K]> };

/** The calls of one noun. */
export type Calls = Readonly<Record<string, Call>>;
