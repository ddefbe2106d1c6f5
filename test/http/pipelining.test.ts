import assert from "node:assert/strict";
import { test } from "node:test";
import { get, post, serve, until } from "./harness.ts";

test("answers pipelined requests in their order, whoever is ready first", async (t) => {
  const { connect, held } = await serve(t);
  const wire = (await connect()).send(get("/hold") + get("/things/b") + get("/hold")).send(post("/json", '{"d":1}'));
  await until(() => held.length === 2, "both holds");
  held[1]?.();
  await new Promise(setImmediate);
  assert.equal(wire.text, "");
  held[0]?.();
  assert.deepEqual(
    (await wire.count(4)).map((answer) => answer.text),
    ['{"held":true}', '{"id":"b"}', '{"held":true}', '{"d":1}'],
  );
});

test("answers a thousand in one packet", async (t) => {
  const { connect, finishedCount } = await serve(t);
  const wire = (await connect()).send(Array.from({ length: 1000 }, (_, index) => get(`/things/${index}`)).join(""));
  const answers = await wire.count(1000);
  assert.ok(answers.every((answer, index) => answer.text === `{"id":"${index}"}`));
  await finishedCount(1000);
});

test("downloads behind other answers begin when it is their turn", async (t) => {
  const { connect, held, finished, finishedCount } = await serve(t);
  const wire = (await connect()).send(
    get("/hold") + get("/download?size=300000") + get("/download?size=200000") + get("/"),
  );
  await until(() => held.length === 1, "the hold");
  held[0]?.();
  assert.deepEqual(
    (await wire.count(4)).map((answer) => answer.body.length),
    [13, 300_000, 200_000, 11],
  );
  await finishedCount(4);
  assert.deepEqual(
    finished.map(({ bytes }) => bytes),
    [13, 300_000, 200_000, 11],
  );
});

test("a client that leaves with answers in line leaves no request behind", async (t) => {
  const { connect, held, finished, finishedCount, recorded } = await serve(t);
  const wire = (await connect()).send(
    get("/hold") + get("/things/b") + get("/download") + post("/json", "{}").toString(),
  );
  await until(() => held.length === 1 && recorded.started === 4, "all four");
  wire.socket.resetAndDestroy();
  await finishedCount(4);
  assert.ok(finished.every(({ aborted }) => aborted));
  assert.equal(finished[0]?.status, 499);
  held[0]?.();
  await new Promise(setImmediate);
  assert.equal(recorded.rows.length, 4);
  assert.equal(finished.length, 4);
});

test("a connection with more unanswered requests than it may have is dropped", async (t) => {
  const { connect, finishedCount, finished } = await serve(t, { limits: { maxUnanswered: 10 } });
  const wire = (await connect()).send(get("/hold").repeat(50));
  await wire.end();
  await finishedCount(11);
  assert.ok(finished.length < 15);
});
