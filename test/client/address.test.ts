/** Tests of src/client/address.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseAddress } from "../../src/client/address.ts";

test("reads http, https and unix addresses", () => {
  assert.deepEqual(parseAddress("http://127.0.0.1:8080"), {
    url: "http://127.0.0.1:8080",
    secure: false,
    host: "127.0.0.1",
    port: 8080,
    socketPath: null,
    prefix: "",
  });
  assert.deepEqual(parseAddress("https://cp.example/"), {
    url: "https://cp.example",
    secure: true,
    host: "cp.example",
    port: 443,
    socketPath: null,
    prefix: "",
  });
  assert.deepEqual(parseAddress("http://[::1]:81/zwrm//"), {
    url: "http://[::1]:81/zwrm",
    secure: false,
    host: "::1",
    port: 81,
    socketPath: null,
    prefix: "/zwrm",
  });
  for (const text of ["unix:/run/z.sock", "unix:///run/z.sock"]) {
    assert.deepEqual(parseAddress(text), {
      url: "unix:/run/z.sock",
      secure: false,
      host: "localhost",
      port: 80,
      socketPath: "/run/z.sock",
      prefix: "",
    });
  }
});

test("refuses what is no address and says what to write", () => {
  const refused: readonly (readonly [string, RegExp])[] = [
    ["localhost:8080", /write http:\/\/localhost:8080\./],
    ["10.0.0.1", /write http:\/\/10\.0\.0\.1\./],
    ["", /write http:\/\/HOST:PORT/],
    ["ftp://x", /write http:\/\/HOST:PORT/],
    ["http://x:99999", /write http:\/\/HOST:PORT/],
    ["http://x/?a=1", /leave out/],
    ["unix:z.sock", /whole path/],
    [`unix:/${"x".repeat(107)}`, /at most 107 bytes/],
  ];
  for (const [text, message] of refused)
    assert.throws(() => parseAddress(text), { name: "ClientError", code: "bad_url", message }, text);
});

test("never shows a password that somebody put into the URL", () => {
  assert.throws(
    () => parseAddress("http://user:hunter2@x"),
    (error: Error) => !error.message.includes("hunter2") && /token/.test(error.message),
  );
});
