/**
 * Tests of server-sent events in src/client: the grammar, pieces cut anywhere, silence, and every way in which a stream
 * ends.
 */
import assert from "node:assert/strict";
import * as http from "node:http";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { ClientError } from "../../src/client/errors.ts";
import type { ServerEvent } from "../../src/client/event-stream.ts";
import { EventParser } from "../../src/client/event-stream.ts";
import { Client } from "../../src/client/http.ts";
import { listen, ManualClock, portOf, until } from "./support.ts";

const GRAMMAR: readonly (readonly [string, readonly ServerEvent[]])[] = [
  ["data: x\n\n", [{ id: null, type: "message", data: "x" }]],
  [
    "id: 7\nevent: a.b\ndata: x\n\ndata:y\n\n",
    [
      { id: "7", type: "a.b", data: "x" },
      { id: "7", type: "message", data: "y" },
    ],
  ],
  [
    ': hello\n\n: alive\n\ndata: {"a":1}\r\ndata:  two\r\n\r\ndata\rdata\r\rx',
    [
      { id: null, type: "message", data: '{"a":1}\n two' },
      { id: null, type: "message", data: "\n" },
    ],
  ],
  ["event: only\n\nid: 1\n\nretry: 5\nunknown: x\n\n", []],
  ["data: not ended\n", []],
  ["data: é\u2028😀\n\n", [{ id: null, type: "message", data: "é\u2028😀" }]],
];

test("reads the grammar of event streams, whatever the pieces", () => {
  for (const [text, events] of GRAMMAR) {
    for (let size = 1; size <= text.length; size += 1) {
      const parser = new EventParser();
      const found: ServerEvent[] = [];
      for (let at = 0; at < text.length; at += size) found.push(...parser.push(text.slice(at, at + size)));
      assert.deepEqual(found, events, `${JSON.stringify(text)} in pieces of ${size}`);
    }
  }
});

test("refuses an event without an end, and not many that are long together", () => {
  const long = "x".repeat(6 * 1024 * 1024);
  const parser = new EventParser();
  for (let n = 0; n < 4; n += 1) assert.equal(parser.push(`data: ${long}\n\n`).length, 1);
  parser.push(long);
  parser.push(long);
  assert.throws(() => parser.push(long), { name: "ClientError", code: "bad_answer" });
});

async function world(t: TestContext, answer: (res: http.ServerResponse, req: http.IncomingMessage) => void) {
  const server = http.createServer((req, res) => answer(res, req));
  await listen(server);
  const clock = new ManualClock();
  const client = new Client({
    apiUrl: `http://127.0.0.1:${portOf(server)}`,
    clock,
    userAgent: "test/1",
    token: "zwrm_key_x",
  });
  t.after(() => {
    client.close();
    server.closeAllConnections();
    server.close();
  });
  return { client, clock, server };
}

const STREAM = { "Content-Type": "text/event-stream; charset=utf-8" };

async function all(stream: AsyncIterable<ServerEvent>): Promise<readonly string[]> {
  const seen: string[] = [];
  for await (const { data } of stream) seen.push(data);
  return seen;
}

async function failure(work: Promise<unknown>): Promise<ClientError> {
  const error: unknown = await work.then(
    () => null,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof ClientError, String(error));
  return error;
}

test("gives events as they come, sends token and headers, and ends where the server ends", async (t) => {
  const { client, clock } = await world(t, (res, req) => {
    assert.deepEqual(
      [req.headers.accept, req.headers.authorization, req.headers["last-event-id"]],
      ["text/event-stream", "Bearer zwrm_key_x", "7"],
    );
    res.writeHead(200, STREAM).write("data: one\n\n");
    res.on("close", () => undefined);
    setImmediate(() => res.end("data: two\n\ndata: cut off"));
  });
  let opened = 0;
  const stream = client.stream("/v1/events", { headers: { "Last-Event-ID": "7" }, onOpen: () => (opened += 1) });
  assert.equal((await stream.next()).value?.data, "one");
  assert.deepEqual([await all(stream), opened, clock.pending], [["two"], 1, 0]);
});

test("closes the connection when the reader leaves, and leaves no timer behind", async (t) => {
  let gone = false;
  const { client, clock } = await world(t, (res) => {
    res.on("close", () => (gone = true));
    res.writeHead(200, STREAM).write("data: one\n\n");
  });
  for await (const { data } of client.stream("/v1/events")) {
    assert.equal(data, "one");
    break;
  }
  await until(() => gone);
  gone = false;
  const mishap = (): never => {
    throw new TypeError("a mistake of the reader");
  };
  await assert.rejects(all(client.stream("/v1/events", { onOpen: mishap })));
  await until(() => gone);
  assert.equal(clock.pending, 0);
});

test("gives up on a stream that is quiet for too long, and a comment is not quiet", async (t) => {
  let say = (_text: string): void => undefined;
  const { client, clock } = await world(t, (res) => {
    say = (text) => void res.write(text);
    res.writeHead(200, STREAM).flushHeaders();
  });
  let opened = false;
  const stream = client.stream("/v1/events", { onOpen: () => (opened = true) });
  const next = stream.next();
  await until(() => opened);
  clock.advance(49_000);
  say("data: one\n\n");
  assert.equal((await next).value?.data, "one");
  const second = stream.next();
  clock.advance(49_000);
  say(": alive\n\ndata: two\n\n");
  assert.equal((await second).value?.data, "two");
  const third = failure(stream.next());
  clock.advance(50_000);
  const { code, message } = await third;
  assert.deepEqual([code, /has sent nothing for 50s/.test(message)], ["timeout", true]);
});

test("gives up where there is no answer at all", async (t) => {
  let arrived = false;
  const { client, clock } = await world(t, () => (arrived = true));
  const work = failure(all(client.stream("/v1/events")));
  await until(() => arrived);
  clock.advance(50_000);
  assert.equal((await work).code, "timeout");
});

test("throws the daemon's error, and says so where the answer is no stream", async (t) => {
  const { client } = await world(t, (res, req) => {
    if (req.url === "/json") res.writeHead(200, { "Content-Type": "application/json" }).end("{}");
    else
      res
        .writeHead(410, { "Content-Type": "application/json" })
        .end(JSON.stringify({ error: "Gone.", code: "compacted", oldest_seq: 9, request_id: "r" }));
  });
  const gone = await failure(all(client.stream("/v1/events")));
  assert.deepEqual([gone.code, gone.status, gone.extra["oldest_seq"]], ["compacted", 410, 9]);
  assert.deepEqual((await failure(all(client.stream("/json")))).code, "bad_answer");
});

test("tells a broken connection from an end, and says when nothing listens", async (t) => {
  const { client, server } = await world(t, (res) => {
    res.writeHead(200, STREAM).write("data: one\n\n", () => res.destroy());
  });
  const seen: string[] = [];
  const error = await failure(
    (async () => {
      for await (const { data } of client.stream("/v1/events")) seen.push(data);
    })(),
  );
  assert.deepEqual([seen, error.code], [["one"], "closed"]);
  server.closeAllConnections();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  assert.equal((await failure(all(client.stream("/v1/events")))).code, "unreachable");
});
