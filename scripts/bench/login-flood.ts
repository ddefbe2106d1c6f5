/**
 * What a flood of 200 concurrent wrong passwords costs everybody else: the journal's syncs and the heartbeats' answers,
 * quiet and under the flood in turn, on the built daemon. scrypt shares its threads with fdatasync, so without a queue
 * a sync waits behind every login.
 *
 *     npm run build && node --import tsx scripts/bench/login-flood.ts [rounds] [seconds]
 *
 * Prints medians and p99 of each round and the ratios flood / quiet: absolute numbers are the machine's, ratios are
 * ours.
 */
import { fork, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import * as http from "node:http";
import { constants, setPriority, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { sha256Hex } from "../../src/lib/ids.ts";

const PROGRAM = fileURLToPath(new URL("../../dist/zwrmd.js", import.meta.url));
const KEY = "bench";
const FLOOD = 200;
/** One each at a time: what is measured is waiting, not throughput. */
const BEAT_PAUSE_MS = 5;
/** Some 400 logins a second: the queue is never empty, and the machine's cores are not spent on refusals alone. */
const RETRY_MS = 500;
const LICENCE = { authorization: `Bearer ${sha256Hex(KEY)}` };
const HOST = { host_id: "h-1", hostname: "h", capacity: { cpus: 1, memory_mb: 1 } };

const rounds = Number(process.argv[2] ?? 5);
const seconds = Number(process.argv[3] ?? 4);
const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });

function send(
  port: number,
  more: http.RequestOptions,
  path: string,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<{ readonly status: number; readonly ms: number }> {
  const text = JSON.stringify(body);
  const began = performance.now();
  return new Promise((resolve, reject) => {
    const req = http.request(
      {
        host: "127.0.0.1",
        port,
        method: "POST",
        path,
        ...more,
        headers: { "content-type": "application/json", "content-length": Buffer.byteLength(text), ...headers },
      },
      (res) => {
        res.resume();
        res.once("end", () => resolve({ status: res.statusCode ?? 0, ms: performance.now() - began }));
      },
    );
    req.once("error", reject);
    req.end(text);
  });
}

interface Times {
  readonly beats: number[];
  readonly changes: number[];
}

/** Heartbeats, and changes that wait for a sync, one after another for some seconds. */
async function measure(port: number): Promise<Times> {
  const times: Times = { beats: [], changes: [] };
  const end = performance.now() + seconds * 1000;
  const loop = async (into: number[], path: string, bodyOf: (round: number) => unknown): Promise<void> => {
    for (let round = 0; performance.now() < end; round++) {
      const { status, ms } = await send(port, { agent }, path, bodyOf(round), LICENCE);
      if (status >= 300) throw new Error(`${path} was answered ${status}`);
      into.push(ms);
      await sleep(BEAT_PAUSE_MS);
    }
  };
  // A registration with other facts is one line of the journal, answered when it is synced.
  const change = (round: number): unknown => ({ ...HOST, labels: { round: String(round) } });
  await Promise.all([
    loop(times.beats, "/v1/internal/hosts/h-1/heartbeat", () => ({})),
    loop(times.changes, "/v1/internal/hosts/register", change),
  ]);
  return times;
}

/**
 * 200 clients that try again soon after they are answered, each time from another address and for another email, so
 * that only the queue holds them up.
 */
async function attack(port: number): Promise<void> {
  // An attacker has a machine of its own; here it must not take the cores from those who are measured.
  setPriority(constants.priority.PRIORITY_LOW);
  let over = false;
  let count = 0;
  const statuses: Record<number, number> = {};
  process.once("message", () => (over = true));
  const clients = Array.from({ length: FLOOD }, async () => {
    while (!over) {
      count++;
      const localAddress = `127.${1 + ((count >> 16) % 250)}.${(count >> 8) & 255}.${1 + (count % 250)}`;
      const { status } = await send(port, { agent: false, localAddress }, "/v1/auth/login", {
        email: `nobody-${count}@example.com`,
        password: "wrong",
      });
      statuses[status] = (statuses[status] ?? 0) + 1;
      await sleep(RETRY_MS);
    }
  });
  await Promise.all(clients);
  process.send?.(statuses);
  process.disconnect();
}

/** The attack in a process of its own, so that what is measured here waits for the daemon and not for the attacker. */
function flood(port: number): { stop(): Promise<unknown> } {
  const child = fork(fileURLToPath(import.meta.url), ["--flood", String(port)], { execArgv: process.execArgv });
  const answered = new Promise<unknown>((resolve) => child.once("message", resolve));
  return {
    async stop() {
      child.send("stop");
      return answered;
    },
  };
}

/** The buckets of the daemon's own measure of its syncs. */
async function syncs(port: number): Promise<Map<number, number>> {
  const text = await new Promise<string>((resolve, reject) => {
    http
      .get({ host: "127.0.0.1", port, path: "/metrics", agent }, (res) => {
        let body = "";
        res.on("data", (part: Buffer) => (body += part.toString("utf8")));
        res.once("end", () => resolve(body));
      })
      .once("error", reject);
  });
  const rows = [...text.matchAll(/^zwrmd_journal_sync_duration_seconds_bucket\{le="([^"]+)"\} (\d+)$/gm)];
  return new Map(rows.map(([, le, total]) => [le === "+Inf" ? Infinity : Number(le), Number(total)]));
}

/** The p99 of what came between two readings, in milliseconds, inside its bucket by proportion. */
function bucketP99(before: ReadonlyMap<number, number>, after: ReadonlyMap<number, number>): number {
  const counts = [...after].map(([le, total]): [number, number] => [le, total - (before.get(le) ?? 0)]);
  const wanted = (counts.at(-1)?.[1] ?? 0) * 0.99;
  let [low, below] = [0, 0];
  for (const [le, total] of counts) {
    if (total >= wanted)
      return 1000 * (low + (Math.min(le, 10) - low) * ((wanted - below) / Math.max(1, total - below)));
    [low, below] = [le, total];
  }
  return NaN;
}

function quantile(values: readonly number[], part: number): number {
  return [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * part))] ?? NaN;
}

function show(name: string, values: readonly number[]): string {
  return (
    `${name} median ${quantile(values, 0.5).toFixed(2)} p99 ${quantile(values, 0.99).toFixed(2)} ms ` +
    `(${values.length})`
  );
}

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "zwrmd-flood-"));
  const env = {
    PATH: process.env["PATH"] ?? "",
    ZWRM_LICENSE_KEY: KEY,
    ZWRM_STATE_DATA_DIR: folder,
    ZWRM_SERVER_PORT: "0",
    ZWRM_SERVER_HOST: "127.0.0.1",
    ZWRM_BUILD_IMAGES_DIR: join(folder, "images"),
  };
  const child = spawn(process.execPath, [PROGRAM, "--data-dir", folder], { env, stdio: ["ignore", "pipe", "inherit"] });
  try {
    const port = await new Promise<number>((resolve, reject) => {
      let seen = "";
      child.once("exit", (code) => reject(new Error(`zwrmd ended with ${code}: ${seen}`)));
      child.stdout.on("data", (piece: Buffer) => {
        if (seen.length < 65_536) seen += piece.toString("utf8");
        const found = /listening address=http:\/\/127\.0\.0\.1:(\d+)/.exec(seen)?.[1];
        if (found !== undefined) resolve(Number(found));
      });
    });
    await send(port, { agent }, "/v1/internal/hosts/register", HOST, LICENCE);
    await measure(port);
    const ratios: Record<string, number[]> = {
      "sync p99 (the daemon's own)": [],
      "change median": [],
      "change p99": [],
      "beat median": [],
      "beat p99": [],
    };
    for (let round = 1; round <= rounds; round++) {
      const start = await syncs(port);
      const quiet = await measure(port);
      const middle = await syncs(port);
      const attackers = flood(port);
      await sleep(1_500);
      const flooded = await syncs(port);
      const busy = await measure(port);
      const end = await syncs(port);
      const statuses = await attackers.stop();
      const own = [bucketP99(start, middle), bucketP99(flooded, end)] as const;
      process.stdout.write(
        `round ${round} quiet: sync p99 ${own[0].toFixed(2)} ms; ${show("change", quiet.changes)}; ` +
          `${show("beat", quiet.beats)}\n`,
      );
      process.stdout.write(
        `round ${round} flood: sync p99 ${own[1].toFixed(2)} ms; ${show("change", busy.changes)}; ` +
          `${show("beat", busy.beats)}; logins ${JSON.stringify(statuses)}\n`,
      );
      ratios["sync p99 (the daemon's own)"]?.push(own[1] / own[0]);
      for (const [what, from, to] of [
        ["change", quiet.changes, busy.changes],
        ["beat", quiet.beats, busy.beats],
      ] as const) {
        ratios[`${what} median`]?.push(quantile(to, 0.5) / quantile(from, 0.5));
        ratios[`${what} p99`]?.push(quantile(to, 0.99) / quantile(from, 0.99));
      }
    }
    for (const [name, values] of Object.entries(ratios))
      process.stdout.write(
        `${name}, flood / quiet: ${quantile(values, 0.5).toFixed(2)} ` +
          `(${values.map((value) => value.toFixed(2)).join(" ")})\n`,
      );
  } finally {
    const exited = once(child, "exit");
    child.kill("SIGTERM");
    agent.destroy();
    await exited;
    rmSync(folder, { recursive: true, force: true });
  }
}

if (process.argv[2] === "--flood") await attack(Number(process.argv[3]));
else await main();
