/** Part B, Commands: what zwrmd says on the command line, its config, and its exit codes. */
import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { StartFailed, runProgram, startDaemon } from "../support/daemon.ts";
import type { RunResult } from "../support/daemon.ts";

const folder = mkdtempSync(join(tmpdir(), "zwrmd-commands-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const file = join(folder, "config.toml");

function check(config: string, env: Record<string, string> = {}): Promise<RunResult> {
  writeFileSync(file, config, { mode: 0o640 });
  return runProgram(["--check-config", "--config", file], env);
}

test("zwrmd --version", async () => {
  const manifest = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  const result = await runProgram(["--version"]);
  assert.deepEqual([result.code, result.stdout, result.stderr], [0, `zwrmd ${manifest.version}\n`, ""]);
});

test("zwrmd --help names every command", async () => {
  const result = await runProgram(["--help"]);
  assert.equal(result.code, 0);
  for (const word of [
    "--config",
    "--data-dir",
    "--generate-config",
    "--check-config",
    "--version",
    "journal verify",
    "dump",
    "compact",
    "images verify",
  ])
    assert.ok(result.stdout.includes(word), word);
});

test("Exit codes: 0 done, 1 failed, 2 wrong usage", async () => {
  for (const words of [
    ["--no-such-flag"],
    ["dance"],
    ["journal"],
    ["journal", "burn"],
    ["--config"],
    ["journal", "verify", "--head", "7"],
    ["images", "verify", "--head", `1:${"0".repeat(64)}`],
  ]) {
    const result = await runProgram(words);
    assert.equal(result.code, 2, words.join(" "));
    assert.notEqual(result.stderr, "");
    assert.equal(result.stdout, "");
  }
  const missing = await runProgram(["--config", join(folder, "missing.toml")]);
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /missing\.toml/);
});

test(
  "--generate-config: a documented file that --check-config takes as it stands, and whose keys are those " +
    "of the contract",
  async () => {
    const generated = await runProgram(["--generate-config"]);
    assert.equal(generated.code, 0);
    const checked = await check(generated.stdout);
    assert.equal(checked.code, 0, checked.stderr);
    const uncommented = await check(generated.stdout.replace(/^# ?(?=[a-z_]+ = )/gm, ""));
    assert.ok(uncommented.code === 0 || /tls|key/.test(uncommented.stderr), uncommented.stderr);
    const sections: Record<string, string[]> = {
      server: [
        "host",
        "port",
        "socket",
        "read_timeout",
        "write_timeout",
        "idle_timeout",
        "max_body_bytes",
        "max_connections",
        "tls_cert",
        "tls_key",
      ],
      state: ["data_dir"],
      journal: ["segment_bytes", "retain"],
      build: ["images_dir"],
      images: ["max_bytes"],
      hosts: ["offline_after", "check_interval"],
      scheduler: ["strategy"],
      license: ["key", "key_hashes"],
      auth: ["localhost_bypass", "session_ttl"],
      cors: ["allowed_origins"],
      log: ["format", "level"],
    };
    let current = "";
    const found: Record<string, string[]> = {};
    for (const line of generated.stdout.split("\n")) {
      current = /^\[([a-z]+)\]$/.exec(line)?.[1] ?? current;
      const key = /^#? ?([a-z_]+) = /.exec(line)?.[1];
      if (key !== undefined) (found[current] ??= []).push(key);
    }
    for (const [section, keys] of Object.entries(sections))
      assert.deepEqual((found[section] ?? []).filter((key) => keys.includes(key)).sort(), [...keys].sort(), section);
    for (const text of [
      `idle_timeout = "75s"`,
      "max_connections = 20000",
      "port = 8080",
      `offline_after = "30s"`,
      `check_interval = "15s"`,
    ])
      assert.ok(generated.stdout.includes(text), text);
  },
);

test("an unknown key is an error with line number and the nearest known key", async () => {
  const key = await check(`[server]\nhost = "127.0.0.1"\nprot = 8080\n`);
  assert.equal(key.code, 1);
  assert.match(key.stderr, /\b3\b/);
  assert.match(key.stderr, /prot/);
  assert.match(key.stderr, /\bport\b/);
  const section = await check(`\n[sever]\nport = 8080\n`);
  assert.equal(section.code, 1);
  assert.match(section.stderr, /\b2\b|\b3\b/);
  assert.match(section.stderr, /\bserver\b/);
});

test("a wrong type is an error with line number", async () => {
  for (const [line, key] of [
    [`port = "8080"`, "port"],
    ["port = 70000", "port"],
    ["host = 7", "host"],
    [`read_timeout = "soon"`, "read_timeout"],
    ["idle_timeout = 75", "idle_timeout"],
    ["max_connections = 1.5", "max_connections"],
  ] as const) {
    const result = await check(`[server]\n\n${line}\n`);
    assert.equal(result.code, 1, line);
    assert.match(result.stderr, /\b3\b/, line);
    assert.match(result.stderr, new RegExp(key), line);
  }
  const twice = await check(`[server]\nport = 1\nport = 2\n`);
  assert.equal(twice.code, 1);
  assert.match(twice.stderr, /\b3\b/);
  assert.equal((await check("[server\n")).code, 1);
});

test("hosts.offline_after is any value from 1 s", async () => {
  assert.equal((await check(`[hosts]\noffline_after = "1s"`)).code, 0);
  assert.equal((await check(`[hosts]\noffline_after = "999ms"`)).code, 1);
});

test("every key has an environment override ZWRM_<SECTION>_<KEY>: a wrong one is named", async () => {
  const typed = [
    "SERVER_PORT",
    "SERVER_READ_TIMEOUT",
    "SERVER_WRITE_TIMEOUT",
    "SERVER_IDLE_TIMEOUT",
    "SERVER_MAX_BODY_BYTES",
    "SERVER_MAX_CONNECTIONS",
    "JOURNAL_SEGMENT_BYTES",
    "IMAGES_MAX_BYTES",
    "HOSTS_OFFLINE_AFTER",
    "HOSTS_CHECK_INTERVAL",
    "SCHEDULER_STRATEGY",
    "LICENSE_KEY_HASHES",
    "AUTH_LOCALHOST_BYPASS",
    "AUTH_SESSION_TTL",
    "LOG_FORMAT",
    "LOG_LEVEL",
  ];
  const results = await Promise.all(
    typed.map((name) => runProgram(["--check-config", "--config", file], { [`ZWRM_${name}`]: "%wrong%" })),
  );
  results.forEach((result, index) => {
    assert.equal(result.code, 1, typed[index]);
    assert.match(result.stderr, new RegExp(`ZWRM_${typed[index]}`));
  });
});

test("an environment override wins over the file, a flag over both", async (t) => {
  const elsewhere = join(folder, "by-env");
  const daemon = await startDaemon(
    {
      config: "[auth]\nlocalhost_bypass = true",
      env: { ZWRM_AUTH_LOCALHOST_BYPASS: "false", ZWRM_STATE_DATA_DIR: elsewhere },
    },
    t,
  );
  assert.equal((await daemon.request("GET", "/v1/hosts")).status, 401);
  await daemon.stop();
  assert.ok(readFileSync(join(elsewhere, "journal", "00000000000000000001.jsonl")).length > 0);
  const byFlag = join(folder, "by-flag");
  const other = await startDaemon({ args: ["--data-dir", byFlag], env: { ZWRM_STATE_DATA_DIR: elsewhere } }, t);
  await other.stop();
  assert.ok(readFileSync(join(byFlag, "journal", "00000000000000000001.jsonl")).length > 0);
});

test("The file holds secrets: the daemon warns when others can read it", async (t) => {
  const daemon = await startDaemon({}, t);
  const warned = (): boolean =>
    /others|readable|0640|permission/i.test(
      [...daemon.stdoutLines.filter((line) => line.includes(" WARN ")), daemon.stderr].join("\n"),
    );
  assert.equal(warned(), false, "0640 is fine");
  chmodSync(daemon.configFile, 0o644);
  await daemon.restart();
  assert.equal(warned(), true);
});

test("log.format = json: every line is an object, requests too", async (t) => {
  const daemon = await startDaemon({ config: `[log]\nformat = "json"` }, t);
  await daemon.request("GET", "/v1/health", { headers: { "x-request-id": "as-json" } });
  const line = JSON.parse(await daemon.line(/as-json/)) as Record<string, unknown>;
  assert.deepEqual(
    [line["method"], line["path"], line["status"], line["request_id"]],
    ["GET", "/v1/health", 200, "as-json"],
  );
  for (const each of daemon.stdoutLines) assert.doesNotThrow(() => JSON.parse(each) as unknown, each);
});

test("log.level = error keeps quiet about what is well", async () => {
  const result = await check(`[log]\nlevel = "loud"`);
  assert.equal(result.code, 1);
  assert.equal((await check(`[log]\nlevel = "error"`)).code, 0);
});

test("a port that is taken, a data_dir that cannot be: one line on stderr and exit 1", async (t) => {
  const daemon = await startDaemon({}, t);
  await assert.rejects(startDaemon({ config: `[server]\nport = ${daemon.port}` }, t), (error: unknown) => {
    assert.ok(error instanceof StartFailed);
    assert.deepEqual(
      [error.result.code, error.result.stderr.trimEnd().split("\n").length],
      [1, 1],
      error.result.stderr,
    );
    return error.result.stderr.includes(String(daemon.port));
  });
  await assert.rejects(
    startDaemon({ dataDir: join(file, "below-a-file") }, t),
    (error: unknown) =>
      error instanceof StartFailed && error.result.code === 1 && !error.result.stderr.includes("    at "),
  );
});
