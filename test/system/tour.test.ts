/**
 * The tours of the documents as a reader takes them: every command as it stands, in order, in a fresh folder, but for
 * the ports, which others may have.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { commandsOf, sectionOf } from "../readme/commands.ts";
import { cleanEnv } from "../support/process.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const LIMIT_MS = 180_000;
const OPERATING = "src/daemon/OPERATING.md";

/** Starts the control plane as `npm start` does after its build, and waits for it. */
const START = `start() {
  sh scripts/start.sh >>log 2>&1 &
  for _ in $(seq 450); do curl -fs "$ZWRM_API_URL/v1/ready" >/dev/null && return; sleep 0.1; done
  cat log
  exit 99
}
stop() { [ -f zwrm-data/lock ] && kill "$(sed 's/.*"pid":\\([0-9]*\\).*/\\1/' zwrm-data/lock)" 2>/dev/null; }
trap stop EXIT
start`;

/** What has been checked out and built. */
function checkout(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "zwrm-tour-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const name of ["dist", "scripts", "package.json"])
    cpSync(join(ROOT, name), join(folder, name), { recursive: true });
  mkdirSync(join(folder, "tmp"));
  return folder;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

interface Toured {
  /** Of each command, in order. */
  readonly codes: readonly number[];
  readonly said: string;
}

/**
 * Types the lines into one shell, which reads each when the one before has ended; after each command it says its exit
 * code.
 */
async function tour(
  folder: string,
  before: string,
  commands: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<Toured> {
  const typed = commands.map((command) => `${command.trimEnd()}\necho "@@ $?"`).join("\n");
  const shell = spawn("bash", ["-s"], {
    cwd: folder,
    env: { ...cleanEnv({ HOME: folder, TMPDIR: join(folder, "tmp"), ...env }) },
    detached: true,
    timeout: LIMIT_MS,
    killSignal: "SIGKILL",
  });
  let said = "";
  for (const stream of [shell.stdout, shell.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => (said += text));
  shell.stdin.end(`shopt -s expand_aliases\n${before}\n${typed}\n`);
  await new Promise((resolve) => shell.once("exit", resolve));
  // Where the shell itself was ended, what it began is still there, in its process group.
  try {
    process.kill(-(shell.pid ?? 0), "SIGTERM");
  } catch {
    // Nobody.
  }
  return { codes: [...said.matchAll(/@@ (\d+)$/gm)].map(([, code]) => Number(code)), said };
}

/** The commands that are to be refused, by what they hold. */
function assertCodes(
  { codes, said }: Toured,
  commands: readonly string[],
  refused: (command: string, index: number) => boolean,
): void {
  commands.forEach((command, index) =>
    assert.equal(codes[index], refused(command, index) ? 1 : 0, `${command}\n\n${said}`),
  );
}

test("five minutes: the control plane, a host by curl, an image, a crash, a backup and its restore", async (t) => {
  const port = await freePort();
  const folder = checkout(t);
  const restarted = "start";
  const five = commandsOf(sectionOf(OPERATING, "## By hand: a host played with curl")).flatMap((command) =>
    command.startsWith("kill -KILL") ? [command, restarted] : [command],
  );
  const backup = commandsOf(sectionOf(OPERATING, "## Backup and restore")).filter(
    (command) => !command.includes("systemctl"),
  );
  const commands = [...five, ...backup].map((command) => command.replaceAll("127.0.0.1:8080", `127.0.0.1:${port}`));
  const done = await tour(folder, START, commands, {
    ZWRM_SERVER_PORT: String(port),
    ZWRM_API_URL: `http://127.0.0.1:${port}`,
  });
  const first = commands.findIndex((command) => command.startsWith("zwrmd restore"));
  // It shows two more, which are refused: onto a journal that is there, and of an altered file.
  assertCodes(done, commands, (command, index) => command.startsWith("zwrmd restore") && index > first);
  assert.match(done.said, /is not empty .*: a restore never writes over a journal/);
  assert.match(done.said, /journal: damaged: altered\.backup/);
  assert.match(done.said, /rack1-07 is active\./);
  assert.match(done.said, /^images {4}1 \(19\.1 MiB\)$/m);
});

test("a fleet in a box: deploy, drain, lose a host, scale, and nothing is left", async (t) => {
  const port = await freePort();
  const folder = checkout(t);
  const [start = "", ...commands] = commandsOf(sectionOf("README.md", "## A fleet in a box"));
  assert.match(start, /^scripts\/fleet 4 --port 18098 /);
  const fleet = `${start.replace("18098", String(port))} >fleet.log 2>&1 &
fleet=$!
trap 'kill -TERM $fleet; wait $fleet' EXIT
for _ in $(seq 300); do grep -q 'talk to it' fleet.log && break; sleep 0.1; done
eval "$(sed -n 's/^fleet: talk to it:  \\(export .*\\); zwrm host list$/\\1/p' fleet.log)"`;
  const done = await tour(folder, fleet, commands, {});
  assertCodes(done, commands, () => false);
  assert.match(done.said, /web: dep_\w+ completed after /, readFileSync(join(folder, "fleet.log"), "utf8"));
  assert.match(done.said, /h-1: completed after /);
  assert.match(done.said, /web: scaled after .*, 3 of 3 ready\n/);
  assert.match(done.said, /web: deleted after /);
});
