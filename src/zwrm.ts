#!/usr/bin/env node
/** The program zwrm: this process's arguments, input, outputs and clock go in, its exit code comes out. */
import { homedir } from "node:os";
import type { WriteStream } from "node:tty";
import type { Output } from "./cli/io.ts";
import { main } from "./cli/main.ts";
import { StandardInput } from "./cli/stdin.ts";
import type { Clock } from "./lib/clock.ts";
import { systemClock } from "./lib/clock.ts";
import { columnsOf, forgiveStderr, openStdout } from "./lib/stdout.ts";

function output(stream: WriteStream, write: (text: string) => void): Output {
  return {
    write,
    // tty's own types say that both are always there; a pipe has neither.
    isTerminal: Boolean(stream.isTTY) && process.env["TERM"] !== "dumb",
    get columns() {
      return stream.isTTY ? columnsOf(stream, process.env) : Infinity;
    },
  };
}

/** Here a timer is what the program waits for, so it keeps the process alive. */
const clock: Clock = {
  ...systemClock,
  after(ms, run) {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
};

forgiveStderr();
const result = openStdout("zwrm", process.env);
const stdout = output(process.stdout, (text) => void result.write(text));
const stderr = output(process.stderr, (text) => void process.stderr.write(text));
const stdin = new StandardInput(() => process.stdin);
process.exitCode = await main(process.argv.slice(2), {
  stdin,
  stdout,
  stderr,
  env: process.env,
  home: homedir(),
  clock,
});
