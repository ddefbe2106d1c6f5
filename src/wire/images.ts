/** Images as people and agents see them. */
import type { Calls } from "./call.ts";
import { STREAM } from "./call.ts";
import { list, named, object } from "./compound.ts";
import { LABEL, page, PAGE_QUERY, time } from "./common.ts";
import type { TypeOf } from "./schema.ts";
import { about, anything, count, text } from "./schema.ts";

export const IMAGE = named(
  "Image",
  object({
    digest: text,
    size_bytes: count,
    app_ids: about(list(text), "The labels that it was pushed with."),
    created_at: time,
  }),
);
export type ImageView = TypeOf<typeof IMAGE>;
export const IMAGES = page("images", IMAGE);
export const IMAGES_QUERY = { ...PAGE_QUERY, app_id: LABEL };
export const PUSH_QUERY = { app_id: LABEL };

export const FINDINGS = object({ findings: list(about(anything, "One a file: its kind, and what is wrong.")) });

/** What is called of images. */
export const IMAGE_CALLS = {
  listAll: { summary: "List all images", query: IMAGES_QUERY, answers: { 200: IMAGES } },
  download: {
    summary: "Download an image, or a range of it",
    answers: { 200: { media: "application/octet-stream" }, 206: { media: "application/octet-stream" }, 304: null },
    refusals: ["invalid_digest", "image_not_found", "image_missing", "range_not_satisfiable", "storage_failed"],
  },
  list: { summary: "List the org's images", query: IMAGES_QUERY, answers: { 200: IMAGES } },
  show: {
    summary: "Show one of the org's images",
    answers: { 200: IMAGE },
    refusals: ["invalid_digest", "image_not_found"],
  },
  push: {
    summary: "Push an image",
    body: STREAM,
    query: PUSH_QUERY,
    answers: { 201: IMAGE, 200: IMAGE },
    refusals: ["invalid_digest", "image_too_large", "digest_mismatch", "storage_full", "quota_exceeded"],
  },
  remove: {
    summary: "Drop the org's reference to an image",
    answers: { 204: null },
    refusals: ["invalid_digest", "image_not_found", "image_in_use"],
  },
  verify: { summary: "Hash every image again", answers: { 200: { media: "application/json", schema: FINDINGS } } },
} as const satisfies Calls;
