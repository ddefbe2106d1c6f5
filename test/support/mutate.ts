/** Requests for the fuzzer: a valid one of every route, and ways to spoil it. The same seed spoils the same way. */
import { createHash } from "node:crypto";
import { LICENSE_HASH } from "./daemon.ts";

type Chance = (below: number) => number;

const IMAGE = Buffer.from("a fuzzed image");
const DIGEST = `sha256:${createHash("sha256").update(IMAGE).digest("hex")}`;
const REGISTER = JSON.stringify({
  host_id: "h-1",
  hostname: "h-1.example",
  region: "eu",
  datacenter: "fra1",
  ip_address: "10.0.0.1",
  grpc_port: 9090,
  capacity: { cpus: 8, memory_mb: 16384, disk_mb: 100000 },
  agent_version: "1.0",
  labels: { rack: "r1" },
});
const BEAT = JSON.stringify({
  usage: { cpus: 1.5, memory_mb: 100, disk_mb: 5 },
  machines: [{ id: "m-1", state: "running", ready: true }],
  observed_revision: "x",
  boot_id: "b",
  beat: 7,
  wait_seconds: 0,
});

function make(
  method: string,
  target: string,
  body: string | Buffer | null = null,
  more: readonly string[] = [],
): Buffer {
  const bytes = Buffer.from(body ?? "");
  const internal = target.startsWith("/v1/internal/") ? [`Authorization: Bearer ${LICENSE_HASH}`] : [];
  const typed =
    body === null
      ? []
      : [
          `Content-Type: ${target.includes("/images/") ? "application/octet-stream" : "application/json"}`,
          `Content-Length: ${bytes.length}`,
        ];
  const head = [`${method} ${target} HTTP/1.1`, "Host: localhost", ...internal, ...typed, ...more, "Connection: close"];
  return Buffer.concat([Buffer.from(`${head.join("\r\n")}\r\n\r\n`, "latin1"), bytes]);
}

function chunked(method: string, target: string, body: string): Buffer {
  const internal = target.startsWith("/v1/internal/") ? `Authorization: Bearer ${LICENSE_HASH}\r\n` : "";
  return Buffer.from(
    `${method} ${target} HTTP/1.1\r\nHost: localhost\r\n${internal}Content-Type: ` +
      "application/json\r\nTransfer-Encoding: chunked\r\nConnection: " +
      `close\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`,
  );
}

/** One of every route, and some twice in another dress. */
export const TEMPLATES: readonly Buffer[] = [
  make("GET", "/"),
  make("GET", "/metrics"),
  make("GET", "/v1/health"),
  make("GET", "/v1/ready", null, ["Origin: https://console.example"]),
  make("GET", "/v1/openapi.json"),
  make("POST", "/v1/internal/hosts/register", REGISTER),
  chunked("POST", "/v1/internal/hosts/register", REGISTER),
  make("POST", "/v1/internal/hosts/register", REGISTER.replaceAll("h-1", "h-2"), [
    `X-Zwrm-Host-Key: ${"k".repeat(40)}`,
  ]),
  make("POST", "/v1/internal/hosts/h-1/heartbeat", BEAT),
  chunked("POST", "/v1/internal/hosts/h-1/heartbeat", BEAT),
  make("POST", "/v1/internal/hosts/h-1/deregister", `{"reason":"fuzz"}`),
  make("GET", "/v1/internal/images?app_id=web&limit=10&after=a"),
  make("GET", `/v1/internal/images/${DIGEST}`, null, ["Range: bytes=2-5", `If-Range: "${DIGEST}"`]),
  make("GET", `/v1/internal/images/${DIGEST}`, null, [`If-None-Match: "x", W/"${DIGEST}"`]),
  make("GET", `/v1/internal/images/${DIGEST}`, null, ["Range: bytes=100-"]),
  make("HEAD", `/v1/internal/images/${DIGEST}`),
  make("GET", "/v1/hosts?status=active&region=eu&datacenter=fra1&limit=10&after=h-0"),
  make("GET", "/v1/hosts/h-1"),
  make(
    "POST",
    "/v1/hosts/h-1/drain",
    `{"max_parallel":2,"deadline_seconds":60,"reason":"fuzz","force":false,"dry_run":false}`,
  ),
  make("GET", "/v1/hosts/h-1/drain-status"),
  make("POST", "/v1/hosts/h-1/undrain", "{}", ["Content-Type: application/json"]),
  make("POST", "/v1/hosts/h-1/activate", "{}"),
  make("DELETE", "/v1/hosts/h-1/key"),
  make("GET", "/v1/images?app_id=web"),
  make("GET", `/v1/images/${DIGEST}`),
  make("PUT", `/v1/images/${DIGEST}?app_id=web`, IMAGE),
  make("PUT", `/v1/images/${DIGEST}?app_id=web`, IMAGE, ["Expect: 100-continue"]),
  make("DELETE", `/v1/images/${DIGEST}`),
  make("GET", "/v1/auth/whoami", null, ["X-Zwrm-Org: default"]),
  make("GET", "/v1/status"),
  make("OPTIONS", "/v1/hosts", null, ["Origin: https://console.example", "Access-Control-Request-Method: GET"]),
];

const NASTY: readonly string[] = [
  "../../../../tmp/zwrmd-fuzz-escape",
  "..%2f..%2f..%2ftmp%2fzwrmd-fuzz-escape",
  "%2e%2e/%2e%2e",
  "....//",
  "%00",
  "%",
  "%zz",
  "%c0%ae%c0%ae",
  "%u002e",
  "\\..\\..",
  "/",
  "//",
  ";",
  "?",
  "#",
  "__proto__",
  "constructor",
  "toString",
  "hasOwnProperty",
  "null",
  "true",
  "-1",
  "0",
  "1e309",
  "9007199254740993",
  "NaN",
  "1.5",
  `""`,
  "[]",
  "{}",
  `{"__proto__":{"a":1}}`,
  "[[[[[[[[[[[[[[[[",
  `{"a":`.repeat(200),
  "\u0000",
  "\r\n",
  "\n",
  "\r",
  "\t",
  " ",
  "\u00e4",
  "\ud83d\ude00",
  "\uffff",
  "x".repeat(5_000),
  "9".repeat(400),
  "sha256:",
  `sha256:${"0".repeat(64)}`,
  "bytes=0-",
  "bytes=-1",
  "bytes=9999999999999999999999-",
  "bytes=0-0,2-2",
  "W/",
  "*",
  "chunked",
  "gzip",
  "identity",
  "100-continue",
  "HTTP/1.0",
  "HTTP/2.0",
  "HTTP/9.9",
  "http://evil.example/",
  "localhost@evil",
  "[::1]",
  "${jndi:ldap://x}",
  "' OR 1=1 --",
  "<script>",
];

const HEADERS: readonly string[] = [
  "Transfer-Encoding: chunked",
  "Transfer-Encoding: chunked, identity",
  "Transfer-Encoding : chunked",
  "Transfer-Encoding:\u000bchunked",
  "Content-Length: 0",
  "Content-Length: 7",
  "Content-Length: -1",
  "Content-Length: +5",
  "Content-Length: 99999999999999999999",
  "Host: evil.example",
  "Host:",
  "Authorization: Bearer x",
  "Authorization:",
  "Via: x",
  "X-Forwarded-For: 127.0.0.1",
  "Expect: 200-maybe",
  "Expect: 100-continue",
  "Upgrade: websocket",
  "Connection: Upgrade",
  "Connection: keep-alive",
  "Upgrade: h2c",
  "Range: bytes=0-0",
  "If-None-Match: *",
  "X-Request-Id: \u0001",
  "X-Request-Id: ok",
  "Content-Type: text/plain",
  "Content-Encoding: gzip",
  "Trailer: X",
  " folded",
  "No-Colon",
  ": no name",
  "X-Zwrm-Host-Key: short",
  "X-Zwrm-Org: ../..",
  "Origin: null",
  "Accept: text/event-stream",
];

const METHODS = [
  "GET",
  "HEAD",
  "POST",
  "PUT",
  "DELETE",
  "PATCH",
  "OPTIONS",
  "TRACE",
  "CONNECT",
  "PRI",
  "get",
  "M-SEARCH",
  "QUERY",
];

function pickOf<T>(list: readonly T[], chance: Chance): T {
  const found = list[chance(list.length)];
  if (found === undefined) throw new Error("nothing to pick from");
  return found;
}

function splice(bytes: Buffer, at: number, remove: number, insert: Buffer | string): Buffer {
  return Buffer.concat([bytes.subarray(0, at), Buffer.from(insert), bytes.subarray(at + remove)]);
}

/** Where a word begins and how long it is; words are what lies between the marks of HTTP and JSON. */
function word(bytes: Buffer, chance: Chance): [at: number, length: number] {
  const words = [...bytes.toString("latin1").matchAll(/[^\s/?&=:,"{}[\]]+/g)];
  const found = pickOf(words, chance);
  return [found.index, found[0].length];
}

function insertHeaders(bytes: Buffer, lines: string): Buffer {
  const at = bytes.indexOf("\r\n") + 2;
  return splice(bytes, at, 0, Buffer.from(lines, "latin1"));
}

const MUTATIONS: readonly ((bytes: Buffer, chance: Chance) => Buffer)[] = [
  (bytes, chance) => {
    const at = chance(bytes.length);
    return splice(bytes, at, 1, Buffer.of((bytes[at] ?? 0) ^ (1 << chance(8))));
  },
  (bytes, chance) => splice(bytes, chance(bytes.length), chance(4), pickOf(NASTY, chance)),
  (bytes, chance) => splice(bytes, chance(bytes.length), chance(30), ""),
  (bytes, chance) => bytes.subarray(0, chance(bytes.length) + 1),
  (bytes, chance) => {
    const at = chance(bytes.length);
    return splice(bytes, at, 0, bytes.subarray(at, at + chance(60)));
  },
  (bytes, chance) => splice(bytes, ...word(bytes, chance), pickOf(NASTY, chance)),
  (bytes, chance) => splice(bytes, ...word(bytes, chance), pickOf(NASTY, chance)),
  (bytes, chance) => splice(bytes, 0, bytes.indexOf(" "), pickOf(METHODS, chance)),
  (bytes, chance) => insertHeaders(bytes, `${pickOf(HEADERS, chance)}\r\n`),
  (bytes, chance) =>
    insertHeaders(
      bytes,
      Array.from({ length: 1 + chance(150) }, (_, index) => `X-Flood-${index}: ${"y".repeat(chance(200))}\r\n`).join(
        "",
      ),
    ),
  (bytes, chance) => Buffer.concat([bytes, pickOf(TEMPLATES, chance)]),
  (bytes) => bytes,
];

/** A request that was valid once. */
export function spoiled(chance: Chance): Buffer {
  let bytes = pickOf(TEMPLATES, chance);
  for (let times = chance(4); times > 0 && bytes.length > 1; times--) bytes = pickOf(MUTATIONS, chance)(bytes, chance);
  return bytes;
}
