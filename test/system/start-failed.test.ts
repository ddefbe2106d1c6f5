/**
 * A start that fails half way, of the real program: everything that it opened is closed again, the process ends, and
 * the reason that it gives is the true one.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import * as net from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { PROGRAM, StartFailed, TestDaemon, eventually } from "../support/daemon.ts";
import type { Owner, RunResult } from "../support/daemon.ts";
import { register } from "../support/fleet.ts";
import { cleanEnv } from "../support/process.ts";
import { assertChain, readJournal } from "../support/journal.ts";

async function failedStart(daemon: TestDaemon): Promise<RunResult> {
  try {
    await daemon.start();
  } catch (error) {
    if (error instanceof StartFailed) return error.result;
    throw error;
  }
  throw new Error("it started");
}

function made(owner: Owner, config: string): TestDaemon {
  const daemon = new TestDaemon({ config });
  owner.after(() => daemon.close());
  return daemon;
}

/** The same folder serves as if nothing had been. */
async function serves(daemon: TestDaemon, good: string): Promise<void> {
  daemon.configure(good);
  await daemon.start();
  assert.equal((await register(daemon, "h-1")).status, 201);
  assertChain(readJournal(daemon.dataDir));
  assert.deepEqual(await daemon.stop(), { code: 0, signal: null });
}

const SOCKET = `[server]\nsocket = "FOLDER/z.sock"\n`;

for (const [what, socket, lay, why] of [
  [
    "in a folder that is not there",
    "FOLDER/none/z.sock",
    (): void => undefined,
    /^zwrmd: server\.socket is \S+\/none\/z\.sock, and there is no folder \S+\/none: make it, or set server\.socket\n$/,
  ],
  [
    "below a file",
    "FOLDER/file/z.sock",
    (folder: string): void => writeFileSync(join(folder, "file"), ""),
    /and \S+\/file is no folder: set server\.socket\n$/,
  ],
  [
    "where a file lies",
    "FOLDER/file",
    (folder: string): void => writeFileSync(join(folder, "file"), ""),
    /and what lies there is no socket: move it away, or set server\.socket\n$/,
  ],
] as const) {
  test(`a socket ${what}: the start ends with exit 1 and says so, and the next one serves`, async (t) => {
    const daemon = made(t, `[server]\nsocket = "${socket}"\n`);
    lay(daemon.folder);
    const { code, stderr, stdout } = await failedStart(daemon);
    assert.equal(code, 1, stderr);
    assert.match(stderr, why);
    assert.match(stdout, /stopped; the journal's head/, "the journal was closed in order");
    await serves(daemon, SOCKET);
  });
}

test("a port that is taken: exit 1, the sentence names the port's setting, and the next start serves", async (t) => {
  const other = net.createServer().listen(0, "127.0.0.1");
  t.after(() => other.close());
  await new Promise((resolve) => other.once("listening", resolve));
  const address = other.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const daemon = made(t, `[server]\nport = ${port}\n`);
  const { code, stderr } = await failedStart(daemon);
  assert.equal(code, 1);
  assert.match(stderr, /another program listens there; stop it or set server\.port/);
  await serves(daemon, "");
});

test("an images folder that cannot be made: exit 1, and no other daemon finds the data folder held", async (t) => {
  const daemon = made(t, `[build]\nimages_dir = "FOLDER/file/images"\n`);
  writeFileSync(join(daemon.folder, "file"), "");
  const { code, stderr } = await failedStart(daemon);
  assert.equal(code, 1);
  assert.match(stderr, /ENOTDIR.*\/file/);
  await serves(daemon, "");
});

test("a start that failed holds the lock until it has ended, and hears SIGTERM while it closes", async (t) => {
  const daemon = made(t, `[server]\nsocket = "FOLDER/none/z.sock"\n`);
  mkdirSync(daemon.dataDir, { recursive: true });
  // Told to stop at once and again: it ends by its own failure, or by the signal, and never stays.
  const child = spawn(process.execPath, [PROGRAM, "--config", daemon.configFile], {
    env: cleanEnv(),
    stdio: ["ignore", "pipe", "ignore"],
  });
  t.after(() => child.kill("SIGKILL"));
  const ended = new Promise<number | null>((resolve) => child.once("close", (code) => resolve(code)));
  child.stdout.once("data", () => child.kill("SIGTERM"));
  let code: number | null | undefined;
  void ended.then((found) => (code = found));
  await eventually("its end", () => (code === undefined ? undefined : true), 20_000);
  assert.equal(code, 1);
});
