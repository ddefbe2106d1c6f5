/** What goes over the wire in one call: what comes, and what is answered where it went well. */
import type { Schema } from "./schema.ts";

/** An answer that is no JSON of one schema: its media type. */
export interface Media {
  readonly media: string;
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
}

/** The calls of one noun. */
export type Calls = Readonly<Record<string, Call>>;
