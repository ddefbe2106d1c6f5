/**
 * Which bytes of a stored thing a GET asks for: Range, If-Range and If-None-Match of RFC 9110, as pure functions; it
 * knows no files and no responses.
 */

/** What a Range header asks of `size` bytes. `end` is the first byte after the part. */
export type Range =
  | { readonly kind: "whole" }
  | { readonly kind: "part"; readonly start: number; readonly end: number }
  | { readonly kind: "unsatisfiable" };

/**
 * The answer that the conditional headers lead to. 200 and 206 send the bytes from `start` up to, not including, `end`.
 */
export interface Selection {
  readonly status: 200 | 206 | 304 | 416;
  readonly start: number;
  readonly end: number;
}

/** The three headers that decide, each null where it is absent. */
export interface Conditions {
  readonly range: string | null;
  readonly ifRange: string | null;
  readonly ifNoneMatch: string | null;
}

const WHOLE: Range = { kind: "whole" };
const UNSATISFIABLE: Range = { kind: "unsatisfiable" };
const UNIT = /^bytes=(.*)$/i;
const PART = /^(\d*)-(\d*)$/;

/**
 * Reads one byte range (RFC 9110, 14.1). A malformed header, another unit and several ranges all mean the whole, which
 * the RFC allows and which no client can mistake. Numbers may have any length: beyond 2^53 they lose precision, but
 * every real size is far below.
 */
export function readRange(header: string | null, size: number): Range {
  const set = header === null ? undefined : UNIT.exec(header)?.[1];
  if (set === undefined) return WHOLE;
  // A list may have empty members, `0-1, ,` (RFC 9110, 5.6.1.2).
  const specs = set
    .split(",")
    .map((spec) => spec.trim())
    .filter((spec) => spec !== "");
  const [, first, last] = (specs.length === 1 ? PART.exec(specs[0] ?? "") : null) ?? [];
  if (first === undefined || last === undefined || (first === "" && last === "")) return WHOLE;
  return first === "" ? suffix(Number(last), size) : fromTo(Number(first), last === "" ? Infinity : Number(last), size);
}

function suffix(length: number, size: number): Range {
  if (length === 0) return UNSATISFIABLE;
  // The RFC calls a suffix of nothing satisfiable, and no Content-Range can say "no bytes": the whole it is.
  return size === 0 ? WHOLE : { kind: "part", start: Math.max(0, size - length), end: size };
}

function fromTo(first: number, last: number, size: number): Range {
  if (last < first) return WHOLE;
  return first >= size ? UNSATISFIABLE : { kind: "part", start: first, end: Math.min(last + 1, size) };
}

/**
 * Decides in the order of RFC 9110, 13.2.2, for a thing that exists: a match of If-None-Match is a 304 whatever the
 * range; an If-Range that does not match takes the Range away. `etag` is a strong tag with its quotes.
 */
export function selectBytes({ range, ifRange, ifNoneMatch }: Conditions, etag: string, size: number): Selection {
  if (ifNoneMatch !== null && matchesWeakly(ifNoneMatch, etag)) return { status: 304, start: 0, end: 0 };
  // Strong comparison: a weak tag never matches, nor does a date, since nothing here has a Last-Modified.
  const wanted = ifRange === null || ifRange.trim() === etag ? readRange(range, size) : WHOLE;
  if (wanted.kind === "unsatisfiable") return { status: 416, start: 0, end: 0 };
  return wanted.kind === "part"
    ? { status: 206, start: wanted.start, end: wanted.end }
    : { status: 200, start: 0, end: size };
}

/**
 * If-None-Match: `*`, or a list of tags of which one equals ours, weak or not. What follows a malformed tag is not
 * read.
 */
function matchesWeakly(header: string, etag: string): boolean {
  if (header.trim() === "*") return true;
  // Sticky, member by member: a tag may itself contain a comma.
  const member = /[ \t,]*(?:W\/)?("[\x21\x23-\x7e\x80-\xff]*")[ \t]*(?=,|$)/y;
  for (let found = member.exec(header); found !== null; found = member.exec(header)) {
    if (found[1] === etag) return true;
  }
  return false;
}
