import assert from "node:assert/strict";
import { test } from "node:test";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ALLOW_HEADERS, EXPOSE_HEADERS, parseOrigins } from "../../src/http/middleware/cors.ts";
import { get, HOST, serve } from "./harness.ts";

const ALLOWED = [
  "https://app.example.com",
  "http://localhost:3000",
  "https://*.example.org",
  "https://*.ports.example:8443",
  "HTTPS://Upper.Example:443",
];

test("allows exact origins and names below a wildcard, and nothing that only looks like them", () => {
  const allows = parseOrigins(ALLOWED);
  const yes = [
    "https://app.example.com",
    "http://localhost:3000",
    "https://a.example.org",
    "https://a.b-c.example.org",
    "https://my_app.example.org",
    "https://_a.b_.example.org",
    "https://x.ports.example:8443",
    "https://upper.example",
  ];
  const no = [
    "null",
    "",
    "*",
    "https://",
    "https://app.example.com/",
    "https://app.example.com:443",
    "https://app.example.com:8443",
    "http://app.example.com",
    "https://app.example.com.evil.example",
    "https://example.org",
    "https://.example.org",
    "https://evil-example.org",
    "https://evilexample.org",
    "http://a.example.org",
    "https://a.example.org:8443",
    "https://a..example.org",
    "https://evil.example/.example.org",
    "https://evil.example#.example.org",
    "https://evil.example?.example.org",
    "https://evil.example\\.example.org",
    "https://user@a.example.org",
    "https://evil.example:1.example.org",
    "https://A.EXAMPLE.ORG",
    "https://a.example.org.",
    "https://x.ports.example",
    "http://localhost",
    "http://localhost:3000, https://app.example.com",
    "https://a b.example.org",
    "https://*.example.org",
  ];
  for (const origin of yes) assert.ok(allows(origin), origin);
  for (const origin of no) assert.ok(!allows(origin), origin);
});

test("refuses what is no origin, quoting it", () => {
  for (const bad of [
    "*",
    "null",
    "",
    "example.com",
    "https://",
    "https://a.example/",
    "https://a.example/x",
    "ftp://a.example",
    "https://*",
    "https://a.*.example",
    "https://*example.com",
    "https://u@a.example",
    "https://*.a.example/x",
    "https://*.*.example",
  ]) {
    assert.throws(
      () => parseOrigins([bad]),
      (error: Error) => error.message.startsWith(`"${bad}" is not an origin`),
      bad,
    );
  }
});

test(
  "an allowed origin may read answers and errors; another one, or none, gets neither header; Vary is " + "always there",
  async (t) => {
    const { connect } = await serve(t);
    const wire = await connect();
    let count = 0;
    const ask = async (path: string, origin: string | null) => {
      wire.send(get(path, origin === null ? "" : `Origin: ${origin}\r\n`));
      count += 1;
      return (await wire.count(count))[count - 1] ?? assert.fail();
    };
    for (const path of ["/", "/nowhere", "/throw", "/things/%zz"]) {
      const allowed = await ask(path, "https://a.wild.example");
      assert.equal(allowed.headers["access-control-allow-origin"], "https://a.wild.example");
      assert.equal(allowed.headers["access-control-expose-headers"], EXPOSE_HEADERS.join(", "));
      assert.equal(allowed.headers["access-control-allow-credentials"], undefined);
      for (const origin of ["https://wild.example", "null", null]) {
        const other = await ask(path, origin);
        assert.equal(other.status, allowed.status);
        assert.equal(
          Object.keys(other.headers).some((name) => name.startsWith("access-control")),
          false,
        );
        assert.equal(other.headers["vary"], "Origin");
      }
    }
  },
);

const PREFLIGHT = "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization\r\n";

test(
  "answers a preflight with what the path takes; for another origin, an unknown path or no preflight it " +
    "is a plain OPTIONS",
  async (t) => {
    const { connect, recorded } = await serve(t);
    const wire = await connect();
    const options = (path: string, headers: string): string => `OPTIONS ${path} HTTP/1.1\r\n${HOST}${headers}\r\n`;
    wire.send(options("/json", `Origin: https://app.example.com\r\n${PREFLIGHT}`));
    const { status, headers } = await wire.one();
    assert.equal(status, 204);
    assert.equal(headers["access-control-allow-origin"], "https://app.example.com");
    assert.equal(headers["access-control-allow-methods"], "POST");
    assert.equal(headers["access-control-allow-headers"], ALLOW_HEADERS.join(", "));
    assert.equal(headers["access-control-max-age"], "600");
    assert.equal(headers["vary"], "Origin");
    wire.send(options("/json", `Origin: https://evil.example\r\n${PREFLIGHT}`));
    wire.send(options("/nowhere", `Origin: https://app.example.com\r\n${PREFLIGHT}`));
    wire.send(options("/json", "Origin: https://app.example.com\r\n"));
    wire.send(options("/json", PREFLIGHT));
    assert.deepEqual(
      (await wire.count(5)).slice(1).map((answer) => answer.status),
      [405, 404, 405, 405],
    );
    assert.deepEqual(recorded.rows, [
      "OPTIONS /json 405",
      "OPTIONS none 404",
      "OPTIONS /json 405",
      "OPTIONS /json 405",
    ]);
  },
);

test("replaces the origins while it runs, and keeps the old ones where the new are wrong", async (t) => {
  const { connect, cors } = await serve(t);
  const wire = await connect();
  cors.replace(["https://new.example"]);
  assert.throws(() => cors.replace(["https://newer.example", "nonsense"]));
  wire
    .send(get("/", "Origin: https://app.example.com\r\n"))
    .send(get("/", "Origin: https://new.example\r\n"))
    .send(get("/", "Origin: https://newer.example\r\n"));
  assert.deepEqual(
    (await wire.count(3)).map((answer) => answer.headers["access-control-allow-origin"]),
    [undefined, "https://new.example", undefined],
  );
});

const SRC = fileURLToPath(new URL("../../src/", import.meta.url));
/** The rooms that see requests and make answers. */
const SERVING = ["api", "daemon", "http", "identity", "images", "lib"];

/** Every find of `pattern`'s first group in those rooms, in lower case. */
function findAll(pattern: RegExp): Set<string> {
  const found = new Set<string>();
  for (const room of SERVING) {
    for (const file of readdirSync(join(SRC, room), { recursive: true, encoding: "utf8" }).filter((name) =>
      name.endsWith(".ts"),
    )) {
      for (const [, name] of readFileSync(join(SRC, room, file), "utf8").matchAll(pattern))
        if (name !== undefined) found.add(name.toLowerCase());
    }
  }
  return found;
}

/** What a page cannot set, or needs no leave for (Fetch: forbidden and safelisted request headers). */
const NEEDS_NO_LEAVE = ["accept", "access-control-request-method", "content-length", "origin", "transfer-encoding"];
/** What browsers show unasked, or what is none of a page's business. */
const NEEDS_NO_SHOWING = [
  "access-control-allow-headers",
  "access-control-allow-methods",
  "access-control-allow-origin",
  "access-control-expose-headers",
  "access-control-max-age",
  "cache-control",
  "content-length",
  "content-type",
  "x-accel-buffering",
  "x-content-type-options",
];

test("a preflight allows every header that is read: the next one cannot be forgotten", () => {
  const read = findAll(/\bheader(?:s\[|\()"([A-Za-z-]+)"/g);
  assert.ok(read.size > 12);
  const allowed = ALLOW_HEADERS.map((name) => name.toLowerCase());
  assert.deepEqual([...read].filter((name) => !NEEDS_NO_LEAVE.includes(name)).sort(), [...allowed].sort());
});

test("an answer exposes every header that says something", () => {
  const written = findAll(
    /(?:\{|, |^\s+|setHeader\(|\[|push\()"?((?:[A-Z][A-Za-z]*-[A-Za-z-]+[a-z]|ETag|Allow))"?(?::|,)/gm,
  );
  const exposed = EXPOSE_HEADERS.map((name) => name.toLowerCase());
  assert.ok(written.size > 12);
  // The lists of this very file name headers of requests too.
  const ofRequests = ALLOW_HEADERS.map((name) => name.toLowerCase()).filter((name) => !exposed.includes(name));
  assert.deepEqual(
    [...written].filter((name) => !NEEDS_NO_SHOWING.includes(name) && !ofRequests.includes(name)).sort(),
    [...exposed].sort(),
  );
});
