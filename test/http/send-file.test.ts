import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readlinkSync, rmSync, truncateSync, unlinkSync, writeFileSync } from "node:fs";
import http from "node:http";
import type { AddressInfo, Socket } from "node:net";
import net from "node:net";
import { tmpdir } from "node:os";
import { afterEach, beforeEach, test } from "node:test";
import { ClientGone, fileBody, PieceSizes } from "../../src/http/send-file.ts";
import { diskFiles } from "../../src/lib/files.ts";
import type { Files } from "../../src/lib/files.ts";

const MIB = 1024 * 1024;
/** More than a loopback connection holds in its buffers, so that a download without a reader is stuck. */
const CONTENT = randomBytes(24 * MIB);

let folder = "";
let path = "";
let server: http.Server;
let pumps: Promise<void>[] = [];
let sentBytes = 0;
let files: Files = diskFiles;
let sizes = new PieceSizes();
/** What the server sends next; null for all of the file. */
let extent: { start: number; end: number } | null = null;

beforeEach(async () => {
  folder = mkdtempSync(`${tmpdir()}/zwrmd-send-`);
  path = `${folder}/file`;
  writeFileSync(path, CONTENT);
  [pumps, sentBytes, files, extent, sizes] = [[], 0, diskFiles, null, new PieceSizes()];
  server = http.createServer((req, res) => serve(req, res));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
});

afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await Promise.allSettled(pumps);
  assert.deepEqual(openDescriptors(), []);
  assert.equal(sizes.begin(), 512 * 1024, "no download is counted that is over");
  rmSync(folder, { recursive: true });
});

function serve(req: http.IncomingMessage, res: http.ServerResponse): void {
  const { start, end } = extent ?? { start: 0, end: CONTENT.length };
  const body = fileBody(files, path, start, end, sizes);
  res.writeHead(200, { "Content-Length": String(end - start) });
  if (req.method === "HEAD") return void res.end();
  const pump = body(res, (bytes) => void (sentBytes += bytes));
  pumps.push(pump);
  pump.then(
    () => res.end(),
    () => res.destroy(),
  );
}

/** The descriptors of this process that show our folder. */
function openDescriptors(): string[] {
  const names = readdirSync("/proc/self/fd").map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return "";
    }
  });
  return names.filter((name) => name.startsWith(`${folder}/`));
}

function port(): number {
  const address = server.address() as AddressInfo;
  return address.port;
}

async function connect(request: string): Promise<Socket> {
  const socket = net.connect(port(), "127.0.0.1");
  await once(socket, "connect");
  socket.write(request);
  return socket;
}

async function get(
  options: { method?: string; pauseAfter?: () => void } = {},
): Promise<{ body: Buffer; complete: boolean }> {
  const req = http.request({ port: port(), host: "127.0.0.1", method: options.method ?? "GET", agent: false }).end();
  const [res] = (await once(req, "response")) as [http.IncomingMessage];
  const parts: Buffer[] = [];
  try {
    for await (const part of res) {
      if (parts.length === 0) options.pauseAfter?.();
      parts.push(part as Buffer);
    }
  } catch {
    return { body: Buffer.concat(parts), complete: false };
  }
  return { body: Buffer.concat(parts), complete: res.complete };
}

const digest = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const REQUEST = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

test("sends a whole file byte for byte and tells how much", async () => {
  const { body, complete } = await get();
  assert.equal(complete, true);
  assert.equal(digest(body), digest(CONTENT));
  assert.equal(sentBytes, CONTENT.length);
});

test("sends any part byte for byte", async () => {
  const piece = 512 * 1024;
  for (const [start, end] of [
    [0, 1],
    [CONTENT.length - 1, CONTENT.length],
    [7, piece + 7],
    [piece - 1, 2 * piece + 1],
    [0, 3 * piece],
    [5, 5],
  ] as const) {
    extent = { start, end };
    const { body, complete } = await get();
    assert.equal(complete, true);
    assert.equal(digest(body), digest(CONTENT.subarray(start, end)), `${start} to ${end}`);
  }
});

test("sends right where every read is short", async () => {
  files = {
    ...diskFiles,
    read: (fd, buffer, offset, length, position) =>
      diskFiles.read(fd, buffer, offset, Math.min(length, 99_991), position),
  };
  assert.equal(digest((await get()).body), digest(CONTENT));
});

test("opens nothing for a HEAD", async () => {
  files = { ...diskFiles, open: () => assert.fail("opened") };
  assert.deepEqual(await get({ method: "HEAD" }), { body: Buffer.alloc(0), complete: true });
});

test("leaks no descriptor over 50 clients that hang up", async () => {
  for (let round = 0; round < 50; round++) {
    const socket = await connect(REQUEST);
    await once(socket, "data");
    // Some leave with a reset, some orderly.
    if (round % 2 === 0) socket.resetAndDestroy();
    else socket.destroy();
  }
  assert.equal(pumps.length, 50);
  for (const result of await Promise.allSettled(pumps))
    assert.ok(result.status === "rejected" && result.reason instanceof ClientGone);
  assert.deepEqual(openDescriptors(), []);
});

test("opens nothing for a client that left before the body began", async () => {
  files = { ...diskFiles, open: () => assert.fail("opened") };
  server.removeAllListeners("request");
  const left = new Promise<http.ServerResponse>((resolve) =>
    server.once("request", (_req, res) => res.once("close", () => resolve(res))),
  );
  const socket = await connect(REQUEST);
  await once(server, "request");
  socket.destroy();
  await assert.rejects(
    fileBody(files, path, 0, 9, sizes)(await left, () => undefined),
    ClientGone,
  );
});

test("serves pipelined downloads one by one, and forgets those in the queue when the client leaves", async () => {
  let opened = 0;
  files = { ...diskFiles, open: (...args) => (opened++, diskFiles.open(...args)) };
  const warnings: Error[] = [];
  const warn = (warning: Error): void => void warnings.push(warning);
  process.on("warning", warn);
  const socket = await connect(REQUEST.repeat(20));
  await once(socket, "data");
  socket.pause();
  assert.equal(pumps.length, 20);
  assert.equal(opened, 1);
  socket.destroy();
  const results = await Promise.allSettled(pumps);
  assert.ok(results.every(({ status }) => status === "rejected"));
  assert.equal(opened, 1);
  process.off("warning", warn);
  assert.deepEqual(warnings, []);
});

test("sends each of several pipelined downloads whole", async () => {
  extent = { start: 1, end: 2 * MIB };
  const socket = await connect(REQUEST.repeat(2) + REQUEST.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
  const parts: Buffer[] = [];
  for await (const part of socket) parts.push(part as Buffer);
  const bodies = Buffer.concat(parts)
    .toString("latin1")
    .split(/HTTP\/1\.1 200 [^]*?\r\n\r\n/)
    .slice(1);
  assert.deepEqual(
    bodies.map((body) => digest(Buffer.from(body, "latin1"))),
    Array(3).fill(digest(CONTENT.subarray(1, 2 * MIB))),
  );
});

test("leaves nothing on a connection that is used again", async () => {
  extent = { start: 0, end: 10 };
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const listeners: number[] = [];
  server.on("request", (req) => listeners.push(req.socket.listenerCount("close")));
  for (let round = 0; round < 8; round++) {
    const [res] = (await once(http.get({ port: port(), host: "127.0.0.1", agent }), "response")) as [
      http.IncomingMessage,
    ];
    await once(res.resume(), "close");
  }
  agent.destroy();
  assert.equal(listeners.length, 8);
  // One of Node's own comes and goes a moment later.
  assert.ok(Math.max(...listeners) - Math.min(...listeners) <= 1, listeners.join());
});

test("reads no further ahead of a slow client than its two buffers", async () => {
  let readBytes = 0;
  let ahead = 0;
  files = {
    ...diskFiles,
    async read(...args) {
      const got = await diskFiles.read(...args);
      readBytes += got;
      ahead = Math.max(ahead, readBytes - sentBytes);
      return got;
    },
  };
  const socket = await connect(REQUEST.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
  const hash = createHash("sha256");
  let received = 0;
  let headerEnds = -1;
  for await (const chunk of socket) {
    const part = chunk as Buffer;
    if (headerEnds < 0) {
      headerEnds = part.indexOf("\r\n\r\n") + 4;
      // What the client has not taken the server cannot have handed over, but for the kernel's buffers.
      assert.ok(sentBytes < CONTENT.length);
    }
    hash.update(received === 0 ? part.subarray(headerEnds) : part);
    received += part.length;
    await new Promise(setImmediate);
  }
  assert.equal(hash.digest("hex"), digest(CONTENT));
  assert.ok(ahead <= 2 * 512 * 1024, `${ahead} bytes ahead`);
});

test("goes on serving a file that is deleted meanwhile", async () => {
  const { body, complete } = await get({ pauseAfter: () => unlinkSync(path) });
  assert.equal(complete, true);
  assert.equal(digest(body), digest(CONTENT));
});

test("breaks off where the file is shorter than promised", async () => {
  truncateSync(path, 3 * MIB);
  const { body, complete } = await get();
  assert.equal(complete, false);
  assert.ok(body.length <= 3 * MIB);
  await assert.rejects(Promise.all(pumps), /The file ends at byte 3145728/);
});

test("breaks off where the disk fails, and closes the file once", async () => {
  let closed = 0;
  files = {
    ...diskFiles,
    async read(fd, buffer, offset, length, position) {
      if (position > 4 * MIB) throw Object.assign(new Error("disk"), { code: "EIO" });
      return diskFiles.read(fd, buffer, offset, length, position);
    },
    close: (fd) => (closed++, diskFiles.close(fd)),
  };
  assert.equal((await get()).complete, false);
  await assert.rejects(Promise.all(pumps), { code: "EIO" });
  assert.equal(closed, 1);
});

test("breaks off where the file is gone before it is opened", async () => {
  unlinkSync(path);
  await assert.rejects(get(), { code: "ECONNRESET" });
  await assert.rejects(Promise.all(pumps), { code: "ENOENT" });
});

test("waits for a read in flight before it closes the file of a client that left", async () => {
  let reading = false;
  // A slow disk: the client is long gone when the second piece is there.
  const gone = new Promise<void>((resolve) =>
    server.once("connection", (accepted: Socket) => accepted.once("close", () => setImmediate(resolve))),
  );
  files = {
    ...diskFiles,
    async read(...args) {
      reading = true;
      if (args[4] > 0) await gone;
      const got = await diskFiles.read(...args);
      reading = false;
      return got;
    },
    close(fd) {
      assert.equal(reading, false, "closed under a running read");
      return diskFiles.close(fd);
    },
  };
  const socket = await connect(REQUEST);
  await once(socket, "data");
  socket.resetAndDestroy();
  const [result] = await Promise.allSettled(pumps);
  assert.equal(result?.status, "rejected");
  assert.ok(result.reason instanceof ClientGone, String(result.reason));
});

test("gives newcomers smaller buffers the more downloads run: 64 hold 32 MiB in all", () => {
  const shares = Array.from({ length: 64 }, () => sizes.begin());
  assert.deepEqual(
    [shares[0], shares[15], shares[16], shares[31], shares[32], shares[63]],
    [512, 512, 256, 256, 128, 128].map((kib) => kib * 1024),
  );
  assert.equal(2 * shares.reduce((sum, size) => sum + size, 0), 32 * MIB);
  for (let count = 64; count < 1000; count++) assert.ok(sizes.begin() >= 64 * 1024);
  for (let count = 0; count < 1000; count++) sizes.end();
});
