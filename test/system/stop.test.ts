/** Part B, the stop: SIGTERM and SIGINT let running work finish, and nothing new in; plus the log that nobody reads. */
import assert from "node:assert/strict";
import * as http from "node:http";
import * as net from "node:net";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { eventually, startDaemon } from "../support/daemon.ts";
import type { TestDaemon } from "../support/daemon.ts";
import { beat, register } from "../support/fleet.ts";
import { parseAnswers, rawStatus, request } from "../support/http.ts";
import { imageOf } from "../support/images.ts";
import { assertChain, readJournal } from "../support/journal.ts";
import { conforms, textAt } from "../support/json.ts";
import { heard } from "../support/shapes.ts";

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  test(`${signal}: an idle daemon stops at once, exit 0`, async (t) => {
    const daemon = await startDaemon({}, t);
    await register(daemon, "h-1");
    const start = performance.now();
    assert.deepEqual(await daemon.stop(signal), { code: 0, signal: null });
    assert.ok(performance.now() - start < 3_000, "kept-alive connections do not hold it");
    assert.equal(daemon.stderr, "");
    assertChain(readJournal(daemon.dataDir));
  });
}

test("GET /v1/ready is 200 once replay is done and writing works", async (t) => {
  const daemon = await startDaemon({}, t);
  assert.equal((await daemon.request("GET", "/v1/ready")).status, 200);
});

/** An upload that has begun and waits for its last byte. */
async function openUpload(
  daemon: TestDaemon,
): Promise<{ socket: net.Socket; answer: Promise<string>; finish: () => void }> {
  const image = imageOf(Buffer.alloc(100_000, "slow"));
  const socket = net.connect(daemon.port, "127.0.0.1");
  let text = "";
  socket.on("data", (part: Buffer) => (text += part.toString("latin1")));
  socket.on("error", () => undefined);
  const answer = new Promise<string>((resolve) => socket.on("close", () => resolve(text)));
  socket.write(
    `PUT /v1/images/${image.digest} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${image.bytes.length}\r\n\r\n`,
  );
  socket.write(image.bytes.subarray(0, -1));
  await eventually("the upload to be in flight", async () =>
    /^zwrmd_http_requests_in_flight [2-9]$/m.test((await daemon.request("GET", "/metrics")).text) ? true : undefined,
  );
  return { socket, answer, finish: () => socket.write(image.bytes.subarray(-1)) };
}

test(
  "SIGTERM: stop accepting, answer 503 on health, close idle connections, finish what " + "runs, sync, exit 0",
  async (t) => {
    const daemon = await startDaemon({}, t);
    const idle = net.connect(daemon.port, "127.0.0.1");
    const idleClosed = new Promise((resolve) => idle.on("close", resolve));
    idle.on("error", () => undefined);
    await new Promise((resolve) => idle.once("connect", resolve));
    // Two requests in one connection: the second is asked after the signal, while the first still runs.
    const upload = await openUpload(daemon);
    const { port } = daemon;
    daemon.signal("SIGTERM");
    await idleClosed;
    await eventually(
      "new connections to be refused",
      async () =>
        (await request({ port }, "GET", "/v1/health").then(
          () => undefined,
          () => true,
        )) ?? undefined,
    );
    assert.equal(daemon.running, true, "it waits for the upload");
    upload.socket.write("");
    upload.finish();
    const text = await upload.answer;
    assert.equal(rawStatus(text), 201, text);
    assert.match(text, /^Connection: close\r$/im);
    assert.deepEqual(await daemon.exited(), { code: 0, signal: null });
    await daemon.start();
    assert.equal(
      (await daemon.request("GET", `/v1/images/${imageOf(Buffer.alloc(100_000, "slow")).digest}`)).status,
      200,
    );
  },
);

test("SIGTERM: answer 503 on health where a connection that was open before asks", async (t) => {
  const daemon = await startDaemon({}, t);
  const upload = await openUpload(daemon);
  const socket = net.connect(daemon.port, "127.0.0.1");
  t.after(() => socket.destroy());
  let text = "";
  socket.on("data", (part: Buffer) => (text += part.toString("latin1")));
  const closed = new Promise((resolve) => socket.on("close", resolve));
  socket.on("error", () => undefined);
  // A request whose head is half there is not idle.
  socket.write("GET /v1/health HTTP/1.1\r\nHost: localhost\r\n");
  await eventually("the half request to arrive", async () => (await sleep(100), true));
  daemon.signal("SIGTERM");
  await eventually(
    "new connections to be refused",
    async () =>
      (await request(daemon.target, "GET", "/").then(
        () => undefined,
        () => true,
      )) ?? undefined,
  );
  socket.write("\r\n");
  await closed;
  const [answer] = parseAnswers(text);
  assert.equal(answer?.status, 503, text);
  assert.match(String(answer?.headers["retry-after"]), /^\d+$/);
  upload.finish();
  assert.equal(rawStatus(await upload.answer), 201);
  assert.deepEqual(await daemon.exited(), { code: 0, signal: null });
});

test("SIGTERM: a heartbeat that waits is answered, not dropped", async (t) => {
  const daemon = await startDaemon({}, t);
  await register(daemon, "h-1");
  const observed_revision = textAt((await beat(daemon, "h-1")).json, "revision");
  const waiting = beat(daemon, "h-1", { observed_revision, wait_seconds: 25 });
  await eventually("the heartbeat to wait", async () =>
    /^zwrmd_http_requests_in_flight 2$/m.test((await daemon.request("GET", "/metrics")).text) ? true : undefined,
  );
  const start = performance.now();
  daemon.signal("SIGTERM");
  const answer = await waiting;
  assert.equal(answer.status, 200);
  conforms(answer.json, heard(false));
  assert.deepEqual(await daemon.exited(), { code: 0, signal: null });
  assert.ok(performance.now() - start < 10_000, "a restart does not wait for it");
});

/** Resident memory in MiB. */
function rss(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
}

test(
  "A stalled reader of the log never blocks the daemon nor makes it grow: 1 MiB is held, then lines are " +
    "dropped and counted",
  async (t) => {
    const daemon = await startDaemon({ stallLog: true }, t);
    const dropped = async (): Promise<number> =>
      Number(/^zwrmd_log_dropped_lines_total (\d+)$/m.exec((await daemon.request("GET", "/metrics")).text)?.[1]);
    const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });
    t.after(() => agent.destroy());
    const flood = async (times: number): Promise<void> => {
      for (let round = 0; round < times; round++) {
        const answers = await Promise.all(
          Array.from({ length: 50 }, () =>
            request(daemon.target, "GET", `/v1/health?${"x".repeat(1_000)}`, {
              agent,
              headers: { "x-request-id": "r".repeat(128) },
            }),
          ),
        );
        assert.ok(answers.every((answer) => answer.status === 200));
      }
    };
    await flood(60);
    await eventually(
      "lines to be dropped",
      async () => {
        await flood(10);
        return (await dropped()) > 0 ? true : undefined;
      },
      30_000,
    );
    const before = rss(daemon.pid);
    await flood(80);
    assert.ok(rss(daemon.pid) - before < 60, `grew from ${before} to ${rss(daemon.pid)} MiB`);
    const lost = await dropped();
    daemon.readLog();
    await daemon.line(/dropped/i, 10_000);
    await daemon.request("GET", "/", { headers: { "x-request-id": "after-the-stall" } });
    await daemon.line(/after-the-stall/);
    assert.ok(lost > 0);
  },
);

test("A stalled reader of the log does not hold up the stop", async (t) => {
  const daemon = await startDaemon({ stallLog: true }, t);
  const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });
  t.after(() => agent.destroy());
  for (let round = 0; round < 20; round++)
    await Promise.all(
      Array.from({ length: 50 }, () => request(daemon.target, "GET", `/v1/health?${"x".repeat(1_000)}`, { agent })),
    );
  const { pid } = daemon;
  daemon.signal("SIGTERM");
  // The exit shows at the process, not at its output, which nobody reads.
  await eventually(
    "the process to end",
    () => {
      try {
        return / Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8")) ? true : undefined;
      } catch {
        return true;
      }
    },
    10_000,
  );
  daemon.readLog();
  assert.deepEqual(await daemon.exited(), { code: 0, signal: null });
});
