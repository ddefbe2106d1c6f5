import assert from "node:assert/strict";
import { test } from "node:test";
import { Progress } from "../../src/http/connections.ts";
import { assertError } from "../support/http.ts";
import { get, HOST, pumpOf, route, serve, until } from "./harness.ts";

test("headers that are not whole in time are 408, logged, closed", async (t) => {
  const { connect, finished, finishedCount } = await serve(t, { limits: { headersTimeoutMs: 100 } });
  const wire = (await connect()).send(`GET / HTTP/1.1\r\n${HOST}`);
  const drip = setInterval(() => wire.send("X: y\r\n"), 30);
  t.after(() => clearInterval(drip));
  assertError((await wire.end())[0] ?? assert.fail(), 408, "request_timeout");
  await finishedCount(1);
  assert.equal(finished[0]?.status, 408);
});

test("headers that drip in on a connection that served before are 408 too", async (t) => {
  const { connect } = await serve(t, { limits: { headersTimeoutMs: 100 } });
  const wire = (await connect()).send(get("/"));
  await wire.one();
  wire.send("GET / HT");
  assert.deepEqual(
    (await wire.end()).map((answer) => answer.status),
    [200, 408],
  );
});

test("a connection without a byte is closed in silence", async (t) => {
  const { connect, finished } = await serve(t, { limits: { headersTimeoutMs: 100 } });
  const wire = await connect();
  await wire.end();
  assert.equal(wire.text, "");
  assert.deepEqual(finished, []);
});

test("an idle connection is closed after the idle timeout and not before", async (t) => {
  const { connect } = await serve(t, { limits: { idleTimeoutMs: 200, headersTimeoutMs: 100 } });
  const began = performance.now();
  const wire = (await connect()).send(get("/"));
  await wire.end();
  assert.ok(performance.now() - began >= 190, `${performance.now() - began} ms`);
  assert.equal(wire.answers.length, 1);
});

test("a held answer is no idleness", async (t) => {
  const { connect, held } = await serve(t, { limits: { idleTimeoutMs: 80, headersTimeoutMs: 80, writeTimeoutMs: 80 } });
  const wire = (await connect()).send(get("/hold"));
  await new Promise((resolve) => setTimeout(resolve, 400));
  held[0]?.();
  assert.equal((await wire.one()).status, 200);
});

test("a client that takes nothing of its answer is dropped, and the log says so", async (t) => {
  const { connect, finished, finishedCount, server } = await serve(t, { limits: { writeTimeoutMs: 200 } });
  const wire = await connect();
  wire.socket.pause();
  wire.send(get("/download?size=50000000"));
  await finishedCount(1);
  assert.equal(finished[0]?.aborted, true);
  assert.equal(finished[0]?.status, 200);
  assert.ok((finished[0]?.bytes ?? 0) > 0 && (finished[0]?.bytes ?? 0) < 50_000_000);
  await until(() => server.connections === 0, "no connection");
});

test("a client that takes its answer in small sips is not dropped, however large the piece", async (t) => {
  const { connect, finishedCount, finished } = await serve(t, {
    limits: { writeTimeoutMs: 200 },
    // Its callback comes only at its end.
    routes: [route("GET", "/one-piece", "none", () => pumpOf(60_000_000, 60_000_000))],
  });
  const wire = await connect();
  wire.socket.pause();
  wire.send(get("/one-piece"));
  // More than the kernel's buffers hold. A sip is a MiB, which opens the window again.
  const sip = setInterval(() => {
    const enough = wire.socket.bytesRead + 1024 * 1024;
    const stop = (): void => {
      if (wire.socket.bytesRead < enough) return;
      wire.socket.pause();
      wire.socket.off("data", stop);
    };
    wire.socket.on("data", stop);
    wire.socket.resume();
  }, 60);
  t.after(() => clearInterval(sip));
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  clearInterval(sip);
  assert.equal(finished.length, 0);
  wire.socket.resume();
  await finishedCount(1);
  assert.equal(finished[0]?.aborted, false);
});

test("progress is a finished write or a shrinking one; more to write is none, and neither is nothing to write", () => {
  const progress = new Progress();
  const looks: (readonly [written: number, pending: number, queued: number, rounds: number])[] = [
    [100, 100, 80, 0],
    [100, 100, 80, 1],
    [500, 500, 80, 2],
    [500, 500, 79, 0],
    [500, 500, 79, 1],
    [500, 400, 79, 0],
    [500, 400, 90, 1],
    [600, 500, 90, 2],
    [600, 0, 0, 0],
    [600, 0, 0, 0],
  ];
  progress.look(50, 0, 0);
  for (const [written, pending, queued, rounds] of looks)
    assert.equal(progress.look(written, pending, queued), rounds, `${written} ${pending} ${queued}`);
});
