/** Part B, Under systemd: listening sockets that outlive the daemon, passed as systemd passes them. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync, renameSync } from "node:fs";
import * as net from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { PROGRAM, TestDaemon, eventually } from "../support/daemon.ts";
import { request } from "../support/http.ts";

/** Listens and gives the descriptor, which Node shows to nobody but its own child processes. */
async function listenFd(server: net.Server, where: net.ListenOptions): Promise<number> {
  server.listen(where);
  await new Promise((resolve) => server.once("listening", resolve));
  const handle: unknown = Reflect.get(server, "_handle");
  const fd: unknown = typeof handle === "object" && handle !== null ? Reflect.get(handle, "fd") : null;
  assert.ok(typeof fd === "number" && fd >= 0, "a descriptor");
  return fd;
}

/** Holds the sockets as systemd does, and runs the daemon twice, one after the other. */
const HOLDER = `for round in 1 2; do
  sh -c 'LISTEN_PID=$$; export LISTEN_PID; echo "pid $$"; exec "$@"' sh "$@"; echo "ended $?"
done`;

test(
  "Under systemd the daemon takes its listening sockets (LISTEN_FDS, FileDescriptorName tells TCP from " +
    "unix), says that host and port are then ignored, refuses nobody during a restart",
  async (t) => {
    const settings = new TestDaemon({ config: "[server]\nport = 1" });
    t.after(() => settings.close());
    const [tcp, unix] = [net.createServer(), net.createServer()];
    const tcpFd = await listenFd(tcp, { host: "127.0.0.1", port: 0 });
    const unixFd = await listenFd(unix, { path: join(settings.folder, "made.sock") });
    const address = tcp.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const env = { PATH: process.env["PATH"] ?? "", LISTEN_FDS: "2", LISTEN_FDNAMES: "zwrmd-tcp:zwrmd-unix" };
    const holder = spawn("sh", ["-c", HOLDER, "sh", process.execPath, PROGRAM, "--config", settings.configFile], {
      stdio: ["ignore", "pipe", "pipe", tcpFd, unixFd],
      env,
      detached: true,
    });
    const gone = new Promise((resolve) => holder.once("close", resolve));
    t.after(async () => {
      if (holder.pid !== undefined && holder.exitCode === null) process.kill(-holder.pid, "SIGKILL");
      await gone;
    });
    let log = "";
    holder.stdout?.on("data", (part: Buffer) => (log += part.toString("utf8")));
    holder.stderr?.on("data", (part: Buffer) => (log += part.toString("utf8")));
    // Closing here leaves the holder's copies; a closed unix listener takes its name away, so the file gets another one
    // first.
    const socketPath = join(settings.folder, "zwrmd.sock");
    renameSync(join(settings.folder, "made.sock"), socketPath);
    tcp.close();
    unix.close();

    const pids = (): number[] => [...log.matchAll(/^pid (\d+)$/gm)].map((match) => Number(match[1]));
    await eventually("the first daemon", () => (/ listening /.test(log) ? true : undefined), 30_000);
    assert.equal((await request({ port }, "GET", "/v1/whoami-is-not-here")).status, 404);
    assert.equal((await request({ port }, "GET", "/v1/auth/whoami")).status, 200);
    assert.equal(
      (await request({ socketPath }, "GET", "/v1/auth/whoami")).status,
      200,
      "the unix socket's peer is local",
    );
    assert.match(log, /ignored/i, "host and port are ignored, and it says so");

    process.kill(pids()[0] ?? 0, "SIGTERM");
    const during: Promise<string>[] = [];
    const ask = (): void =>
      void during.push(request({ port }, "GET", "/v1/health").then((answer) => String(answer.status), String));
    await eventually("the first daemon's end", () => {
      if (during.length < 20) ask();
      return /^ended 0$/m.test(log) ? true : undefined;
    });
    for (let extra = 0; extra < 5; extra++) ask();
    const refused = (await Promise.all(during)).filter((outcome) => outcome !== "200" && outcome !== "503");
    assert.deepEqual(refused, [], "every client that connected is answered, by the old daemon or the new one");
    await eventually(
      "the second daemon",
      () => (pids().length === 2 && log.split(" listening ").length >= 3 ? true : undefined),
      30_000,
    );
    assert.equal((await request({ port }, "GET", "/v1/health")).status, 200);
    assert.equal(
      (await request({ socketPath }, "GET", "/v1/health")).status,
      200,
      "the socket's file is systemd's: the daemon leaves it",
    );
    assert.ok(readFileSync(`/proc/${pids()[1]}/cmdline`, "utf8").includes("zwrmd.js"));
    process.kill(pids()[1] ?? 0, "SIGTERM");
    await gone;
    assert.equal(log.match(/^ended 0$/gm)?.length, 2, log);
  },
);
