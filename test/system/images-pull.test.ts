/** Part B, Images: what comes out, whole, in ranges, slowly, and while it is deleted. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdirSync, readlinkSync, writeFileSync } from "node:fs";
import * as net from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { LICENSE_HASH, eventually, run, startDaemon } from "../support/daemon.ts";
import { assertError } from "../support/http.ts";
import type { Answer } from "../support/http.ts";
import { imageOf, largeImage } from "../support/images.ts";

const daemon = await startDaemon();
const small = imageOf("0123456789abcdefghij");
const large = largeImage(40 << 20);
const path = `/v1/internal/images/${small.digest}`;
const AUTH = `Authorization: Bearer ${LICENSE_HASH}`;
assert.equal((await daemon.request("PUT", `/v1/images/${small.digest}`, { body: small.bytes })).status, 201);

function get(headers: Record<string, string> = {}, method = "GET"): Promise<Answer> {
  return daemon.asAgent(method, path, { headers });
}

test(
  "GET: Content-Type: application/octet-stream, Content-Length, ETag, Accept-Ranges: bytes, " +
    "Cache-Control, Docker-Content-Digest; HEAD is the same without the body",
  async () => {
    for (const method of ["GET", "HEAD"]) {
      const answer = await get({}, method);
      assert.equal(answer.status, 200);
      const { headers } = answer;
      assert.equal(headers["content-type"], "application/octet-stream");
      assert.equal(headers["content-length"], "20");
      assert.equal(headers.etag, `"${small.digest}"`);
      assert.equal(headers["accept-ranges"], "bytes");
      assert.equal(headers["cache-control"], "private, max-age=31536000, immutable");
      assert.equal(headers["docker-content-digest"], small.digest);
      assert.deepEqual(answer.body, method === "GET" ? small.bytes : Buffer.alloc(0));
    }
  },
);

test("One Range gives 206", async () => {
  const ranges: [string, string, string][] = [
    ["bytes=0-0", "0", "bytes 0-0/20"],
    ["bytes=5-9", "56789", "bytes 5-9/20"],
    ["bytes=10-", "abcdefghij", "bytes 10-19/20"],
    ["bytes=-3", "hij", "bytes 17-19/20"],
    ["bytes=-100", "0123456789abcdefghij", "bytes 0-19/20"],
    ["bytes=15-1000", "fghij", "bytes 15-19/20"],
  ];
  for (const [range, expected, contentRange] of ranges) {
    const answer = await get({ range });
    assert.equal(answer.status, 206, range);
    assert.equal(answer.text, expected);
    assert.equal(answer.headers["content-range"], contentRange);
    assert.equal(answer.headers["content-length"], String(expected.length));
    assert.equal(answer.headers.etag, `"${small.digest}"`);
  }
});

test("416 with Content-Range: bytes */N", async () => {
  for (const range of ["bytes=20-", "bytes=100-200", "bytes=-0"]) {
    const answer = await get({ range });
    assertError(answer, 416, "range_not_satisfiable");
    assert.equal(answer.headers["content-range"], "bytes */20");
  }
});

test("several ranges the whole; so does a Range that is none", async () => {
  for (const range of ["bytes=0-1,3-4", "lines=1-2", "bytes=", "bytes=b-a", "bytes=5-2", "0-4"]) {
    const answer = await get({ range });
    assert.equal(answer.status, 200, range);
    assert.deepEqual(answer.body, small.bytes);
    assert.equal(answer.headers["content-range"], undefined);
  }
});

test("If-Range works", async () => {
  assert.equal((await get({ range: "bytes=0-4", "if-range": `"${small.digest}"` })).status, 206);
  for (const other of [`"sha256:other"`, `W/"${small.digest}"`, "Wed, 21 Oct 2015 07:28:00 GMT"])
    assert.equal((await get({ range: "bytes=0-4", "if-range": other })).status, 200, other);
});

test("If-None-Match works", async () => {
  for (const tag of [`"${small.digest}"`, `W/"${small.digest}"`, `"a", "${small.digest}"`, "*"]) {
    for (const method of ["GET", "HEAD"]) {
      const answer = await get({ "if-none-match": tag }, method);
      assert.equal(answer.status, 304, tag);
      assert.equal(answer.body.length, 0);
      assert.equal(answer.headers.etag, `"${small.digest}"`);
    }
  }
  assert.equal((await get({ "if-none-match": `"sha256:other"` })).status, 200);
});

test(
  "A real image of tens of MiB goes in and comes out byte for byte: curl -C - in two halves, and " + "sha256sum agrees",
  async () => {
    const source = join(daemon.folder, "source.img");
    const copy = join(daemon.folder, "copy.img");
    writeFileSync(source, large.bytes);
    const pushed = await run("curl", ["-sS", "-f", "-T", source, `${daemon.url}/v1/images/${large.digest}?app_id=web`]);
    assert.equal(pushed.code, 0, pushed.stderr);
    const url = `${daemon.url}/v1/internal/images/${large.digest}`;
    const half = await run("curl", ["-sS", "-f", "-H", AUTH, "-r", `0-${large.bytes.length / 2 - 1}`, "-o", copy, url]);
    assert.equal(half.code, 0, half.stderr);
    const rest = await run("curl", ["-sS", "-f", "-H", AUTH, "-C", "-", "-o", copy, url]);
    assert.equal(rest.code, 0, rest.stderr);
    const sum = await run("sha256sum", [copy]);
    assert.equal(sum.stdout.split(" ")[0], large.hex);
  },
);

/** Names of image files that the daemon holds open. */
function openImages(): string[] {
  const folder = `/proc/${daemon.pid}/fd`;
  return readdirSync(folder).flatMap((fd) => {
    try {
      const target = readlinkSync(join(folder, fd));
      return target.includes("/images/") ? [target] : [];
    } catch {
      return [];
    }
  });
}

test("no descriptor is leaked by clients that hang up", async () => {
  await Promise.all(
    Array.from(
      { length: 20 },
      () =>
        new Promise<void>((resolve) => {
          const socket = net.connect(daemon.port, "127.0.0.1");
          socket.on("close", () => resolve());
          socket.once("data", () => socket.destroy());
          socket.write(`GET /v1/internal/images/${large.digest} HTTP/1.1\r\nHost: localhost\r\n${AUTH}\r\n\r\n`);
        }),
    ),
  );
  await eventually("every image file to be closed", () => (openImages().length === 0 ? true : undefined));
  assert.equal((await get()).status, 200);
});

test("the log line of a client that hung up has the bytes and the time of what was sent", async () => {
  await new Promise<void>((resolve) => {
    const socket = net.connect(daemon.port, "127.0.0.1");
    socket.on("close", () => resolve());
    socket.once("data", () => socket.destroy());
    socket.write(
      `GET /v1/internal/images/${large.digest} HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: hung-up\r\n${AUTH}\r\n\r\n`,
    );
  });
  const bytes = Number(/ 200 \S+ (\d+) .*hung-up/.exec(await daemon.line(/hung-up/))?.[1]);
  assert.ok(bytes > 0 && bytes < large.bytes.length, String(bytes));
});

test("A download survives a slow client and a deleted image", async () => {
  const hash = createHash("sha256");
  const received = await new Promise<number>((resolve, reject) => {
    const socket = net.connect(daemon.port, "127.0.0.1");
    let length = 0;
    let headed = false;
    socket.on("error", reject);
    socket.on("data", (part: Buffer) => {
      let bytes = part;
      if (!headed) {
        headed = true;
        bytes = part.subarray(part.indexOf("\r\n\r\n") + 4);
        socket.pause();
        void daemon.request("DELETE", `/v1/images/${large.digest}`).then((answer) => {
          if (answer.status !== 204) reject(new Error(answer.text));
          socket.resume();
        }, reject);
      }
      hash.update(bytes);
      length += bytes.length;
    });
    socket.on("close", () => resolve(length));
    socket.write(
      `GET /v1/internal/images/${large.digest} HTTP/1.1\r\nHost: localhost\r\n${AUTH}\r\nConnection: close\r\n\r\n`,
    );
  });
  assert.equal(received, large.bytes.length);
  assert.equal(hash.digest("hex"), large.hex);
  assertError(await daemon.asAgent("GET", `/v1/internal/images/${large.digest}`), 404, "image_not_found");
  await eventually("every image file to be closed", () => (openImages().length === 0 ? true : undefined));
});

test("a reader that stalls is let go after server.write_timeout (no progress for so long)", async (t) => {
  const strict = await startDaemon({ config: `[server]\nwrite_timeout = "1s"` }, t);
  assert.equal((await strict.request("PUT", `/v1/images/${large.digest}`, { body: large.bytes })).status, 201);
  const socket = net.connect(strict.port, "127.0.0.1");
  t.after(() => socket.destroy());
  socket.write(
    `GET /v1/internal/images/${large.digest} HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: stalled\r\n${AUTH}\r\n\r\n`,
  );
  await strict.line(/stalled/, 8_000);
  const bytes = Number(/ 200 \S+ (\d+) .*stalled/.exec(await strict.line(/stalled/))?.[1]);
  assert.ok(bytes < large.bytes.length, String(bytes));
});
