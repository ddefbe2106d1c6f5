/** Tests of content negotiation: a stream for whoever asks for one, JSON for everyone else. */
import assert from "node:assert/strict";
import test from "node:test";
import { prefersSpecial } from "../../src/http/accept.ts";

const STREAM = [
  "text/event-stream",
  "TEXT/EVENT-STREAM",
  "Text/Event-Stream;Q=0.5",
  "text/event-stream; charset=utf-8",
  "text/event-stream, */*",
  "application/json, text/event-stream",
  "application/json;q=0.9, text/event-stream",
  "text/*",
  "text/event-stream;q=0.001",
  'text/event-stream;x="a,b;q=0";q=1',
  "*/*;q=0.1,text/event-stream",
  "nonsense, text/event-stream",
  "application/json;q=0,text/event-stream;q=0.1",
];

const JSON_PAGE = [
  null,
  "",
  "*/*",
  "application/json",
  "text/event-stream;q=0",
  "text/event-stream; q=0.000",
  "text/event-stream;q=0, */*",
  "text/event-stream;Q=0,text/*",
  "text/event-stream;q=0.5, application/json",
  "text/event-stream;q=0.5, */*",
  "text/html",
  "text/event-streams",
  "x-text/event-stream",
  "text/event-stream;q=2",
  "text/event-stream;q=",
  'application/json;x="text/event-stream"',
  'x="text/event-stream',
];

test("gives a stream to whoever asks for one by name and wants nothing more", () => {
  for (const accept of STREAM) {
    assert.equal(prefersSpecial(accept, "text/event-stream", "application/json"), true, accept);
  }
});

test("gives JSON where no stream is named, where it is refused, and where JSON is wanted more", () => {
  for (const accept of JSON_PAGE) {
    assert.equal(prefersSpecial(accept, "text/event-stream", "application/json"), false, String(accept));
  }
});

test("a long header is read in time that grows with its length", () => {
  const started = process.hrtime.bigint();
  for (const piece of ['"', "a", ",", ";", '"\\', "text/event-stream;"]) {
    prefersSpecial(piece.repeat(Math.floor(16_000 / piece.length)), "text/event-stream", "application/json");
  }
  assert.ok(process.hrtime.bigint() - started < 500_000_000n);
});
