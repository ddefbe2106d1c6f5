import assert from "node:assert/strict";
import { test } from "node:test";
import { readRange, selectBytes } from "../../src/http/range.ts";
import type { Range, Selection } from "../../src/http/range.ts";

const WHOLE: Range = { kind: "whole" };
const UNSATISFIABLE: Range = { kind: "unsatisfiable" };
const part = (start: number, end: number): Range => ({ kind: "part", start, end });
const ETAG = '"sha256:aa"';

function select(headers: { range?: string; ifRange?: string; ifNoneMatch?: string }, size = 10): Selection {
  return selectBytes(
    { range: headers.range ?? null, ifRange: headers.ifRange ?? null, ifNoneMatch: headers.ifNoneMatch ?? null },
    ETAG,
    size,
  );
}

function readsAs(rows: readonly (readonly [header: string, size: number, expected: Range])[]): void {
  for (const [header, size, expected] of rows)
    assert.deepEqual(readRange(header, size), expected, `${JSON.stringify(header)} of ${size}`);
}

test("reads one range, open, closed or from the end, and cuts it at the size", () => {
  readsAs([
    ["bytes=0-0", 10, part(0, 1)],
    ["bytes=2-4", 10, part(2, 5)],
    ["bytes=0-", 10, part(0, 10)],
    ["bytes=9-", 10, part(9, 10)],
    ["bytes=3-9", 10, part(3, 10)],
    ["bytes=3-10", 10, part(3, 10)],
    ["bytes=-3", 10, part(7, 10)],
    ["bytes=-10", 10, part(0, 10)],
    ["bytes=-11", 10, part(0, 10)],
    ["BYTES=0007-0008", 10, part(7, 9)],
    ["bytes=, 2-4\t,", 10, part(2, 5)],
  ]);
});

test("reads numbers of any length", () => {
  const huge = "9".repeat(400);
  readsAs([
    [`bytes=0-${huge}`, 10, part(0, 10)],
    [`bytes=-${huge}`, 10, part(0, 10)],
    [`bytes=${huge}-`, 10, UNSATISFIABLE],
    [`bytes=${huge}-${huge}`, 10, UNSATISFIABLE],
  ]);
});

test("calls a range unsatisfiable that starts at or behind the end, and an empty suffix", () => {
  readsAs([
    ["bytes=10-", 10, UNSATISFIABLE],
    ["bytes=10-20", 10, UNSATISFIABLE],
    ["bytes=-0", 10, UNSATISFIABLE],
    ["bytes=0-", 0, UNSATISFIABLE],
    ["bytes=0-0", 0, UNSATISFIABLE],
    ["bytes=-0", 0, UNSATISFIABLE],
  ]);
});

test("takes the whole where there is no header, several ranges, another unit, or nonsense", () => {
  assert.deepEqual(readRange(null, 10), WHOLE);
  const headers = [
    "",
    "bytes",
    "bytes=",
    "bytes=-",
    "bytes=a-b",
    "bytes=1",
    "bytes=0x1-2",
    "bytes=1-2-3",
    "bytes=--2",
    "bytes=1.5-2",
    "bytes=+1-2",
    "bytes=1 - 2",
  ];
  const others = [
    "bytes =1-2",
    " bytes=1-2",
    "items=0-1",
    "bytes=0-1,3-4",
    "bytes=20-,30-",
    "bytes=0-1, bytes=2-3",
    "bytes=5-4",
    "bytes=\u0661-\u0662",
  ];
  for (const header of [...headers, ...others]) assert.deepEqual(readRange(header, 10), WHOLE, JSON.stringify(header));
  assert.deepEqual(readRange("bytes=-5", 0), WHOLE, "no Content-Range can say a suffix of nothing");
});

test("reads a very long hostile header in no time", () => {
  const began = process.cpuUsage();
  readRange(`bytes=${" ,".repeat(8000)}`, 10);
  readRange(`bytes=x${" ".repeat(16000)}x`, 10);
  select({ ifNoneMatch: `x${" ".repeat(16000)}x` });
  select({ ifRange: `x${" ".repeat(16000)}x` });
  select({ ifNoneMatch: `${'W/"x" '.repeat(2600)}` });
  assert.ok(process.cpuUsage(began).user < 500_000);
});

test("answers 200, 206 or 416 by the range alone where nothing else is asked", () => {
  assert.deepEqual(select({}), { status: 200, start: 0, end: 10 });
  assert.deepEqual(select({ range: "bytes=2-4" }), { status: 206, start: 2, end: 5 });
  assert.deepEqual(select({ range: "bytes=0-1,4-5" }), { status: 200, start: 0, end: 10 });
  assert.deepEqual(select({ range: "bytes=10-" }), { status: 416, start: 0, end: 0 });
  assert.deepEqual(select({}, 0), { status: 200, start: 0, end: 0 });
});

test("answers 304 where If-None-Match names the tag, weak or in a list, whatever the range says", () => {
  for (const ifNoneMatch of [
    ETAG,
    `W/${ETAG}`,
    "*",
    " * ",
    `"b", ${ETAG}`,
    `"b",W/"c" ,\t${ETAG} , "d"`,
    `"a,b", ${ETAG}`,
    `, ,${ETAG}`,
    `"", ${ETAG}`,
  ]) {
    assert.equal(select({ ifNoneMatch }).status, 304, ifNoneMatch);
    assert.equal(select({ ifNoneMatch, range: "bytes=99-" }).status, 304, ifNoneMatch);
  }
  for (const ifNoneMatch of [
    "",
    '"b"',
    "sha256:aa",
    `w/${ETAG}`,
    `x${ETAG}`,
    `${ETAG}x`,
    `"b" ${ETAG}`,
    `"b,${ETAG}"`,
    '"*"',
    `*, ${ETAG}`,
    '"SHA256:AA"',
  ]) {
    assert.equal(select({ ifNoneMatch }).status, 200, ifNoneMatch);
  }
});

test("honours a range under If-Range only for the same strong tag, never for a date", () => {
  const range = "bytes=2-4";
  assert.equal(select({ range, ifRange: ETAG }).status, 206);
  for (const ifRange of [`W/${ETAG}`, '"b"', "Wed, 21 Oct 2015 07:28:00 GMT", "", "*", `${ETAG}, "b"`])
    assert.equal(select({ range, ifRange }).status, 200, ifRange);
  assert.equal(
    select({ range: "bytes=10-", ifRange: '"b"' }).status,
    200,
    "a part of another version is not looked for in this one",
  );
  assert.equal(select({ range: "bytes=10-", ifRange: ETAG }).status, 416);
  assert.equal(select({ ifRange: '"b"' }).status, 200);
});
