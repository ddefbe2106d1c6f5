// Tries what zwrmd must not be able to do, from where zwrmd is, and prints one line for each try: "refused NAME: why"
// or "ALLOWED NAME: what". Arguments: `namespaces` (run inside the daemon's namespaces) or `unit` (run by systemd under
// the daemon's own settings, filters too).
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";

const STATE = "/var/lib/zwrm";
const how = process.argv[2];
let allowed = 0;

function tell(name, isRefused, why) {
  if (!isRefused) allowed += 1;
  console.log(`${isRefused ? "refused" : "ALLOWED"} ${name}: ${why}`);
}

function attempt(name, run) {
  try {
    const got = run();
    tell(name, got === null, got ?? "nothing there");
  } catch (error) {
    tell(name, true, error.code ?? error.message);
  }
}

function dial(name, where) {
  return new Promise((resolve) => {
    const socket = connect(where);
    const end = (isRefused, why) => {
      socket.destroy();
      tell(name, isRefused, why);
      resolve();
    };
    socket.setTimeout(2_000, () => end(true, "no answer"));
    socket.once("connect", () => end(false, "connected"));
    socket.once("error", (error) => end(true, error.code ?? error.message));
  });
}

// 8080 is the daemon's own port in the machine's namespace: someone does listen there.
await dial("connect to 127.0.0.1:8080", { host: "127.0.0.1", port: 8080 });
await dial("connect to [::1]:8080", { host: "::1", port: 8080 });
await dial("connect to 192.0.2.1:443", { host: "192.0.2.1", port: 443 });
await dial("connect to 1.1.1.1:53", { host: "1.1.1.1", port: 53 });
if (how === "unit") await dial("connect to systemd's unix socket", { path: "/run/dbus/system_bus_socket" });

attempt("read /home", () => readdirSync("/home").join(" ") || null);
attempt("read /home/alice/secret", () => readFileSync("/home/alice/secret", "utf8"));
attempt("read /root", () => readdirSync("/root").join(" ") || null);
attempt("read /etc/shadow", () => readFileSync("/etc/shadow", "utf8"));

const folders = [
  "/",
  "/etc",
  "/etc/zwrm",
  "/usr",
  "/usr/local/bin",
  "/opt",
  "/opt/zwrm/current",
  "/var",
  "/var/lib",
  "/var/log",
  "/var/cache",
  "/srv",
  "/mnt",
  "/home",
  "/root",
  "/run",
  "/dev",
  "/dev/shm",
  "/dev/mqueue",
  "/sys",
  "/proc",
  "/tmp",
  "/var/tmp",
];
for (const folder of folders) {
  attempt(`write into ${folder}`, () => {
    writeFileSync(`${folder}/zwrmd-was-here`, "");
    rmSync(`${folder}/zwrmd-was-here`);
    return "written";
  });
}

attempt("see other processes", () => {
  const others = readdirSync("/proc").filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    const status = readFileSync(`/proc/${name}/status`, "utf8");
    return Number(/^Uid:\s+(\d+)/m.exec(status)?.[1]) !== process.getuid();
  });
  return others.join(" ") || null;
});
attempt("see the machine's configuration in /proc/sys", () => readFileSync("/proc/sys/kernel/hostname", "utf8"));
attempt("signal process 1", () => {
  process.kill(1, 0);
  return "it may";
});

if (how === "unit") {
  const run =
    (program, ...words) =>
    () => {
      const { error, status, signal } = spawnSync(program, words, { timeout: 5_000 });
      if (error !== undefined) throw error;
      if (status === 0) return "it ran";
      throw new Error(`exit ${status ?? signal}`);
    };
  attempt("make a namespace", run("unshare", "--user", "true"));
  attempt("mount", run("mount", "-t", "tmpfs", "none", "/mnt"));
  attempt("run a program from its state", () => {
    mkdirSync(`${STATE}/probe`, { recursive: true });
    try {
      writeFileSync(`${STATE}/probe/program`, "#!/bin/sh\nexit 0\n", { mode: 0o755 });
      return run(`${STATE}/probe/program`)();
    } finally {
      rmSync(`${STATE}/probe`, { recursive: true });
    }
  });
}
process.exitCode = allowed === 0 ? 0 : 1;
