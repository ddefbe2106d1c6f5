/** Part B, Images: a full disk, files that nobody pushed, and `zwrmd images verify`. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { eventually, startDaemon } from "../support/daemon.ts";
import type { TestDaemon } from "../support/daemon.ts";
import { register } from "../support/fleet.ts";
import { assertError } from "../support/http.ts";
import type { Answer } from "../support/http.ts";
import { imageOf, largeImage, pathOf } from "../support/images.ts";
import type { TestImage } from "../support/images.ts";
import { startOnSmallDisk } from "../support/small-disk.ts";

function put(daemon: TestDaemon, image: TestImage): Promise<Answer> {
  return daemon.request("PUT", `/v1/images/${image.digest}`, { body: image.bytes });
}

test(
  "PUT: less than 5 % or 1 GiB (the smaller) left free: 507 storage_full, and the journal is never " +
    "starved by an upload",
  async (t) => {
    const disk = await startOnSmallDisk(32, t);
    if (disk === null) return t.skip("no mount namespace can be made here");
    const { daemon, inside } = disk;
    const first = largeImage(20 << 20);
    assert.equal((await put(daemon, first)).status, 201);
    assertError(await put(daemon, largeImage(11 << 20)), 507, "storage_full");
    const chunked = largeImage(30 << 20);
    assertError(
      await daemon.request("PUT", `/v1/images/${chunked.digest}`, {
        body: chunked.bytes,
        headers: { "transfer-encoding": "chunked" },
      }),
      507,
      "storage_full",
    );
    await eventually("nothing to be kept", () =>
      existsSync(pathOf(inside("data/images"), chunked)) ? undefined : true,
    );
    assert.equal((await register(daemon, "h-1")).status, 201, "the journal still has room");
    assert.equal((await daemon.request("DELETE", `/v1/images/${first.digest}`)).status, 204);
    await eventually("room again", async () =>
      (await put(daemon, largeImage(11 << 20))).status === 201 ? true : undefined,
    );
  },
);

test("A file without an entry in the log is a 404, is kept, and is reported by zwrmd images verify", async (t) => {
  const daemon = await startDaemon({}, t);
  const stray = imageOf("nobody pushed this");
  const file = pathOf(join(daemon.dataDir, "images"), stray);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, stray.bytes);
  assertError(await daemon.asAgent("GET", `/v1/internal/images/${stray.digest}`), 404, "image_not_found");
  await daemon.restart();
  assertError(await daemon.asAgent("GET", `/v1/internal/images/${stray.digest}`), 404, "image_not_found");
  assert.deepEqual(readFileSync(file), stray.bytes);
  await daemon.stop();
  const verify = await daemon.command("images", "verify");
  assert.match(verify.stdout + verify.stderr, new RegExp(stray.hex));
  assert.ok(existsSync(file));
});

test("zwrmd images verify: every image that is true: exit 0", async (t) => {
  const daemon = await startDaemon({}, t);
  await put(daemon, imageOf("one"));
  await put(daemon, imageOf("two"));
  await daemon.stop();
  assert.equal((await daemon.command("images", "verify")).code, 0);
});

for (const running of [false, true]) {
  test(
    "zwrmd images verify " +
      `${running ? "beside a running daemon, which it asks over its socket" : "while no daemon runs"}: ` +
      "re-hashes, quarantines what is wrong, exits 1",
    async (t) => {
      const daemon = await startDaemon({ config: `[server]\nsocket = "FOLDER/zwrmd.sock"` }, t);
      const [good, bad] = [imageOf("good"), imageOf("about to rot")];
      await put(daemon, good);
      await put(daemon, bad);
      const file = pathOf(join(daemon.dataDir, "images"), bad);
      const rotten = Buffer.from(bad.bytes);
      rotten.writeUInt8(rotten.readUInt8(3) ^ 4, 3);
      writeFileSync(file, rotten);
      if (!running) await daemon.stop();
      const verify = await daemon.command("images", "verify");
      assert.equal(verify.code, 1, verify.stderr);
      assert.match(verify.stdout + verify.stderr, new RegExp(bad.hex));
      assert.ok(!existsSync(file), "set aside");
      if (!running) await daemon.start();
      assertError(await daemon.asAgent("GET", `/v1/internal/images/${bad.digest}`), 404, "image_missing");
      assert.deepEqual((await daemon.asAgent("GET", `/v1/internal/images/${good.digest}`)).body, good.bytes);
      const again = await put(daemon, bad);
      assert.ok([200, 201].includes(again.status), "push it again");
      assert.deepEqual((await daemon.asAgent("GET", `/v1/internal/images/${bad.digest}`)).body, bad.bytes);
    },
  );
}
