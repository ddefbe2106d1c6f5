import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import * as http from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after } from "node:test";
import type { Probe, Prober } from "../../src/agent/checks.ts";
import { ProbingChecks } from "../../src/agent/checks.ts";
import { CheckProcesses } from "../../src/agent/check-processes.ts";
import { createProber } from "../../src/agent/probes.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { FakeClock } from "../support/clock.ts";
import { desired, FakeLog, stayAlive } from "./fakes.ts";

stayAlive(after);

const NEVER = new AbortController().signal;

/** A check whose outcomes are given in order; the last one stays. */
function watch(check: unknown, outcomes: (string | null)[], wasReady = false) {
  const clock = new FakeClock();
  const told: (string | null)[] = [];
  const probes: Probe[] = [];
  const signals: AbortSignal[] = [];
  const noted: string[] = [];
  const prober: Prober = (probe, _machine, signal) => {
    probes.push(probe);
    signals.push(signal);
    return Promise.resolve((outcomes.length > 1 ? outcomes.shift() : outcomes[0]) ?? null);
  };
  const checks = new ProbingChecks(clock, prober, ({ id }, lines) => noted.push(`${id} ${lines.join("/")}`));
  const cancel = checks.watch(desired("m-1", { check }), (failure) => told.push(failure), wasReady);
  return { told, probes, signals, noted, cancel, run: (ms: number) => clock.run(ms, 50) };
}

const HTTP = { type: "http", port: 8080, path: "/healthz", interval_seconds: 5 };

test("a machine is ready at its first success, which is looked for twice a second", async () => {
  const world = watch(HTTP, ["x", "x", null]);
  await world.run(1_050);
  assert.deepEqual(world.told, [null]);
  assert.deepEqual(world.probes[0], {
    type: "http",
    host: "127.0.0.1",
    port: 8080,
    path: "/healthz",
    timeoutMs: 2_000,
  });
});

test("once ready it is asked at its interval, and unready after three failures in a row, said once", async () => {
  const world = watch(HTTP, [null, "a", "b", null, "c", "d", "e", "f", "g", null]);
  await world.run(25_100);
  assert.deepEqual(world.told, [null], "two failures are none");
  await world.run(5_000);
  assert.deepEqual(world.told, [null, "its check fails: e"]);
  await world.run(2_000);
  assert.deepEqual(world.told, [null, "its check fails: e", null]);
});

test("a machine that never gets ready says why after some tries, once", async () => {
  const world = watch({ ...HTTP, failures: 2 }, ["ECONNREFUSED"]);
  await world.run(10_000);
  assert.deepEqual(world.told, ["its check fails: ECONNREFUSED"]);
});

test("a check that is not understood leaves its machine unready and says why", async () => {
  for (const [check, reason] of [
    [{ type: "grpc", port: 1 }, /type must be one of http, tcp, exec/],
    [{ type: "http" }, /port is required/],
    [{ type: "exec" }, /command is required/],
    [{ type: "tcp", port: "80" }, /port must be a whole number/],
    ["always", /must be an object/],
  ] as const) {
    const world = watch(check, [null]);
    await world.run(100);
    assert.equal(world.told.length, 1);
    assert.match(world.told[0] ?? "", reason);
    assert.equal(world.probes.length, 0);
  }
});

test("a check that is over asks and tells no more", async () => {
  const world = watch(HTTP, ["x"]);
  world.cancel();
  await world.run(10_000);
  assert.deepEqual([world.told, world.probes.length], [[], 1]);
  assert.equal(world.signals[0]?.aborted, true, "and what it asks is called off");
});

test(
  "a machine that was ready stays so until its check has failed as often as it may, " + "at its own interval",
  async () => {
    const world = watch(HTTP, ["a", "b", null, "c", "d", "e", "f"], true);
    await world.run(14_000);
    assert.deepEqual([world.told, world.probes.length], [[], 3]);
    await world.run(16_500);
    assert.deepEqual(world.told, ["its check fails: e"]);
  },
);

test(
  "what a failing check wrote stands behind its reason, and is noted for the console once for each time " +
    "that it begins to fail",
  async () => {
    const world = watch({ ...HTTP, failures: 2 }, [
      "exit 1\none\ntwo",
      "exit 2\nthree\nfour",
      "exit 3",
      null,
      "exit 4",
      "exit 5",
    ]);
    await world.run(20_000);
    assert.deepEqual(world.told, ["its check fails: exit 2: three | four", null, "its check fails: exit 5"]);
    assert.deepEqual(world.noted, ["m-1 exit 2/three/four", "m-1 exit 5"]);
  },
);

test("real probes: an answer below 400, a connection, a command that ends with 0", async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "zwrm-probes-"));
  mkdirSync(join(folder, "m-1"));
  const server = http.createServer((request, response) =>
    request.url === "/slow" ? undefined : response.writeHead(request.url === "/good" ? 204 : 503).end(),
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  context.after(() => {
    server.closeAllConnections();
    server.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const { port } = server.address() as AddressInfo;
  const path = process.env["PATH"] ?? "";
  const processes = new CheckProcesses({ machinesDir: folder, clock: systemClock, log: new FakeLog() });
  const options = { clock: systemClock, machinesDir: folder, path, passEnv: true, processes };
  const prober = createProber({ ...options, checkCommand: ["{check}"] });
  const host = "127.0.0.1";
  const machine = desired("m-1");
  const ask = (probe: Probe): Promise<string | null> => prober(probe, machine, NEVER);
  assert.equal(await ask({ type: "http", host, port, path: "/good", timeoutMs: 2_000 }), null);
  assert.equal(await ask({ type: "http", host, port, path: "/bad", timeoutMs: 2_000 }), "HTTP status 503");
  assert.equal(await ask({ type: "http", host, port, path: "/slow", timeoutMs: 100 }), "no answer within 0.1 s");
  assert.equal(await ask({ type: "tcp", host, port, timeoutMs: 2_000 }), null);
  assert.equal(await ask({ type: "tcp", host, port: 1, timeoutMs: 2_000 }), "ECONNREFUSED");
  assert.equal(
    await ask({ type: "exec", command: ["sh", "-c", 'test "$ZWRM_MACHINE_ID" = m-1'], timeoutMs: 5_000 }),
    null,
  );
  assert.equal(await ask({ type: "exec", command: ["sh", "-c", "exit 3"], timeoutMs: 5_000 }), "exit 3");
  assert.equal(await ask({ type: "exec", command: ["sleep", "30"], timeoutMs: 100 }), "no answer within 0.1 s");
  assert.match((await ask({ type: "exec", command: ["no-such-program"], timeoutMs: 5_000 })) ?? "", /ENOENT/);
  const closed = createProber({ ...options, checkCommand: [] });
  const refused = await closed({ type: "exec", command: ["true"], timeoutMs: 100 }, machine, NEVER);
  assert.match(refused ?? "", /check_command is empty/);
  const over = new AbortController();
  const called: Promise<string | null>[] = [
    prober({ type: "http", host, port, path: "/slow", timeoutMs: 60_000 }, machine, over.signal),
    prober({ type: "exec", command: ["sleep", "30"], timeoutMs: 60_000 }, machine, over.signal),
  ];
  over.abort();
  assert.deepEqual(await Promise.all(called), ["it was called off", "it was called off"]);
  assert.equal(
    await prober({ type: "tcp", host, port, timeoutMs: 60_000 }, machine, AbortSignal.abort()),
    "it was called off",
  );
});
