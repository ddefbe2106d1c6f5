/** The image cache against a small server that cuts, corrupts and counts. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
  chmodSync,
} from "node:fs";
import * as http from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after } from "node:test";
import { httpDownloads } from "../../src/agent/download.ts";
import { ImageCache } from "../../src/agent/image-cache.ts";
import { LaunchError } from "../../src/agent/runtime.ts";
import { parseAddress } from "../../src/client/address.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { diskFiles } from "../../src/lib/files.ts";
import type { Files } from "../../src/lib/files.ts";
import { eventually } from "../support/daemon.ts";
import { FakeLog, stayAlive } from "./fakes.ts";

stayAlive(after);

const MIB = 1024 * 1024;
/** Of a machine that is wanted to the end. */
const NEVER = new AbortController().signal;

interface TestImage {
  readonly digest: string;
  readonly bytes: Buffer;
}

function imageOf(seed: number, size: number): TestImage {
  const bytes = Buffer.alloc(size);
  for (let at = 0; at < size; at += 4) bytes.writeUInt32LE((seed * 2_654_435_761 + at * 40_503) >>> 0, at);
  return { bytes, digest: `sha256:${createHash("sha256").update(bytes).digest("hex")}` };
}

/** Serves images as the control plane does, as far as the test lets it. */
class Server {
  readonly images = new Map<string, Buffer>();
  readonly ranges: (string | undefined)[] = [];
  sentBytes = 0;
  /** How many bytes of an answer are sent before its connection is cut; Infinity for all. */
  cutAfter: () => number = () => Infinity;
  /** Leaves the connection open where it sends no more. */
  stalls = false;
  /** Connections that have ended. */
  closed = 0;
  ignoreRanges = false;
  /** Changes the bytes of the next answers. */
  corrupt = 0;
  readonly #server = http.createServer((request, response) => this.#serve(request, response));
  url = "";

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  add(image: TestImage): TestImage {
    this.images.set(image.digest, image.bytes);
    return image;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #serve(request: http.IncomingMessage, response: http.ServerResponse): void {
    const digest = decodeURIComponent((request.url ?? "").split("/").at(-1) ?? "");
    const bytes = this.images.get(digest);
    this.ranges.push(request.headers.range);
    assert.equal(request.headers.authorization, "Bearer licence");
    if (bytes === undefined) return void response.writeHead(404).end();
    const start = this.ignoreRanges ? 0 : Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
    if (start >= bytes.length)
      return void response.writeHead(416, { "content-range": `bytes */${bytes.length}` }).end();
    const part = Buffer.from(bytes.subarray(start));
    if (this.corrupt > 0) part[0] = (part[0] ?? 0) ^ 1;
    this.corrupt -= 1;
    const range = start === 0 ? {} : { "content-range": `bytes ${start}-${bytes.length - 1}/${bytes.length}` };
    response.writeHead(start === 0 ? 200 : 206, { "content-length": part.length, ...range });
    const cut = Math.min(this.cutAfter(), part.length);
    this.sentBytes += cut;
    if (cut === part.length) response.end(part);
    else if (this.stalls) response.write(part.subarray(0, cut));
    else response.write(part.subarray(0, cut), () => response.destroy());
    response.on("close", () => (this.closed += 1));
  }
}

const root = mkdtempSync(join(tmpdir(), "zwrm-images-"));
const server = new Server();
await server.listen();
after(() => {
  server.close();
  rmSync(root, { recursive: true, force: true });
});

/**
 * The real disk behind numbers of the test's own: what the cache's folder holds, and `otherBytes` beside it, fill
 * `totalBytes`.
 */
class SmallDisk {
  readonly folder: string;
  totalBytes = Infinity;
  otherBytes = 0;
  /** What may be written although statfs tells of more, as under a quota. */
  quotaBytes = Infinity;
  readonly files: Files;

  constructor(folder: string) {
    this.folder = folder;
    this.files = {
      ...diskFiles,
      space: () =>
        Promise.resolve({
          totalBytes: this.totalBytes,
          freeBytes: this.totalBytes - this.otherBytes - this.usedBytes(),
        }),
      write: async (fd, buffer, offset, length, position) => {
        const room = Math.floor(Math.min(this.totalBytes - this.otherBytes, this.quotaBytes) - this.usedBytes());
        if (room <= 0) throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
        return diskFiles.write(fd, buffer, offset, Math.min(length, room), position);
      },
    };
  }

  usedBytes(): number {
    const sizes = ["sha256", "incoming"].flatMap((name) =>
      readdirSync(join(this.folder, name)).map((hex) => statSync(join(this.folder, name, hex)).size),
    );
    return sizes.reduce((sum, size) => sum + size, 0);
  }
}

class Cache {
  readonly folder = mkdtempSync(join(root, "cache-"));
  readonly used = new Set<string>();
  readonly log = new FakeLog();
  readonly disk = new SmallDisk(this.folder);
  images: ImageCache;

  constructor(readonlyMaxBytes = 1024 * MIB) {
    this.maxBytes = readonlyMaxBytes;
    this.images = this.again();
  }

  readonly maxBytes: number;

  /** As after a restart of the agent. */
  again(): ImageCache {
    const open = httpDownloads({
      address: parseAddress(server.url),
      headers: { Authorization: "Bearer licence" },
      clock: systemClock,
      timeoutMs: 5_000,
    });
    this.images = new ImageCache({
      folder: this.folder,
      maxBytes: this.maxBytes,
      files: this.disk.files,
      open,
      clock: systemClock,
      log: this.log,
      inUse: () => this.used,
    });
    return this.images;
  }

  has({ digest }: TestImage): boolean {
    return existsSync(join(this.folder, "sha256", digest.slice(7)));
  }

  incoming({ digest }: TestImage): string {
    return join(this.folder, "incoming", digest.slice(7));
  }

  /** Pulls it, as if that had been so many seconds ago. */
  async pull(image: TestImage, secondsAgo: number): Promise<void> {
    const path = await this.images.ensure(image.digest, NEVER);
    utimesSync(path, Date.now() / 1000 - secondsAgo, Date.now() / 1000 - secondsAgo);
  }
}

async function newCache(maxBytes?: number): Promise<Cache> {
  const cache = new Cache(maxBytes);
  await cache.images.open();
  server.ranges.length = 0;
  server.sentBytes = 0;
  server.cutAfter = () => Infinity;
  server.stalls = false;
  server.closed = 0;
  server.ignoreRanges = false;
  server.corrupt = 0;
  return cache;
}

test("an image is pulled once for all that wait for it, and once only", async () => {
  const image = server.add(imageOf(1, MIB));
  const cache = await newCache();
  const paths = await Promise.all([1, 2, 3].map(() => cache.images.ensure(image.digest, NEVER)));
  assert.equal(new Set(paths).size, 1);
  assert.deepEqual(readFileSync(paths[0] ?? ""), image.bytes);
  await cache.images.ensure(image.digest, NEVER);
  assert.equal(server.ranges.length, 1);
  assert.deepEqual(readdirSync(join(cache.folder, "incoming")), []);
});

test("a download over connections that break goes on where it stood, and transfers each byte about once", async () => {
  const image = server.add(imageOf(2, 16 * MIB));
  const cache = await newCache();
  let cuts = 0;
  server.cutAfter = () => (cuts++ < 20 ? 300_000 + cuts * 77_777 : Infinity);
  const path = await cache.images.ensure(image.digest, NEVER);
  assert.deepEqual(readFileSync(path), image.bytes);
  assert.ok(server.ranges.length > 10);
  assert.ok(server.sentBytes <= image.bytes.length * 1.1, `${server.sentBytes} of ${image.bytes.length} bytes`);
});

test("what an earlier agent had pulled is not pulled again", async () => {
  const image = server.add(imageOf(3, MIB));
  const cache = await newCache();
  writeFileSync(cache.incoming(image), image.bytes.subarray(0, 700_000));
  await cache.images.ensure(image.digest, NEVER);
  assert.deepEqual(server.ranges, ["bytes=700000-"]);
  assert.equal(server.sentBytes, image.bytes.length - 700_000);
});

test("an image that had come whole, but was not yet put in its place, needs no download", async () => {
  const image = server.add(imageOf(4, MIB));
  const cache = await newCache();
  writeFileSync(cache.incoming(image), image.bytes);
  await cache.images.ensure(image.digest, NEVER);
  assert.deepEqual(server.ranges, []);
});

test("a part that is wrong, or longer than the image, is thrown away", async () => {
  const image = server.add(imageOf(5, MIB));
  for (const part of [Buffer.alloc(500_000, 1), Buffer.alloc(2 * MIB, 1)]) {
    const cache = await newCache();
    writeFileSync(cache.incoming(image), part);
    assert.deepEqual(readFileSync(await cache.images.ensure(image.digest, NEVER)), image.bytes);
  }
});

test("a server that sends the whole instead of a part is understood", async () => {
  const image = server.add(imageOf(6, MIB));
  const cache = await newCache();
  writeFileSync(cache.incoming(image), image.bytes.subarray(0, 1_000));
  server.ignoreRanges = true;
  assert.deepEqual(readFileSync(await cache.images.ensure(image.digest, NEVER)), image.bytes);
});

test("bytes that do not hash to the digest are never used: pulled again once, then refused", async () => {
  const image = server.add(imageOf(7, MIB));
  const cache = await newCache();
  server.corrupt = 1;
  assert.deepEqual(readFileSync(await cache.images.ensure(image.digest, NEVER)), image.bytes);
  const other = await newCache();
  server.corrupt = 100;
  await assert.rejects(
    other.images.ensure(image.digest, NEVER),
    (error) => error instanceof LaunchError && !error.final && /other bytes/.test(error.message),
  );
  assert.equal(other.has(image), false);
  server.corrupt = 0;
  await other.images.ensure(image.digest, NEVER);
});

test("a file that went bad on disk is thrown away and pulled again, whether the agent was there or not", async () => {
  const image = server.add(imageOf(8, MIB));
  const cache = await newCache();
  const path = await cache.images.ensure(image.digest, NEVER);
  for (const images of [cache.images, cache.again()]) {
    chmodSync(path, 0o700);
    writeFileSync(path, Buffer.alloc(MIB, 9));
    assert.deepEqual(readFileSync(await images.ensure(image.digest, NEVER)), image.bytes);
  }
  assert.equal(server.ranges.length, 3);
  assert.equal(cache.log.count("error"), 2);
});

test("above its limit the image used longest ago goes, but never one in use", async () => {
  const [a, b, c, d] = [11, 12, 13, 14].map((seed) => server.add(imageOf(seed, MIB)));
  assert.ok(a !== undefined && b !== undefined && c !== undefined && d !== undefined);
  const cache = await newCache(3 * MIB);
  for (const [age, image] of [
    [300, a],
    [200, b],
    [100, c],
  ] as const) {
    const path = await cache.images.ensure(image.digest, NEVER);
    utimesSync(path, Date.now() / 1000 - age, Date.now() / 1000 - 1_000);
  }
  cache.used.add(a.digest);
  await cache.again().ensure(d.digest, NEVER);
  assert.deepEqual(
    [a, b, c, d].map((image) => cache.has(image)),
    [true, false, true, true],
  );
});

test("where machines need everything, the limit yields, and the log says so", async () => {
  const [a, b] = [15, 16].map((seed) => server.add(imageOf(seed, MIB)));
  assert.ok(a !== undefined && b !== undefined);
  const cache = await newCache(MIB);
  for (const image of [a, b]) {
    cache.used.add(image.digest);
    await cache.images.ensure(image.digest, NEVER);
  }
  assert.deepEqual([cache.has(a), cache.has(b)], [true, true]);
  assert.equal(cache.log.count("warn"), 1);
});

test("an image that the control plane does not have fails for good; a server that is away may come back", async () => {
  const cache = await newCache();
  await assert.rejects(
    cache.images.ensure(`sha256:${"0".repeat(64)}`, NEVER),
    (error) => error instanceof LaunchError && error.final,
  );
});

/** Images of 1 MiB each. */
function someImages<const Seeds extends readonly number[]>(...seeds: Seeds): { [K in keyof Seeds]: TestImage } {
  return seeds.map((seed) => server.add(imageOf(seed, MIB))) as { [K in keyof Seeds]: TestImage };
}

test(
  "on a disk that is full of images nobody needs, the next one takes their place, far below the cache's " + "limit",
  async () => {
    const [a, b] = someImages(21, 22);
    const cache = await newCache();
    cache.disk.totalBytes = 1.7 * MIB;
    await cache.pull(a, 100);
    assert.deepEqual(readFileSync(await cache.images.ensure(b.digest, NEVER)), b.bytes);
    assert.deepEqual([cache.has(a), cache.has(b)], [false, true]);
    assert.deepEqual(readdirSync(join(cache.folder, "incoming")), []);
    assert.equal(server.ranges.length, 2, "it came at the first try");
  },
);

test(
  "for room on the disk downloads that nobody waits for go first, then the images used longest ago, and " +
    "no more than must",
  async () => {
    const [a, b, c, d, wanted, unwanted, next] = someImages(23, 24, 25, 26, 27, 28, 29);
    const cache = await newCache();
    for (const [age, image] of [
      [400, a],
      [300, b],
      [200, c],
      [100, d],
    ] as const)
      await cache.pull(image, age);
    cache.used.add(a.digest).add(wanted.digest);
    for (const image of [wanted, unwanted]) writeFileSync(cache.incoming(image), image.bytes.subarray(0, 600_000));
    // The unwanted download and one image are what is missing.
    cache.disk.totalBytes = cache.disk.usedBytes() / 0.94;
    await cache.images.ensure(next.digest, NEVER);
    assert.deepEqual(
      [a, b, c, d, next].map((image) => cache.has(image)),
      [true, false, true, true, true],
    );
    assert.deepEqual(
      [wanted, unwanted].map((image) => existsSync(cache.incoming(image))),
      [true, false],
    );
    assert.ok(cache.disk.totalBytes - cache.disk.usedBytes() >= 0.05 * cache.disk.totalBytes, "a twentieth stays free");
  },
);

test(
  "a download that nobody waits for goes before an image used long ago, and alone " + "where that is enough",
  async () => {
    const [a, unwanted, next] = someImages(30, 31, 32);
    const cache = await newCache();
    await cache.pull(a, 1_000_000);
    writeFileSync(cache.incoming(unwanted), unwanted.bytes.subarray(0, 600_000));
    cache.disk.totalBytes = cache.disk.usedBytes() + 0.7 * MIB;
    await cache.images.ensure(next.digest, NEVER);
    assert.deepEqual([cache.has(a), existsSync(cache.incoming(unwanted)), cache.has(next)], [true, false, true]);
  },
);

test(
  "where eviction cannot make room the pull is refused at once, in numbers; nothing is evicted in vain, " +
    "nothing stays of it",
  async () => {
    const [a, b, c] = someImages(33, 34, 35);
    const cache = await newCache();
    await cache.pull(a, 200);
    await cache.pull(b, 100);
    cache.used.add(a.digest);
    cache.disk.totalBytes = 4 * MIB;
    cache.disk.otherBytes = 1.85 * MIB;
    await assert.rejects(cache.images.ensure(c.digest, NEVER), (error) => {
      assert.ok(error instanceof LaunchError && error.final && error.fault === "host");
      const numbers =
        "1.0 MiB are still to come and 0.2 MiB must stay free, but 0.1 MiB are free and 1.0 MiB can be evicted";
      assert.equal(
        error.message,
        `the image ${c.digest} does not fit on the disk of ${cache.folder}: ${numbers}; make room there, or ` +
          "give this host a larger disk",
      );
      return true;
    });
    assert.deepEqual(
      [a, b].map((image) => cache.has(image)),
      [true, true],
    );
    assert.deepEqual(readdirSync(join(cache.folder, "incoming")), []);
    assert.equal(server.ranges.length, 3, "asked for once");
    cache.disk.otherBytes = 1.7 * MIB;
    await cache.images.ensure(c.digest, NEVER);
    assert.deepEqual(
      [a, b, c].map((image) => cache.has(image)),
      [true, false, true],
    );
  },
);

test("a large disk keeps 64 MiB free, not a twentieth", async () => {
  const [a, b] = someImages(36, 37);
  const cache = await newCache();
  await cache.pull(a, 100);
  cache.disk.totalBytes = 1024 ** 4;
  cache.disk.otherBytes = cache.disk.totalBytes - 67 * MIB;
  await cache.images.ensure(b.digest, NEVER);
  assert.equal(cache.has(a), true);
  const [c] = someImages(38);
  cache.disk.otherBytes += MIB;
  await cache.images.ensure(c.digest, NEVER);
  assert.deepEqual(
    [a, b, c].map((image) => cache.has(image)),
    [false, true, true],
  );
});

test("a download that goes on needs room for what is missing alone", async () => {
  const [image] = someImages(39);
  const cache = await newCache();
  writeFileSync(cache.incoming(image), image.bytes.subarray(0, 700_000));
  cache.disk.totalBytes = 1.1 * MIB;
  await cache.images.ensure(image.digest, NEVER);
  assert.deepEqual(server.ranges, ["bytes=700000-"]);
});

test("two pulls at once do not count on the same room", async () => {
  const [old, a, b] = someImages(50, 40, 41);
  const cache = await newCache();
  await cache.pull(old, 100);
  cache.disk.totalBytes = 1.7 * MIB;
  const { space } = cache.disk.files;
  // Slow enough that the other pull looks meanwhile, if it may.
  const slowly = async (path: string): ReturnType<Files["space"]> => {
    const told = await space(path);
    for (let turns = 0; turns < 100 || server.ranges.length < 3; turns += 1)
      await new Promise((resolve) => setImmediate(resolve));
    return told;
  };
  Object.assign(cache.disk.files, { space: slowly });
  for (const { digest } of [a, b]) cache.used.add(digest);
  const [first, second] = await Promise.allSettled([a, b].map((image) => cache.images.ensure(image.digest, NEVER)));
  const refused = [first, second].filter((result) => result?.status === "rejected");
  assert.equal(refused.length, 1);
  assert.match(String(refused[0]?.reason), /does not fit on the disk/);
  assert.equal([old, a, b].filter((image) => cache.has(image)).length, 1);
});

test(
  "a disk that becomes full although it told of room gets back what came, and what nobody needs goes " +
    "before the next try",
  async () => {
    const [a, b, c] = someImages(42, 43, 44);
    const cache = await newCache();
    await cache.pull(a, 200);
    await cache.pull(b, 100);
    cache.used.add(b.digest);
    cache.disk.totalBytes = 100 * MIB;
    cache.disk.quotaBytes = 2.6 * MIB;
    await assert.rejects(cache.images.ensure(c.digest, NEVER), (error) => {
      assert.ok(error instanceof LaunchError && !error.final && error.fault === "host");
      assert.ok(/became full/.test(error.message) && error.message.includes(cache.folder));
      return true;
    });
    assert.deepEqual(readdirSync(join(cache.folder, "incoming")), []);
    assert.deepEqual(
      [a, b].map((image) => cache.has(image)),
      [false, true],
    );
    assert.deepEqual(readFileSync(await cache.images.ensure(c.digest, NEVER)), c.bytes);
  },
);

test("a connection that broke for good leaves what came for the next try, on a small disk too", async () => {
  const [image] = someImages(45);
  const cache = await newCache();
  cache.disk.totalBytes = 1.1 * MIB;
  writeFileSync(cache.incoming(image), image.bytes.subarray(0, 300_000));
  server.images.delete(image.digest);
  const isNotTheHosts = (error: unknown): boolean => error instanceof LaunchError && error.fault !== "host";
  await assert.rejects(cache.images.ensure(image.digest, NEVER), isNotTheHosts);
  server.add(image);
  await cache.images.ensure(image.digest, NEVER);
  assert.deepEqual(server.ranges, ["bytes=300000-", "bytes=300000-"]);
});

test("a file system that tells no size refuses nothing", async () => {
  const [image] = someImages(46);
  const cache = await newCache();
  const told = { ...diskFiles, space: () => Promise.resolve({ totalBytes: 0, freeBytes: 0 }) };
  Object.assign(cache.disk.files, told);
  await cache.images.ensure(image.digest, NEVER);
});

test("a cache folder that was removed is made again by the next pull", async () => {
  const [a, b, c] = someImages(47, 48, 49);
  const cache = await newCache();
  await cache.images.ensure(a.digest, NEVER);
  rmSync(cache.folder, { recursive: true });
  assert.deepEqual(readFileSync(await cache.images.ensure(b.digest, NEVER)), b.bytes);
  assert.deepEqual(readFileSync(await cache.images.ensure(a.digest, NEVER)), a.bytes);
  rmSync(cache.folder, { recursive: true });
  mkdirSync(cache.folder);
  assert.deepEqual(readFileSync(await cache.images.ensure(c.digest, NEVER)), c.bytes);
});

function sizeOf(path: string): number {
  return existsSync(path) ? statSync(path).size : 0;
}

test("a pull ends with the last machine that needs it, at once, and the next one goes on where it was", async () => {
  const image = server.add(imageOf(50, MIB));
  const cache = await newCache();
  server.stalls = true;
  server.cutAfter = () => 300_000;
  const [first, second] = [new AbortController(), new AbortController()];
  const outcomes = [first, second].map(({ signal }) => cache.images.ensure(image.digest, signal));
  const settled = Promise.allSettled(outcomes);
  await eventually("its beginning", () => (sizeOf(cache.incoming(image)) === 300_000 ? true : undefined));
  first.abort();
  await assert.rejects(outcomes[0] ?? Promise.resolve(), { name: "AbortError" });
  assert.equal(server.closed, 0, "the other machine needs it");
  second.abort();
  // Asked for anew while the pull before still ends.
  server.stalls = false;
  server.cutAfter = () => Infinity;
  assert.deepEqual(readFileSync(await cache.images.ensure(image.digest, NEVER)), image.bytes);
  assert.deepEqual(
    (await settled).map(({ status }) => status),
    ["rejected", "rejected"],
  );
  assert.deepEqual(server.ranges, [undefined, "bytes=300000-"]);
  assert.equal(server.closed >= 1, true);
  assert.equal(cache.log.count("warn") + cache.log.count("error"), 0, "nothing is wrong");
});

test("a pull that waits for its next try ends at once too", async () => {
  const image = server.add(imageOf(51, MIB));
  const cache = await newCache();
  server.cutAfter = () => 0;
  const over = new AbortController();
  const outcome = cache.images.ensure(image.digest, over.signal);
  await eventually("some tries", () => (server.ranges.length >= 2 ? true : undefined));
  over.abort();
  const before = performance.now();
  await assert.rejects(outcome, { name: "AbortError" });
  assert.ok(performance.now() - before < 200);
  const tries = server.ranges.length;
  server.cutAfter = () => Infinity;
  await cache.images.ensure(image.digest, NEVER);
  assert.equal(server.ranges.length, tries + 1);
});

test("what is not needed any more is not pulled at all", async () => {
  const image = server.add(imageOf(52, MIB));
  const cache = await newCache();
  await assert.rejects(cache.images.ensure(image.digest, AbortSignal.abort()), { name: "AbortError" });
  assert.deepEqual(server.ranges, []);
});

test("the beginning that a pull has left is the first to go when there is no room", async () => {
  const image = server.add(imageOf(53, MIB));
  const other = server.add(imageOf(54, MIB));
  const cache = await newCache(1.5 * MIB);
  server.stalls = true;
  server.cutAfter = () => 700_000;
  const over = new AbortController();
  const outcome = cache.images.ensure(image.digest, over.signal);
  await eventually("its beginning", () => (sizeOf(cache.incoming(image)) === 700_000 ? true : undefined));
  over.abort();
  await assert.rejects(outcome);
  server.stalls = false;
  server.cutAfter = () => Infinity;
  await cache.images.ensure(other.digest, NEVER);
  assert.equal(existsSync(cache.incoming(image)), false);
});
