import assert from "node:assert/strict";
import { test } from "node:test";
import type { AccessEntry } from "../../src/http/middleware/logger.ts";
import { createAccessLog } from "../../src/http/middleware/logger.ts";
import type { Clock } from "../../src/lib/clock.ts";
import { get, HOST, serve } from "./harness.ts";

const ENTRY: AccessEntry = {
  method: "GET",
  path: "/v1/hosts",
  status: 200,
  bytes: 512,
  seconds: 0.0012344,
  aborted: false,
  requestId: "r-1",
};

function lines(
  format: "text" | "json",
  entries: readonly AccessEntry[],
  walls: readonly number[] = [Date.UTC(2026, 0, 2, 3, 4, 5, 7)],
): string[] {
  const written: string[] = [];
  let turn = 0;
  const clock: Clock = {
    wall: () => walls[Math.min(turn++, walls.length - 1)] ?? 0,
    mono: () => 0,
    after: () => () => undefined,
  };
  const log = createAccessLog({ write: (line) => void written.push(line) }, clock, format);
  for (const entry of entries) log(entry);
  return written;
}

test("a line is METHOD PATH STATUS DURATION BYTES, then the request id and the time", () => {
  assert.deepEqual(lines("text", [ENTRY]), ["GET /v1/hosts 200 1.234ms 512 r-1 2026-01-02T03:04:05.007Z"]);
});

test("the same as JSON", () => {
  const [line = ""] = lines("json", [{ ...ENTRY, aborted: true }]);
  assert.deepEqual(JSON.parse(line), {
    method: "GET",
    path: "/v1/hosts",
    status: 200,
    duration_ms: 1.234,
    bytes: 512,
    request_id: "r-1",
    at: "2026-01-02T03:04:05.007Z",
    aborted: true,
  });
});

test("durations have three digits behind the point, from nothing to hours", () => {
  const written = lines(
    "text",
    [0, -1, 0.0000004, 0.0000005, 0.000999, 0.001, 0.0100049, 25.0000009, 7200].map((seconds) => ({
      ...ENTRY,
      seconds,
    })),
  );
  assert.deepEqual(
    written.map((line) => line.split(" ")[3]),
    ["0.000ms", "0.000ms", "0.000ms", "0.001ms", "0.999ms", "1.000ms", "10.005ms", "25000.001ms", "7200000.000ms"],
  );
});

test("the time moves within a second, across seconds, and back", () => {
  const at = Date.UTC(2026, 11, 31, 23, 59, 59, 990);
  const written = lines("text", [ENTRY, ENTRY, ENTRY, ENTRY], [at, at + 9.9, at + 10, at - 60_000]);
  assert.deepEqual(
    written.map((line) => line.split(" ").at(-1)),
    ["2026-12-31T23:59:59.990Z", "2026-12-31T23:59:59.999Z", "2027-01-01T00:00:00.000Z", "2026-12-31T23:58:59.990Z"],
  );
});

test("no path makes a second line or a further column, and a long one is cut", () => {
  const evil = ["/a\nGET /b", "/a b", "/\u001b[31m", "/\u0085\u2028", "/\u00e4", "", "/x".repeat(5_000)];
  for (const format of ["text", "json"] as const) {
    for (const line of lines(
      format,
      evil.map((path) => ({ ...ENTRY, path })),
    )) {
      assert.match(line, /^[\x20-\x7e]+$/);
      assert.ok(line.length < 1_300);
      if (format === "text") assert.equal(line.split(" ").length, 7, line);
      else JSON.parse(line);
    }
  }
  assert.equal(lines("text", [{ ...ENTRY, path: "/a\nb" }])[0]?.split(" ")[1], "/a\\u000ab");
});

test("the query, where tokens end up by mistake, is in no line", async (t) => {
  const { connect, finished, finishedCount } = await serve(t);
  const wire = (await connect()).send(
    get("/things/a?token=secret") + get("http://x/things/b?token=secret") + `GET /x#?secret HTTP/1.1\r\n${HOST}\r\n`,
  );
  await wire.end();
  await finishedCount(3);
  assert.deepEqual(
    finished.map(({ path }) => path),
    ["/things/a", "/things/b", "/x#"],
  );
});
