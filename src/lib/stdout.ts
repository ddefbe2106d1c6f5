/**
 * Standard output of a program whose result it is: what cannot be written ends the program, and never with success. A
 * daemon's log is log-sink.ts.
 */
import { fstatSync, writeSync } from "node:fs";
import { isatty } from "node:tty";
import { messageOf, systemCode } from "./errors.ts";

const STDOUT = 1;
const STDERR = 2;
/** How a shell counts a program that SIGPIPE has ended, which Node ignores: 128 + 13. */
export const READER_LEFT = 141;

export interface ResultOutput {
  /** The terminal's width in characters; Infinity where it is none. */
  readonly columns: number;
  /** Resolves when all of it is handed over. It never rejects: a failure ends the program. */
  write(data: string | Uint8Array): Promise<void>;
}

type Env = Readonly<Record<string, string | undefined>>;
type Writer = ResultOutput["write"];

/**
 * Where a reader has left, as `head` does, the program ends quietly with READER_LEFT; any other failure is a sentence
 * on stderr and exit code 1. Both at once: a command that follows something would else go on for nobody. `program`
 * begins that sentence.
 */
export function openStdout(program: string, env: Env): ResultOutput {
  let output: Writer | null = null;
  // Not before the first result: of a descriptor that a log sink writes to, there is only one stream.
  return {
    write: (data) => (output ??= open(program))(data),
    get columns() {
      return isatty(STDOUT) ? columnsOf(process.stdout, env) : Infinity;
    },
  };
}

/** Of a terminal: what COLUMNS says, for those that do not tell or tell wrong, else what it says itself, else 80. */
export function columnsOf(terminal: { readonly columns?: number }, env: Env): number {
  const asked = Number(/^[1-9]\d{0,4}$/.exec(env["COLUMNS"] ?? "")?.[0] ?? NaN);
  return Number.isNaN(asked) ? terminal.columns || 80 : asked;
}

/** What stderr cannot take is lost: there is nowhere left to say so, and no reason to end what works. */
export function forgiveStderr(): void {
  process.stderr.on("error", () => undefined);
}

function open(program: string): Writer {
  const stat = fstatSync(STDOUT);
  if (stat.isFIFO() || stat.isSocket() || isatty(STDOUT)) return streamed(program);
  // Node's own stream for files takes a short write, as on a disk that fills up, for a whole one.
  return (data) => {
    writeWhole(typeof data === "string" ? Buffer.from(data) : data, program);
    return Promise.resolve();
  };
}

/**
 * Pipes, sockets and terminals, which may make a writer wait: by Node's stream, so that signals are heard meanwhile.
 */
function streamed(program: string): Writer {
  process.stdout.on("error", (error) => endBy(error, program));
  return (data) => new Promise((resolve) => void process.stdout.write(data, () => resolve()));
}

function writeWhole(bytes: Uint8Array, program: string): void {
  try {
    for (let done = 0; done < bytes.length;) done += writeSync(STDOUT, bytes, done);
  } catch (error) {
    endBy(error, program);
  }
}

function endBy(error: unknown, program: string): never {
  const code = systemCode(error);
  if (code === "EPIPE" || code === "ECONNRESET") process.exit(READER_LEFT);
  try {
    writeSync(
      STDERR,
      `${program}: standard output cannot be written: ${messageOf(error)}. What it was to hold is lost.\n`,
    );
  } catch {
    // The exit code tells.
  }
  process.exit(1);
}
