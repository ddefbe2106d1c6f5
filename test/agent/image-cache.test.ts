/** The image cache against a small server that cuts, corrupts and counts. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync, chmodSync } from "node:fs";
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
import { FakeLog, stayAlive } from "./fakes.ts";

stayAlive(after);

const MIB = 1024 * 1024;

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
    if (start >= bytes.length) return void response.writeHead(416, { "content-range": `bytes */${bytes.length}` }).end();
    const part = Buffer.from(bytes.subarray(start));
    if (this.corrupt > 0) part[0] = (part[0] ?? 0) ^ 1;
    this.corrupt -= 1;
    const range = start === 0 ? {} : { "content-range": `bytes ${start}-${bytes.length - 1}/${bytes.length}` };
    response.writeHead(start === 0 ? 200 : 206, { "content-length": part.length, ...range });
    const cut = Math.min(this.cutAfter(), part.length);
    this.sentBytes += cut;
    if (cut === part.length) response.end(part);
    else response.write(part.subarray(0, cut), () => response.destroy());
  }
}

const root = mkdtempSync(join(tmpdir(), "zwrm-images-"));
const server = new Server();
await server.listen();
after(() => {
  server.close();
  rmSync(root, { recursive: true, force: true });
});

class Cache {
  readonly folder = mkdtempSync(join(root, "cache-"));
  readonly used = new Set<string>();
  readonly log = new FakeLog();
  images: ImageCache;

  constructor(readonlyMaxBytes = 1024 * MIB) {
    this.maxBytes = readonlyMaxBytes;
    this.images = this.again();
  }

  readonly maxBytes: number;

  /** As after a restart of the agent. */
  again(): ImageCache {
    const open = httpDownloads({ address: parseAddress(server.url), headers: { Authorization: "Bearer licence" }, clock: systemClock, timeoutMs: 5_000 });
    this.images = new ImageCache({ folder: this.folder, maxBytes: this.maxBytes, open, clock: systemClock, log: this.log, inUse: () => this.used });
    return this.images;
  }

  has({ digest }: TestImage): boolean {
    return existsSync(join(this.folder, "sha256", digest.slice(7)));
  }

  incoming({ digest }: TestImage): string {
    return join(this.folder, "incoming", digest.slice(7));
  }
}

async function newCache(maxBytes?: number): Promise<Cache> {
  const cache = new Cache(maxBytes);
  await cache.images.open();
  server.ranges.length = 0;
  server.sentBytes = 0;
  server.cutAfter = () => Infinity;
  server.ignoreRanges = false;
  server.corrupt = 0;
  return cache;
}

test("an image is pulled once for all that wait for it, and once only", async () => {
  const image = server.add(imageOf(1, MIB));
  const cache = await newCache();
  const paths = await Promise.all([1, 2, 3].map(() => cache.images.ensure(image.digest)));
  assert.equal(new Set(paths).size, 1);
  assert.deepEqual(readFileSync(paths[0] ?? ""), image.bytes);
  await cache.images.ensure(image.digest);
  assert.equal(server.ranges.length, 1);
  assert.deepEqual(readdirSync(join(cache.folder, "incoming")), []);
});

test("a download over connections that break goes on where it stood, and transfers each byte about once", async () => {
  const image = server.add(imageOf(2, 16 * MIB));
  const cache = await newCache();
  let cuts = 0;
  server.cutAfter = () => (cuts++ < 20 ? 300_000 + cuts * 77_777 : Infinity);
  const path = await cache.images.ensure(image.digest);
  assert.deepEqual(readFileSync(path), image.bytes);
  assert.ok(server.ranges.length > 10);
  assert.ok(server.sentBytes <= image.bytes.length * 1.1, `${server.sentBytes} of ${image.bytes.length} bytes`);
});

test("what an earlier agent had pulled is not pulled again", async () => {
  const image = server.add(imageOf(3, MIB));
  const cache = await newCache();
  writeFileSync(cache.incoming(image), image.bytes.subarray(0, 700_000));
  await cache.images.ensure(image.digest);
  assert.deepEqual(server.ranges, ["bytes=700000-"]);
  assert.equal(server.sentBytes, image.bytes.length - 700_000);
});

test("an image that had come whole, but was not yet put in its place, needs no download", async () => {
  const image = server.add(imageOf(4, MIB));
  const cache = await newCache();
  writeFileSync(cache.incoming(image), image.bytes);
  await cache.images.ensure(image.digest);
  assert.deepEqual(server.ranges, []);
});

test("a part that is wrong, or longer than the image, is thrown away", async () => {
  const image = server.add(imageOf(5, MIB));
  for (const part of [Buffer.alloc(500_000, 1), Buffer.alloc(2 * MIB, 1)]) {
    const cache = await newCache();
    writeFileSync(cache.incoming(image), part);
    assert.deepEqual(readFileSync(await cache.images.ensure(image.digest)), image.bytes);
  }
});

test("a server that sends the whole instead of a part is understood", async () => {
  const image = server.add(imageOf(6, MIB));
  const cache = await newCache();
  writeFileSync(cache.incoming(image), image.bytes.subarray(0, 1_000));
  server.ignoreRanges = true;
  assert.deepEqual(readFileSync(await cache.images.ensure(image.digest)), image.bytes);
});

test("bytes that do not hash to the digest are never used: pulled again once, then refused", async () => {
  const image = server.add(imageOf(7, MIB));
  const cache = await newCache();
  server.corrupt = 1;
  assert.deepEqual(readFileSync(await cache.images.ensure(image.digest)), image.bytes);
  const other = await newCache();
  server.corrupt = 100;
  await assert.rejects(other.images.ensure(image.digest), (error) => error instanceof LaunchError && !error.final && /other bytes/.test(error.message));
  assert.equal(other.has(image), false);
  server.corrupt = 0;
  await other.images.ensure(image.digest);
});

test("a file that went bad on disk is thrown away and pulled again, whether the agent was there or not", async () => {
  const image = server.add(imageOf(8, MIB));
  const cache = await newCache();
  const path = await cache.images.ensure(image.digest);
  for (const images of [cache.images, cache.again()]) {
    chmodSync(path, 0o700);
    writeFileSync(path, Buffer.alloc(MIB, 9));
    assert.deepEqual(readFileSync(await images.ensure(image.digest)), image.bytes);
  }
  assert.equal(server.ranges.length, 3);
  assert.equal(cache.log.count("error"), 2);
});

test("above its limit the image used longest ago goes, but never one in use", async () => {
  const [a, b, c, d] = [11, 12, 13, 14].map((seed) => server.add(imageOf(seed, MIB)));
  assert.ok(a !== undefined && b !== undefined && c !== undefined && d !== undefined);
  const cache = await newCache(3 * MIB);
  for (const [age, image] of [[300, a], [200, b], [100, c]] as const) {
    const path = await cache.images.ensure(image.digest);
    utimesSync(path, Date.now() / 1000 - age, Date.now() / 1000 - 1_000);
  }
  cache.used.add(a.digest);
  await cache.again().ensure(d.digest);
  assert.deepEqual([a, b, c, d].map((image) => cache.has(image)), [true, false, true, true]);
});

test("where machines need everything, the limit yields, and the log says so", async () => {
  const [a, b] = [15, 16].map((seed) => server.add(imageOf(seed, MIB)));
  assert.ok(a !== undefined && b !== undefined);
  const cache = await newCache(MIB);
  for (const image of [a, b]) {
    cache.used.add(image.digest);
    await cache.images.ensure(image.digest);
  }
  assert.deepEqual([cache.has(a), cache.has(b)], [true, true]);
  assert.equal(cache.log.count("warn"), 1);
});

test("an image that the control plane does not have fails for good; a server that is away may come back", async () => {
  const cache = await newCache();
  await assert.rejects(cache.images.ensure(`sha256:${"0".repeat(64)}`), (error) => error instanceof LaunchError && error.final);
});
