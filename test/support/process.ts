/** Programs run by tests to their end, and waiting for what other processes do. */
import { spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface RunResult extends Exit {
  readonly stdout: string;
  readonly stderr: string;
}

/** Nothing of the tester's own settings reaches the daemon; coverage is the exception. */
export function cleanEnv(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
  const coverage = process.env["NODE_V8_COVERAGE"];
  return {
    PATH: process.env["PATH"] ?? "",
    HOME: "/nonexistent",
    ...(coverage === undefined ? {} : { NODE_V8_COVERAGE: coverage }),
    ...extra,
  };
}

/** Runs any program to its end, 30 s at most. */
export function run(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  input = "",
): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env: cleanEnv(env), timeout: 180_000, killSignal: "SIGKILL" });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (part: Buffer) => (stdout += part.toString("utf8")));
    child.stderr.on("data", (part: Buffer) => (stderr += part.toString("utf8")));
    child.stdin.on("error", () => undefined);
    child.stdin.end(input);
    child.once("error", reject);
    child.once("close", (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
}

/**
 * Asks again and again, every 20 ms, until there is an answer; throws after `ms`. For conditions outside of this
 * process only.
 */
export async function eventually<T>(
  what: string,
  look: () => T | undefined | Promise<T | undefined>,
  ms = 20_000,
): Promise<T> {
  const end = performance.now() + ms;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > end) throw new Error(`waited ${ms} ms in vain for ${what}`);
    await sleep(20);
  }
}
