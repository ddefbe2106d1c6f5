/** Tests of `zwrm image`: the digest, the bytes, the progress, and every way in which a push ends. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { test } from "node:test";
import { systemClock } from "../../src/lib/clock.ts";
import { fakeApi, Screen, temporaryFolder, zwrm } from "./support.ts";

/** Bytes that differ from place to place, so that a piece sent twice or left out changes the digest. */
function contents(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let index = 0; index < size; index += 1) bytes[index] = (index * 31 + (index >> 8) * 7 + (index >> 16)) & 0xff;
  return bytes;
}

function fileOf(t: TestContext, size: number, name = "root.img") {
  const path = join(temporaryFolder(t), name);
  const bytes = contents(size);
  writeFileSync(path, bytes);
  return { path, bytes, digest: `sha256:${createHash("sha256").update(bytes).digest("hex")}` };
}

const MIB = 1024 * 1024;

test("pushes a file byte for byte under the SHA-256 of its bytes, of any size", async (t) => {
  for (const size of [0, 1, MIB - 1, MIB, MIB + 1, 5 * MIB + 4_321]) {
    const { path, bytes, digest } = fileOf(t, size);
    const api = await fakeApi(t, () => [201, { digest }]);
    const run = await api.run(`image push ${path}`, { clock: systemClock });
    assert.equal(run.code, 0, run.err);
    assert.deepEqual(
      [api.seen[0]?.method, api.seen[0]?.url, api.seen[0]?.headers["content-length"]],
      ["PUT", `/v1/images/${digest}`, String(size)],
    );
    assert.ok(api.seen[0]?.body.equals(bytes), `${size} bytes`);
  }
});

test("says in one line what was pushed where nobody looks, and labels the image with --app", async (t) => {
  const { path, digest } = fileOf(t, 3 * MIB);
  const api = await fakeApi(t, () => [201, { digest }]);
  assert.deepEqual(await api.run(`image push ${path} --app web`), {
    code: 0,
    out: `${digest} pushed: 3 MiB in 0.0s\n`,
    err: "",
  });
  assert.equal(api.seen[0]?.url, `/v1/images/${digest}?app_id=web`);
  const again = await fakeApi(t, () => [200, { digest }]);
  assert.match(
    (await again.run(`image push ${path}`)).out,
    /^sha256:[0-9a-f]{64} was there already; sent and checked again: 3 MiB/,
  );
});

test("prints the API's answer with --json", async (t) => {
  const { path, digest } = fileOf(t, 10);
  const answer = { digest, size_bytes: 10, app_ids: [], created_at: "2026-03-01T12:00:00.000Z" };
  const api = await fakeApi(t, () => [201, answer]);
  assert.deepEqual(JSON.parse((await api.run(`image push ${path} --json`)).out), answer);
});

test("draws a bar for hashing and one for pushing on a terminal, and takes both away at the end", async (t) => {
  const { path, digest } = fileOf(t, 3 * MIB);
  const api = await fakeApi(t, () => [201, { digest }]);
  const stderr = new Screen({ isTerminal: true, columns: 100 });
  const stdout = new Screen({ isTerminal: true });
  await api.run(`image push ${path}`, { clock: systemClock, stderr, stdout });
  assert.match(stderr.text, /hashing root\.img {2}\[=+>? *\]\s+\d+% {2}\S+ MiB \/ 3 MiB/);
  assert.match(stderr.text, /pushing root\.img {2}\[=+>? *\]\s+\d+% {2}\S+ MiB \/ 3 MiB/);
  assert.equal(stderr.shown, "");
  assert.match(stdout.text, /^sha256:[0-9a-f]{64} pushed: 3 MiB in \d\.\ds \(\S+ [GM]iB\/s\)\n$/);
});

test("takes the bar away also when the push is refused, and reports the refusal", async (t) => {
  const { path } = fileOf(t, 3 * MIB);
  const api = await fakeApi(t, () => [
    507,
    { error: "2 GiB are free, and 5 GiB must stay free.", code: "storage_full", request_id: "r-1" },
  ]);
  const stderr = new Screen({ isTerminal: true, columns: 100 });
  const run = await api.run(`image push ${path}`, { clock: systemClock, stderr });
  assert.equal(run.code, 1);
  assert.equal(
    stderr.shown,
    "zwrm: 2 GiB are free, and 5 GiB must stay free. (request id r-1) Drop images, or give the control " +
      "plane more disk.\n",
  );
});

test("refuses a file that changes while it is read, without sending it", async (t) => {
  const { path, digest } = fileOf(t, 2 * MIB);
  const api = await fakeApi(t, () => [201, { digest }]);
  let grown = false;
  const stderr = new Screen({ isTerminal: true });
  stderr.write = () => {
    if (!grown) appendFileSync(path, "more");
    grown = true;
  };
  const run = await api.run(`image push ${path}`, { clock: systemClock, stderr });
  assert.ok(grown);
  assert.equal(run.code, 1);
  assert.equal(api.seen.length, 0);
});

test("says what is wrong with a file that is none", async (t) => {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, "rootfs"));
  assert.deepEqual(await zwrm(["image", "push", join(folder, "gone.img")]), {
    code: 1,
    out: "",
    err: `zwrm: There is no file ${folder}/gone.img.\n`,
  });
  const run = await zwrm(["image", "push", join(folder, "rootfs")]);
  assert.deepEqual(
    [run.code, run.err],
    [
      1,
      `zwrm: ${folder}/rootfs is not a file. An image is one file: pack a folder first, for example with ` +
        "tar or mkfs.ext4 -d.\n",
    ],
  );
});

test("lists images with sizes, ages and apps", async (t) => {
  const digest = `sha256:${"a".repeat(64)}`;
  const api = await fakeApi(t, () => [
    200,
    { images: [{ digest, size_bytes: 315_621_376, app_ids: ["web", "db"], created_at: "2026-03-01T08:00:00.000Z" }] },
  ]);
  assert.equal(
    (await api.run("image list --app web")).out,
    `DIGEST${" ".repeat(65)}     SIZE  AGE  APPS\n${digest}  301 MiB   4h  web db\n`,
  );
  assert.equal(api.seen[0]?.url, "/v1/images?app_id=web");
  const none = await fakeApi(t, () => [200, { images: [] }]);
  assert.deepEqual(await none.run("image list"), {
    code: 0,
    out: "",
    err: "There is no image yet: zwrm image push FILE\n",
  });
  assert.equal((await none.run("image list --app web")).err, "There is no image of the app web.\n");
});

test("drops an image by its digest, with or without the algorithm in front", async (t) => {
  const hex = "0123456789abcdef".repeat(4);
  const api = await fakeApi(t, () => [204, null]);
  for (const text of [hex, `sha256:${hex}`])
    assert.deepEqual(await api.run(`image rm ${text}`), { code: 0, out: `sha256:${hex} is dropped.\n`, err: "" });
  assert.deepEqual(
    api.seen.map(({ method, url }) => `${method} ${url}`),
    [`DELETE /v1/images/sha256:${hex}`, `DELETE /v1/images/sha256:${hex}`],
  );
});
