/**
 * The process's standard input, as the command line reads it: opened when it is first asked for, and stopped between
 * two questions, so that the program can end.
 */
import type { ReadStream } from "node:tty";
import { isatty } from "node:tty";
import { messageOf } from "../lib/errors.ts";
import type { Input } from "./io.ts";
import { CliError } from "./io.ts";

export class StandardInput implements Input {
  readonly isTerminal = isatty(0);
  readonly #open: () => ReadStream;
  #stream: ReadStream | null = null;
  #ahead = "";

  constructor(open: () => ReadStream) {
    this.#open = open;
  }

  /** Node itself puts the terminal back when the process exits or is told to (SIGINT, SIGTERM) while it is raw. */
  setRaw(raw: boolean): void {
    this.#opened().setRawMode(raw);
  }

  read(): Promise<string | null> {
    const ahead = this.#ahead;
    this.#ahead = "";
    if (ahead !== "") return Promise.resolve(ahead);
    const stream = this.#opened();
    if (stream.readableEnded) return Promise.resolve(null);
    return new Promise((resolve, reject) => {
      const settle = (tell: () => void): void => {
        stream.off("data", onData).off("end", onEnd).off("error", onError);
        stream.pause();
        tell();
      };
      const onData = (text: string): void => settle(() => resolve(text));
      const onEnd = (): void => settle(() => resolve(null));
      const onError = (error: Error): void =>
        settle(() => reject(new CliError(`The standard input cannot be read: ${messageOf(error)}.`)));
      stream.on("data", onData).on("end", onEnd).on("error", onError);
      // A stream that was paused stays so, whoever listens.
      stream.resume();
    });
  }

  unread(text: string): void {
    this.#ahead = text + this.#ahead;
  }

  onInterrupt(run: () => void): () => void {
    const letGo = (): void => void process.off("SIGINT", onSignal);
    const onSignal = (): void => {
      run();
      letGo();
      // Ended by the signal, not by an exit code: so a shell's loop around it ends too.
      process.kill(process.pid, "SIGINT");
    };
    process.on("SIGINT", onSignal);
    return letGo;
  }

  #opened(): ReadStream {
    this.#stream ??= this.#open().setEncoding("utf8");
    return this.#stream;
  }
}
