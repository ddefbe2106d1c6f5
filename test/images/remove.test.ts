import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, test } from "node:test";
import type { ImageStore } from "../../src/images/store.ts";
import { ApiError } from "../../src/lib/errors.ts";
import { diskFiles } from "../../src/lib/files.ts";
import { MIB, piecesOf, Place, randomImage, systemError, watchedFiles } from "./disk.ts";
import type { Image } from "./disk.ts";

const unwanted = (): boolean => false;

let place: Place;

beforeEach(() => {
  place = new Place();
});

afterEach(() => place.remove());

async function push(store: ImageStore, { digest, bytes }: Image): Promise<void> {
  await store.import(digest, piecesOf(bytes), { declaredBytes: bytes.length, maxBytes: bytes.length });
}

/** Work that ends when it is told. */
function untilTold(): { work: () => Promise<void>; tell: () => void } {
  let tell = (): void => undefined;
  const told = new Promise<void>((resolve) => (tell = resolve));
  return { work: () => told, tell: () => tell() };
}

/** Waits for what happens with nobody to tell it. */
async function settle(condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 5000 && !condition(); turn++) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.ok(condition());
}

test("removes a file durably, and a file that is not there without a word", async () => {
  const { files, calls } = watchedFiles();
  const store = await place.open(files);
  const image = randomImage(1000);
  await push(store, image);
  calls.splice(0);
  await store.remove(image.digest, unwanted);
  assert.deepEqual(
    calls.filter((call) => /unlink|syncFolder/.test(call)),
    [`unlink ${place.pathOf(image.digest)}`, `syncFolder ${store.paths.folderOf(image.digest)}`],
  );
  assert.equal(await store.sizeOf(image.digest), null);
  await store.remove(image.digest, unwanted);
  await push(store, image);
  assert.equal(await store.sizeOf(image.digest), 1000);
});

test("keeps a file that is wanted again when its removal comes to it", async () => {
  const store = await place.open();
  const image = randomImage(1000);
  await push(store, image);
  await store.remove(image.digest, () => true);
  assert.equal(await store.sizeOf(image.digest), 1000);
});

test("goes on serving a download whose image is removed", async (t) => {
  const store = await place.open();
  const image = randomImage(24 * MIB);
  await push(store, image);
  const server = http.createServer((_req, res) => {
    res.writeHead(200, { "Content-Length": String(image.bytes.length) });
    store
      .body(
        image.digest,
        0,
        image.bytes.length,
      )(res, () => undefined)
      .then(
        () => res.end(),
        () => res.destroy(),
      );
  });
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const [res] = (await once(
    http.get({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", agent: false }),
    "response",
  )) as [http.IncomingMessage];
  await store.remove(image.digest, unwanted);
  const hash = createHash("sha256");
  for await (const part of res) hash.update(part as Buffer);
  assert.equal(`sha256:${hash.digest("hex")}`, image.digest);
});

test("removes a file only after the uploads that rely on it, and not where they made it wanted", async () => {
  const store = await place.open();
  const image = randomImage(1000);
  for (const wanted of [true, false]) {
    const [first, second] = [untilTold(), untilTold()];
    const holds = [store.hold(image.digest, first.work), store.hold(image.digest, second.work)];
    await push(store, image);
    let asked = 0;
    await store.remove(image.digest, () => (asked++, wanted));
    first.tell();
    await holds[0];
    assert.equal(asked, 0);
    assert.equal(await store.sizeOf(image.digest), 1000);
    second.tell();
    await settle(() => asked === 1 && existsSync(place.pathOf(image.digest)) === wanted);
  }
});

test("stores anew what is pushed while its removal runs", async () => {
  const image = randomImage(1000);
  const gate = untilTold();
  let unlinking = false;
  const store = await place.open({
    ...diskFiles,
    async unlink(path) {
      if (path === place.pathOf(image.digest)) {
        unlinking = true;
        await gate.work();
      }
      await diskFiles.unlink(path);
    },
  });
  await push(store, image);
  const removal = store.remove(image.digest, unwanted);
  await settle(() => unlinking);
  const upload = push(store, image);
  gate.tell();
  await Promise.all([removal, upload]);
  assert.equal(await store.sizeOf(image.digest), 1000);
});

test("says storage_failed where the disk does not remove, and logs it where nobody waits", async () => {
  const store = await place.open({ ...diskFiles, unlink: () => Promise.reject(systemError("EROFS")) });
  const image = randomImage(1000);
  await store.hold(image.digest, async () => {
    await diskFiles.mkdir(store.paths.folderOf(image.digest));
    await diskFiles.close(await diskFiles.open(place.pathOf(image.digest), "w"));
    await store.remove(image.digest, unwanted);
  });
  await settle(() => place.warnings.length === 1);
  assert.deepEqual(place.warnings, ["an image's file could not be removed"]);
  await assert.rejects(
    store.remove(image.digest, unwanted),
    (error) => error instanceof ApiError && error.code === "storage_failed",
  );
});
