import assert from "node:assert/strict";
import { readFileSync, truncateSync } from "node:fs";
import { test } from "node:test";
import type { Imported } from "../../src/images/store.ts";
import { ApiError } from "../../src/lib/errors.ts";
import { nameOf, piecesOf, Place, randomImage, watchedFiles } from "./disk.ts";
import type { Fault, Image } from "./disk.ts";

type Scene = "new" | "wrong size" | "there already";

interface Trial {
  readonly outcome: Imported | Error;
  readonly failedCall: string | undefined;
  readonly ended: boolean;
}

/** One import of `image` on a disk whose n-th call fails; what it must leave behind is checked here. */
async function tryImport(place: Place, image: Image, scene: Scene, fault: Fault): Promise<Trial> {
  const limits = { declaredBytes: image.bytes.length, maxBytes: 1e9 };
  const healthy = await place.open();
  if (scene !== "new") await healthy.import(image.digest, piecesOf(image.bytes), limits);
  if (scene === "wrong size") truncateSync(place.pathOf(image.digest), 7);
  const { files, calls, open } = watchedFiles(fault);
  const store = place.unopened(files);
  const outcome = await store
    .import(image.digest, piecesOf(image.bytes), limits)
    .catch((error: unknown) => (error instanceof Error ? error : assert.fail()));
  assert.equal(open.size, 0, "every descriptor is closed, once");
  const failedCall = calls[fault.failAt - 1];
  return { outcome, failedCall, ended: failedCall === undefined };
}

/** All but what was found damaged, or could not be read, and set aside. */
function inPlace(place: Place): string[] {
  return place.tree().filter((name) => !name.startsWith("quarantine/"));
}

function check(place: Place, image: Image, scene: Scene, { outcome, failedCall }: Trial, code: string): void {
  const left = inPlace(place);
  if (outcome instanceof Error) {
    assert.ok(outcome instanceof ApiError, String(outcome.stack));
    assert.equal(outcome.code, code === "ENOSPC" ? "storage_full" : "storage_failed", failedCall);
    // A file that was there before the import may stay; one that the import brought may not.
    const mayStay = scene === "new" ? [] : [nameOf(image.digest)];
    assert.ok(
      left.every((name) => mayStay.includes(name)),
      `${failedCall} left ${left.join()}`,
    );
    if (scene === "there already") assert.deepEqual(left, mayStay);
  } else {
    // Only where the clean-up itself failed may something be left in incoming.
    assert.deepEqual(
      left.filter((name) => !name.startsWith("incoming/")),
      [nameOf(image.digest)],
    );
    assert.deepEqual(readFileSync(place.pathOf(image.digest)), image.bytes);
  }
}

for (const scene of ["new", "wrong size", "there already"] as const) {
  for (const [code, after] of [
    ["EIO", false],
    ["EIO", true],
    ["ENOSPC", false],
  ] as const) {
    test(
      `keeps all or nothing where the disk says ${code} ${after ? "after" : "instead of"} the n-th call ` +
        `of an import, for every n (${scene})`,
      async () => {
        const image = randomImage(150_000);
        for (let failAt = 1, ended = false; !ended; failAt++) {
          const place = new Place();
          try {
            const trial = await tryImport(place, image, scene, { failAt, code, after });
            ended = trial.ended;
            check(place, image, scene, trial, code);
            if (ended) assert.ok(!(trial.outcome instanceof Error) && failAt > 4);
            // Whatever happened, the next start and the next push make it right.
            const again = await (
              await place.open()
            ).import(image.digest, piecesOf(image.bytes), { declaredBytes: 150_000, maxBytes: 1e9 });
            assert.equal(again.sizeBytes, 150_000);
            assert.deepEqual(inPlace(place), [nameOf(image.digest)]);
          } finally {
            place.remove();
          }
        }
      },
    );
  }
}

test("syncs the folder of two hex digits again after its first sync failed", async () => {
  const place = new Place();
  const image = randomImage(10);
  const { files, calls } = watchedFiles();
  let failing = true;
  await place.open();
  const store = place.unopened({
    ...files,
    syncFolder: (path) => (failing ? Promise.reject(new Error("EIO")) : files.syncFolder(path)),
  });
  const limits = { declaredBytes: 10, maxBytes: 10 };
  await assert.rejects(store.import(image.digest, piecesOf(image.bytes), limits));
  failing = false;
  await store.import(image.digest, piecesOf(image.bytes), limits);
  assert.ok(calls.includes(`syncFolder ${place.imagesDir}/sha256`));
  place.remove();
});
