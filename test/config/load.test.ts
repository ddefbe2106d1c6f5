/**
 * Holds the loading of a configuration to its order of precedence, and to saying everything that is wrong with its
 * place and a remedy, and no secret.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { Loaded, LoadOptions } from "../../src/config/load.ts";
import { ConfigError, loadConfig } from "../../src/config/load.ts";

const folder = mkdtempSync(join(tmpdir(), "zwrm-config-"));
after(() => rmSync(folder, { recursive: true }));
const path = join(folder, "config.toml");

/** Loads a file with this content and the mode that the daemon asks for. */
function load(toml: string | Uint8Array, rest: Partial<LoadOptions> = {}): Loaded {
  writeFileSync(path, toml);
  chmodSync(path, 0o640);
  return loadConfig({ path, required: true, env: {}, overrides: {}, ...rest });
}

function problemsOf(run: () => unknown): readonly string[] {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    for (const problem of error.problems) assert.ok(error.message.includes(problem));
    return error.problems.map((problem) => problem.replaceAll(path, "FILE"));
  }
  return assert.fail("nothing was refused");
}

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

const DEFAULTS = {
  server: {
    host: "::",
    port: 8080,
    socket: "",
    readTimeoutMs: 30_000,
    writeTimeoutMs: 30_000,
    idleTimeoutMs: 75_000,
    maxBodyBytes: 1_048_576,
    maxConnections: 20_000,
    tlsCert: "",
    tlsKey: "",
  },
  state: { dataDir: "/var/lib/zwrm" },
  journal: { segmentBytes: 67_108_864, retainMs: null },
  build: { imagesDir: "/var/lib/zwrm/images" },
  images: { maxBytes: 68_719_476_736 },
  hosts: { offlineAfterMs: 30_000, checkIntervalMs: 15_000 },
  quota: {
    apps: 1_000,
    replicas: 10_000,
    cpus: 100_000,
    memoryMb: 400_000_000,
    envBytes: 67_108_864,
    images: 10_000,
    imageBytes: 1_099_511_627_776,
    labels: 64,
  },
  scheduler: { strategy: "spread" },
  license: { keyHashes: [] },
  auth: { localhostBypass: true, sessionTtlMs: 86_400_000 },
  cors: { allowedOrigins: [] },
  log: { format: "text", level: "info" },
};

test("an empty file, no file and no path mean the defaults", () => {
  assert.deepEqual(load(""), { config: DEFAULTS, warnings: [] });
  const options = { required: false, env: {}, overrides: {} };
  assert.deepEqual(loadConfig({ path: null, ...options }), { config: DEFAULTS, warnings: [] });
  assert.deepEqual(loadConfig({ path: join(folder, "none.toml"), ...options }), { config: DEFAULTS, warnings: [] });
  assert.deepEqual(loadConfig({ path: join(path, "below-a-file.toml"), ...options }), {
    config: DEFAULTS,
    warnings: [],
  });
});

test("a file sets what it names and leaves the rest", () => {
  const { config } = load(
    'server.port = 80\n[hosts]\noffline_after = "5s"\n[journal]\nretain = "7d"\n[cors]\nallowed_origins = ' +
      '["https://a.example"]\n',
  );
  assert.deepEqual(config, {
    ...DEFAULTS,
    server: { ...DEFAULTS.server, port: 80 },
    hosts: { ...DEFAULTS.hosts, offlineAfterMs: 5_000 },
    journal: { ...DEFAULTS.journal, retainMs: 604_800_000 },
    cors: { allowedOrigins: ["https://a.example"] },
  });
});

test("the command line wins over the environment, which wins over the file", () => {
  const toml = '[state]\ndata_dir = "/file"\n[server]\nport = 1\nhost = "127.0.0.1"\n';
  const env = { ZWRM_STATE_DATA_DIR: "/env", ZWRM_SERVER_PORT: "2" };
  const { config } = load(toml, { env, overrides: { "state.data_dir": "/flag" } });
  assert.deepEqual([config.state.dataDir, config.server.port, config.server.host], ["/flag", 2, "127.0.0.1"]);
});

test(
  "a relative socket is the path by which any process reaches it, unless that would be too long for the " + "kernel",
  () => {
    const socketOf = (given: string): string =>
      load(`[server]\nsocket = ${JSON.stringify(given)}`).config.server.socket;
    assert.equal(socketOf("data/z.sock"), join(process.cwd(), "data/z.sock"));
    assert.equal(socketOf("/run/z.sock"), "/run/z.sock");
    assert.equal(socketOf(""), "");
    const long = `${"x".repeat(100)}.sock`;
    assert.equal(socketOf(long), long);
  },
);

test("images_dir follows data_dir until it is set", () => {
  assert.equal(load("", { overrides: { "state.data_dir": "data" } }).config.build.imagesDir, "data/images");
  assert.equal(
    load('[build]\nimages_dir = "/srv/images"', { overrides: { "state.data_dir": "/data" } }).config.build.imagesDir,
    "/srv/images",
  );
});

test("every setting has a variable", () => {
  const env = {
    ZWRM_SERVER_IDLE_TIMEOUT: "1m",
    ZWRM_CORS_ALLOWED_ORIGINS: "https://a.example, https://*.b.example",
    ZWRM_AUTH_LOCALHOST_BYPASS: "false",
    ZWRM_LOG_FORMAT: "json",
    ZWRM_LICENSE_KEY: "k",
    ZWRM_LICENSE_KEY_HASHES: sha256("older"),
  };
  const { config, warnings } = load("", { env });
  assert.equal(config.server.idleTimeoutMs, 60_000);
  assert.deepEqual(config.cors.allowedOrigins, ["https://a.example", "https://*.b.example"]);
  assert.deepEqual([config.auth.localhostBypass, config.log.format], [false, "json"]);
  assert.deepEqual(config.license.keyHashes, [sha256("k"), sha256("older")]);
  assert.deepEqual(warnings, []);
});

test("the licence key is hashed and forgotten, and a hash given twice counts once", () => {
  const { config } = load(`[license]\nkey = "hünter2"\nkey_hashes = ["${sha256("hünter2")}", "${sha256("next")}"]`);
  assert.deepEqual(config.license, { keyHashes: [sha256("hünter2"), sha256("next")] });
  assert.ok(!JSON.stringify(config).includes("hünter2"));
});

test("an empty variable takes a licence key away", () => {
  assert.deepEqual(load('[license]\nkey = "k"', { env: { ZWRM_LICENSE_KEY: "" } }).config.license.keyHashes, []);
});

test("every mistake is told at once, with its line and the nearest known name", () => {
  const toml =
    '[server]\nprot = 80\nport = "80"\n[servre]\n[hosts]\nofline_after = "5s"\ncheck_interval = ' +
    '3\n[log]\nlevel = "loud"\n';
  const run = (): unknown =>
    load(toml, { env: { ZWRM_SERVER_MAX_CONNECTIONS: "many" }, overrides: { "state.data_dir": "" } });
  assert.deepEqual(problemsOf(run), [
    'FILE:2: [server] prot: there is no such key; did you mean "port"?',
    'FILE:3: [server] port: must be a whole number from 0 to 65535, not "80"',
    'FILE:4: [servre]: there is no such section; did you mean "[server]"?',
    'FILE:6: [hosts] ofline_after: there is no such key; did you mean "offline_after"?',
    'FILE:7: [hosts] check_interval: must be a duration such as "1m30s", from 100ms to 24h, not 3',
    'FILE:9: [log] level: must be one of "debug", "info", "warn", "error", not "loud"',
    'ZWRM_SERVER_MAX_CONNECTIONS: must be a whole number from 1 to 1000000, not "many"',
    'command line: [state] data_dir: must be the path of a folder, not ""',
  ]);
  assert.throws(run, /^ConfigError: the configuration has 8 mistakes:\n {2}.*config\.toml:2: \[server\] prot/);
});

test("one mistake is one line", () => {
  assert.throws(() => load("[server]\nport = -1"), {
    message: `${path}:2: [server] port: must be a whole number from 0 to 65535, not -1`,
  });
});

test("a key in the wrong section, or in none, is shown the way home", () => {
  assert.deepEqual(
    problemsOf(() =>
      load('offline_after = "5s"\ncolour = 1\n[server]\nlocalhost_bypass = true\ncolour = 1\n[server.tls]\n'),
    ),
    [
      "FILE:1: offline_after: stands before the first section, where no key belongs; did you mean " +
        '"offline_after" in [hosts]?',
      "FILE:2: colour: stands before the first section, where no key belongs; the sections are server, " +
        "state, journal, build, images, hosts, quota, scheduler, license, auth, cors, log",
      'FILE:4: [server] localhost_bypass: there is no such key here; did you mean "localhost_bypass" in [auth]?',
      "FILE:5: [server] colour: there is no such key; known are host, port, socket, read_timeout, " +
        "write_timeout, idle_timeout, max_body_bytes, max_connections, tls_cert, tls_key",
      "FILE:6: [server] tls: there is no such key; known are host, port, socket, read_timeout, " +
        "write_timeout, idle_timeout, max_body_bytes, max_connections, tls_cert, tls_key",
    ],
  );
});

test("a section that is none is refused, and names of prototypes are names like any other", () => {
  assert.deepEqual(
    problemsOf(() =>
      load('server = 1\n[[log]]\n[__proto__]\nx = 1\n[hosts]\n__proto__ = 1\nconstructor = 2\n"a\\nb" = 3'),
    ),
    [
      "FILE:1: server: must be a section: write [server] on a line of its own, once",
      "FILE:2: log: must be a section: write [log] on a line of its own, once",
      "FILE:3: [__proto__]: there is no such section; known are [server], [state], [journal], [build], " +
        "[images], [hosts], [quota], [scheduler], [license], [auth], [cors], [log]",
      "FILE:6: [hosts] __proto__: there is no such key; known are offline_after, check_interval",
      "FILE:7: [hosts] constructor: there is no such key; known are offline_after, check_interval",
      'FILE:8: [hosts] "a\\nb": there is no such key; known are offline_after, check_interval',
    ],
  );
});

test("a line that is no TOML is shown with a caret, beside what is wrong with the environment", () => {
  assert.deepEqual(
    problemsOf(() => load("[server]\n  port = 80 80\n", { env: { ZWRM_LOG_LEVEL: "x" } })),
    [
      'FILE:2: column 13: expected the end of the line after a value, found "8"\n2 |   port = 80 80\n  |             ^',
      'ZWRM_LOG_LEVEL: must be one of "debug", "info", "warn", "error", not "x"',
    ],
  );
  assert.match(
    problemsOf(() => load(Buffer.from([0x61, 0x3d, 0xff])))[0] ?? "",
    /^FILE:1: column 3: the file is not UTF-8/,
  );
});

test("no message shows a licence key, however the line around it is broken", () => {
  const broken = [
    'key = "hunter2',
    "key = hunter2",
    'key "hunter2"',
    'kye = "hunter2" x',
    "key = 'hunter2' 'x",
    '"key" = "hunter2\\q"',
    'host = "x" key = "hunter2"',
    'level = "info"\rkey = "hunter2"',
    'key = """\nhunter2\\q"""',
  ];
  for (const line of broken)
    assert.ok(
      !problemsOf(() => load(`[license]\n${line}\n`))
        .join("\n")
        .includes("hunter2"),
      line,
    );
  for (const line of [
    'license = { key = "hunter2" x }',
    '[license] key = "hunter2"',
    'license.key = "hunter2" x',
    '[license]\nkey = " hunter2"',
    '[license]\nkeys = "hunter2"',
    '[license]\nkey_hashes = ["hunter2"]',
    'key = "hunter2"',
  ]) {
    assert.ok(
      !problemsOf(() => load(line))
        .join("\n")
        .includes("hunter2"),
      line,
    );
  }
  for (const variable of ["ZWRM_LICENSE_KEY", "ZWRM_LICENSE_KEY_HASHES"]) {
    assert.match(
      problemsOf(() => load("", { env: { [variable]: "hunter2\n" } })).join("\n"),
      new RegExp(`^${variable}: must (?!.*hunter2)`),
    );
  }
});

test("a certificate and its key come together", () => {
  assert.deepEqual(
    problemsOf(() => load('[server]\ntls_cert = "/c.pem"')),
    ["FILE:2: [server] tls_cert: needs [server] tls_key as well: TLS takes both or neither"],
  );
  assert.deepEqual(
    problemsOf(() => load('[server]\ntls_cert = ""', { env: { ZWRM_SERVER_TLS_KEY: "/k.pem" } })),
    ["ZWRM_SERVER_TLS_KEY: needs [server] tls_cert as well: TLS takes both or neither"],
  );
  const { config } = load('[server]\ntls_cert = "/c.pem"', { env: { ZWRM_SERVER_TLS_KEY: "/k.pem" } });
  assert.deepEqual([config.server.tlsCert, config.server.tlsKey], ["/c.pem", "/k.pem"]);
  assert.equal(load('[server]\ntls_cert = ""\ntls_key = ""').config.server.tlsCert, "");
});

test("a variable that names nothing is a warning; those of the client and of others are none", () => {
  const env = {
    ZWRM_SERVER_PROT: "1",
    ZWRM_: "1",
    PATH: "/bin",
    zwrm_server_port: "1",
    ZWRM_LOG_LEVEL: undefined,
    ZWRM_API_URL: "x",
    ZWRM_TOKEN: "x",
    ZWRM_CONFIG: "x",
    ZWRM_ORG: "x",
    ZWRM_API_KEY: "x",
  };
  const { config, warnings } = load("", { env });
  assert.deepEqual(warnings, [
    'ZWRM_SERVER_PROT: names no setting and is ignored; did you mean "ZWRM_SERVER_PORT"?',
    "ZWRM_: names no setting and is ignored",
  ]);
  assert.deepEqual(config, DEFAULTS);
});

test("a file that others can open is a warning that says the remedy", () => {
  for (const [mode, written] of [
    [0o644, "0644"],
    [0o642, "0642"],
    [0o601, "0601"],
  ] as const) {
    load("");
    chmodSync(path, mode);
    const { warnings } = loadConfig({ path, required: true, env: {}, overrides: {} });
    assert.deepEqual(warnings, [
      `${path}: every user of this machine can open it (mode ${written}), and it may hold secrets: chmod 0640 ${path}`,
    ]);
  }
  chmodSync(path, 0o660);
  assert.deepEqual(loadConfig({ path, required: true, env: {}, overrides: {} }).warnings, []);
  assert.deepEqual(loadConfig({ path: "/dev/null", required: true, env: {}, overrides: {} }), {
    config: DEFAULTS,
    warnings: [],
  });
});

test("a file that cannot be used says what to do", () => {
  const messageFor = (at: string, required: boolean): string =>
    problemsOf(() => loadConfig({ path: at, required, env: {}, overrides: {} })).join("\n");
  assert.match(
    messageFor(join(folder, "none.toml"), true),
    /none\.toml: there is no such file: make one with "zwrmd --generate-config > .*none\.toml"/,
  );
  mkdirSync(join(folder, "folder"), { recursive: true });
  for (const required of [true, false])
    assert.match(messageFor(join(folder, "folder"), required), /folder: this is a folder/);
  writeFileSync(join(folder, "huge.toml"), Buffer.alloc((1 << 20) + 1, "\n"));
  assert.match(messageFor(join(folder, "huge.toml"), false), /larger than 1048576 bytes/);
  writeFileSync(join(folder, "large.toml"), Buffer.alloc(1 << 20, "\n"), { mode: 0o600 });
  assert.deepEqual(
    loadConfig({ path: join(folder, "large.toml"), required: true, env: {}, overrides: {} }).config,
    DEFAULTS,
  );
});

test("a file that may not be read is an error, also where none is required", () => {
  load("");
  chmodSync(path, 0o000);
  const isRoot = process.getuid?.() === 0;
  // Root reads everything: for the length of one synchronous call this process is nobody.
  if (isRoot) process.seteuid?.(65534);
  try {
    assert.match(
      problemsOf(() => loadConfig({ path, required: false, env: {}, overrides: {} })).join("\n"),
      /^FILE: the daemon may not read it: .*chgrp <group> FILE.*chmod 0640 FILE/,
    );
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
});

test("loading twice gives the same, and changes nothing that it was given", () => {
  const env = Object.freeze({ ZWRM_LICENSE_KEY: "k" });
  const overrides = Object.freeze({ "server.port": "0" });
  assert.deepEqual(
    load("[log]\nlevel = 'debug'", { env, overrides }),
    load("[log]\nlevel = 'debug'", { env, overrides }),
  );
});

test("an override that names no setting is the program's own fault", () => {
  assert.throws(() => load("", { overrides: { "server.prot": "1" } }), {
    name: "Error",
    message: "the command line sets server.prot, which is no setting",
  });
});
