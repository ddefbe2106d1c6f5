/** Part B, Images: what goes in, what is refused, who sees it, and what leaves again. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import * as net from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { eventually, startDaemon } from "../support/daemon.ts";
import { assertError, rawStatus } from "../support/http.ts";
import type { Answer, RequestOptions } from "../support/http.ts";
import { imageOf, largeImage, pathOf } from "../support/images.ts";
import type { TestImage } from "../support/images.ts";
import { conforms, listAt, pick } from "../support/json.ts";
import { IMAGE, IMAGES } from "../support/shapes.ts";
import { listTree } from "../support/tree.ts";

const daemon = await startDaemon({ config: "[images]\nmax_bytes = 8388608" });
const imagesDir = join(daemon.dataDir, "images");

function put(image: TestImage, query = "", options: RequestOptions = {}): Promise<Answer> {
  return daemon.request("PUT", `/v1/images/${image.digest}${query}`, { body: image.bytes, ...options });
}

function files(): string[] {
  return existsSync(imagesDir) ? listTree(imagesDir).filter((path) => !path.endsWith("/")) : [];
}

test(
  "PUT /v1/images/{digest}?app_id= (protected, any Content-Type) streams one in: 201, or 200 when it is " +
    "there already",
  async () => {
    const image = imageOf("first");
    assert.equal((await put(image, "?app_id=web", { headers: { "content-type": "application/x-tar" } })).status, 201);
    assert.equal((await put(image, "?app_id=web", { headers: { "content-type": "application/json" } })).status, 200);
    assert.equal((await put(imageOf("chunked"), "", { headers: { "transfer-encoding": "chunked" } })).status, 201);
    assert.equal((await put(image, "", { headers: { authorization: "Bearer wrong" } })).status, 401);
  },
);

test("The bytes live at <images_dir>/sha256/<first two hex>/<64 hex>", async () => {
  const image = imageOf("first");
  assert.deepEqual(readFileSync(pathOf(imagesDir, image)), image.bytes);
  assert.ok(
    files().every((path) => /^sha256\/([0-9a-f]{2})\/\1[0-9a-f]{62}$/.test(path)),
    files().join(),
  );
});

test("build.images_dir names another folder", async (t) => {
  const other = await startDaemon({ config: `[build]\nimages_dir = "FOLDER/elsewhere"` }, t);
  const image = imageOf("elsewhere");
  assert.equal((await other.request("PUT", `/v1/images/${image.digest}`, { body: image.bytes })).status, 201);
  assert.deepEqual(readFileSync(pathOf(join(other.folder, "elsewhere"), image)), image.bytes);
});

test("an empty image is an image", async () => {
  const empty = imageOf("");
  assert.equal((await put(empty, "", { headers: { "content-length": 0 } })).status, 201);
  assert.equal((await daemon.asAgent("GET", `/v1/internal/images/${empty.digest}`)).headers["content-length"], "0");
  assert.equal((await daemon.request("DELETE", `/v1/images/${empty.digest}`)).status, 204);
});

test("PUT: other bytes than promised: 422 digest_mismatch and nothing is kept", async () => {
  const before = files();
  const promised = imageOf("promised");
  assertError(await put({ ...promised, bytes: Buffer.from("delivered") }), 422, "digest_mismatch");
  assert.deepEqual(files(), before);
  assertError(await daemon.asAgent("GET", `/v1/internal/images/${promised.digest}`), 404, "image_not_found");
});

test("PUT: its body is read and verified all the same, so knowing a digest gives nothing", async () => {
  const image = imageOf("first");
  assertError(await put({ ...image, bytes: Buffer.from("not the first") }, "?app_id=thief"), 422, "digest_mismatch");
  assertError(
    await put({ ...image, bytes: Buffer.alloc(0) }, "?app_id=thief", { headers: { "content-length": 0 } }),
    422,
    "digest_mismatch",
  );
  const shown = await daemon.request("GET", `/v1/images/${image.digest}`);
  assert.deepEqual(pick(shown.json, "app_ids"), ["web"]);
  assert.deepEqual((await daemon.asAgent("GET", `/v1/internal/images/${image.digest}`)).body, image.bytes);
});

test("PUT: more than images.max_bytes: 413", async () => {
  const before = files();
  const large = largeImage(9 << 20);
  assertError(await put(large), 413, "image_too_large");
  assertError(await put(large, "", { headers: { "transfer-encoding": "chunked" } }), 413, "image_too_large");
  await eventually("no leftovers", () => (files().join() === before.join() ? true : undefined));
  const fits = largeImage(8 << 20);
  assert.equal((await put(fits)).status, 201, "exactly max_bytes fits");
  assert.equal((await daemon.request("DELETE", `/v1/images/${fits.digest}`)).status, 204);
});

test("A digest is sha256: and 64 lower-case hex; anything else is a 400 that touches no file", async () => {
  const before = listTree(daemon.folder);
  const hex = "a".repeat(64);
  const bad = [
    hex,
    `sha256:${hex.toUpperCase()}`,
    `sha256:${hex}a`,
    `sha256:${hex.slice(1)}`,
    `sha512:${hex}`,
    `sha256:${"g".repeat(64)}`,
    "sha256:..%2f..%2f..%2fetc%2fpasswd",
    "..%2f..%2fjournal",
    `SHA256:${hex}`,
  ];
  for (const digest of bad) {
    assertError(await daemon.request("PUT", `/v1/images/${digest}`, { body: Buffer.from("x") }), 400, "invalid_digest");
    assertError(await daemon.request("GET", `/v1/images/${digest}`), 400, "invalid_digest");
    assertError(await daemon.request("DELETE", `/v1/images/${digest}`), 400, "invalid_digest");
    assertError(await daemon.asAgent("GET", `/v1/internal/images/${digest}`), 400, "invalid_digest");
    assert.equal((await daemon.asAgent("HEAD", `/v1/internal/images/${digest}`)).status, 400);
  }
  assert.equal(
    (await daemon.request("PUT", `/v1/images/sha256:%00${hex.slice(1)}`, { body: Buffer.from("x") })).status,
    400,
  );
  assert.deepEqual(listTree(daemon.folder), before);
});

test("PUT: app_id is a label of 1 to 64 [A-Za-z0-9._-]; the app need not exist", async () => {
  const image = imageOf("labelled");
  for (const label of ["", "a b", "a/b", "x".repeat(65)])
    assertError(await put(image, `?app_id=${encodeURIComponent(label)}`), 400, "invalid_field", "app_id");
  for (const label of [".a", "x".repeat(64), "Web_1"])
    assert.ok([200, 201].includes((await put(image, `?app_id=${label}`)).status), label);
  assert.deepEqual(pick((await daemon.request("GET", `/v1/images/${image.digest}`)).json, "app_ids"), [
    ".a",
    "Web_1",
    "x".repeat(64),
  ]);
});

test(
  `list: {"images":[{"digest","size_bytes","app_ids":[...],"created_at"}]}, filtered by ?app_id=, ` +
    "sorted, in pages",
  async () => {
    for (const path of ["/v1/internal/images", "/v1/images"]) {
      const ask = (query: string): Promise<Answer> =>
        path === "/v1/images" ? daemon.request("GET", path + query) : daemon.asAgent("GET", path + query);
      const all = (await ask("")).json;
      conforms(all, IMAGES);
      const digests = listAt(all, "images").map((image) => String(pick(image, "digest")));
      assert.deepEqual(
        digests,
        [imageOf("first"), imageOf("chunked"), imageOf("labelled")].map((image) => image.digest).sort(),
      );
      assert.deepEqual(
        listAt((await ask("?app_id=Web_1")).json, "images").map((image) => pick(image, "digest")),
        [imageOf("labelled").digest],
      );
      assert.deepEqual(listAt((await ask("?app_id=nobody")).json, "images"), []);
      const page = (await ask(`?limit=1&after=${digests[0] ?? ""}`)).json;
      assert.deepEqual(
        [listAt(page, "images").length, pick(page, "images.0.digest"), pick(page, "next_after")],
        [1, digests[1], digests[1]],
      );
      assert.equal(pick((await ask("?limit=100")).json, "next_after"), null);
    }
  },
);

test("GET /v1/images and GET /v1/images/{digest} show the org's own to people", async () => {
  const image = imageOf("first");
  const answer = await daemon.request("GET", `/v1/images/${image.digest}`);
  assert.equal(answer.status, 200);
  conforms(answer.json, IMAGE);
  assert.equal(pick(answer.json, "size_bytes"), image.bytes.length);
  assertError(await daemon.request("GET", `/v1/images/${imageOf("never pushed").digest}`), 404, "image_not_found");
});

test("status and the images' metrics count them", async () => {
  const total = ["first", "chunked", "labelled"].join("").length;
  assert.deepEqual(pick((await daemon.request("GET", "/v1/status")).json, "images"), { total: 3, bytes: total });
  const { text } = await daemon.request("GET", "/metrics");
  assert.match(text, /^zwrmd_images 3$/m);
  assert.match(text, new RegExp(`^zwrmd_image_bytes ${total}$`, "m"));
});

test("DELETE /v1/images/{digest} drops one's own (204) and the bytes go with the last", async () => {
  const image = imageOf("to be deleted");
  await put(image);
  assert.equal((await daemon.request("DELETE", `/v1/images/${image.digest}`)).status, 204);
  await eventually("the bytes to go", () => (existsSync(pathOf(imagesDir, image)) ? undefined : true));
  assertError(await daemon.request("DELETE", `/v1/images/${image.digest}`), 404, "image_not_found");
  assert.equal((await daemon.asAgent("HEAD", `/v1/internal/images/${image.digest}`)).status, 404);
  assert.equal((await put(image)).status, 201, "and can be pushed again");
});

test("An interrupted upload leaves nothing", async () => {
  const before = files();
  const promised = imageOf("never delivered");
  await new Promise<void>((resolve) => {
    const socket = net.connect(daemon.port, "127.0.0.1");
    socket.on("close", () => resolve());
    socket.write(`PUT /v1/images/${promised.digest} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4194304\r\n\r\n`);
    socket.write(
      Buffer.alloc(1 << 20),
      () =>
        void eventually("the upload to begin", () => (files().length > before.length ? true : undefined), 1_000)
          .catch(() => undefined)
          .then(() => socket.destroy()),
    );
  });
  await eventually("no leftovers", () => (files().join() === before.join() ? true : undefined));
  assertError(await daemon.asAgent("GET", `/v1/internal/images/${promised.digest}`), 404, "image_not_found");
});

test("An upload that a kill -9 interrupts leaves nothing after the next start", async () => {
  const before = files();
  const socket = net.connect(daemon.port, "127.0.0.1");
  socket.on("error", () => undefined);
  socket.write(
    `PUT /v1/images/${imageOf("cut by a kill").digest} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4194304\r\n\r\n`,
  );
  socket.write(Buffer.alloc(1 << 20));
  await eventually("bytes on disk", () => (files().length > before.length ? true : undefined));
  await daemon.kill9();
  socket.destroy();
  await daemon.start();
  await eventually("no leftovers", () => (files().join() === before.join() ? true : undefined));
});

test("Two uploads of one image at once both succeed, and it is there once", async () => {
  const image = largeImage(2 << 20);
  const statuses = (await Promise.all([put(image), put(image), put(image)])).map((answer) => answer.status).sort();
  assert.ok(statuses.every((status) => status === 200 || status === 201) && statuses.includes(201), statuses.join());
  assert.equal(files().filter((path) => path.endsWith(image.hex)).length, 1);
});

test("an upload is judged before it is sent, where the client expects 100-continue", async () => {
  const head = (digest: string, length: number): string =>
    `PUT /v1/images/${digest} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: ` +
    `${length}\r\nConnection: close\r\n\r\n`;
  assert.equal(rawStatus((await daemon.raw(head("sha256:short", 100))).text), 400);
  assert.equal(rawStatus((await daemon.raw(head(imageOf("x").digest, 9 << 20))).text), 413);
});
