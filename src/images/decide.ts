/**
 * What a GET or HEAD of an image is answered with, from its digest, its size and the request's headers; pure, it opens
 * nothing.
 */
import { selectBytes } from "../http/range.ts";
import type { Digest } from "./paths.ts";

/** 200 and 206 send the bytes from `start` up to, not including, `end`; a HEAD sends the same headers and no bytes. */
export interface ImageAnswer {
  readonly status: 200 | 206 | 304 | 416;
  readonly headers: Readonly<Record<string, string>>;
  readonly start: number;
  readonly end: number;
}

/** `header` gives a request header by its lower-case name, or null. */
export function decideImage(digest: Digest, sizeBytes: number, header: (name: string) => string | null): ImageAnswer {
  const etag = `"${digest}"`;
  const conditions = { range: header("range"), ifRange: header("if-range"), ifNoneMatch: header("if-none-match") };
  const { status, start, end } = selectBytes(conditions, etag, sizeBytes);
  if (status === 416)
    return { status, start, end, headers: { "Accept-Ranges": "bytes", "Content-Range": `bytes */${sizeBytes}` } };
  const identity = {
    ETag: etag,
    "Cache-Control": "private, max-age=31536000, immutable",
    "Docker-Content-Digest": digest,
  };
  if (status === 304) return { status, start, end, headers: identity };
  const body = {
    "Content-Type": "application/octet-stream",
    "Content-Length": String(end - start),
    "Accept-Ranges": "bytes",
    ...identity,
  };
  if (status === 200) return { status, start, end, headers: body };
  return { status, start, end, headers: { ...body, "Content-Range": `bytes ${start}-${end - 1}/${sizeBytes}` } };
}
