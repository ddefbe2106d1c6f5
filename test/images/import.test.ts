import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { afterEach, beforeEach, test } from "node:test";
import type { Source } from "../../src/images/upload.ts";
import type { ImageStore, Imported } from "../../src/images/store.ts";
import type { ErrorCode } from "../../src/lib/errors.ts";
import { ApiError } from "../../src/lib/errors.ts";
import { ClientGone } from "../../src/http/send-file.ts";
import { diskFiles } from "../../src/lib/files.ts";
import { imageOf, MIB, nameOf, piecesOf, Place, randomImage, systemError, watchedFiles } from "./disk.ts";
import type { Image } from "./disk.ts";

const GIB = 1024 * MIB;

let place: Place;

beforeEach(() => {
  place = new Place();
});

afterEach(() => {
  assert.deepEqual(place.warnings, []);
  place.remove();
});

function push(
  store: ImageStore,
  { digest, bytes }: Image,
  options: { source?: Source; declared?: number | null; maxBytes?: number } = {},
): Promise<Imported> {
  const { source = piecesOf(bytes), declared = bytes.length, maxBytes = GIB } = options;
  return store.import(digest, source, { declaredBytes: declared, maxBytes });
}

function refused(code: ErrorCode): (error: unknown) => boolean {
  return (error) => error instanceof ApiError && error.code === code;
}

/** An image and the promise of another one's digest. */
function mismatched(size: number): Image {
  return { bytes: randomImage(size).bytes, digest: randomImage(size).digest };
}

test("stores an image byte for byte at its digest's path, and nothing else", async () => {
  const store = await place.open();
  for (const size of [0, 1, 64 * 1024, 3 * MIB + 5]) {
    const image = randomImage(size);
    assert.deepEqual(await push(store, image), { sizeBytes: size, existed: false });
    assert.deepEqual(readFileSync(place.pathOf(image.digest)), image.bytes);
    assert.equal(await store.sizeOf(image.digest), size);
    assert.equal(statSync(place.pathOf(image.digest)).mode & 0o777, 0o600);
  }
  assert.ok(place.tree().every((name) => name.startsWith("sha256/")));
});

test("takes a stream of unknown length", async () => {
  const store = await place.open();
  const image = randomImage(MIB);
  const source = Readable.from([image.bytes.subarray(0, 9), image.bytes.subarray(9)]);
  assert.deepEqual(await push(store, image, { source, declared: null }), { sizeBytes: MIB, existed: false });
  assert.deepEqual(await push(store, image, { declared: null }), { sizeBytes: MIB, existed: true });
  assert.deepEqual(place.tree(), [nameOf(image.digest)]);
});

test("makes bytes durable before their name, and the name before it answers", async () => {
  const { files, calls } = watchedFiles();
  const store = await place.open(files);
  const image = randomImage(100_000);
  const folder = place.pathOf(image.digest).slice(0, -65);
  const durably = (): string[] => calls.splice(0).filter((call) => /^(datasync|rename|syncFolder|mkdir)/.test(call));
  durably();
  await push(store, image);
  const names = [
    `mkdir ${folder}`,
    `rename ${place.pathOf(image.digest)}`,
    `syncFolder ${place.imagesDir}/sha256`,
    `syncFolder ${folder}`,
  ];
  assert.deepEqual(durably(), ["datasync", ...names]);
  await push(store, image);
  assert.deepEqual(durably(), [`syncFolder ${folder}`], "who put the file there may have died before the sync");
});

test("writes through short writes", async () => {
  const store = await place.open({
    ...diskFiles,
    write: (fd, buffer, offset, length, position) =>
      diskFiles.write(fd, buffer, offset, Math.min(length, 1013), position),
  });
  const image = randomImage(MIB);
  await push(store, image);
  assert.deepEqual(readFileSync(place.pathOf(image.digest)), image.bytes);
});

test("refuses other bytes than promised, and keeps nothing", async () => {
  const store = await place.open();
  for (const declared of [200_000, null])
    await assert.rejects(push(store, mismatched(200_000), { declared }), refused("digest_mismatch"));
  assert.deepEqual(place.tree(), []);
});

test("reads and verifies an image that is there already, and does not write it again", async () => {
  const store = await place.open();
  const image = randomImage(300_000);
  await push(store, image);
  const before = statSync(place.pathOf(image.digest));
  const source = piecesOf(image.bytes);
  assert.deepEqual(await push(store, image, { source }), { sizeBytes: 300_000, existed: true });
  assert.equal(source.taken, 5);
  const wrong = { digest: image.digest, bytes: randomImage(300_000).bytes };
  for (const declared of [300_000, null])
    await assert.rejects(
      push(store, wrong, { declared }),
      refused("digest_mismatch"),
      "knowing a digest gives nothing",
    );
  const after = statSync(place.pathOf(image.digest));
  assert.deepEqual([after.ino, after.mtimeMs], [before.ino, before.mtimeMs]);
  assert.deepEqual(place.tree(), [nameOf(image.digest)]);
});

for (const [what, damage] of [
  [
    "a byte flipped at its end",
    (bytes: Buffer): Buffer => Buffer.concat([bytes.subarray(0, -1), Buffer.of((bytes.at(-1) ?? 0) ^ 1)]),
  ],
  [
    "a byte flipped in its middle",
    (bytes: Buffer): Buffer =>
      Buffer.concat([bytes.subarray(0, 150_000), Buffer.of((bytes.at(150_000) ?? 0) ^ 1), bytes.subarray(150_001)]),
  ],
  ["only zeros, of the right size", (bytes: Buffer): Buffer => Buffer.alloc(bytes.length)],
  ["its end cut off", (bytes: Buffer): Buffer => bytes.subarray(0, -1)],
  ["something behind its end", (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.of(1)])],
  ["nothing in it", (): Buffer => Buffer.alloc(0)],
] as const) {
  test(`a push repairs an image with ${what}, and keeps what was there for a person to look at`, async () => {
    const store = await place.open();
    const image = randomImage(300_000);
    for (const declared of [300_000, null]) {
      await push(store, image);
      const damaged = damage(image.bytes);
      writeFileSync(place.pathOf(image.digest), damaged);
      assert.deepEqual(await push(store, image, { declared }), { sizeBytes: 300_000, existed: false });
      assert.deepEqual(readFileSync(place.pathOf(image.digest)), image.bytes);
      const aside = place.tree().filter((name) => name.startsWith("quarantine/"));
      assert.deepEqual(
        aside.map((name) => readFileSync(`${place.imagesDir}/${name}`)),
        [damaged],
      );
      for (const name of aside) unlinkSync(`${place.imagesDir}/${name}`);
      assert.deepEqual(place.tree(), [nameOf(image.digest)]);
    }
    assert.deepEqual(
      place.warnings.splice(0),
      Array<string>(2).fill("an image was not what its name says; a push has replaced it"),
    );
  });
}

test("a damaged image stays where it is when what is pushed is not the image either", async () => {
  const store = await place.open();
  const image = randomImage(300_000);
  await push(store, image);
  const damaged = Buffer.alloc(300_000, 7);
  writeFileSync(place.pathOf(image.digest), damaged);
  const wrong = {
    digest: image.digest,
    bytes: Buffer.concat([damaged.subarray(0, 200_000), Buffer.alloc(100_000, 8)]),
  };
  await assert.rejects(push(store, wrong), refused("digest_mismatch"));
  assert.deepEqual(readFileSync(place.pathOf(image.digest)), damaged);
  assert.deepEqual(place.tree(), [nameOf(image.digest)]);
});

test("a part that the disk cannot read any more is written anew by a push", async () => {
  let broken = false;
  const store = await place.open({
    ...diskFiles,
    async read(fd, buffer, offset, length, position) {
      if (broken && position >= 128 * 1024) throw systemError("EIO");
      return diskFiles.read(fd, buffer, offset, length, position);
    },
  });
  const image = randomImage(300_000);
  await push(store, image);
  broken = true;
  assert.deepEqual(await push(store, image), { sizeBytes: 300_000, existed: false });
  broken = false;
  assert.deepEqual(readFileSync(place.pathOf(image.digest)), image.bytes);
  assert.deepEqual(place.warnings.splice(0), [
    "an image's file cannot be read; it is written anew",
    "an image was not what its name says; a push has replaced it",
  ]);
});

test("an image that is whole takes no room for its second push, on a disk that is full", async () => {
  const image = randomImage(1000);
  let freeBytes = 60 * GIB;
  const store = await place.open({ ...diskFiles, space: () => Promise.resolve({ freeBytes, totalBytes: 100 * GIB }) });
  await push(store, image);
  freeBytes = 0;
  for (const declared of [1000, null]) assert.equal((await push(store, image, { declared })).existed, true);
});

test("asks for another push where the file goes away while its upload is verified", async () => {
  const store = await place.open();
  const image = randomImage(MIB);
  await push(store, image);
  async function* removing(): AsyncGenerator<Uint8Array> {
    yield image.bytes.subarray(0, 5);
    unlinkSync(place.pathOf(image.digest));
    yield image.bytes.subarray(5);
  }
  await assert.rejects(push(store, image, { source: removing() }), refused("storage_failed"));
  assert.equal((await push(store, image)).existed, false);
});

test("refuses more than max_bytes by the declaration, before it reads, and by what comes", async () => {
  const store = await place.open();
  const image = randomImage(MIB);
  const declared = piecesOf(image.bytes);
  await assert.rejects(push(store, image, { source: declared, maxBytes: MIB - 1 }), refused("image_too_large"));
  assert.equal(declared.taken, 0);
  const undeclared = piecesOf(image.bytes);
  await assert.rejects(
    push(store, image, { source: undeclared, declared: null, maxBytes: 100_000 }),
    refused("image_too_large"),
  );
  assert.equal(undeclared.taken, 2, "nothing is read beyond the limit");
  assert.deepEqual(place.tree(), []);
  await push(store, image, { maxBytes: MIB });
  await assert.rejects(
    push(store, image, { maxBytes: MIB - 1, declared: null }),
    refused("image_too_large"),
    "also for an image that is there",
  );
});

test(
  "refuses an upload that would leave less than 5 % or 1 GiB free, by its " + "declaration, before it reads",
  async () => {
    const image = randomImage(1000);
    for (const [totalBytes, spare] of [
      [10 * GIB, 0.5 * GIB],
      [20 * GIB, GIB],
      [5000 * GIB, GIB],
    ] as const) {
      let freeBytes = spare + 999;
      const store = await place.open({ ...diskFiles, space: () => Promise.resolve({ freeBytes, totalBytes }) });
      const source = piecesOf(image.bytes);
      await assert.rejects(push(store, image, { source }), refused("storage_full"));
      assert.equal(source.taken, 0);
      assert.deepEqual(place.tree(), []);
      freeBytes = spare + 1000;
      await push(store, image);
      await store.remove(image.digest, () => false);
    }
  },
);

test("stops an upload while it runs, before the spare is touched, and keeps nothing", async () => {
  let written = 0;
  const room = 20 * MIB;
  const store = await place.open({
    ...diskFiles,
    async write(...args) {
      const count = await diskFiles.write(...args);
      written += count;
      return count;
    },
    space: () => Promise.resolve({ freeBytes: GIB + room - written, totalBytes: 100 * GIB }),
  });
  await assert.rejects(push(store, randomImage(24 * MIB), { declared: null }), refused("storage_full"));
  assert.ok(written <= room && written > room - MIB, `${written} bytes written`);
  assert.deepEqual(place.tree(), []);
  written = 0;
  const together = [1, 2, 3, 4].map(() => push(store, randomImage(8 * MIB), { declared: null }));
  const results = await Promise.allSettled(together);
  assert.ok(results.some(({ status }) => status === "rejected"));
  // Bytes of refused uploads still count as written here, as they would on a disk until they are removed.
  assert.ok(written <= room + 4 * MIB, `${written} bytes written`);
});

test("says storage_full where the disk itself does, on any call of an upload", async () => {
  for (const code of ["ENOSPC", "EDQUOT"]) {
    const store = await place.open({ ...diskFiles, write: () => Promise.reject(systemError(code)) });
    await assert.rejects(push(store, randomImage(1000)), refused("storage_full"));
  }
  assert.deepEqual(place.tree(), []);
});

test("keeps nothing of an upload whose source breaks off", async () => {
  const store = await place.open();
  const image = randomImage(200_000);
  async function* breaking(): AsyncGenerator<Uint8Array> {
    yield image.bytes.subarray(0, 150_000);
    throw new Error("the client hung up");
  }
  await assert.rejects(push(store, image, { source: breaking() }), refused("malformed_request"));
  const stream = new Readable({ read: () => undefined });
  const upload = push(store, image, { source: stream });
  stream.push(image.bytes.subarray(0, 150_000));
  setImmediate(() => stream.destroy());
  await assert.rejects(upload, refused("malformed_request"), "closed without an end");
  await assert.rejects(push(store, image, { source: Readable.from(["text"]) }), refused("malformed_request"));
  assert.deepEqual(place.tree(), []);
});

test("reads no further than it has written", async () => {
  let ahead = 0;
  let written = 0;
  const image = randomImage(2 * MIB);
  const source = piecesOf(image.bytes);
  const store = await place.open({
    ...diskFiles,
    async write(fd, buffer, offset, length, position) {
      await new Promise(setImmediate);
      ahead = Math.max(ahead, source.taken - written);
      written++;
      return diskFiles.write(fd, buffer, offset, length, position);
    },
  });
  await push(store, image, { source });
  assert.equal(ahead, 1);
});

test("syncs a long upload every 32 MiB, one upload at a time", async () => {
  let syncing = 0;
  let syncs = 0;
  const store = await place.open({
    ...diskFiles,
    write: (_fd, _buffer, _offset, length) => Promise.resolve(length),
    async datasync() {
      syncs++;
      assert.equal(++syncing, 1);
      await new Promise(setImmediate);
      syncing--;
    },
  });
  const images = [1, 2, 3].map((fill) => imageOf(Buffer.alloc(40 * MIB, fill)));
  await Promise.all(images.map((image) => push(store, image, { source: piecesOf(image.bytes, MIB) })));
  assert.equal(syncs, 6);
});

test("takes two uploads of one digest at once, and both end right", async () => {
  const store = await place.open();
  const image = randomImage(MIB);
  const results = await Promise.all([push(store, image), push(store, image), push(store, image, { declared: null })]);
  assert.deepEqual(results.map(({ existed }) => existed).sort(), [false, true, true]);
  assert.ok(results.every(({ sizeBytes }) => sizeBytes === MIB));
  const [good, bad] = await Promise.allSettled([
    push(store, image),
    push(store, { ...image, bytes: randomImage(MIB).bytes }),
  ]);
  assert.deepEqual([good.status, bad.status], ["fulfilled", "rejected"]);
  assert.deepEqual(place.tree(), [nameOf(image.digest)]);
  assert.deepEqual(readFileSync(place.pathOf(image.digest)), image.bytes);
});

test(
  "leaves a refused request whole, so that its client can be answered, and nothing of a client that hung " + "up",
  async (t) => {
    const store = await place.open();
    const image = randomImage(4 * MIB);
    const ends: string[] = [];
    const server = http.createServer((req, res) => {
      push(store, image, { source: req, declared: null, maxBytes: MIB }).catch((error: unknown) => {
        ends.push(error instanceof ApiError ? error.code : String(error));
        req.resume().once("end", () => res.writeHead(413).end());
        server.emit("refused");
      });
    });
    t.after(() => {
      server.closeAllConnections();
      server.close();
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const put = (): http.ClientRequest => http.request({ port, host: "127.0.0.1", method: "PUT", agent: false });
    const [answer] = (await once(put().end(image.bytes), "response")) as [http.IncomingMessage];
    assert.equal(answer.statusCode, 413);
    answer.resume();
    const hangsUp = put();
    hangsUp.on("error", () => undefined);
    hangsUp.write(image.bytes.subarray(0, 500_000), () => hangsUp.destroy());
    await once(server, "refused");
    assert.deepEqual(ends, ["image_too_large", "malformed_request"]);
    assert.deepEqual(place.tree(), []);
  },
);

test("makes its folders durable when it makes them", async () => {
  const { files, calls } = watchedFiles();
  await place.open(files);
  assert.deepEqual(
    calls.filter((call) => call.startsWith("syncFolder")),
    [`syncFolder ${place.imagesDir}`, `syncFolder ${place.root}`],
  );
});

test("clears at the start what a crash left of uploads, and nothing else", async () => {
  const first = await place.open();
  const image = randomImage(1000);
  await push(first, image);
  writeFileSync(`${place.imagesDir}/incoming/upload_0`, "half");
  writeFileSync(`${place.imagesDir}/quarantine/x`, "kept");
  assert.equal(await place.unopened().open(), 1);
  assert.deepEqual(place.tree(), ["quarantine/x", nameOf(image.digest)]);
  assert.equal((await push(await place.open(), image)).existed, true);
});

test("a body that was too slow, or a client that left, is told as that and not as a broken upload", async () => {
  const store = await place.open();
  for (const reason of [new ApiError("request_timeout", "too slow"), new ClientGone()]) {
    async function* breaking(): AsyncGenerator<Uint8Array> {
      yield Buffer.from("half");
      throw reason;
    }
    await assert.rejects(push(store, randomImage(100), { source: breaking() }), (error) => error === reason);
  }
  assert.deepEqual(place.tree(), []);
});
