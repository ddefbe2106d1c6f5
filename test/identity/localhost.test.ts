/** The localhost bypass: it applies with every condition met, and not with any single one broken. */
import assert from "node:assert/strict";
import test from "node:test";
import type { PeerFacts } from "../../src/identity/localhost.ts";
import { isLoopback, isLoopbackHost, whyNotLocal } from "../../src/identity/localhost.ts";

const LOCAL: PeerFacts = {
  unixSocket: false,
  remoteAddress: "127.0.0.1",
  localAddress: "127.0.0.1",
  httpVersion: "1.1",
  target: "/v1/hosts",
  rawHeaders: ["Host", "127.0.0.1:8080", "User-Agent", "curl/8"],
};
const SOCKET: PeerFacts = {
  ...LOCAL,
  unixSocket: true,
  remoteAddress: null,
  localAddress: null,
  rawHeaders: ["Host", "zwrmd"],
};

function withHeaders(...rawHeaders: string[]): Partial<PeerFacts> {
  return { rawHeaders: [...LOCAL.rawHeaders, ...rawHeaders] };
}

function withHost(...hosts: string[]): Partial<PeerFacts> {
  return { rawHeaders: hosts.flatMap((host) => ["Host", host]) };
}

const APPLIES: readonly [why: string, change: Partial<PeerFacts>][] = [
  ["from 127.0.0.1 to 127.0.0.1", {}],
  ["from ::1 to ::1", { remoteAddress: "::1", localAddress: "::1", ...withHost("[::1]:8080") }],
  ["from 127.0.0.2", { remoteAddress: "127.0.0.2" }],
  ["from 127.255.255.254", { remoteAddress: "127.255.255.254" }],
  ["through a dual-stack listener", { remoteAddress: "::ffff:127.0.0.1", localAddress: "::ffff:127.0.0.1" }],
  ["with Host localhost and no port", withHost("localhost")],
  ["with Host localhost and a port", withHost("localhost:65535")],
  ["with Host in capitals", withHost("LocalHost:8080")],
  ["with Host 127.0.0.1 and no port", withHost("127.0.0.1")],
  ["with Host [::1] and no port", withHost("[::1]")],
  ["with Host 127.0.0.2", withHost("127.0.0.2:8080")],
  ["with a query in the target", { target: "/v1/hosts?x=http://evil" }],
  ["with Sec-Fetch-Site none: typed into a browser", withHeaders("Sec-Fetch-Site", "none")],
  [
    "with a header that only looks like a forwarding one",
    withHeaders("X-Forward", "1", "Viable", "1", "Original", "1"),
  ],
];

for (const [why, change] of APPLIES) {
  test(`the bypass applies ${why}`, () => assert.equal(whyNotLocal({ ...LOCAL, ...change }), null));
}

type Broken = [why: string, change: Partial<PeerFacts>, reason: RegExp];

const FORWARDING = [
  "Forwarded",
  "Via",
  "X-Real-IP",
  "X-Forwarded-For",
  "X-Forwarded-Host",
  "X-Forwarded-Proto",
  "X-Forwarded-Anything",
  "x-forwarded-",
];

const BROKEN: readonly Broken[] = [
  ["from another machine", { remoteAddress: "10.0.0.7" }, /not a local one/],
  ["from another machine over IPv6", { remoteAddress: "2001:db8::1" }, /not a local one/],
  ["from a link-local address with a zone", { remoteAddress: "fe80::1%eth0" }, /not a local one/],
  ["from another machine, mapped into IPv6", { remoteAddress: "::ffff:10.0.0.7" }, /not a local one/],
  ["from 128.0.0.1, just beyond the loopback", { remoteAddress: "128.0.0.1" }, /not a local one/],
  ["from 126.255.255.255, just before it", { remoteAddress: "126.255.255.255" }, /not a local one/],
  ["from 0.0.0.0", { remoteAddress: "0.0.0.0" }, /not a local one/],
  ["from ::", { remoteAddress: "::" }, /not a local one/],
  ["from ::127.0.0.1, which is not mapped", { remoteAddress: "::127.0.0.1" }, /not a local one/],
  ["from an address that begins well", { remoteAddress: "127.0.0.1.evil.com" }, /not a local one/],
  ["from an address that the socket does not know", { remoteAddress: null }, /not a local one/],
  ["to an address of the outside (route_localnet)", { localAddress: "10.0.0.1" }, /not a local one/],
  ["to an address that the socket does not know", { localAddress: null }, /not a local one/],
  ["with a target of absolute form", { target: "http://127.0.0.1:8080/v1/hosts" }, /not a path/],
  ["with a target of authority form", { target: "127.0.0.1:8080" }, /not a path/],
  ["with the target *", { target: "*" }, /not a path/],
  ["with an empty target", { target: "" }, /not a path/],
  ["with HTTP/1.0 and no Host", { httpVersion: "1.0", rawHeaders: [] }, /HTTP\/1\.0/],
  ["with HTTP/1.0 and a Host: nginx with a bare proxy_pass", { httpVersion: "1.0" }, /HTTP\/1\.0/],
  ["without a Host", withHost(), /Host/],
  ["with an empty Host", withHost(""), /Host/],
  ["with two Hosts that agree", withHost("127.0.0.1:8080", "127.0.0.1:8080"), /Host/],
  ["with a second Host in other letters", { rawHeaders: ["Host", "127.0.0.1", "hOST", "evil.com"] }, /Host/],
  ["with a rebound name", withHost("evil.com:8080"), /Host/],
  ["with Host 127.0.0.1.evil.com", withHost("127.0.0.1.evil.com"), /Host/],
  ["with Host localhost.evil.com", withHost("localhost.evil.com"), /Host/],
  ["with Host evil-localhost", withHost("evil-localhost"), /Host/],
  ["with Host localhost and a dot", withHost("localhost."), /Host/],
  ["with a user in Host", withHost("evil@127.0.0.1"), /Host/],
  ["with Host ::1 without brackets", withHost("::1"), /Host/],
  ["with Host [::1].evil.com", withHost("[::1].evil.com"), /Host/],
  ["with Host 127.1", withHost("127.1"), /Host/],
  ["with Host 0177.0.0.1", withHost("0177.0.0.1"), /Host/],
  ["with Host 2130706433", withHost("2130706433"), /Host/],
  ["with Host 0.0.0.0", withHost("0.0.0.0:8080"), /Host/],
  ["with Host 10.0.0.1", withHost("10.0.0.1:8080"), /Host/],
  ["with a port that is none", withHost("localhost:http"), /Host/],
  ["with a port too long", withHost("localhost:123456"), /Host/],
  ["with a blank behind Host", withHost("localhost evil"), /Host/],
  ["with Authorization", withHeaders("Authorization", "Bearer x"), /credentials/],
  ["with an empty Authorization", withHeaders("authorization", ""), /credentials/],
  ["with an Origin", withHeaders("Origin", "http://localhost:8080"), /browser/],
  ["with an empty Origin", withHeaders("Origin", ""), /browser/],
  ["with Origin null", withHeaders("ORIGIN", "null"), /browser/],
  ...["same-origin", "same-site", "cross-site", "", "None", "none, none"].map((site): Broken => [
    `with Sec-Fetch-Site ${JSON.stringify(site)}`,
    withHeaders("Sec-Fetch-Site", site),
    /browser/,
  ]),
  ...FORWARDING.flatMap((name): Broken[] => [
    [`with ${name}`, withHeaders(name, "127.0.0.1"), /proxy/],
    [`with ${name} of no value`, withHeaders(name.toLowerCase(), ""), /proxy/],
    [`with ${name} in capitals`, withHeaders(name.toUpperCase(), "x"), /proxy/],
  ]),
];

for (const [why, change, reason] of BROKEN) {
  test(`the bypass does not apply ${why}`, () =>
    assert.match(whyNotLocal({ ...LOCAL, ...change }) ?? "it applies", reason));
}

test("a peer on the unix socket needs no address and no Host", () => {
  assert.equal(whyNotLocal(SOCKET), null);
  assert.equal(whyNotLocal({ ...SOCKET, rawHeaders: [] }), null);
});

test("HTTP/1.0 closes the unix socket's bypass too: it is what nginx speaks there", () => {
  assert.match(whyNotLocal({ ...SOCKET, httpVersion: "1.0" }) ?? "it applies", /HTTP\/1\.0/);
});

test("a proxy, a browser or credentials close the unix socket's bypass too", () => {
  for (const header of [
    "Forwarded",
    "Via",
    "X-Real-IP",
    "X-Forwarded-For",
    "Origin",
    "Sec-Fetch-Site",
    "Authorization",
  ]) {
    assert.notEqual(whyNotLocal({ ...SOCKET, rawHeaders: ["Host", "zwrmd", header, ""] }), null, header);
  }
});

test("the loopback is 127.0.0.0/8, ::1, and those mapped into IPv6", () => {
  for (const good of [
    "127.0.0.1",
    "127.1.2.3",
    "::1",
    "0:0:0:0:0:0:0:1",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "::FFFF:127.9.9.9",
  ])
    assert.ok(isLoopback(good), good);
  for (const bad of [
    null,
    "",
    "localhost",
    "127.0.0.1:80",
    "[::1]",
    "127.0.0",
    "127.0.0.256",
    "::2",
    "::ffff:128.0.0.1",
    "fe80::1%lo",
    "1.127.0.0",
  ])
    assert.ok(!isLoopback(bad), String(bad));
});

test("a Host names the loopback by address or as localhost", () => {
  for (const good of [
    "localhost",
    "localhost:1",
    "127.0.0.1",
    "127.3.2.1:8080",
    "[::1]",
    "[::1]:8080",
    "[::ffff:127.0.0.1]:80",
  ])
    assert.ok(isLoopbackHost(good), good);
  for (const bad of [
    "",
    ":80",
    "localhost:",
    "[localhost]",
    "[127.0.0.1]",
    "[::2]",
    "[::1",
    "::1]:80",
    "127.0.0.1:80:80",
    "localhost\n",
    "evil",
    "127.0.0.1/x",
  ])
    assert.ok(!isLoopbackHost(bad), bad);
});
