import assert from "node:assert/strict";
import { test } from "node:test";
import { get, pumpOf, route, serve, until } from "./harness.ts";

test(
  "a client that hangs up in the middle of an answer is told of once, with the bytes that it may have " + "got",
  async (t) => {
    const { connect, finished, finishedCount, errors, server } = await serve(t);
    const wire = (await connect()).send(get("/download?size=80000000"));
    await until(() => wire.text.length > 0, "the first bytes");
    wire.socket.resetAndDestroy();
    await finishedCount(1);
    const [entry] = finished;
    assert.deepEqual([entry?.status, entry?.aborted], [200, true]);
    assert.ok((entry?.bytes ?? 0) < 80_000_000);
    await until(() => server.connections === 0, "no connection");
    assert.equal(finished.length, 1);
    assert.ok(errors.length <= 1);
  },
);

test("a client that hangs up before the answer is a 499, and a late answer changes nothing", async (t) => {
  const { connect, held, finished, finishedCount, recorded } = await serve(t);
  const wire = (await connect()).send(get("/hold"));
  await until(() => held.length === 1, "the request");
  wire.socket.destroy();
  await finishedCount(1);
  held[0]?.();
  await new Promise(setImmediate);
  assert.deepEqual(
    finished.map(({ status, bytes, aborted }) => [status, bytes, aborted]),
    [[499, 0, true]],
  );
  assert.deepEqual(recorded.rows, ["GET /hold 499"]);
});

test(
  "a body that fails after its headers are out destroys the connection: a short answer must not look " + "whole",
  async (t) => {
    const { connect, errors, finished, finishedCount } = await serve(t, {
      routes: [
        route("GET", "/breaks", "none", () => ({
          ...pumpOf(1000),
          body: async (res, sent) => {
            res.write("half");
            sent(4);
            await new Promise(setImmediate);
            throw new Error("the disk is gone");
          },
        })),
      ],
    });
    const wire = (await connect()).send(get("/breaks"));
    await wire.end();
    await finishedCount(1);
    assert.deepEqual([finished[0]?.status, finished[0]?.bytes, finished[0]?.aborted], [200, 4, true]);
    assert.equal(errors[0]?.fields["error"], "the disk is gone");
  },
);

test("a pump is never run for a client that left before its turn", async (t) => {
  let ran = 0;
  const { connect, held, finishedCount } = await serve(t, {
    routes: [
      route("GET", "/pump", "none", () => ({
        status: 200,
        headers: { "Content-Length": "1" },
        body: async () => void (ran += 1),
      })),
    ],
  });
  const wire = (await connect()).send(get("/hold") + get("/pump"));
  await until(() => held.length === 1, "the hold");
  wire.socket.resetAndDestroy();
  await finishedCount(2);
  assert.equal(ran, 0);
});
