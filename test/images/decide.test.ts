import assert from "node:assert/strict";
import { test } from "node:test";
import { decideImage } from "../../src/images/decide.ts";
import type { ImageAnswer } from "../../src/images/decide.ts";
import { ImagePaths, isDigest, readDigest } from "../../src/images/paths.ts";
import { ApiError } from "../../src/lib/errors.ts";

const HEX = "ab".repeat(32);
const DIGEST = readDigest(`sha256:${HEX}`);
const IDENTITY = {
  ETag: `"sha256:${HEX}"`,
  "Cache-Control": "private, max-age=31536000, immutable",
  "Docker-Content-Digest": `sha256:${HEX}`,
};

function decide(headers: Record<string, string>, size = 1000): ImageAnswer {
  return decideImage(DIGEST, size, (name) => headers[name] ?? null);
}

test("answers a plain request with the whole image and every header that the contract names", () => {
  const headers = {
    "Content-Type": "application/octet-stream",
    "Content-Length": "1000",
    "Accept-Ranges": "bytes",
    ...IDENTITY,
  };
  assert.deepEqual(decide({}), { status: 200, start: 0, end: 1000, headers });
});

test("answers one range with its own length and where it lies", () => {
  const { status, headers, start, end } = decide({ range: "bytes=990-", "if-range": IDENTITY.ETag });
  assert.deepEqual({ status, start, end }, { status: 206, start: 990, end: 1000 });
  assert.equal(headers["Content-Range"], "bytes 990-999/1000");
  assert.equal(headers["Content-Length"], "10");
  assert.equal(headers["ETag"], IDENTITY.ETag);
});

test("tells the size to whom asks for what lies behind the end", () => {
  assert.deepEqual(decide({ range: "bytes=1000-" }), {
    status: 416,
    start: 0,
    end: 0,
    headers: { "Accept-Ranges": "bytes", "Content-Range": "bytes */1000" },
  });
});

test("answers 304 with the tag and without a body's headers", () => {
  assert.deepEqual(decide({ "if-none-match": `W/${IDENTITY.ETag}`, range: "bytes=0-1" }), {
    status: 304,
    start: 0,
    end: 0,
    headers: IDENTITY,
  });
});

test("serves an image of no bytes", () => {
  const { status, headers } = decide({}, 0);
  assert.equal(status, 200);
  assert.equal(headers["Content-Length"], "0");
});

test("makes no path of anything but sha256: and 64 lower-case hex", () => {
  const wrong = [
    "",
    HEX,
    `sha256:${HEX}0`,
    `sha256:${HEX.slice(1)}`,
    `sha256:${HEX.toUpperCase()}`,
    `sha512:${HEX}`,
    `SHA256:${HEX}`,
  ];
  for (const text of [
    ...wrong,
    `sha256:${HEX}\n`,
    `\nsha256:${HEX}`,
    `sha256:../../${"a".repeat(58)}`,
    `sha256:${"a".repeat(63)}/`,
    `sha256:%61${HEX.slice(3)}`,
  ]) {
    assert.equal(isDigest(text), false, JSON.stringify(text));
    assert.throws(
      () => readDigest(text),
      (error) => error instanceof ApiError && error.code === "invalid_digest" && error.status === 400,
    );
  }
});

test("puts an image at sha256/<first two hex>/<64 hex>", () => {
  const paths = new ImagePaths("/x");
  assert.equal(paths.fileOf(DIGEST), `/x/sha256/ab/${HEX}`);
  assert.equal(paths.folderOf(DIGEST), "/x/sha256/ab");
  assert.match(paths.newIncoming(), /^\/x\/incoming\/upload_[0-9a-f]{20}$/);
  assert.match(paths.newQuarantine(DIGEST), new RegExp(`^/x/quarantine/${HEX}\\.[0-9a-f]{20}$`));
  assert.notEqual(paths.newIncoming(), paths.newIncoming());
});
