import assert from "node:assert/strict";
import { test } from "node:test";
import { get, HOST, post, serve, until, Wire } from "./harness.ts";

test("stops soon where nothing runs: idle connections at once, silent ones after a moment", async (t) => {
  const { connect, server, port } = await serve(t, { limits: { discardMs: 100 } });
  const idle = (await connect()).send(get("/"));
  await idle.one();
  const silent = await connect();
  await until(() => server.connections === 2, "both");
  const began = performance.now();
  await server.close(5_000);
  assert.ok(performance.now() - began < 500, `${performance.now() - began} ms`);
  await idle.end();
  await silent.end();
  assert.equal(server.connections, 0);
  await assert.rejects(Wire.connect(port), { code: "ECONNREFUSED" });
});

test("answers a request that waited unread while the machine was starved during the stop", async (t) => {
  const { connect, server } = await serve(t, { limits: { discardMs: 50 } });
  const wire = await connect();
  await until(() => server.connections === 1, "the connection");
  const closed = server.close(5_000);
  wire.send(get("/"));
  // The request lies in the kernel while the time for silent connections passes.
  for (const until = performance.now() + 120; performance.now() < until;);
  assert.equal((await wire.end())[0]?.status, 200);
  await closed;
});

test("lets what runs end, and closes each connection behind its answer", async (t) => {
  const { connect, server, held, recorded } = await serve(t);
  const wire = (await connect()).send(get("/hold"));
  const download = (await connect()).send(get("/download?size=30000000"));
  download.socket.pause();
  await until(() => recorded.started === 2, "both");
  const closed = server.close(5_000);
  held[0]?.();
  const answers = await wire.end();
  assert.equal(answers[0]?.text, '{"held":true}');
  assert.equal(answers[0]?.headers["connection"], "close");
  download.socket.resume();
  assert.equal((await download.end())[0]?.body.length, 30_000_000);
  await closed;
});

test("answers everything that was pipelined before the stop", async (t) => {
  const { connect, server, held } = await serve(t);
  const wire = (await connect()).send(get("/hold") + get("/hold") + get("/"));
  await until(() => held.length === 2, "both");
  const closed = server.close(5_000);
  held[0]?.();
  await wire.count(1);
  held[1]?.();
  assert.deepEqual(
    (await wire.end()).map((answer) => answer.status),
    [200, 200, 200],
  );
  await closed;
});

test("a request that is still coming in may end; one whose headers dawdle may not hold up the stop", async (t) => {
  const { connect, server, recorded } = await serve(t, { limits: { discardMs: 150 } });
  const upload = (await connect()).send(`PUT /stream HTTP/1.1\r\n${HOST}Content-Length: 4\r\n\r\n12`);
  const dawdling = (await connect()).send(`GET / HTTP/1.1\r\n${HOST}`);
  await until(() => recorded.started === 1 && server.connections === 2, "both");
  const began = performance.now();
  const closed = server.close(5_000);
  await dawdling.end();
  assert.ok(performance.now() - began < 1_000);
  assert.equal(upload.closed, false);
  upload.send("34");
  assert.equal((await upload.end())[0]?.text, '{"size":4}');
  await closed;
});

test("ends by force what does not end in time", async (t) => {
  const { connect, server, finished, recorded } = await serve(t);
  const wire = (await connect()).send(get("/hold"));
  const stuck = (await connect()).send(get("/download?size=90000000"));
  stuck.socket.pause();
  await until(() => recorded.started === 2, "both");
  const began = performance.now();
  await server.close(120);
  assert.ok(performance.now() - began < 1_500);
  await wire.end();
  assert.equal(finished.length, 2);
  assert.ok(finished.every(({ aborted }) => aborted));
});

test("a second close resolves too", async (t) => {
  const { connect, server } = await serve(t);
  await (await connect()).send(post("/json", "{}")).one();
  await Promise.all([server.close(100), server.close(100)]);
  await server.close(100);
});
