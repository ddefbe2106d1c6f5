/**
 * Heartbeats and durable changes a second, side by side in one run: zwrmd against bare node:http that only parses and
 * answers (the limit for a heartbeat on this machine), and against the same with nothing but an fdatasync a batch.
 * Needs `wrk` and a build.
 *
 *     node --import tsx scripts/bench/heartbeats.ts [rounds] [seconds]
 *
 * Prints medians with their spread, and the ratio round by round: absolute numbers are the machine's, ratios are ours.
 */
import { execFileSync, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sha256Hex } from "../../src/lib/ids.ts";

const CONNECTIONS = 32;
const KEY = "bench";
const MACHINES = Array.from({ length: 10 }, (_, index) => ({ id: `m_${index}`, state: "running", ready: true }));
const BEAT = JSON.stringify({ usage: { cpus: 1.5, memory_mb: 2048, disk_mb: 1 }, machines: MACHINES });
const work = mkdtempSync(join(tmpdir(), "zwrmd-bench-"));

/** The least that any server in Node does with a heartbeat. */
const BARE = `
const http = require("node:http");
const fs = require("node:fs");
const fd = process.argv[2] === "sync" ? fs.openSync(process.argv[3], "a") : null;
let waiting = [], busy = false;
function commit() {
  if (busy || waiting.length === 0) return;
  busy = true;
  const batch = waiting; waiting = [];
  const settle = () => {
    busy = false;
    for (const one of batch) one.done();
    commit();
  };
  fs.write(fd, batch.map((one) => one.text + "\\n").join(""), () => fs.fdatasync(fd, settle));
}
http.createServer((req, res) => {
  let text = "";
  req.on("data", (piece) => (text += piece));
  req.on("end", () => {
    const answer = JSON.stringify({ host_id: "h", machines: JSON.parse(text).machines?.length ?? 0 });
    const done = () => {
      res.writeHead(200, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(answer) });
      res.end(answer);
    };
    if (fd === null) done(); else { waiting.push({ text, done }); setImmediate(commit); }
  });
}).listen(0, "127.0.0.1", function () { console.log("listening address=http://127.0.0.1:" + this.address().port); });
`;

async function start(
  command: readonly string[],
  env: Record<string, string> = {},
): Promise<{ url: string; child: ChildProcess }> {
  const [program = "", ...args] = command;
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "inherit"] });
  let seen = "";
  const url = await new Promise<string>((resolve, reject) => {
    child.once("exit", () => reject(new Error(`${command.join(" ")} ended: ${seen}`)));
    child.stdout.on("data", (piece: Buffer) => {
      if (seen.length < 65_536) seen += piece.toString();
      const found = /listening address=(http\S+)/.exec(seen)?.[1];
      if (found !== undefined) resolve(found);
    });
  });
  return { url, child };
}

/** Requests a second, by wrk's own count; throws where any answer was not 2xx. */
function load(url: string, script: string, seconds: number): number {
  const file = join(work, "wrk.lua");
  writeFileSync(file, script);
  const out = execFileSync("wrk", ["-t1", `-c${CONNECTIONS}`, `-d${seconds}s`, "-s", file, url], { encoding: "utf8" });
  if (/Non-2xx/.test(out)) throw new Error(out);
  return Number(/Requests\/sec:\s+([\d.]+)/.exec(out)?.[1]);
}

function beats(path: string): string {
  return `wrk.method="POST"
wrk.path="${path}"
wrk.headers["Content-Type"]="application/json"
wrk.headers["Authorization"]="Bearer ${sha256Hex(KEY)}"
wrk.body=[==[${BEAT}]==]
`;
}

/** Every request changes a fact, so every one must reach the disk. */
const CHANGES = `
local n=0
local headers={["Content-Type"]="application/json",["Authorization"]="Bearer ${sha256Hex(KEY)}"}
function request()
  n=n+1
  local body='{"host_id":"h-1","hostname":"n'..n..'","capacity":{"cpus":8,"memory_mb":1024}}'
  return wrk.format("POST","/v1/internal/hosts/register",headers,body)
end
`;

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

function report(name: string, ours: readonly number[], peer: readonly number[]): void {
  const ratios = ours.map((value, index) => value / (peer[index] ?? NaN));
  const show = (values: readonly number[], digits: number): string =>
    `${median(values).toFixed(digits)} (${Math.min(...values).toFixed(digits)} to ` +
    `${Math.max(...values).toFixed(digits)})`;
  process.stdout.write(`${name}: zwrmd ${show(ours, 0)}/s, peer ${show(peer, 0)}/s, ratio ${show(ratios, 2)}\n`);
}

async function main(): Promise<void> {
  const rounds = Number(process.argv[2] ?? "5");
  const seconds = Number(process.argv[3] ?? "3");
  const bareFile = join(work, "bare.cjs");
  writeFileSync(bareFile, BARE);
  const daemon = await start([process.execPath, "dist/zwrmd.js", "--data-dir", join(work, "data")], {
    ZWRM_SERVER_HOST: "127.0.0.1",
    ZWRM_SERVER_PORT: "0",
    ZWRM_LICENSE_KEY: KEY,
  });
  const bare = await start([process.execPath, bareFile, "plain"]);
  const sync = await start([process.execPath, bareFile, "sync", join(work, "bare.log")]);
  try {
    await fetch(`${daemon.url}/v1/internal/hosts/register`, {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${sha256Hex(KEY)}` },
      body: '{"host_id":"h-1","hostname":"n","capacity":{"cpus":8,"memory_mb":1024}}',
    });
    const heard: [number[], number[]] = [[], []];
    const changed: [number[], number[]] = [[], []];
    for (let round = 0; round < rounds; round++) {
      heard[0].push(load(daemon.url, beats("/v1/internal/hosts/h-1/heartbeat"), seconds));
      heard[1].push(load(bare.url, beats("/"), seconds));
      changed[0].push(load(daemon.url, CHANGES, seconds));
      changed[1].push(load(sync.url, CHANGES, seconds));
    }
    process.stdout.write(
      `Node ${process.version}, ${CONNECTIONS} connections, ${rounds} rounds of ${seconds} s; ` +
        `${readFileSync("/proc/cpuinfo", "utf8").match(/^processor/gm)?.length ?? "?"} processors\n`,
    );
    report("heartbeats (bare node:http, parse and answer)", ...heard);
    report("durable changes (bare node:http, one fdatasync a batch)", ...changed);
  } finally {
    for (const { child } of [daemon, bare, sync]) child.kill("SIGKILL");
    rmSync(work, { recursive: true, force: true });
  }
}

await main();
