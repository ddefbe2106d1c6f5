/** Holds the table of settings to its defaults, to the ranges of every kind, and to naming every row once. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BadValue } from "../../src/config/kinds.ts";
import type { SettingEntry } from "../../src/config/schema.ts";
import { listSettings } from "../../src/config/schema.ts";
import type { TomlValue } from "../../src/config/toml.ts";
import { parseToml } from "../../src/config/toml.ts";

function find(name: string): SettingEntry {
  return listSettings().find(({ section, key }) => `${section}.${key}` === name) ?? assert.fail(`no setting ${name}`);
}

/** The value of `x = <toml>`. */
function toml(written: string): TomlValue {
  return parseToml(`x = ${written}`).get("x") ?? assert.fail(written);
}

function accepts(name: string, written: string, value: unknown): void {
  assert.deepEqual(find(name).setting.fromToml(toml(written)), value, `${name} = ${written}`);
}

function refuses(name: string, written: string, reason: RegExp): void {
  assert.throws(
    () => find(name).setting.fromToml(toml(written)),
    (error) => {
      assert.ok(error instanceof BadValue, String(error));
      assert.match(error.message, reason);
      return true;
    },
    `${name} = ${written}`,
  );
}

test("every row has lines for operators, a default that it takes itself, and a variable of its own", () => {
  const entries = listSettings();
  assert.equal(new Set(entries.map(({ variable }) => variable)).size, entries.length);
  for (const { section, key, variable, setting } of entries) {
    const name = `${section}.${key}`;
    assert.ok(setting.docs.length >= 1 && setting.docs.every((line) => line.length > 0 && line.length <= 110), name);
    assert.match(key, /^[a-z]+(?:_[a-z]+)*$/);
    assert.equal(variable, `ZWRM_${section.toUpperCase()}_${key.toUpperCase()}`);
    assert.deepEqual(setting.fromToml(toml(setting.literal)), setting.fallback, name);
  }
});

test("what authenticates is secret, and only certificates, origins, licences and quotas are reloaded", () => {
  const marked = (mark: "secret" | "reload"): string[] =>
    listSettings()
      .filter(({ setting }) => setting[mark])
      .map(({ section, key }) => `${section}.${key}`);
  assert.deepEqual(marked("secret"), ["license.key", "license.key_hashes"]);
  assert.deepEqual(marked("reload"), [
    "server.tls_cert",
    "server.tls_key",
    "quota.apps",
    "quota.replicas",
    "quota.cpus",
    "quota.memory_mb",
    "quota.env_bytes",
    "quota.images",
    "quota.image_bytes",
    "quota.labels",
    "license.key",
    "license.key_hashes",
    "cors.allowed_origins",
  ]);
});

test("an integer is whole, not a float, and within its range", () => {
  accepts("server.port", "0", 0);
  accepts("server.port", "65535", 65535);
  accepts("server.port", "0x1f90", 8080);
  for (const written of ["-1", "65536", "8080.0", '"8080"', "true", "[8080]", "9223372036854775807"])
    refuses("server.port", written, /^must be a whole number from 0 to 65535, not /);
  accepts("journal.segment_bytes", "4096", 4096);
  refuses("journal.segment_bytes", "4095", /from 4096 to/);
  accepts("images.max_bytes", "9007199254740991", Number.MAX_SAFE_INTEGER);
  refuses("images.max_bytes", "9007199254740992", /not 9007199254740992$/);
  refuses("server.max_connections", "0", /from 1 to/);
});

test("a text variable of an integer is read as strictly as the file", () => {
  const { setting } = find("images.max_bytes");
  assert.equal(setting.fromText("9007199254740991"), Number.MAX_SAFE_INTEGER);
  for (const text of ["", " 1", "1 ", "+1", "-1", "1.0", "1e3", "0x10", "01", "1_000", "99999999999999999999"])
    assert.throws(() => setting.fromText(text), BadValue, text);
});

test("a boolean is true or false, in a variable too", () => {
  const { setting } = find("auth.localhost_bypass");
  assert.deepEqual(
    [setting.fromText("true"), setting.fromText("false"), setting.fromToml(false)],
    [true, false, false],
  );
  for (const text of ["", "1", "yes", "True", "FALSE"])
    assert.throws(() => setting.fromText(text), /must be true or false/, text);
  refuses("auth.localhost_bypass", "1", /must be true or false, not 1/);
});

test("a duration is a text with units, whole milliseconds, within its range", () => {
  accepts("hosts.offline_after", '"1m30s"', 90_000);
  accepts("hosts.offline_after", '"1s"', 1_000);
  accepts("hosts.offline_after", '"1d"', 86_400_000);
  accepts("hosts.check_interval", '"0.5s"', 500);
  for (const written of [
    "30",
    '"30"',
    '"999ms"',
    '"25h"',
    '""',
    '"-5s"',
    '"1s "',
    '"1.0005s"',
    '"forever"',
    "00:00:30",
  ])
    refuses("hosts.offline_after", written, /^must be a duration such as "1m30s", from 1s to 24h, not /);
});

test("retention is a duration or forever", () => {
  accepts("journal.retain", '"forever"', null);
  accepts("journal.retain", '"30d"', 30 * 86_400_000);
  accepts("journal.retain", '"0s"', 0);
  refuses("journal.retain", '"Forever"', /^must be "forever" or a duration/);
  refuses("journal.retain", "0", /^must be "forever" or a duration/);
});

test("a choice is one of its values, in their case", () => {
  accepts("scheduler.strategy", '"pack"', "pack");
  accepts("log.format", '"json"', "json");
  for (const level of ["debug", "info", "warn", "error"]) accepts("log.level", `"${level}"`, level);
  refuses("log.level", '"warning"', /^must be one of "debug", "info", "warn", "error", not "warning"$/);
  refuses("log.format", '"JSON"', /must be one of/);
  refuses("scheduler.strategy", "1", /must be one of "spread", "pack", not 1/);
});

test("a host is an address without brackets, or a name", () => {
  for (const host of ["::", "::1", "127.0.0.1", "0.0.0.0", "fe80::1%eth0", "localhost", "h-1.example.com"])
    accepts("server.host", `"${host}"`, host);
  for (const host of ["", "[::]", "127.0.0.1:8080", "256.1.1.1", "1.2.3", "http://x", "a b", "-a", "a..b", "a_b"])
    refuses("server.host", `"${host}"`, /must be an IP address/);
});

test("a host name has at most 253 characters", () => {
  const name = `${"a".repeat(63)}.`.repeat(3) + "b".repeat(61);
  accepts("server.host", `"${name}"`, name);
  refuses("server.host", `"${name}b"`, /must be an IP address/);
});

test("paths keep control characters out, data_dir is not empty, a socket's path fits the kernel", () => {
  accepts("server.socket", `"/${"é".repeat(53)}"`, `/${"é".repeat(53)}`);
  refuses("server.socket", `"/${"é".repeat(53)}x"`, /at most 107 bytes/);
  refuses("state.data_dir", '""', /must be the path of a folder/);
  refuses("build.images_dir", '"a\\u0000b"', /^must not contain control characters$/);
  refuses("state.data_dir", '"a\\nb"', /control characters/);
});

test("an origin is written as browsers send it, exact or with one star for the names below a domain", () => {
  for (const origin of [
    "https://ui.example.com",
    "http://localhost:3000",
    "https://ui.example.com:8443",
    "https://*.example.com",
    "https://*.eu.example.com",
    "http://[::1]:3000",
    "https://xn--mnchen-3ya.example",
  ])
    accepts("cors.allowed_origins", `["${origin}"]`, [origin]);
  for (const origin of [
    "*",
    "null",
    "",
    "ui.example.com",
    "ftp://example.com",
    "https://",
    "https://*",
    "https://*.*.com",
    "https://ui.*.com",
    "file:///x",
    "https://a*.example.com",
  ])
    refuses("cors.allowed_origins", `["${origin}"]`, /must be origins such as/);
  const corrected = [
    ["https://ui.example.com/", "https://ui.example.com"],
    ["https://UI.example.com", "https://ui.example.com"],
    ["https://ui.example.com:443", "https://ui.example.com"],
    ["https://u@ui.example.com", "https://ui.example.com"],
    ["https://*.Example.com/x", "https://*.example.com"],
  ];
  for (const [given, right] of corrected)
    assert.throws(() => find("cors.allowed_origins").setting.fromText(given ?? ""), {
      message: `must be written as browsers send it ("${right}"), not "${given}"`,
    });
  for (const origin of ["https://*.com", "https://*.localhost", "https://*.example.com:8443"])
    refuses("cors.allowed_origins", `["${origin}"]`, /must name a domain below a top-level one/);
  refuses("cors.allowed_origins", '["http://*.example.com"]', /must be origins such as/);
});

test("a list is a list of texts; in a variable commas part it and blanks do not count", () => {
  const { setting } = find("cors.allowed_origins");
  assert.deepEqual(setting.fromText(" https://a.example , https://b.example,,https://a.example"), [
    "https://a.example",
    "https://b.example",
  ]);
  assert.deepEqual(setting.fromText(""), []);
  refuses(
    "cors.allowed_origins",
    '"https://a.example"',
    /^must be a list, each an origin .*, not "https:\/\/a\.example"$/,
  );
  refuses("cors.allowed_origins", "[1]", /not 1$/);
});

test("licence hashes are 64 lower-case hex characters, and no message quotes one or a key", () => {
  const hash = "0123456789abcdef".repeat(4);
  accepts("license.key_hashes", `["${hash}"]`, [hash]);
  for (const written of [
    `["${hash.toUpperCase()}"]`,
    `["${hash}0"]`,
    `["${hash.slice(1)}"]`,
    `"${hash}"`,
    "[12345678]",
    `["sha256:${hash}"]`,
  ]) {
    refuses("license.key_hashes", written, /^must be [^0-9]*(?:SHA-256|64)/);
    refuses("license.key_hashes", written, /^(?!.*(?:12345678|0123456789|ABCDEF))/);
  }
  accepts("license.key", '"a key with blanks inside"', "a key with blanks inside");
  for (const written of ['"hunter2\\n"', '" hunter2"', "{ hunter2 = 1 }", '["hunter2"]'])
    refuses("license.key", written, /^must (?!.*hunter2)/);
});

test("a message shows a long value only in part, on one line", () => {
  refuses("log.level", `"${"x".repeat(10_000)}"`, /^.{1,150}$/);
  refuses("log.level", '"a\\nb"', /not "a\\nb"$/);
});

test("a message names a value of a type that the setting does not know", () => {
  for (const [written, shown] of [
    ["1.5", "the float 1.5"],
    ["2026-01-31", "the date 2026-01-31"],
    ["{ a = 1 }", "a table"],
    ["[1]", "a list"],
    ["true", "true"],
  ] as const)
    refuses("server.port", written, new RegExp(`, not ${shown}$`));
});
