/** Tests of streamed uploads in src/client: leave first, progress, and a refusal at any moment. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import * as http from "node:http";
import * as net from "node:net";
import type { TestContext } from "node:test";
import { test } from "node:test";
import { parseAddress } from "../../src/client/address.ts";
import { ClientError } from "../../src/client/errors.ts";
import { Exchange } from "../../src/client/exchange.ts";
import { Client } from "../../src/client/http.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { listen, ManualClock, portOf, until } from "./support.ts";

const PIECE = Buffer.alloc(64 * 1024, "z");

/** Pieces of 64 KiB, and how many were asked for. */
function source(pieces: number): { readonly bytes: AsyncIterable<Uint8Array>; readonly read: () => number } {
  let read = 0;
  async function* generate(): AsyncGenerator<Uint8Array> {
    while (read < pieces) {
      read += 1;
      yield PIECE;
    }
  }
  return { bytes: generate(), read: () => read };
}

async function serverOf(t: TestContext, setUp: (server: http.Server) => void, clock = systemClock): Promise<Client> {
  const server = http.createServer();
  setUp(server);
  await listen(server);
  const client = new Client({ apiUrl: `http://127.0.0.1:${portOf(server)}`, clock, userAgent: "test/1" });
  t.after(() => {
    client.close();
    server.closeAllConnections();
    server.close();
  });
  return client;
}

async function failure(work: Promise<unknown>): Promise<ClientError> {
  const error: unknown = await work.then(
    () => null,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof ClientError, String(error));
  return error;
}

function refuse(res: http.ServerResponse, status: number, code: string): void {
  res
    .writeHead(status, { "Content-Type": "application/json" })
    .end(JSON.stringify({ error: "No.", code, request_id: "r" }));
}

test("sends every byte with its length, and tells the progress as it goes", async (t) => {
  let got: readonly [number, string, http.IncomingHttpHeaders] | undefined;
  const client = await serverOf(t, (server) =>
    server.on("request", (req, res) => {
      const hash = createHash("sha256");
      let size = 0;
      req.on("data", (part: Buffer) => {
        hash.update(part);
        size += part.length;
      });
      req.on("end", () => {
        got = [size, hash.digest("hex"), req.headers];
        res.writeHead(201, { "Content-Type": "application/json" }).end('{"digest":"d"}');
      });
    }),
  );
  const progress: number[] = [];
  const sizeBytes = 100 * PIECE.length;
  const answer = await client.upload("PUT", "/v1/images/d", {
    sizeBytes,
    source: source(100).bytes,
    query: { app_id: "web" },
    onProgress: (sent) => progress.push(sent),
  });
  assert.deepEqual([answer.status, answer.body], [201, { digest: "d" }]);
  assert.deepEqual(
    [got?.[0], got?.[1]],
    [sizeBytes, createHash("sha256").update(Buffer.alloc(sizeBytes, "z")).digest("hex")],
  );
  assert.deepEqual(
    [got?.[2]["content-length"], got?.[2]["content-type"], got?.[2].expect],
    [String(sizeBytes), "application/octet-stream", "100-continue"],
  );
  assert.deepEqual(
    progress,
    Array.from({ length: 100 }, (_, index) => (index + 1) * PIECE.length),
  );
});

test("sends an empty body", async (t) => {
  const client = await serverOf(t, (server) =>
    server.on("request", (req, res) => req.resume().on("end", () => res.writeHead(201).end())),
  );
  assert.equal((await client.upload("PUT", "/", { sizeBytes: 0, source: source(0).bytes })).status, 201);
});

test("reads not one byte of the source where the daemon refuses by the headers", async (t) => {
  const client = await serverOf(t, (server) =>
    server.on("checkContinue", (_req, res) => refuse(res, 413, "image_too_large")),
  );
  const { bytes, read } = source(1_000);
  const error = await failure(client.upload("PUT", "/", { sizeBytes: 1_000 * PIECE.length, source: bytes }));
  assert.deepEqual([error.status, error.code, read()], [413, "image_too_large", 0]);
});

test("stops in the middle when the daemon refuses there, and reports the refusal, not the broken pipe", async (t) => {
  for (const manner of ["stay", "close", "destroy"]) {
    let closed = 0;
    const client = await serverOf(t, (server) =>
      server
        .on("connection", (socket) => socket.on("close", () => (closed += 1)))
        .on("request", (req, res) => {
          let size = 0;
          req.on("data", (part: Buffer) => {
            size += part.length;
            if (size < 5 * PIECE.length || res.headersSent) return;
            if (manner !== "stay") res.setHeader("Connection", "close");
            refuse(res, 507, "storage_full");
            if (manner === "destroy") res.on("finish", () => setTimeout(() => req.destroy(), 20));
          });
        }),
    );
    const { bytes, read } = source(100_000);
    const error = await failure(client.upload("PUT", "/", { sizeBytes: 100_000 * PIECE.length, source: bytes }));
    assert.deepEqual([error.status, error.code], [507, "storage_full"], manner);
    assert.ok(read() < 100_000, manner);
    await until(() => closed === 1);
  }
});

test("hears the answer out although the pipe broke while it came", async (t) => {
  let answer: http.ServerResponse | undefined;
  const server = http.createServer((_req, res) => {
    answer = res.writeHead(507, { "Content-Type": "application/json" });
    res.write('{"error":"Full.",');
  });
  await listen(server);
  t.after(() => server.closeAllConnections());
  t.after(() => server.close());
  const port = portOf(server);
  const request = http.request({ host: "127.0.0.1", port, method: "PUT", headers: { "Content-Length": "10" } });
  const exchange = new Exchange(request, parseAddress(`http://127.0.0.1:${port}`), systemClock, 5_000);
  request.flushHeaders();
  await until(() => exchange.over);
  request.emit("error", Object.assign(new Error("write EPIPE"), { code: "EPIPE" }));
  answer?.end('"code":"storage_full"}');
  assert.equal((await failure(exchange.answer)).code, "storage_full");
});

test("begins by itself when a server never says Continue", async (t) => {
  const clock = new ManualClock();
  const client = await serverOf(
    t,
    (server) =>
      server.on("checkContinue", (req: http.IncomingMessage, res: http.ServerResponse) =>
        req.resume().on("end", () => res.writeHead(200).end()),
      ),
    clock,
  );
  const { bytes, read } = source(3);
  const answer = client.upload("PUT", "/", { sizeBytes: 3 * PIECE.length, source: bytes });
  await until(() => clock.pending === 2);
  clock.advance(999);
  assert.equal(read(), 0);
  clock.advance(1);
  assert.equal((await answer).status, 200);
  assert.equal(clock.pending, 0);
});

test("gives up on a daemon that stops reading", async (t) => {
  const clock = new ManualClock();
  let reached = false;
  const stopReading = (req: http.IncomingMessage): void => {
    req.once("data", () => {
      req.pause();
      reached = true;
    });
  };
  const client = await serverOf(t, (server) => server.on("request", stopReading), clock);
  const { bytes, read } = source(100_000);
  const error = failure(
    client.upload("PUT", "/", { sizeBytes: 100_000 * PIECE.length, source: bytes, timeoutMs: 5_000 }),
  );
  await until(() => reached);
  // The kernel's buffers fill up, and then nothing moves any more.
  let [seen, same] = [0, 0];
  await until(() => {
    same = read() === seen ? same + 1 : 0;
    seen = read();
    return same > 200;
  });
  clock.advance(5_000);
  clock.advance(5_000);
  assert.equal((await error).code, "timeout");
});

test("fails, and closes the source, where it holds more or less than promised", async (t) => {
  const client = await serverOf(t, (server) =>
    server.on("request", (req) => req.on("error", () => undefined).resume()),
  );
  const short = await failure(client.upload("PUT", "/", { sizeBytes: 3 * PIECE.length, source: source(2).bytes }));
  assert.match(short.message, /ended after 131072 of 196608 bytes/);
  let closed = false;
  async function* tooMuch(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) yield PIECE;
    } finally {
      closed = true;
    }
  }
  const long = await failure(client.upload("PUT", "/", { sizeBytes: 1, source: tooMuch() }));
  assert.deepEqual([short.code, long.code, closed], ["bad_source", "bad_source", true]);
});

test("fails with the reason where the source cannot be read", async (t) => {
  const client = await serverOf(t, (server) =>
    server.on("request", (req) => req.on("error", () => undefined).resume()),
  );
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield PIECE;
    throw new Error("EIO: the disk is dying");
  }
  assert.match(
    (await failure(client.upload("PUT", "/", { sizeBytes: 2 * PIECE.length, source: broken() }))).message,
    /disk is dying/,
  );
});

test("says that nothing listens before it reads the source", async (t) => {
  const server = http.createServer();
  await listen(server);
  const port = portOf(server);
  await new Promise((resolve) => server.close(resolve));
  const client = new Client({ apiUrl: `http://127.0.0.1:${port}`, clock: systemClock, userAgent: "test/1" });
  t.after(() => client.close());
  const { bytes, read } = source(3);
  assert.equal(
    (await failure(client.upload("PUT", "/", { sizeBytes: 3 * PIECE.length, source: bytes }))).code,
    "unreachable",
  );
  assert.equal(read(), 0);
});

test("ends by its timeout also where the connection never came about", async (t) => {
  const clock = new ManualClock();
  const mute = net.createServer((socket) => socket.on("error", () => undefined).resume());
  await listen(mute);
  const client = new Client({ apiUrl: `https://127.0.0.1:${portOf(mute)}`, clock, userAgent: "test/1" });
  t.after(() => client.close());
  t.after(() => mute.close());
  const { bytes, read } = source(3);
  const error = failure(client.upload("PUT", "/", { sizeBytes: 3 * PIECE.length, source: bytes, timeoutMs: 5_000 }));
  await until(() => clock.pending === 2);
  clock.advance(1_000);
  await until(() => read() > 0);
  clock.advance(10_000);
  assert.equal((await error).code, "timeout");
});
