import assert from "node:assert/strict";
import { test } from "node:test";
import { get, HOST, serve } from "./harness.ts";

test("counts every request by method, pattern and status, whatever clients make up", async (t) => {
  const { connect, recorded, finishedCount } = await serve(t);
  const wire = await connect();
  const requests = [
    get("/things/a"),
    get("/things/b"),
    get("/nowhere"),
    get("/things/%zz"),
    get("/throw"),
    `HEAD /nowhere HTTP/1.1\r\n${HOST}\r\n`,
    `PROPFIND /things/a HTTP/1.1\r\n${HOST}\r\n`,
    `DELETE /things/a HTTP/1.1\r\n${HOST}\r\n`,
  ];
  for (const [index, request] of requests.entries()) {
    wire.send(request);
    await finishedCount(index + 1);
  }
  assert.deepEqual(recorded, {
    started: 8,
    rows: [
      "GET /things/{id} 200",
      "GET /things/{id} 200",
      "GET none 404",
      "GET none 400",
      "GET /throw 500",
      "HEAD none 404",
      "OTHER /things/{id} 405",
      "DELETE /things/{id} 405",
    ],
  });
});
