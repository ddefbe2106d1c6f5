/** Part B, Wire: origins. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startDaemon } from "../support/daemon.ts";
import type { Answer } from "../support/http.ts";

const daemon = await startDaemon({
  config: `[cors]\nallowed_origins = ["https://console.example", "https://*.apps.example"]`,
});

function ask(
  origin: string | null,
  path = "/v1/health",
  method = "GET",
  headers: Record<string, string> = {},
): Promise<Answer> {
  return daemon.request(method, path, { headers: { ...(origin === null ? {} : { origin }), ...headers } });
}

function corsHeaders(answer: Answer): string[] {
  return Object.keys(answer.headers).filter((name) => name.startsWith("access-control-"));
}

test("Wire: an allowed origin (exact origins and https://*.example.com) is named in the answer", async () => {
  for (const origin of ["https://console.example", "https://a.apps.example", "https://a.b.apps.example"]) {
    const answer = await ask(origin);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers["access-control-allow-origin"], origin);
  }
});

test("Wire: An origin that is not allowed is served without CORS headers; the browser refuses it", async () => {
  const others = [
    "https://evil.example",
    "http://console.example",
    "https://console.example:8443",
    "https://console.example.evil",
    "https://xconsole.example",
    "https://apps.example",
    "https://evilapps.example",
    "https://a.apps.example.evil",
    "null",
    "",
  ];
  for (const origin of others) {
    const answer = await ask(origin);
    assert.equal(answer.status, 200, origin);
    assert.deepEqual(corsHeaders(answer), [], origin);
  }
});

test("Wire: Vary: Origin is always there", async () => {
  const answers = [
    await ask(null),
    await ask("https://console.example"),
    await ask("https://evil.example"),
    await ask(null, "/nowhere"),
    await ask(null, "/v1/hosts", "DELETE"),
    await ask(null, "/v1/internal/images"),
  ];
  for (const answer of answers) assert.match(String(answer.headers.vary), /\bOrigin\b/, String(answer.status));
});

test("Wire: errors bear the CORS headers too, so that a page can read them", async () => {
  for (const path of ["/nowhere", "/v1/hosts", "/v1/internal/images", "/v1/hosts/%"]) {
    const answer = await ask("https://console.example", path);
    assert.ok(answer.status >= 400, path);
    assert.equal(answer.headers["access-control-allow-origin"], "https://console.example", path);
  }
});

test(
  "Wire: a preflight of an allowed origin is answered before any auth, with the methods and headers that " +
    "the API takes",
  async () => {
    const answer = await ask("https://console.example", "/v1/hosts/h-1/drain", "OPTIONS", {
      "access-control-request-method": "POST",
      "access-control-request-headers": "authorization,content-type",
    });
    assert.equal(answer.status, 204);
    assert.equal(answer.headers["access-control-allow-origin"], "https://console.example");
    assert.match(String(answer.headers["access-control-allow-methods"]), /\bPOST\b/);
    assert.match(
      String(answer.headers["access-control-allow-headers"]).toLowerCase(),
      /authorization.*content-type|content-type.*authorization/,
    );
    const refused = await ask("https://evil.example", "/v1/hosts/h-1/drain", "OPTIONS", {
      "access-control-request-method": "POST",
    });
    assert.deepEqual(corsHeaders(refused), []);
  },
);

test(
  "Wire: a page may resume the events, ask for a part, and act in an org: a preflight allows what the " + "API reads",
  async () => {
    const answer = await ask("https://console.example", "/v1/events", "OPTIONS", {
      "access-control-request-method": "GET",
      "access-control-request-headers": "authorization,last-event-id",
    });
    const allowed = String(answer.headers["access-control-allow-headers"]).toLowerCase().split(", ");
    for (const name of [
      "last-event-id",
      "range",
      "if-range",
      "if-none-match",
      "idempotency-key",
      "x-zwrm-org",
      "x-request-id",
    ])
      assert.ok(allowed.includes(name), name);
  },
);
