import assert from "node:assert/strict";
import { test } from "node:test";
import { resolve } from "node:path";
import { loadConfig } from "../../src/config/load.ts";
import { apiUrlOf, isWanted } from "../../src/daemon/tools.ts";

const RECORD = {
  sum: "s",
  seq: 7,
  batch: 7,
  at: "2026-01-02T03:04:05.000Z",
  type: "host.registered",
  actor: { kind: "host", id: "h-1", ip: null },
  data: {},
};
const ANY = { after: 0, actor: null, since: null, type: null };

test("a dump's conditions all have to hold", () => {
  assert.equal(isWanted(RECORD, ANY), true);
  assert.equal(isWanted(RECORD, { after: 0, actor: "host:h-1", since: "2026-01-02T03:04:05Z", type: "host" }), true);
  assert.equal(isWanted(RECORD, { after: 0, actor: "host:h-1", since: "2026-01-02T03:04:05Z", type: "image" }), false);
});

for (const [what, filter, expected] of [
  ["a kind of actor", { actor: "host" }, true],
  ["another kind", { actor: "user" }, false],
  ["one actor", { actor: "host:h-1" }, true],
  ["another of the kind", { actor: "host:h-11" }, false],
  ["a later time", { since: "2026-01-02T03:04:05.001Z" }, false],
  ["a time in another zone", { since: "2026-01-02T04:04:05+01:00" }, true],
  ["a whole type", { type: "host.registered" }, true],
  ["the beginning of a word", { type: "hos" }, false],
] as const) {
  test(`a dump by ${what} ${expected ? "has" : "leaves out"} the line`, () =>
    assert.equal(isWanted(RECORD, { ...ANY, ...filter }), expected));
}

test("the running daemon is asked at its socket, also where the config names that from the folder of its start", () => {
  const at = (socket: string): string =>
    apiUrlOf(
      loadConfig({ path: "/nonexistent", required: false, env: {}, overrides: { "server.socket": socket } }).config,
    );
  assert.equal(at("zwrm-data/zwrmd.sock"), `unix:${resolve("zwrm-data/zwrmd.sock")}`);
  assert.equal(at("/run/zwrm/zwrmd.sock"), "unix:/run/zwrm/zwrmd.sock");
  assert.equal(at(""), "http://127.0.0.1:8080");
});
