import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { createNotifier } from "../../src/daemon/notify.ts";
import type { Notifier } from "../../src/daemon/notify.ts";
import { FakeClock } from "../support/clock.ts";
import { PROGRAM, TestDaemon, eventually } from "../support/daemon.ts";

const PASSED = { LISTEN_PID: "7", LISTEN_FDS: "3", LISTEN_FDNAMES: "zwrmd-tcp:zwrmd-unix:notify" };
const WATCHED = { ...PASSED, WATCHDOG_USEC: "30000000", WATCHDOG_PID: "7" };

interface Lab {
  readonly notifier: Notifier;
  readonly clock: FakeClock;
  readonly sent: string[];
  readonly lost: string[];
  /** While set, no message leaves. */
  broken: boolean;
}

function createLab(env: Readonly<Record<string, string>>): Lab {
  const clock = new FakeClock();
  const sent: string[] = [];
  const lost: string[] = [];
  const lab = { clock, sent, lost, broken: false };
  const send = (fd: number, message: string): void => {
    if (lab.broken) throw new Error("ENOTCONN");
    sent.push(`${fd} ${message}`);
  };
  return Object.assign(lab, {
    notifier: createNotifier({ env, pid: 7, clock, onLost: (reason) => lost.push(reason), send }),
  });
}

test("says ready, stopping and why a start failed, on the descriptor that is named notify, each as one message", () => {
  const { notifier, sent } = createLab(PASSED);
  notifier.ready();
  notifier.stopping();
  notifier.failed("the configuration has 2 mistakes:\n  one\n  two");
  assert.deepEqual(sent, [
    "5 READY=1\nSTATUS=serving",
    "5 STOPPING=1\nSTATUS=finishing what runs",
    "5 STATUS=the configuration has 2 mistakes: one two",
  ]);
});

test("says nothing where no descriptor came for it, or it came for another process", () => {
  for (const env of [
    {},
    { ...PASSED, LISTEN_FDNAMES: "zwrmd-tcp:zwrmd-unix:other" },
    { ...WATCHED, LISTEN_PID: "8" },
  ]) {
    const { notifier, clock, sent } = createLab(env);
    notifier.ready();
    notifier.stopping();
    notifier.failed("x");
    assert.deepEqual([sent, clock.armed], [[], 0]);
  }
});

test("feeds the watchdog from the clock three times within its limit, from ready on and through the stop", () => {
  const { notifier, clock, sent } = createLab(WATCHED);
  clock.advance(60_000);
  assert.deepEqual(sent, [], "nothing before ready");
  notifier.ready();
  clock.advance(9_999);
  assert.equal(sent.length, 1);
  clock.advance(20_001);
  assert.deepEqual(sent.slice(1), ["5 WATCHDOG=1", "5 WATCHDOG=1", "5 WATCHDOG=1"]);
  notifier.stopping();
  clock.advance(10_000);
  assert.deepEqual(sent.slice(4), ["5 STOPPING=1\nSTATUS=finishing what runs", "5 WATCHDOG=1"]);
});

test("feeds no watchdog that is another process's, or none", () => {
  for (const watchdog of [
    { WATCHDOG_PID: "8" },
    { WATCHDOG_USEC: "0" },
    { WATCHDOG_USEC: "soon" },
    { WATCHDOG_USEC: "" },
  ]) {
    const { notifier, clock, sent } = createLab({ ...WATCHED, ...watchdog });
    notifier.ready();
    clock.advance(60_000);
    assert.deepEqual(sent.length, 1);
  }
  const anyProcess = createLab({ ...PASSED, WATCHDOG_USEC: "3000000" });
  anyProcess.notifier.ready();
  anyProcess.clock.advance(1_000);
  assert.equal(anyProcess.sent.at(-1), "5 WATCHDOG=1", "without WATCHDOG_PID it is ours");
});

test("a message that cannot be sent is told once, and the next is tried all the same", () => {
  const lab = createLab(WATCHED);
  lab.broken = true;
  lab.notifier.ready();
  lab.clock.advance(20_000);
  assert.deepEqual(lab.lost, ["ENOTCONN"]);
  lab.broken = false;
  lab.clock.advance(10_000);
  assert.deepEqual(lab.sent, ["5 WATCHDOG=1"]);
});

/** Runs the program with a file in the place of systemd's datagram socket, and reads what it was told. */
function runNotified(
  t: TestContext,
  config: string,
  options = "",
): { told: () => string; log: () => string; stop: () => void; closed: Promise<number | NodeJS.Signals | null> } {
  const settings = new TestDaemon({ config });
  t.after(() => settings.close());
  const path = join(settings.folder, "told");
  writeFileSync(path, "");
  const fd = openSync(path, "a");
  const env = { PATH: process.env["PATH"] ?? "", LISTEN_FDS: "1", LISTEN_FDNAMES: "notify", NODE_OPTIONS: options };
  const script = 'LISTEN_PID=$$; export LISTEN_PID; exec "$@"';
  const child = spawn("sh", ["-c", script, "sh", process.execPath, PROGRAM, "--config", settings.configFile], {
    stdio: ["ignore", "pipe", "pipe", fd],
    env,
  });
  closeSync(fd);
  t.after(() => child.kill("SIGKILL"));
  let log = "";
  for (const stream of [child.stdout, child.stderr])
    stream?.on("data", (part: Buffer) => (log += part.toString("utf8")));
  const closed = new Promise<number | NodeJS.Signals | null>((resolve) =>
    child.once("close", (code, signal) => resolve(code ?? signal)),
  );
  return { told: () => readFileSync(path, "utf8"), log: () => log, stop: () => void child.kill("SIGTERM"), closed };
}

test(
  "the daemon is ready once it listens, takes the notify descriptor for no socket, and says that it " + "stops",
  async (t) => {
    const { told, log, stop, closed } = runNotified(t, '[server]\nhost = "127.0.0.1"\nport = 0');
    await eventually("READY=1", () => (told().includes("READY=1") ? true : undefined), 30_000);
    // Lines of the log leave a turn later than the word to systemd.
    await eventually("its own socket in the log", () =>
      / listening address=http:\/\/127\.0\.0\.1:\d+\n/.test(log()) ? true : undefined,
    );
    assert.doesNotMatch(log(), /systemd passed the sockets/);
    stop();
    assert.equal(await closed, 0);
    assert.equal(told(), "READY=1\nSTATUS=servingSTOPPING=1\nSTATUS=finishing what runs");
  },
);

test("a start that fails is never ready, and its status is the line that says why", async (t) => {
  const { told, closed } = runNotified(t, "[server]\nprot = 1");
  assert.equal(await closed, 1);
  assert.match(told(), /^STATUS=\S+\.toml:\d+: \[server\] prot: [^\n]*"port"[^\n]*$/);
});

test("a crash ends by SIGABRT, which tells it from a start that failed, and says where it was", async (t) => {
  const crash = `setTimeout(() => Promise.reject(new Error("out of the blue")), 1500)`;
  const { log, closed } = runNotified(
    t,
    '[server]\nhost = "127.0.0.1"\nport = 0',
    `--import=data:text/javascript,${encodeURIComponent(crash)}`,
  );
  assert.equal(await closed, "SIGABRT");
  assert.match(log(), /^zwrmd: crashed: Error: out of the blue\n +at /m);
});
