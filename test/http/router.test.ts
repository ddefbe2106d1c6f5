import assert from "node:assert/strict";
import { test } from "node:test";
import { Router } from "../../src/http/router.ts";
import type { Match, Method, RouteShape } from "../../src/http/types.ts";

interface Named extends RouteShape {
  readonly name: string;
}

function row(method: Method, pattern: string): Named {
  return { method, pattern, body: "none", name: `${method} ${pattern}` };
}

const ROUTER = new Router([
  row("GET", "/"),
  row("GET", "/v1/hosts"),
  row("POST", "/v1/hosts"),
  row("GET", "/v1/hosts/{host_id}"),
  row("DELETE", "/v1/hosts/{host_id}"),
  row("POST", "/v1/hosts/replace-lost"),
  row("POST", "/v1/hosts/{host_id}/drain"),
  row("GET", "/v1/hosts/special/{part}"),
  row("PUT", "/v1/orgs/{id}/members/{user_id}"),
]);

function told(match: Match<Named>): string {
  if (match.kind === "found") return `${match.route.name} ${JSON.stringify(match.params)}`;
  if (match.kind === "wrong_method") return `405 ${match.pattern} ${match.allow}`;
  return match.kind === "malformed" ? `400 ${match.code}` : "404";
}

const TABLE: readonly (readonly [method: string, path: string, expected: string])[] = [
  ["GET", "/", "GET / {}"],
  ["HEAD", "/v1/hosts", "GET /v1/hosts {}"],
  ["POST", "/v1/hosts", "POST /v1/hosts {}"],
  ["GET", "/v1/hosts/h-1", 'GET /v1/hosts/{host_id} {"host_id":"h-1"}'],
  ["HEAD", "/v1/hosts/h-1", 'GET /v1/hosts/{host_id} {"host_id":"h-1"}'],
  ["PUT", "/v1/orgs/a/members/b", 'PUT /v1/orgs/{id}/members/{user_id} {"id":"a","user_id":"b"}'],
  // Static wins, and falls back to the param.
  ["POST", "/v1/hosts/replace-lost", "POST /v1/hosts/replace-lost {}"],
  ["GET", "/v1/hosts/replace-lost", 'GET /v1/hosts/{host_id} {"host_id":"replace-lost"}'],
  ["POST", "/v1/hosts/replace-lost/drain", 'POST /v1/hosts/{host_id}/drain {"host_id":"replace-lost"}'],
  ["POST", "/v1/hosts/special/drain", 'POST /v1/hosts/{host_id}/drain {"host_id":"special"}'],
  ["GET", "/v1/hosts/special/drain", 'GET /v1/hosts/special/{part} {"part":"drain"}'],
  // 405 gathers what every fitting pattern takes.
  ["PUT", "/v1/hosts/replace-lost", "405 /v1/hosts/replace-lost DELETE, GET, HEAD, POST"],
  ["PUT", "/v1/hosts", "405 /v1/hosts GET, HEAD, POST"],
  ["OPTIONS", "/v1/orgs/a/members/b", "405 /v1/orgs/{id}/members/{user_id} PUT"],
  ["__proto__", "/v1/hosts/h", "405 /v1/hosts/{host_id} DELETE, GET, HEAD"],
  ["constructor", "/v1/hosts", "405 /v1/hosts GET, HEAD, POST"],
  // Escapes are undone once, in params only.
  ["GET", "/v1/hosts/a%20b", 'GET /v1/hosts/{host_id} {"host_id":"a b"}'],
  ["GET", "/v1/hosts/a%2Fb", 'GET /v1/hosts/{host_id} {"host_id":"a/b"}'],
  ["GET", "/v1/hosts/a%252Fb", 'GET /v1/hosts/{host_id} {"host_id":"a%2Fb"}'],
  ["GET", "/v1/hosts/%C3%A4", 'GET /v1/hosts/{host_id} {"host_id":"ä"}'],
  ["GET", "/v1/%68osts", "404"],
  ["GET", "/%2e%2e/", "404"],
  ...[
    "%",
    "%2",
    "%zz",
    "%00",
    "%0a",
    "%7f",
    "%c2%85",
    "%ff",
    "%c0%af",
    "%ed%a0%80",
    "%2e",
    "%2e%2e",
    "%2E.",
    "a\u00e4",
    "a b",
  ].map((bad) => ["GET", `/v1/hosts/${bad}`, "400 malformed_request"] as const),
  // A path is never changed to make it fit.
  ...[
    "",
    "*",
    "v1/hosts",
    "/v1",
    "/v1/",
    "/v1/hosts/",
    "//v1/hosts",
    "/v1//hosts",
    "/v1/./hosts",
    "/v1/../v1/hosts",
    "/v1/hosts/.",
    "/v1/hosts/..",
    "/V1/hosts",
    "//",
    "/v1/hosts/x/",
  ].map((path) => ["GET", path, "404"] as const),
  ["POST", "/v1/hosts//drain", "404"],
  ["POST", "/v1/hosts/../drain", "404"],
  // Names of every object's prototype are segments like any other.
  ...["__proto__", "constructor", "toString", "hasOwnProperty"].map((name) => ["GET", `/${name}`, "404"] as const),
  ["GET", "/v1/hosts/__proto__", 'GET /v1/hosts/{host_id} {"host_id":"__proto__"}'],
];

for (const [method, path, expected] of TABLE) {
  test(`${method} ${JSON.stringify(path)} is ${expected}`, () =>
    assert.equal(told(ROUTER.match(method, path)), expected));
}

test("refuses tables that are not one clear answer", () => {
  const bad: (readonly [RouteShape[], RegExp])[] = [
    [[row("GET", "/a"), row("GET", "/a")], /two routes for GET \/a/],
    [[row("GET", "/a/{x}"), row("GET", "/a/{x}")], /two routes/],
    [[row("GET", "/a/{x}"), row("POST", "/a/{y}")], /\{y\}.*\{x\}/],
    [[row("GET", "/{x}/{x}")], /alike/],
    [[row("GET", "a")], /slash/],
    [[row("GET", "/a/")], /bad segment/],
    [[row("GET", "//a")], /bad segment/],
    [[row("GET", "/a{x}")], /bad segment/],
    [[row("GET", "/%61")], /bad segment/],
  ];
  for (const [routes, message] of bad) assert.throws(() => new Router(routes), message);
});

test("a path of a million segments costs no more than its match", () => {
  assert.equal(ROUTER.match("GET", "/v1/hosts".repeat(100_000)).kind, "none");
});
