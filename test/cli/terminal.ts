/** Runs a program on a real pseudo-terminal, by python3's pty module: what it shows, and how it leaves the terminal. */
import { spawn, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

/** Waits for a text on the screen, then types, or sends a signal to the program. */
export interface Step {
  readonly expect: string;
  readonly type?: string;
  readonly signal?: "SIGTERM" | "SIGINT";
}

export interface Shown {
  /** Null where the program was ended by a signal. */
  readonly code: number | null;
  /** Everything that the terminal showed, with the terminal's own line ends taken back. */
  readonly screen: string;
  /** At each step, whether the terminal echoed what is typed. */
  readonly echoes: readonly boolean[];
  /** Whether the terminal is, after the end, just as it was before the start. */
  readonly restored: boolean;
}

const PROGRAM = fileURLToPath(new URL("../../src/zwrm.ts", import.meta.url));

const DRIVER = `
import fcntl, json, os, select, signal, struct, subprocess, sys, termios, time
argv, steps, columns = json.loads(sys.argv[1])
master, slave = os.openpty()
fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
before = termios.tcgetattr(slave)
def own():
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
child = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, preexec_fn=own)
screen, seen, echoes, end = b"", 0, [], time.monotonic() + 20
def look(wait):
    global screen
    if select.select([master], [], [], wait)[0]:
        screen += os.read(master, 65536)
        return True
    return False
for step in steps:
    want = step["expect"].encode()
    while want not in screen[seen:] and time.monotonic() < end and child.poll() is None:
        look(0.05)
    at = screen.find(want, seen)
    seen = at + len(want) if at >= 0 else seen
    echoes.append(bool(termios.tcgetattr(slave)[3] & termios.ECHO))
    if "signal" in step: child.send_signal(getattr(signal, step["signal"]))
    if "type" in step: os.write(master, step["type"].encode())
while child.poll() is None and time.monotonic() < end: look(0.05)
if child.poll() is None: child.kill()
code = child.wait()
while look(0): pass
seen = {"code": code if code >= 0 else None, "screen": screen.decode().replace("\\r\\n", "\\n"), "echoes": echoes}
print(json.dumps({**seen, "restored": termios.tcgetattr(slave) == before}))
`;

/** False where there is no python3 to drive a terminal; then nothing here can be tested. */
export const HAS_TERMINAL = spawnSync("python3", ["-c", "import fcntl, termios, select"]).status === 0;

/** One run of zwrm on a terminal of its own, so many columns wide. */
export async function onTerminal(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  steps: readonly Step[],
  columns = 80,
): Promise<Shown> {
  const argv = [process.execPath, "--import", "tsx", PROGRAM, ...args];
  const child = spawn("python3", ["-c", DRIVER, JSON.stringify([argv, steps, columns])], {
    env: { PATH: process.env["PATH"] ?? "", HOME: "/nonexistent", ...env },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 30_000,
  });
  let [out, err] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (err += text));
  await new Promise((resolve) => child.once("close", resolve));
  if (out === "") throw new Error(`the terminal gave nothing: ${err}`);
  // Written by the driver above.
  return JSON.parse(out) as Shown;
}
