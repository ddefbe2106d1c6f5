import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, renameSync, unlinkSync, utimesSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, test } from "node:test";
import type { ImageStore } from "../../src/images/store.ts";
import { isLoss, verifyImages, verifyOne } from "../../src/images/verify.ts";
import type { Finding, KnownImage } from "../../src/images/verify.ts";
import { diskFiles } from "../../src/lib/files.ts";
import { piecesOf, Place, randomImage, systemError, watchedFiles } from "./disk.ts";
import type { Image } from "./disk.ts";

let place: Place;

beforeEach(() => {
  place = new Place();
});

afterEach(() => place.remove());

async function pushed(store: ImageStore, size = 300_000): Promise<Image> {
  const image = randomImage(size);
  await push(store, image);
  return image;
}

async function push(store: ImageStore, { digest, bytes }: Image): Promise<boolean> {
  return (await store.import(digest, piecesOf(bytes), { declaredBytes: bytes.length, maxBytes: 1e9 })).existed;
}

/** Flips one bit and keeps size and times, as a failing disk does. */
function rot(path: string): void {
  const bytes = readFileSync(path);
  bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1);
  writeFileSync(path, bytes);
}

const entry = ({ digest, bytes }: Image): KnownImage => ({ digest, sizeBytes: bytes.length });

async function verify(store: ImageStore, known: Iterable<KnownImage>): Promise<Finding[]> {
  const findings: Finding[] = [];
  for await (const finding of verifyImages(store, known)) findings.push(finding);
  return findings;
}

test("finds every image good where nothing is wrong", async () => {
  const store = await place.open();
  const images = [await pushed(store), await pushed(store, 0), await pushed(store, 1)];
  const findings = await verify(store, images.map(entry));
  assert.deepEqual(
    new Set(findings),
    new Set(images.map(({ digest, bytes }) => ({ kind: "good", digest, sizeBytes: bytes.length }))),
  );
  assert.ok(!findings.some(isLoss));
});

test("a store whose folder is not there is an error, and not a store without faults", async () => {
  await assert.rejects(
    verify(place.unopened(), []),
    /There is no image store in .*: the folder .*\/sha256 is not there/,
  );
  const store = await place.open();
  await pushed(store);
  renameSync(place.imagesDir, `${place.imagesDir}.away`);
  await assert.rejects(verify(store, []), /no image store/);
  // As where the disk behind it is no longer mounted, and the folders of an earlier start lie below.
  await place.open();
  await assert.rejects(verify(store, []), /sha256 was replaced while the daemon ran/);
});

test("takes no image into a folder that was put in the place of the store's own while the daemon ran", async () => {
  const store = await place.open();
  await pushed(store);
  renameSync(place.imagesDir, `${place.imagesDir}.away`);
  await place.open();
  await assert.rejects(pushed(store), /sha256 was replaced while the daemon ran/);
  assert.deepEqual(place.tree(), []);
});

test("wrong bytes that cannot be set aside are a failure that says both", async () => {
  const store = await place.open({
    ...diskFiles,
    rename: (from, to) =>
      to.includes("/quarantine/") ? Promise.reject(systemError("EROFS")) : diskFiles.rename(from, to),
  });
  const image = await pushed(store);
  rot(place.pathOf(image.digest));
  const [finding] = await verify(store, [entry(image)]);
  assert.ok(finding?.kind === "failed" && isLoss(finding));
  assert.match(finding.reason, /its bytes hash to sha256:[0-9a-f]{64}, and it could not be set aside: EROFS/);
});

test("moves wrong bytes to quarantine, durably, and takes the image anew when it is pushed", async () => {
  const { files, calls } = watchedFiles();
  const store = await place.open(files);
  const image = await pushed(store);
  rot(place.pathOf(image.digest));
  const rotten = readFileSync(place.pathOf(image.digest));
  calls.splice(0);
  const [finding, ...more] = await verify(store, [entry(image)]);
  assert.ok(finding?.kind === "quarantined" && isLoss(finding));
  assert.deepEqual(more, []);
  assert.deepEqual([finding.digest, finding.sizeBytes], [image.digest, 300_000]);
  assert.notEqual(finding.actual, image.digest);
  assert.ok(finding.movedTo.startsWith(`${place.imagesDir}/quarantine/${image.digest.slice(7)}.`));
  assert.deepEqual(readFileSync(finding.movedTo), rotten);
  const durably = [
    `rename ${finding.movedTo}`,
    `syncFolder ${place.imagesDir}/quarantine`,
    `syncFolder ${store.paths.folderOf(image.digest)}`,
  ];
  assert.deepEqual(
    calls.filter((call) => /rename|syncFolder/.test(call)),
    durably,
  );
  assert.deepEqual(
    (await verify(store, [entry(image)])).map(({ kind }) => kind),
    ["missing"],
  );
  assert.equal(await push(store, image), false);
  assert.deepEqual(
    (await verify(store, [entry(image)])).map(({ kind }) => kind),
    ["good"],
  );
  rot(place.pathOf(image.digest));
  assert.equal((await verifyOne(store, image.digest, null)).kind, "quarantined", "a second time as well");
});

test("reports what the log knows and the disk has not", async () => {
  const store = await place.open();
  const [there, gone] = [await pushed(store), await pushed(store)];
  unlinkSync(place.pathOf(gone.digest));
  const findings = await verify(store, [entry(gone), entry(there), { digest: "nonsense", sizeBytes: 1 }]);
  assert.deepEqual(
    findings.map(({ kind }) => kind),
    ["good", "missing", "missing"],
  );
  assert.deepEqual(findings.filter(isLoss), [
    { kind: "missing", digest: gone.digest },
    { kind: "missing", digest: "nonsense" },
  ]);
});

test("reports and keeps what the log does not know, but not wrong bytes at a digest's path", async () => {
  const store = await place.open();
  const [stranger, wrong] = [await pushed(store), await pushed(store)];
  rot(place.pathOf(wrong.digest));
  const odd = [
    "sha256/README",
    "sha256/zz/x",
    `sha256/00/${"f".repeat(64)}`,
    "sha256/00/.hidden",
    "incoming/upload_1",
  ].map((name) => `${place.imagesDir}/${name}`);
  for (const path of odd) {
    mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    writeFileSync(path, "x");
  }
  const findings = await verify(store, []);
  const strangers = findings.flatMap((finding) => (finding.kind === "stranger" ? [finding.path] : []));
  assert.deepEqual(
    strangers.sort(),
    [odd[0], `${place.imagesDir}/sha256/zz`, odd[2], odd[3], place.pathOf(stranger.digest)].sort(),
  );
  assert.deepEqual(
    findings.filter(({ kind }) => kind === "leftover"),
    [{ kind: "leftover", path: odd[4] }],
  );
  assert.deepEqual(
    findings.filter(isLoss).map((finding) => finding.kind === "quarantined" && finding.digest),
    [wrong.digest],
  );
  for (const path of [...odd, place.pathOf(stranger.digest)]) assert.ok(existsSync(path), path);
});

test("says missing, of a known image only, where a file goes away while it is verified", async () => {
  const store = await place.open();
  const images = [await pushed(store), await pushed(store)] as const;
  const paths = images.map(({ digest }) => place.pathOf(digest));
  const removing: Partial<typeof diskFiles> = {
    async open(path, flags) {
      if (paths.includes(path)) unlinkSync(path);
      return diskFiles.open(path, flags);
    },
  };
  const beside = await place.open({ ...diskFiles, ...removing });
  assert.deepEqual(await verify(beside, [entry(images[0])]), [{ kind: "missing", digest: images[0].digest }]);
});

test("calls no running upload a leftover", async () => {
  const store = await place.open();
  const image = randomImage(100);
  async function* whileVerifying(): AsyncGenerator<Uint8Array> {
    yield image.bytes;
    assert.deepEqual(await verify(store, []), []);
  }
  await store.import(image.digest, whileVerifying(), { declaredBytes: 100, maxBytes: 100 });
});

test("reports a disk that cannot be read, and moves nothing", async () => {
  const image = await pushed(await place.open());
  const failing: Partial<typeof diskFiles>[] = [
    { read: () => Promise.reject(systemError("EIO")) },
    { open: () => Promise.reject(systemError("EACCES")) },
  ];
  for (const fault of failing) {
    const store = await place.open({ ...diskFiles, ...fault });
    const [finding] = await verify(store, [entry(image)]);
    assert.ok(finding?.kind === "failed" && isLoss(finding) && finding.reason.includes("the disk says so"));
  }
  rot(place.pathOf(image.digest));
  const store = await place.open({ ...diskFiles, rename: () => Promise.reject(systemError("EIO")) });
  const finding = await verifyOne(store, image.digest, null);
  assert.ok(finding.kind === "failed" && finding.reason.includes("the disk says so"));
});

test("says so where the log has another size for right bytes", async () => {
  const store = await place.open();
  const image = await pushed(store);
  const finding = await verifyOne(store, image.digest, 7);
  assert.ok(finding.kind === "failed" && finding.reason.includes("300000"));
  assert.ok(existsSync(place.pathOf(image.digest)));
});

test("closes every file that it read", async () => {
  const { files, open } = watchedFiles();
  const store = await place.open(files);
  rot(place.pathOf((await pushed(store)).digest));
  await pushed(store);
  await verify(store, []);
  assert.equal(open.size, 0);
});

test("does not quarantine the good file that an upload put in the place of the one it hashed", async () => {
  const image = randomImage(300_000);
  let replace = async (): Promise<void> => undefined;
  const store = await place.open({
    ...diskFiles,
    async close(fd) {
      await diskFiles.close(fd);
      await replace();
    },
  });
  await push(store, image);
  // Wrong bytes of the wrong size: a push replaces them, right after the verification has read them.
  writeFileSync(place.pathOf(image.digest), image.bytes.subarray(1));
  utimesSync(place.pathOf(image.digest), 1, 1);
  const other = await place.open();
  replace = async () => {
    replace = async () => undefined;
    assert.equal(await push(other, image), false);
  };
  assert.deepEqual(await verifyOne(store, image.digest, 300_000), {
    kind: "good",
    digest: image.digest,
    sizeBytes: 300_000,
  });
});
